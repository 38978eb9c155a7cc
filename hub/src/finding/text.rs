//! Texts of configuration, and places in them.
//!
//! In come file texts and values read from them; out go lines, columns and byte ranges. Promised: a
//! place inside a string value leads back to the very characters in the file, through escapes and
//! line ends. Refused: nothing; a place outside a text is moved to its end.

use std::ops::Range;
use std::sync::Arc;

/// A file's name and text.
#[derive(Debug, Clone)]
pub struct SourceText {
    name: Arc<str>,
    text: String,
    line_starts: Vec<usize>,
}

impl SourceText {
    /// Keeps `text` under the `name` that findings show.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at.saturating_add(1))).collect();
        SourceText { name: name.into(), text, line_starts }
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, for whoever keeps it.
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte offset, both from 1, the column in characters.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let offset = self.floor(offset);
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        (line.max(1), self.characters(&(start..offset)).saturating_add(1))
    }

    /// The bytes `span`, moved inside the text and on to borders of characters.
    pub(super) fn clamp(&self, span: Range<usize>) -> Range<usize> {
        let start = self.floor(span.start);
        start..self.floor(span.end).max(start)
    }

    /// How many characters `span` has.
    pub(super) fn characters(&self, span: &Range<usize>) -> usize {
        self.text.get(span.clone()).map_or(0, |part| part.chars().count())
    }

    fn floor(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at = at.saturating_sub(1);
        }
        at
    }
}

/// A value and the bytes of the file it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file.
    pub span: Range<usize>,
}

impl<T> Located<T> {
    /// Puts a value at its place.
    pub fn new(value: T, span: Range<usize>) -> Self {
        Located { value, span }
    }
}

/// A string value: what it says, and the token in the file that said it.
pub(crate) type Text = Located<String>;

impl Text {
    /// The bytes in the file that gave the bytes `inner` of the value. `source` is the text that the
    /// value was read from.
    pub fn place(&self, source: &SourceText, inner: &Range<usize>) -> Range<usize> {
        let Some(token) = source.text().get(self.span.clone()) else { return self.span.clone() };
        let borders = borders(token);
        let at = |offset: usize| borders.get(offset).copied().or(borders.last().copied());
        match (at(inner.start), at(inner.end)) {
            (Some(start), Some(end)) => {
                self.span.start.saturating_add(start)..self.span.start.saturating_add(end.max(start))
            }
            _ => self.span.clone(),
        }
    }
}

/// For each byte of a TOML string's value, and for its end, the offset in the token it came from.
fn borders(token: &str) -> Vec<usize> {
    let (quotes, literal) = match token.as_bytes() {
        [b'\'', b'\'', b'\'', ..] => (3, true),
        [b'\'', ..] => (1, true),
        [b'"', b'"', b'"', ..] => (3, false),
        [b'"', ..] => (1, false),
        _ => (0, true),
    };
    let end = token.len().saturating_sub(quotes).max(quotes.min(token.len()));
    let mut at = quotes.min(token.len());
    if quotes == 3 {
        // A line end straight after the opening quotes is no part of the value.
        at = at.saturating_add(match token.get(at..) {
            Some(rest) if rest.starts_with("\r\n") => 2,
            Some(rest) if rest.starts_with('\n') => 1,
            _ => 0,
        });
    }
    let mut borders = Vec::with_capacity(end.saturating_sub(at).saturating_add(1));
    while let Some((letter, width)) = token.get(at..end).and_then(|rest| unit(rest, literal)) {
        borders.extend((0..letter).map(|byte| if letter == width { at.saturating_add(byte) } else { at }));
        at = at.saturating_add(width);
    }
    borders.push(at.min(end));
    borders
}

/// The next unit of a string token: how many bytes it gives, and how many it takes.
fn unit(rest: &str, literal: bool) -> Option<(usize, usize)> {
    let first = rest.chars().next()?;
    if literal || first != '\\' {
        return Some((first.len_utf8(), first.len_utf8()));
    }
    let escape = rest.chars().nth(1)?;
    let digits = match escape {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ if escape.is_whitespace() => {
            // A backslash at the end of a line swallows the white space after it.
            let blank = rest.get(1..).map_or(0, |after| after.len().saturating_sub(after.trim_start().len()));
            return Some((0, blank.saturating_add(1)));
        }
        _ => return Some((1, escape.len_utf8().saturating_add(1))),
    };
    let code = rest.get(2..2_usize.saturating_add(digits))?;
    let letter = u32::from_str_radix(code, 16).ok().and_then(char::from_u32)?;
    Some((letter.len_utf8(), digits.saturating_add(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `key = <token>` by the real TOML reader and maps `needle` in the value back to the file.
    fn lead_back(token: &str, needle: &str) -> String {
        let text = format!("key = {token}\n");
        let table = toml::de::DeTable::parse(&text).unwrap();
        let value = table.get_ref().get("key").unwrap();
        let string = value.get_ref().as_str().unwrap().to_owned();
        let at = string.find(needle).unwrap();
        let place =
            Text::new(string, value.span()).place(&SourceText::new("f", text.clone()), &(at..at + needle.len()));
        text[place].to_owned()
    }

    #[test]
    fn a_place_in_a_literal_string_is_the_same_place_in_the_file() {
        assert_eq!(lead_back("'PID-3 | uper'", "uper"), "uper");
        assert_eq!(lead_back("'السيد | uper'", "uper"), "uper");
    }

    #[test]
    fn a_place_after_escapes_is_found() {
        assert_eq!(lead_back(r#""\"a\" \u0041 \\ | uper""#, "uper"), "uper");
        assert_eq!(lead_back(r#""x\u00e9y | uper""#, "y"), "y");
        assert_eq!(lead_back(r#""x\u00e9y""#, "é"), r"\u00e9");
    }

    #[test]
    fn a_place_in_a_string_of_several_lines_is_found() {
        assert_eq!(lead_back("'''\nPID-3\n  | uper'''", "uper"), "uper");
        assert_eq!(lead_back("\"\"\"\nPID-3 \\\n     | uper\"\"\"", "uper"), "uper");
        assert_eq!(lead_back("'''\r\nPID-3 | uper'''", "uper"), "uper");
    }

    #[test]
    fn the_end_of_a_value_is_before_the_closing_quotes() {
        let text = "k = 'ab'";
        let place = Text::new("ab".to_owned(), 4..8).place(&SourceText::new("f", text), &(2..2));
        assert_eq!(place, 7..7);
    }
}
