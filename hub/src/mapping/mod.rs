//! Mappings: documents of one kind made from documents of another, by rules in TOML files.
//!
//! In come a document and its context; out go serialised outputs, each with the command it carries.
//! Promised: a mapping is checked whole before it runs; the same document, tables and context give the
//! same bytes (H7); an error names the rule and never the content (H10). Refused: documents that miss
//! what a rule requires, and codes that a table does not have.

mod context;
mod error;
mod expression;
mod lexer;

pub use context::{Context, HmacKey, Output};
pub use error::{Class, HeldCode, MapError, Place};
pub use expression::{Comparison, Expression, ExpressionError, Node, PathKind};
