//! The words and signs of an expression.
//!
//! In comes the text of one expression; out go tokens with their bytes. Promised: every byte belongs
//! to a token, to white space or to an error; paths come out whole, with their filters. Refused: signs
//! that no expression has, texts without an end.

use std::ops::Range;

use super::expression::{ExpressionError, PathKind};

/// One word or sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: TokenKind,
    /// Its bytes in the text.
    pub span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A keyword or the name of a function.
    Word(String),
    /// A path in the source, filters and all.
    Path(String),
    /// A text without its quotes.
    Text(String),
    Number(String),
    /// A name after `$`, without it.
    Variable(String),
    Symbol(&'static str),
    End,
}

/// Signs, the longer ones first. Those that no expression has are here to be named in findings.
const SYMBOLS: [&str; 16] = ["??", "!=", "<=", ">=", "==", "&&", "||", "(", ")", ",", "|", "+", "=", "<", ">", "!"];

const KEYWORDS: [&str; 10] = ["if", "else", "and", "or", "not", "in", "exists", "like", "true", "false"];

/// Reads a text token by token, with one token of foresight.
pub(super) struct Lexer<'t> {
    text: &'t str,
    kind: PathKind,
    at: usize,
    peeked: Token,
    taken_to: usize,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str, kind: PathKind) -> Result<Self, ExpressionError> {
        let peeked = Token { kind: TokenKind::End, span: 0..0 };
        let mut lexer = Lexer { text, kind, at: 0, peeked, taken_to: 0 };
        lexer.peeked = lexer.scan()?;
        Ok(lexer)
    }

    /// The token that comes next.
    pub fn peek(&self) -> &Token {
        &self.peeked
    }

    /// Takes the next token.
    pub fn next(&mut self) -> Result<Token, ExpressionError> {
        let following = self.scan()?;
        let token = std::mem::replace(&mut self.peeked, following);
        self.taken_to = token.span.end;
        Ok(token)
    }

    /// Takes the next token where only a function's name can stand: a word there is never a path.
    pub fn next_function(&mut self) -> Result<Token, ExpressionError> {
        if let TokenKind::Path(path) = &self.peeked.kind {
            let is_name = path.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            if is_name {
                self.peeked.kind = TokenKind::Word(path.clone());
            }
        }
        self.next()
    }

    /// Where the token taken last ends.
    pub fn taken_to(&self) -> usize {
        self.taken_to
    }

    pub fn take_symbol(&mut self, symbol: &'static str) -> Result<bool, ExpressionError> {
        let found = self.peeked.kind == TokenKind::Symbol(symbol);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    pub fn take_word(&mut self, word: &str) -> Result<bool, ExpressionError> {
        let found = matches!(&self.peeked.kind, TokenKind::Word(peeked) if peeked == word);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    fn scan(&mut self) -> Result<Token, ExpressionError> {
        let rest = self.rest();
        self.at = self.at.saturating_add(rest.len().saturating_sub(rest.trim_start().len()));
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(Token { kind: TokenKind::End, span: start..start });
        };
        let kind = match first {
            '"' | '\'' => self.scan_text(first)?,
            '$' => self.scan_variable()?,
            '.' => self.scan_path()?,
            '@' if self.kind == PathKind::Json => self.scan_path()?,
            _ if first.is_ascii_digit() => self.scan_number(),
            '-' if self.peeks_digit_after(1) => self.scan_number(),
            _ if first.is_alphabetic() || first == '_' => self.scan_word()?,
            _ => self.scan_symbol(first)?,
        };
        Ok(Token { kind, span: start..self.at })
    }

    fn scan_text(&mut self, quote: char) -> Result<TokenKind, ExpressionError> {
        let start = self.at;
        let mut text = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((offset, letter)) = letters.next() {
            if letter == quote {
                self.at = start.saturating_add(offset).saturating_add(letter.len_utf8());
                return Ok(TokenKind::Text(text));
            }
            match letter {
                '\\' => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, escaped @ ('"' | '\'' | '\\'))) => text.push(escaped),
                    // `\d` and its like are parts of patterns.
                    Some((_, other)) => text.extend(['\\', other]),
                    None => break,
                },
                _ => text.push(letter),
            }
        }
        let error = ExpressionError::new(start..self.text.len(), "a text begins here and does not end");
        Err(error.with_help(format!("close it with {quote}")))
    }

    fn scan_number(&mut self) -> TokenKind {
        let start = self.at;
        self.at = self.at.saturating_add(1);
        self.skip_while(|letter| letter.is_ascii_digit());
        if self.rest().starts_with('.') && self.peeks_digit_after(1) {
            self.at = self.at.saturating_add(1);
            self.skip_while(|letter| letter.is_ascii_digit());
        }
        TokenKind::Number(self.slice(start..self.at).to_owned())
    }

    fn scan_variable(&mut self) -> Result<TokenKind, ExpressionError> {
        let start = self.at;
        let after = self.text.get(start.saturating_add(1)..).and_then(|rest| rest.chars().next());
        match after {
            Some('.') => self.scan_path(),
            Some(first) if first.is_ascii_alphabetic() => {
                self.at = self.at.saturating_add(1);
                self.skip_while(|letter| letter.is_ascii_alphanumeric() || letter == '_');
                Ok(TokenKind::Variable(self.slice(start.saturating_add(1)..self.at).to_owned()))
            }
            _ => Err(ExpressionError::new(start..start.saturating_add(1), "`$` stands without a name")
                .with_help("write `$message_id`, `$source` or `$received_at`")),
        }
    }

    fn scan_word(&mut self) -> Result<TokenKind, ExpressionError> {
        let start = self.at;
        self.skip_while(|letter| letter.is_alphanumeric() || letter == '_');
        let word = self.slice(start..self.at);
        let is_path = match self.kind {
            PathKind::Hl7 => word.starts_with(|letter: char| letter.is_ascii_uppercase()),
            PathKind::Json => !KEYWORDS.contains(&word) && !self.rest().trim_start().starts_with('('),
        };
        if is_path {
            self.at = start;
            return self.scan_path();
        }
        Ok(TokenKind::Word(word.to_owned()))
    }

    fn scan_path(&mut self) -> Result<TokenKind, ExpressionError> {
        let start = self.at;
        loop {
            let mut letters = self.rest().chars();
            let letter = letters.next();
            let after = letters.next();
            let is_json = self.kind == PathKind::Json;
            let goes_on = match letter {
                Some('[') => {
                    self.skip_filter()?;
                    continue;
                }
                Some('"') if is_json && self.slice(start..self.at).ends_with('.') => {
                    self.skip_name()?;
                    continue;
                }
                Some('-' | ':') if is_json => after.is_some_and(|next| next.is_alphanumeric() || next == '_'),
                Some('@') => is_json && (self.at == start || self.slice(start..self.at).ends_with('.')),
                Some('-') => after.is_some_and(|next| next.is_ascii_alphanumeric()),
                Some('$') => self.at == start,
                Some('.') => true,
                Some(letter) => letter.is_alphanumeric() || letter == '_',
                None => false,
            };
            if !goes_on {
                return Ok(TokenKind::Path(self.slice(start..self.at).to_owned()));
            }
            self.at = self.at.saturating_add(letter.map_or(0, char::len_utf8));
        }
    }

    /// Skips a name in quotes: `."Trade name"`.
    fn skip_name(&mut self) -> Result<(), ExpressionError> {
        let start = self.at;
        let length = self.rest().get(1..).and_then(|rest| rest.find('"'));
        let Some(length) = length else {
            let error = ExpressionError::new(start..self.text.len(), "a name begins here and does not end");
            return Err(error.with_help("close it with \""));
        };
        self.at = start.saturating_add(length).saturating_add(2);
        Ok(())
    }

    /// Skips `[...]`, in which quoted texts may hold anything.
    fn skip_filter(&mut self) -> Result<(), ExpressionError> {
        let start = self.at;
        let mut quote = None;
        let mut deep = 0_usize;
        for (offset, letter) in self.rest().char_indices() {
            match (quote, letter) {
                (Some(open), _) if letter == open => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(letter),
                (None, '[') => deep = deep.saturating_add(1),
                (None, ']') => deep = deep.saturating_sub(1),
                (None, _) => {}
            }
            if deep == 0 {
                self.at = start.saturating_add(offset).saturating_add(1);
                return Ok(());
            }
        }
        let error = ExpressionError::new(start..self.text.len(), "`[` begins here and is not closed");
        Err(error.with_help("close it with `]`"))
    }

    fn scan_symbol(&mut self, first: char) -> Result<TokenKind, ExpressionError> {
        let start = self.at;
        let found = SYMBOLS.into_iter().find(|symbol| self.rest().starts_with(symbol));
        let Some(symbol) = found else {
            let message = format!("`{first}` is no sign of this language");
            return Err(ExpressionError::new(start..start.saturating_add(first.len_utf8()), message));
        };
        self.at = self.at.saturating_add(symbol.len());
        Ok(TokenKind::Symbol(symbol))
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn slice(&self, range: Range<usize>) -> &'t str {
        self.text.get(range).unwrap_or_default()
    }

    fn peeks_digit_after(&self, bytes: usize) -> bool {
        self.rest().get(bytes..).is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        let skipped: usize = self.rest().chars().take_while(|letter| wanted(*letter)).map(char::len_utf8).sum();
        self.at = self.at.saturating_add(skipped);
    }
}
