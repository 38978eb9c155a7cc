//! Code tables: `mappings/tables/*.toml`.
//!
//! In come codes; out go what they stand for. Promised: what an unknown code does is said in the
//! table, never guessed. Refused: rows that are neither a value nor a coding.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;

use super::error::{Fault, HeldCode};
use super::value::Val;
use crate::finding::{Entry, Finding, Findings, Reader, Scalar, Section, SourceText, Text, codes};

/// What a table does with a code that it does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The message is refused.
    Reject,
    /// The code stands for itself.
    Pass,
    /// It stands for nothing.
    Nothing,
    /// This stands for it.
    Default(Row),
    /// The message waits until the table has the code.
    Hold,
}

/// What a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A text.
    Text(String),
    /// A number, in its digits.
    Number(String),
    /// True or false.
    Boolean(bool),
    /// A code of a system.
    Coding(IndexMap<String, String>),
}

/// One table.
#[derive(Clone, Debug)]
pub struct Table {
    name: String,
    rows: IndexMap<String, Row>,
    /// Places of rows by what they stand for, once somebody asked.
    by_value: OnceLock<HashMap<String, usize>>,
    unknown: Unknown,
    ignores_case: bool,
}

impl Table {
    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What an unknown code does.
    pub fn unknown(&self) -> &Unknown {
        &self.unknown
    }

    /// Whether looking a code up can fail.
    pub fn may_fail(&self) -> bool {
        matches!(self.unknown, Unknown::Reject | Unknown::Hold)
    }

    /// The row of `code`, if there is one.
    pub fn row(&self, code: &str) -> Option<&Row> {
        if self.ignores_case { self.rows.get(&code.to_uppercase()) } else { self.rows.get(code) }
    }

    /// Every row, in the order of the file.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.rows.iter().map(|(code, row)| (code.as_str(), row))
    }

    /// The first code that stands for this text, or for the coding of this system and code.
    pub(super) fn code_for(&self, system: Option<&str>, value: &str) -> Option<&str> {
        let by_value = self.by_value.get_or_init(|| self.places_by_value());
        let place = match system {
            Some(system) => by_value.get(&value_key(system, value)).or_else(|| by_value.get(&value_key("", value)))?,
            None => by_value.get(value)?,
        };
        self.rows.get_index(*place).map(|(code, _)| code.as_str())
    }

    /// Each value alone, and with its system; without one, behind an empty system.
    fn places_by_value(&self) -> HashMap<String, usize> {
        let mut places = HashMap::with_capacity(self.rows.len().saturating_mul(2));
        for (place, row) in self.rows.values().enumerate() {
            let (system, value) = match row {
                Row::Text(text) | Row::Number(text) => ("", text.clone()),
                Row::Boolean(boolean) => ("", boolean.to_string()),
                Row::Coding(columns) => {
                    let column = |name: &str| columns.get(name).map_or("", String::as_str);
                    (column("system"), column("code").to_owned())
                }
            };
            places.entry(value_key(system, &value)).or_insert(place);
            places.entry(value).or_insert(place);
        }
        places
    }

    /// What stands for a value that no row of the table has.
    pub(super) fn without_row<'r>(&'r self, value: Cow<'r, str>) -> Result<Val<'r>, Fault> {
        match &self.unknown {
            // To wait for the value as for a code would be to wait for ever.
            Unknown::Reject | Unknown::Hold => Err(Fault::Unknown { table: self.name.clone() }),
            Unknown::Pass => Ok(Val::Text(value)),
            Unknown::Nothing | Unknown::Default(_) => Ok(Val::Absent),
        }
    }

    /// What `code` stands for.
    pub(super) fn look_up<'r>(&'r self, code: Cow<'r, str>) -> Result<Val<'r>, Fault> {
        if let Some(row) = self.row(&code) {
            return Ok(row.value());
        }
        match &self.unknown {
            Unknown::Reject => Err(Fault::Unknown { table: self.name.clone() }),
            Unknown::Pass => Ok(Val::Text(code)),
            Unknown::Nothing => Ok(Val::Absent),
            Unknown::Default(row) => Ok(row.value()),
            Unknown::Hold => Err(Fault::Held(Box::new(HeldCode { table: self.name.clone(), code: code.into_owned() }))),
        }
    }
}

fn value_key(system: &str, value: &str) -> String {
    format!("{system}\u{1f}{value}")
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Row::Text(text) | Row::Number(text) => f.write_str(text),
            Row::Boolean(boolean) => boolean.fmt(f),
            Row::Coding(columns) => f.write_str(columns.get("code").map_or("", String::as_str)),
        }
    }
}

impl Row {
    pub(super) fn value(&self) -> Val<'_> {
        match self {
            Row::Text(text) => Val::from(text.as_str()),
            Row::Number(number) => Val::Number(number.as_str().into()),
            Row::Boolean(boolean) => Val::Boolean(*boolean),
            Row::Coding(fields) => {
                Val::Object(fields.iter().map(|(key, value)| (key.as_str(), Val::from(value.as_str()))).collect())
            }
        }
    }
}

/// All tables, by name.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    tables: IndexMap<String, Arc<Table>>,
    /// Where each has its name.
    places: Vec<(Arc<SourceText>, Text)>,
    /// Files that are no table, by the name it would have.
    broken: Vec<String>,
}

impl Tables {
    /// The table of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(name)
    }

    /// The names of all tables, also of those whose files have mistakes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().chain(&self.broken).map(String::as_str)
    }

    /// Where each table has its name.
    pub(crate) fn places(&self) -> impl Iterator<Item = &(Arc<SourceText>, Text)> {
        self.places.iter()
    }

    /// Reads the files of all tables. A table is named like its file.
    pub(crate) fn read(files: &[Arc<SourceText>]) -> (Tables, Findings) {
        let mut tables = Tables::default();
        let mut findings = Findings::new();
        for source in files {
            let (table, found) = Reader::read(source, |_, root| read_file(root));
            findings.extend(found);
            let stem = super::files::stem(source.name());
            let Some(Some((name, table))) = table else {
                tables.broken.extend(stem.map(str::to_owned));
                continue;
            };
            if stem != Some(name.value.as_str()) {
                let message = format!("the table is called `{}` and its file is not", name.value);
                findings.push(Finding::error(codes::BAD_VALUE, source, name.span.clone(), message));
            }
            findings.extend(tables.add(source, name, table));
        }
        (tables, findings)
    }

    /// Adds a table that stands in this file.
    pub(super) fn add(&mut self, source: &Arc<SourceText>, name: Text, table: Table) -> Findings {
        let mut findings = Findings::new();
        if let Some((other, _)) = self.places.iter().find(|(_, other)| other.value == name.value) {
            let message = format!("there are two tables called `{}`; the other is in {}", name.value, other.name());
            findings.push(Finding::error(codes::DUPLICATE, source, name.span.clone(), message));
        }
        self.places.push((Arc::clone(source), name));
        self.tables.insert(table.name.clone(), Arc::new(table));
        findings
    }
}

/// The columns of a row that is a coding.
const CODING: [&str; 4] = ["system", "code", "display", "version"];

/// The file of a table.
fn read_file(mut root: Section<'_>) -> Option<(Text, Table)> {
    let name = root.required_text("name");
    let called = name.as_ref().map_or("", |name| name.value.as_str()).to_owned();
    let table = Table::read(&called, root);
    Some((name?, table?))
}

impl Table {
    /// What a table called `name` says.
    pub(super) fn read(name: &str, mut section: Section<'_>) -> Option<Table> {
        let _why = section.text("why");
        if !section.has("unknown") {
            section.missing("unknown");
        }
        let unknown = section.word("unknown", &["reject", "pass", "default", "nothing", "hold"]);
        let ignores_case = section.boolean("ignore_case").is_some_and(|flag| flag.value);
        let standard = section.section("default", "`default`").and_then(read_default);
        let mut rows = IndexMap::new();
        match section.section("codes", "`codes`") {
            None => section.missing("codes"),
            Some(codes) => {
                for entry in codes.entries() {
                    read_row(&entry, ignores_case, &mut rows);
                }
            }
        }
        let unknown = match unknown?.value {
            "pass" => Unknown::Pass,
            "nothing" => Unknown::Nothing,
            "hold" => Unknown::Hold,
            "default" => match standard {
                Some(row) => Unknown::Default(row),
                None => {
                    section.missing("default");
                    Unknown::Reject
                }
            },
            _ => Unknown::Reject,
        };
        section.finish();
        Some(Table { name: name.to_owned(), rows, by_value: OnceLock::new(), unknown, ignores_case })
    }
}

/// `[default]`: `value = ...`, or the columns of a coding.
fn read_default(section: Section<'_>) -> Option<Row> {
    let reader = section.reader();
    let span = section.span.clone();
    let entries = section.entries();
    if let [only] = entries.as_slice()
        && only.key.value == "value"
    {
        let row = only.scalar().map(|scalar| scalar_row(scalar.value));
        if row.is_none() {
            only.wrong("a string, a number, true or false");
        }
        return row;
    }
    let coding = read_coding(entries);
    if coding.is_none() {
        reader.error(codes::BAD_VALUE, span, "`default` is `value = ...` or a coding");
    }
    coding
}

fn read_row(entry: &Entry<'_>, ignores_case: bool, rows: &mut IndexMap<String, Row>) {
    let row = match (entry.scalar(), entry.as_section("a row")) {
        (Some(scalar), _) => Some(scalar_row(scalar.value)),
        (None, Some(section)) => read_coding(section.entries()),
        (None, None) => {
            entry.wrong("a value or a coding");
            return;
        }
    };
    let code = if ignores_case { entry.key.value.to_uppercase() } else { entry.key.value.clone() };
    let Some(row) = row else { return };
    if rows.insert(code, row).is_some() {
        let message = format!("the code `{}` has two rows", entry.key.value);
        entry.reader().error(codes::DUPLICATE, entry.key.span.clone(), message);
    }
}

fn scalar_row(scalar: Scalar) -> Row {
    match scalar {
        Scalar::Text(text) => Row::Text(text),
        Scalar::Number(number) => Row::Number(number),
        Scalar::Boolean(boolean) => Row::Boolean(boolean),
    }
}

fn read_coding(entries: Vec<Entry<'_>>) -> Option<Row> {
    let mut fields = IndexMap::new();
    for entry in entries {
        let text = entry.as_text();
        if !CODING.contains(&entry.key.value.as_str()) {
            let message = format!("unknown column `{}` in a coding", entry.key.value);
            let finding = Finding::error(codes::UNKNOWN_KEY, entry.reader().source(), entry.key.span.clone(), message);
            entry.reader().report(finding.with_help("columns are `system`, `code`, `display` and `version`"));
        } else if let Some(text) = text {
            fields.insert(entry.key.value, text.value);
        } else {
            entry.wrong("a string");
        }
    }
    // Columns come out in the order of the FHIR datatype, whatever the file's.
    fields.sort_by_key(|key, _| CODING.iter().position(|column| column == key));
    (!fields.is_empty()).then_some(Row::Coding(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Tables, Findings) {
        Tables::read(&[Arc::new(SourceText::new("mappings/tables/t.toml", text))])
    }

    #[test]
    fn a_table_says_what_an_unknown_code_does() {
        for (unknown, expected) in [("reject", None), ("pass", Some(Val::from("ZZ"))), ("hold", None)] {
            let (tables, findings) = read(&format!("name = 't'\nunknown = '{unknown}'\n[codes]\nNW = 'create'\n"));
            assert!(findings.is_empty(), "{findings}");
            let table = tables.get("t").unwrap();
            assert_eq!(table.look_up("NW".into()), Ok(Val::from("create")));
            assert_eq!(table.look_up("ZZ".into()).ok(), expected, "{unknown}");
        }
    }

    #[test]
    fn a_held_code_is_named_for_the_work_list_and_hidden_from_debug() {
        let (tables, _) = read("name = 't'\nunknown = 'hold'\n[codes]\nNW = 'create'\n");
        let fault = tables.get("t").unwrap().look_up("SECRET".into()).unwrap_err();
        assert!(!format!("{fault:?}").contains("SECRET"));
        assert!(matches!(fault, Fault::Held(held) if held.code == "SECRET" && held.table == "t"));
    }

    #[test]
    fn a_row_can_be_a_coding_and_case_can_be_ignored() {
        let (tables, findings) = read(
            "name = 't'\nunknown = 'default'\nignore_case = true\ndefault = { value = 'other' }\n[codes]\npo = { code = '26643006', system = 'http://snomed.info/sct' }\n",
        );
        assert!(findings.is_empty(), "{findings}");
        let table = tables.get("t").unwrap();
        let coding = vec![("system", Val::from("http://snomed.info/sct")), ("code", Val::from("26643006"))];
        assert_eq!(table.look_up("Po".into()), Ok(Val::Object(coding)));
        assert_eq!(table.look_up("XX".into()), Ok(Val::from("other")));
    }

    #[test]
    fn mistakes_in_a_table_are_found() {
        let (_, findings) = read(
            "name = 'u'\nunknown = 'rejct'\nignore_case = true\n[codes]\na = 'x'\nA = 'y'\nb = [1]\nc = { cod = 'x' }\n",
        );
        let found: Vec<_> = findings.iter().map(|finding| (finding.code.number(), finding.line)).collect();
        assert_eq!(found, [(105, 2), (106, 6), (103, 7), (102, 8)]);
    }
}
