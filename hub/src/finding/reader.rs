//! Reads a TOML file key by key.
//!
//! In comes a file's text; out go located values, and findings for everything about its shape that is
//! wrong. Promised: every key is either asked for or reported as unknown; values keep their places;
//! entries keep the file's order. Refused: values of another type than asked for.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Code, Finding, Findings, Located, SourceText, Text, codes, did_you_mean, one_of};

/// The findings of one file while it is read.
pub(crate) struct Reader {
    source: Arc<SourceText>,
    findings: RefCell<Findings>,
}

impl Reader {
    /// Reads the whole file by `read`. Nothing is read from a file that is not TOML.
    pub fn read<T>(source: &Arc<SourceText>, read: impl FnOnce(&Reader, Section<'_>) -> T) -> (Option<T>, Findings) {
        let reader = Reader { source: Arc::clone(source), findings: RefCell::new(Findings::new()) };
        let (root, errors) = DeTable::parse_recoverable(source.text());
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            reader.report(Finding::error(codes::SYNTAX, source, span, error.message().to_owned()));
        }
        let value = errors.is_empty().then(|| {
            let root_section = Section::new(&reader, root.get_ref(), 0..0, "this file".to_owned());
            read(&reader, root_section)
        });
        (value, reader.findings.into_inner())
    }

    /// The file that is being read.
    pub fn source(&self) -> &Arc<SourceText> {
        &self.source
    }

    /// Adds a finding.
    pub fn report(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    /// Adds an error without advice.
    pub fn error(&self, code: Code, span: Range<usize>, message: impl Into<String>) {
        self.report(Finding::error(code, &self.source, span, message));
    }
}

/// One table of a file, read key by key.
pub(crate) struct Section<'r> {
    reader: &'r Reader,
    table: &'r DeTable<'r>,
    /// Where findings about the table as a whole point to.
    pub span: Range<usize>,
    what: String,
    asked: Vec<&'static str>,
}

impl<'r> Section<'r> {
    fn new(reader: &'r Reader, table: &'r DeTable<'r>, span: Range<usize>, what: String) -> Self {
        Section { reader, table, span, what, asked: Vec::new() }
    }

    /// Where findings go.
    pub fn reader(&self) -> &'r Reader {
        self.reader
    }

    /// Reports every key that was not asked for. To be called when all keys were.
    pub fn finish(self) {
        for (key, _) in self.table {
            let name = key.get_ref();
            if !self.asked.contains(&name.as_ref()) {
                let message = format!("unknown key `{name}` in {}", self.what);
                let help = did_you_mean(name, self.asked.iter().copied())
                    .unwrap_or_else(|| format!("known keys are {}", one_of(self.asked.iter().copied())));
                let finding = Finding::error(codes::UNKNOWN_KEY, &self.reader.source, key.span(), message);
                self.reader.report(finding.with_help(help));
            }
        }
    }

    /// A string.
    pub fn text(&mut self, key: &'static str) -> Option<Text> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str().map(|text| Text::new(text.to_owned(), value.span()));
        text.or_else(|| self.wrong(key, value, "a string"))
    }

    /// A string that must be there.
    pub fn required_text(&mut self, key: &'static str) -> Option<Text> {
        if !self.has(key) {
            self.missing(key);
        }
        self.text(key)
    }

    /// True or false.
    pub fn boolean(&mut self, key: &'static str) -> Option<Located<bool>> {
        let value = self.value(key)?;
        let boolean = value.get_ref().as_bool().map(|boolean| Located::new(boolean, value.span()));
        boolean.or_else(|| self.wrong(key, value, "true or false"))
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<Located<u64>> {
        let value = self.value(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            return self.wrong(key, value, "a whole number");
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(Located::new(number, value.span())),
            None => {
                let message = format!("`{key}` must be from {} to {}", range.start(), range.end());
                self.reader.error(codes::BAD_VALUE, value.span(), message);
                None
            }
        }
    }

    /// A list of strings; one string counts as a list of one.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<Text>> {
        let value = self.value(key)?;
        if let Some(text) = value.get_ref().as_str() {
            return Some(vec![Text::new(text.to_owned(), value.span())]);
        }
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong(key, value, "a list of strings");
        };
        let mut texts = Vec::with_capacity(array.len());
        for item in array {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Text::new(text.to_owned(), item.span())),
                None => {
                    self.wrong::<()>(key, item, "a string in this list");
                }
            }
        }
        Some(texts)
    }

    /// A length of time such as `250ms`, `5m`, `24h` or `30d`.
    pub fn duration(&mut self, key: &'static str) -> Option<Located<Duration>> {
        let text = self.text(key)?;
        self.parsed(
            key,
            &text,
            parse_duration(&text.value),
            "write a number and a unit: `250ms`, `30s`, `5m`, `24h`, `30d`",
        )
    }

    /// A size such as `64 KiB` or `1 MiB`, in bytes.
    pub fn bytes(&mut self, key: &'static str) -> Option<Located<usize>> {
        let text = self.text(key)?;
        self.parsed(key, &text, parse_bytes(&text.value), "write a number and a unit: `512 B`, `64 KiB`, `1 MiB`")
    }

    /// One of `words`.
    pub fn word(&mut self, key: &'static str, words: &[&'static str]) -> Option<Located<&'static str>> {
        let text = self.text(key)?;
        let found = words.iter().find(|word| **word == text.value).copied();
        if found.is_none() {
            let message = format!("`{}` is no value of `{key}`", text.value);
            let help = did_you_mean(&text.value, words.iter().copied())
                .unwrap_or_else(|| format!("write {}", one_of(words.iter().copied())));
            let finding = Finding::error(codes::BAD_VALUE, &self.reader.source, text.span.clone(), message);
            self.reader.report(finding.with_help(help));
        }
        found.map(|word| Located::new(word, text.span))
    }

    /// A table.
    pub fn section(&mut self, key: &'static str, what: impl Into<String>) -> Option<Section<'r>> {
        let value = self.value(key)?;
        let span = self.key_span(key);
        match value.get_ref().as_table() {
            Some(table) => Some(Section::new(self.reader, table, span, what.into())),
            None => self.wrong(key, value, "a table"),
        }
    }

    /// A list of tables; one table counts as a list of one.
    pub fn sections(&mut self, key: &'static str, what: &str) -> Vec<Section<'r>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        if let Some(table) = value.get_ref().as_table() {
            return vec![Section::new(self.reader, table, value.span(), what.to_owned())];
        }
        let Some(array) = value.get_ref().as_array() else {
            self.wrong::<()>(key, value, "a list of tables");
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(array.len());
        for item in array {
            match item.get_ref().as_table() {
                Some(table) => sections.push(Section::new(self.reader, table, item.span(), what.to_owned())),
                None => {
                    self.wrong::<()>(key, item, "a table in this list");
                }
            }
        }
        sections
    }

    /// Every entry of this table, in the file's order. All its keys count as asked for.
    pub fn entries(self) -> Vec<Entry<'r>> {
        let mut entries: Vec<Entry<'r>> = self
            .table
            .iter()
            .map(|(key, value)| Entry {
                reader: self.reader,
                key: Text::new(key.get_ref().to_string(), key.span()),
                value,
            })
            .collect();
        entries.sort_by_key(|entry| entry.key.span.start);
        entries
    }

    /// One key with its value, of whatever type.
    pub fn entry(&mut self, key: &'static str) -> Option<Entry<'r>> {
        let value = self.value(key)?;
        Some(Entry { reader: self.reader, key: Text::new(key.to_owned(), self.key_span(key)), value })
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Reports that a key must be there.
    pub fn missing(&self, key: &str) {
        self.reader.error(codes::MISSING_KEY, self.span.clone(), format!("`{key}` is missing in {}", self.what));
    }

    /// Where the key stands, or the table if it does not.
    pub fn key_span(&self, key: &str) -> Range<usize> {
        self.table.get_key_value(key).map_or_else(|| self.span.clone(), |(key, _)| key.span())
    }

    fn value(&mut self, key: &'static str) -> Option<&'r Spanned<DeValue<'r>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    fn wrong<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Option<T> {
        let message = format!("`{key}` must be {expected}, not {}", type_name(value.get_ref()));
        self.reader.error(codes::WRONG_TYPE, value.span(), message);
        None
    }

    fn parsed<T>(&self, key: &str, text: &Text, value: Option<T>, help: &str) -> Option<Located<T>> {
        if value.is_none() {
            let message = format!("`{key}` cannot be `{}`", text.value);
            let finding = Finding::error(codes::BAD_VALUE, &self.reader.source, text.span.clone(), message);
            self.reader.report(finding.with_help(help));
        }
        value.map(|value| Located::new(value, text.span.clone()))
    }
}

/// A value that stands alone: no table and no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    /// A string.
    Text(String),
    /// A number, in the digits of the file.
    Number(String),
    /// True or false.
    Boolean(bool),
}

/// One key of a table whose keys are not known before, and its value.
pub(crate) struct Entry<'r> {
    reader: &'r Reader,
    /// The key.
    pub key: Text,
    value: &'r Spanned<DeValue<'r>>,
}

impl<'r> Entry<'r> {
    /// The value, if it is a string, a number or a boolean.
    pub fn scalar(&self) -> Option<Located<Scalar>> {
        let scalar = match self.value.get_ref() {
            DeValue::String(text) => Scalar::Text(text.to_string()),
            DeValue::Integer(integer) => Scalar::Number(integer.as_str().to_owned()),
            DeValue::Float(float) => Scalar::Number(float.as_str().to_owned()),
            DeValue::Boolean(boolean) => Scalar::Boolean(*boolean),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return None,
        };
        Some(Located::new(scalar, self.value.span()))
    }

    /// The value as a string, if it is one.
    pub fn as_text(&self) -> Option<Text> {
        self.value.get_ref().as_str().map(|text| Text::new(text.to_owned(), self.value.span()))
    }

    /// Where findings go.
    pub fn reader(&self) -> &'r Reader {
        self.reader
    }

    /// The value as a list of strings, if it is one.
    pub fn texts(&self) -> Option<Vec<Text>> {
        let array = self.value.get_ref().as_array()?;
        array.iter().map(|item| item.get_ref().as_str().map(|text| Text::new(text.to_owned(), item.span()))).collect()
    }

    /// The value as a table, if it is one.
    pub fn as_section(&self, what: impl Into<String>) -> Option<Section<'r>> {
        let table = self.value.get_ref().as_table()?;
        Some(Section::new(self.reader, table, self.key.span.clone(), what.into()))
    }

    /// Reports that the value is not what it must be.
    pub fn wrong(&self, expected: &str) {
        let message = format!("`{}` must be {expected}, not {}", self.key.value, type_name(self.value.get_ref()));
        self.reader.error(codes::WRONG_TYPE, self.value.span(), message);
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.len().saturating_sub(text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len());
    let number = text.get(..digits)?.parse().ok()?;
    Some((number, text.get(digits..)?.trim_start()))
}

/// The longest time that a configuration may name: 10 years.
const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    let duration = match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" | "min" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(24 * 3600),
        _ => None,
    };
    duration.filter(|duration| *duration <= DURATION_MAX)
}

fn parse_bytes(text: &str) -> Option<usize> {
    let (number, unit) = number_and_unit(text)?;
    let each: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number.checked_mul(each)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(text: &str, read: impl FnOnce(&Reader, Section<'_>) -> T) -> (Option<T>, Findings) {
        Reader::read(&Arc::new(SourceText::new("f.toml", text)), read)
    }

    #[test]
    fn lengths_of_time_and_sizes_are_read_with_their_units() {
        for (text, millis) in
            [("250ms", 250), ("30 s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "m", "5 minutes", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(
            (parse_bytes("1 MiB"), parse_bytes("64KiB"), parse_bytes("1 MB")),
            (Some(1 << 20), Some(65536), None)
        );
    }

    #[test]
    fn every_key_that_nobody_asked_for_is_reported_with_a_suggestion() {
        let (_, findings) = read("name = 'a'\nversoin = 1\nfar_away = 2\n", |_, mut root| {
            root.text("name");
            root.integer("version", 1..=9);
            root.finish();
        });
        let found: Vec<_> = findings.iter().map(|finding| (finding.line, finding.help.clone().unwrap())).collect();
        let expected =
            [(3, "known keys are `name` or `version`".to_owned()), (2, "did you mean `version`?".to_owned())];
        assert!(expected.iter().all(|one| found.contains(one)), "{found:?}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_reported_at_its_place() {
        let (_, findings) = read("name = 5\nlist = ['a', 1]\n", |_, mut root| {
            assert_eq!(root.text("name"), None);
            assert_eq!(root.texts("list").map(|texts| texts.len()), Some(1));
            root.finish();
        });
        let found: Vec<_> = findings.iter().map(|finding| (finding.line, finding.column)).collect();
        assert_eq!(found, [(1, 8), (2, 14)]);
    }

    #[test]
    fn all_syntax_errors_are_found_and_nothing_else() {
        let (value, findings) = read("a = \nb = 'x\nc = 1 2\n", |_, _| ());
        assert_eq!(value, None);
        assert!(findings.len() >= 2, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.code == codes::SYNTAX));
    }

    #[test]
    fn entries_come_in_the_order_of_the_file() {
        let (keys, _) = read("[set]\nz = '1'\na = '2'\nm.n = '3'\n", |_, mut root| {
            let set = root.section("set", "set").unwrap();
            set.entries().into_iter().map(|entry| entry.key.value).collect::<Vec<_>>()
        });
        assert_eq!(keys.unwrap(), ["z", "a", "m"]);
    }
}
