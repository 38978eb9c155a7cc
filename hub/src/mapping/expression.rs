//! The expressions of mappings and routes: text to tree.
//!
//! In comes the text of one expression; out goes a tree whose nodes know their bytes in the text, or
//! the first mistake and its place. Promised: any text ends in one or the other, in time linear in
//! its length and with bounded depth. Refused: whatever the grammar does not have. Whether paths,
//! functions and tables exist is decided later, by the compiler.
//!
//! From loosest to tightest: `if else`, `or`, `and`, `not`, comparisons, `|`, `+`, `??`.

mod read;

use std::ops::Range;

/// Longest text of one expression in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 16 * 1024;

/// What kind of document the paths of an expression lead through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// `PID-3.1`, `ORDER.ORC-2`, `$.ORC-2` from the whole message, and `.1` relative to a repetition.
    Hl7,
    /// `identifier[0].value`, `$.id` from the root, and `.` for the item itself.
    Json,
}

/// One node of an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// What it is.
    pub node: Node,
    /// Its bytes in the text of the expression.
    pub span: Range<usize>,
}

/// What a node of an expression can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `"words"`.
    Text(String),
    /// `12.50`, in the digits that were written.
    Number(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A path in the source document, still unread.
    Path(String),
    /// `$received_at`: something of the context.
    Variable(String),
    /// `name(a, b)`, or `a | name(b)`: what is piped in is the first argument.
    Call {
        /// The function's name and its bytes.
        name: String,
        /// Where the name stands.
        name_span: Range<usize>,
        /// The arguments, the piped one first.
        arguments: Vec<Expression>,
    },
    /// `a ?? b`: the first that is not empty.
    FirstOf(Vec<Expression>),
    /// `a + b`: texts one after the other.
    Joined(Vec<Expression>),
    /// `value if condition else otherwise`.
    If {
        /// The value when the condition holds.
        value: Box<Expression>,
        /// The condition.
        condition: Box<Expression>,
        /// The value when it does not; nothing without it.
        otherwise: Option<Box<Expression>>,
    },
    /// `a = b` and its like.
    Compare {
        /// Left side.
        left: Box<Expression>,
        /// Which comparison.
        comparison: Comparison,
        /// Right side.
        right: Box<Expression>,
    },
    /// `a in (b, c)`.
    In {
        /// What is looked for.
        value: Box<Expression>,
        /// Among these.
        among: Vec<Expression>,
    },
    /// `a exists`, or `exists a`.
    Exists(Box<Expression>),
    /// `not a`.
    Not(Box<Expression>),
    /// `a and b`.
    And(Vec<Expression>),
    /// `a or b`.
    Or(Vec<Expression>),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `like`: `*` stands for any letters.
    Like,
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// The bytes of the text that are wrong.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl ExpressionError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        ExpressionError { span, message: message.into(), help: None }
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Expression {
    /// Reads a whole text as one expression.
    pub fn parse(text: &str, kind: PathKind) -> Result<Expression, ExpressionError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            let message = format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes");
            return Err(ExpressionError::new(0..text.len(), message));
        }
        read::whole(text, kind)
    }

    fn new(node: Node, span: Range<usize>) -> Self {
        Expression { node, span }
    }
}

#[cfg(test)]
mod tests;
