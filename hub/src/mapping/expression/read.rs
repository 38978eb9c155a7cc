//! Reads an expression by recursive descent, one function a level of binding.

use std::ops::Range;

use super::{Comparison, Expression, ExpressionError, Node, PathKind};
use crate::mapping::lexer::{Lexer, Token, TokenKind};

/// Nested parentheses and negations that one expression may have.
const DEPTH_MAX: usize = 48;

/// Reads a whole text.
pub(super) fn whole(text: &str, kind: PathKind) -> Parsed {
    let mut parser = Parser { lexer: Lexer::new(text, kind)?, depth: 0 };
    let expression = parser.choice()?;
    match parser.lexer.peek() {
        Token { kind: TokenKind::End, .. } => Ok(expression),
        token => Err(unexpected(token, "an operator or the end")),
    }
}

fn unexpected(token: &Token, wanted: &str) -> ExpressionError {
    let found = match &token.kind {
        TokenKind::End => "the expression ends".to_owned(),
        TokenKind::Word(word) | TokenKind::Path(word) => format!("`{word}` stands"),
        TokenKind::Symbol(symbol) => format!("`{symbol}` stands"),
        TokenKind::Text(_) => "a text stands".to_owned(),
        TokenKind::Number(number) => format!("`{number}` stands"),
        TokenKind::Variable(name) => format!("`${name}` stands"),
    };
    let error = ExpressionError::new(token.span.clone(), format!("{found} where {wanted} should be"));
    match &token.kind {
        TokenKind::Symbol("==") => error.with_help("write one `=` to compare"),
        TokenKind::Symbol("&&") => error.with_help("write `and`"),
        TokenKind::Symbol("||") => error.with_help("write `or`, or `??` for the first that is not empty"),
        TokenKind::End
        | TokenKind::Word(_)
        | TokenKind::Path(_)
        | TokenKind::Symbol(_)
        | TokenKind::Text(_)
        | TokenKind::Number(_)
        | TokenKind::Variable(_) => error,
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    depth: usize,
}

type Parsed = Result<Expression, ExpressionError>;

impl Parser<'_> {
    /// `value if condition else otherwise`
    fn choice(&mut self) -> Parsed {
        self.deeper(|parser| {
            let value = parser.or()?;
            if !parser.lexer.take_word("if")? {
                return Ok(value);
            }
            let condition = parser.or()?;
            let otherwise = if parser.lexer.take_word("else")? { Some(Box::new(parser.choice()?)) } else { None };
            let end = otherwise.as_ref().map_or(condition.span.end, |expression| expression.span.end);
            let span = value.span.start..end;
            Ok(Expression::new(Node::If { value: Box::new(value), condition: Box::new(condition), otherwise }, span))
        })
    }

    fn or(&mut self) -> Parsed {
        self.chain(Parser::and, |lexer| lexer.take_word("or"), Node::Or)
    }

    fn and(&mut self) -> Parsed {
        self.chain(Parser::not, |lexer| lexer.take_word("and"), Node::And)
    }

    fn not(&mut self) -> Parsed {
        let start = self.lexer.peek().span.start;
        if !self.lexer.take_word("not")? {
            return self.comparison();
        }
        let negated = self.deeper(Parser::not)?;
        let span = start..negated.span.end;
        Ok(Expression::new(Node::Not(Box::new(negated)), span))
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.piped()?;
        if let Some(comparison) = self.take_comparison()? {
            let right = self.piped()?;
            let span = left.span.start..right.span.end;
            let node = Node::Compare { left: Box::new(left), comparison, right: Box::new(right) };
            return Ok(Expression::new(node, span));
        }
        if self.lexer.take_word("exists")? {
            let span = left.span.start..self.lexer.taken_to();
            return Ok(Expression::new(Node::Exists(Box::new(left)), span));
        }
        let start = left.span.start;
        if self.lexer.take_word("in")? {
            return self.among(left, start);
        }
        let negation = self.lexer.peek().span.clone();
        if self.lexer.take_word("not")? {
            if self.lexer.take_word("in")? {
                let found = self.among(left, start)?;
                let span = found.span.clone();
                return Ok(Expression::new(Node::Not(Box::new(found)), span));
            }
            return Err(ExpressionError::new(negation, "`not` stands after a value")
                .with_help("write `not in (...)`, or `not` before the condition"));
        }
        Ok(left)
    }

    fn take_comparison(&mut self) -> Result<Option<Comparison>, ExpressionError> {
        let comparison = match &self.lexer.peek().kind {
            TokenKind::Symbol("=") => Comparison::Equal,
            TokenKind::Symbol("!=") => Comparison::NotEqual,
            TokenKind::Symbol("<") => Comparison::Less,
            TokenKind::Symbol("<=") => Comparison::LessOrEqual,
            TokenKind::Symbol(">") => Comparison::Greater,
            TokenKind::Symbol(">=") => Comparison::GreaterOrEqual,
            TokenKind::Word(word) if word == "like" => Comparison::Like,
            TokenKind::End
            | TokenKind::Word(_)
            | TokenKind::Path(_)
            | TokenKind::Symbol(_)
            | TokenKind::Text(_)
            | TokenKind::Number(_)
            | TokenKind::Variable(_) => return Ok(None),
        };
        self.lexer.next()?;
        Ok(Some(comparison))
    }

    fn among(&mut self, value: Expression, start: usize) -> Parsed {
        self.expect("(", "the list `(a, b)` after `in`")?;
        let among = self.arguments()?;
        let span = start..self.lexer.taken_to();
        if among.is_empty() {
            return Err(ExpressionError::new(span, "`in` has an empty list"));
        }
        Ok(Expression::new(Node::In { value: Box::new(value), among }, span))
    }

    fn piped(&mut self) -> Parsed {
        let mut value = self.joined()?;
        while self.lexer.take_symbol("|")? {
            let token = self.lexer.next_function()?;
            let TokenKind::Word(name) = token.kind else {
                return Err(unexpected(&token, "the name of a function"));
            };
            let mut arguments = vec![value];
            if self.lexer.take_symbol("(")? {
                arguments.extend(self.arguments()?);
            }
            let start = arguments.first().map_or(token.span.start, |first| first.span.start);
            let span = start..self.lexer.taken_to();
            value = Expression::new(Node::Call { name, name_span: token.span, arguments }, span);
        }
        Ok(value)
    }

    fn joined(&mut self) -> Parsed {
        self.chain(Parser::first_of, |lexer| lexer.take_symbol("+"), Node::Joined)
    }

    fn first_of(&mut self) -> Parsed {
        self.chain(Parser::primary, |lexer| lexer.take_symbol("??"), Node::FirstOf)
    }

    fn primary(&mut self) -> Parsed {
        let Token { kind, span } = self.lexer.next()?;
        match kind {
            TokenKind::Text(text) => Ok(Expression::new(Node::Text(text), span)),
            TokenKind::Number(number) => Ok(Expression::new(Node::Number(number), span)),
            TokenKind::Path(path) => Ok(Expression::new(Node::Path(path), span)),
            TokenKind::Variable(name) => Ok(Expression::new(Node::Variable(name), span)),
            TokenKind::Symbol("(") => {
                let inner = self.choice()?;
                self.expect(")", "the closing `)`")?;
                Ok(Expression::new(inner.node, span.start..self.lexer.taken_to()))
            }
            TokenKind::Word(word) => self.word(&word, span),
            TokenKind::Symbol(_) | TokenKind::End => {
                Err(unexpected(&Token { kind, span }, "a path, a text, a number or a function"))
            }
        }
    }

    fn word(&mut self, word: &str, span: Range<usize>) -> Parsed {
        match word {
            "true" | "false" => return Ok(Expression::new(Node::Boolean(word == "true"), span)),
            "exists" => {
                let value = self.deeper(Parser::first_of)?;
                let whole = span.start..value.span.end;
                return Ok(Expression::new(Node::Exists(Box::new(value)), whole));
            }
            "if" | "else" | "and" | "or" | "not" | "in" | "like" => {
                let token = Token { kind: TokenKind::Word(word.to_owned()), span };
                return Err(unexpected(&token, "a path, a text, a number or a function"));
            }
            _ => {}
        }
        if !self.lexer.take_symbol("(")? {
            let message = format!("`{word}` is neither a path nor a function with its arguments");
            let help = format!(
                "a path begins with a segment (`PID-3`), a text stands in quotes (`\"{word}\"`), a function is written `{word}(...)` or `... | {word}`"
            );
            return Err(ExpressionError::new(span, message).with_help(help));
        }
        let arguments = self.arguments()?;
        let whole = span.start..self.lexer.taken_to();
        Ok(Expression::new(Node::Call { name: word.to_owned(), name_span: span, arguments }, whole))
    }

    /// Arguments up to and with the closing parenthesis.
    fn arguments(&mut self) -> Result<Vec<Expression>, ExpressionError> {
        let mut arguments = Vec::new();
        if self.lexer.take_symbol(")")? {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.choice()?);
            if self.lexer.take_symbol(")")? {
                return Ok(arguments);
            }
            self.expect(",", "`,` or the closing `)`")?;
        }
    }

    fn expect(&mut self, symbol: &'static str, wanted: &str) -> Result<(), ExpressionError> {
        if self.lexer.take_symbol(symbol)? { Ok(()) } else { Err(unexpected(self.lexer.peek(), wanted)) }
    }

    /// `a <operator> b <operator> c`, kept flat so that a long chain is not deep.
    fn chain(
        &mut self,
        part: fn(&mut Self) -> Parsed,
        operator: fn(&mut Lexer<'_>) -> Result<bool, ExpressionError>,
        node: fn(Vec<Expression>) -> Node,
    ) -> Parsed {
        let first = part(self)?;
        if !operator(&mut self.lexer)? {
            return Ok(first);
        }
        let start = first.span.start;
        let mut parts = vec![first, part(self)?];
        while operator(&mut self.lexer)? {
            parts.push(part(self)?);
        }
        let end = parts.last().map_or(start, |last| last.span.end);
        Ok(Expression::new(node(parts), start..end))
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth >= DEPTH_MAX {
            let span = self.lexer.peek().span.clone();
            return Err(ExpressionError::new(span, format!("the expression is nested deeper than {DEPTH_MAX}")));
        }
        self.depth = self.depth.saturating_add(1);
        let parsed = inner(self);
        self.depth = self.depth.saturating_sub(1);
        parsed
    }
}
