//! Mappings: documents of one kind made from documents of another, by rules in TOML files.
//!
//! In come a document and its context; out go serialised outputs, each with the command it carries.
//! Promised: a mapping is checked whole before it runs; the same document, tables and context give the
//! same bytes (H7); an error names the rule and never the content (H10). Refused: documents that miss
//! what a rule requires, and codes that a table does not have.

mod bases;
mod check;
mod compile;
mod context;
mod documents;
mod error;
mod evaluate;
mod expression;
mod fields;
mod files;
mod fragments;
mod functions;
mod hl7_tables;
mod interned;
mod json_path;
mod layout;
mod lexer;
mod lineage;
mod names;
mod outline;
mod parse;
mod plan;
mod run;
mod segments;
mod table_rows;
mod tables;
#[cfg(test)]
mod testing;
mod trial;
mod value;
mod write;

pub use context::{Context, HmacKey, Output};
pub use error::{Class, HeldCode, MapError, Place};
pub use expression::{Comparison, Expression, ExpressionError, Node, PathKind};
pub(crate) use files::MappingFiles;
pub use functions::{Function, catalogue};
pub use lineage::{Called, Lineage, Nowhere, Origin, Written};
pub use plan::{Mapping, MessageType, SourceFormat, TargetFormat};
pub(crate) use run::Question;
pub use table_rows::{NewRow, RowError, add_row};
pub use tables::{Row, Table, Tables, Unknown};
pub use trial::TestResult;
pub(crate) use trial::{Fixtures, test_context};

#[cfg(test)]
mod tests;
