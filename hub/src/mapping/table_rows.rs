//! A row more in a code table, as a person would write it into its file.
//!
//! In come the text of a table's file, a code and what it stands for; out goes the text with the row behind the
//! last one. Promised: comments, order and layout of what stands there stay. Refused: a code that has a row.

use toml_edit::{DocumentMut, InlineTable, Item, TableLike, Value};

/// What a code is to stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewRow {
    /// A value. It is written as the others of the table are: as a number, or true or false, if all of them are.
    Value(String),
    /// A code of a system.
    Coding {
        /// The URI of the system.
        system: String,
        /// The code there.
        code: String,
        /// What people call it.
        display: Option<String>,
    },
}

/// Why a row cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// There is no such table in the text.
    #[error("the file is not a table of codes")]
    NotATable,
    /// The code has a row.
    #[error("the table has the code already")]
    Exists,
}

/// The text with a row for `code` in `table`, which is the file, or a `[table.NAME]` of a mapping.
pub fn add_row(text: &str, table: &str, code: &str, row: &NewRow) -> Result<String, RowError> {
    let mut document: DocumentMut = text.parse().map_err(|_| RowError::NotATable)?;
    let is_inside = document.get("table").is_some_and(|tables| tables.get(table).is_some());
    let own: Option<&mut dyn TableLike> = if is_inside {
        document.get_mut("table").and_then(|tables| tables.get_mut(table)?.as_table_like_mut())
    } else {
        Some(document.as_table_mut())
    };
    let own = own.ok_or(RowError::NotATable)?;
    let ignores_case = own.get("ignore_case").and_then(Item::as_bool).unwrap_or(false);
    let codes = own.get_mut("codes").and_then(Item::as_table_like_mut).ok_or(RowError::NotATable)?;
    let is_same = |known: &str| if ignores_case { known.to_uppercase() == code.to_uppercase() } else { known == code };
    if codes.iter().any(|(known, _)| is_same(known)) {
        return Err(RowError::Exists);
    }
    let value = match row {
        NewRow::Value(value) => written_as(value, codes.iter().map(|(_, item)| item)),
        NewRow::Coding { system, code: target, display } => coding(system, target, display.as_deref()),
    };
    codes.insert(code, Item::Value(value));
    Ok(document.to_string())
}

/// A value in the type that every row has, or as a string.
fn written_as<'i>(text: &str, rows: impl Iterator<Item = &'i Item>) -> Value {
    let is_number = |value: &Value| value.is_integer() || value.is_float();
    let rows: Vec<Option<&Value>> = rows.map(Item::as_value).collect();
    let all = |is: &dyn Fn(&Value) -> bool| !rows.is_empty() && rows.iter().all(|row| row.is_some_and(is));
    let read = text.parse::<Value>().ok();
    let fits = read.filter(|value| (is_number(value) && all(&is_number)) || (value.is_bool() && all(&Value::is_bool)));
    fits.unwrap_or_else(|| Value::from(text))
}

fn coding(system: &str, code: &str, display: Option<&str>) -> Value {
    let mut columns = InlineTable::new();
    columns.insert("system", system.into());
    columns.insert("code", code.into());
    if let Some(display) = display {
        columns.insert("display", display.into());
    }
    Value::InlineTable(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = r#"# Routes of administration.
name    = "routes" # like the file
unknown = "hold"

[codes]
# by mouth
PO = { system = "http://snomed.info/sct", code = "26643006", display = "Oral route" } # most of them
IV = { system = "http://snomed.info/sct", code = "47625008" }

# The end.
"#;

    fn value(text: &str) -> NewRow {
        NewRow::Value(text.to_owned())
    }

    #[test]
    fn a_row_comes_behind_the_last_one_and_everything_else_stays() {
        let row = NewRow::Coding {
            system: "http://snomed.info/sct".to_owned(),
            code: "34206005".to_owned(),
            display: Some("تحت الجلد".to_owned()),
        };
        let written = add_row(ROUTES, "routes", "SC", &row).unwrap();
        let line = "SC = { system = \"http://snomed.info/sct\", code = \"34206005\", display = \"تحت الجلد\" }\n";
        assert_eq!(written, ROUTES.replace("\n\n# The end.", &format!("\n{line}\n# The end.")));
    }

    #[test]
    fn a_code_of_any_letters_becomes_a_key_that_reads_back() {
        for code in ["a.b", "محمد", "x y", "\"", "1", "a\nb", "", "= {", "eg.ndp.Event"] {
            let written = add_row("name = 't'\nunknown = 'hold'\n[codes]\nA = 'a'\n", "t", code, &value("b")).unwrap();
            let read: DocumentMut = written.parse().unwrap();
            assert_eq!(read["codes"][code].as_str(), Some("b"), "{code:?}: {written}");
            assert_eq!(read["codes"]["A"].as_str(), Some("a"));
        }
    }

    #[test]
    fn a_value_is_written_as_the_others_are() {
        let cases = [
            ("A = 1\n", "2", "X = 2"),
            ("A = 1\n", "2.50", "X = 2.50"),
            ("A = 1\n", "two", "X = \"two\""),
            ("A = true\n", "false", "X = false"),
            ("A = true\n", "1", "X = \"1\""),
            ("A = 'a'\n", "2", "X = \"2\""),
            ("A = 1\nB = 'b'\n", "2", "X = \"2\""),
            ("", "true", "X = \"true\""),
            ("A = 'a'\n", "{ a = 1 }", "X = \"{ a = 1 }\""),
        ];
        for (rows, text, expected) in cases {
            let written = add_row(&format!("[codes]\n{rows}"), "t", "X", &value(text)).unwrap();
            assert!(written.lines().any(|line| line == expected), "{text}: {written}");
        }
    }

    #[test]
    fn a_code_has_one_row() {
        assert_eq!(add_row(ROUTES, "routes", "PO", &value("x")), Err(RowError::Exists));
        assert!(add_row(ROUTES, "routes", "po", &value("x")).is_ok());
        let ignoring = ROUTES.replace("unknown", "ignore_case = true\nunknown");
        assert_eq!(add_row(&ignoring, "routes", "po", &value("x")), Err(RowError::Exists));
    }

    #[test]
    fn a_table_of_a_mapping_has_its_own_rows() {
        let text = "name = 'm'\n[table.a]\nunknown = 'hold'\ncodes = { A = 'a' }\n[table.b.codes]\nB = 'b'\n# more\n[set]\nx = 'y'\n";
        let written = add_row(text, "b", "C", &value("c")).unwrap();
        assert_eq!(written, text.replace("B = 'b'\n", "B = 'b'\nC = \"c\"\n"));
        let read: DocumentMut = add_row(text, "a", "C", &value("c")).unwrap().parse().unwrap();
        assert_eq!(read["table"]["a"]["codes"]["C"].as_str(), Some("c"));
        assert_eq!(add_row(text, "c", "C", &value("c")), Err(RowError::NotATable));
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in ["", "codes = 1", "codes = [", "[code]\nA = 1"] {
            assert_eq!(add_row(text, "t", "X", &value("x")), Err(RowError::NotATable), "{text}");
        }
        assert!(add_row("codes = { A = 'a' }", "t", "X", &value("x")).unwrap().contains("X = \"x\""));
    }
}
