//! CSV (RFC 4180) as rows with named columns.
//!
//! In come bytes and how they are to be read; out goes an object with the list `row`, whose items have a text for each
//! column and their own number under `$row`. In come rows of texts; out goes a file. Promised: what is written is read
//! back as it was. Refused: bytes that are not in the character set, quotes that do not end, rows with more or fewer
//! columns than the first, two columns of one name, what is over a limit.

use std::borrow::Cow;

use bytes::Bytes;
use csv::{Reader, ReaderBuilder, StringRecord, Terminator, WriterBuilder};
use encoding_rs::Encoding;
use serde_json::{Map, Value as Json};

use crate::Unreadable;

/// Largest file in bytes.
pub const BYTES_MAX: usize = 16 << 20;

/// Name of the list of rows.
pub const ROW: &str = "row";

/// Name of a row's own number, from 1; the header is not counted.
pub const NUMBER: &str = "$row";

/// Columns of one file.
const COLUMNS_MAX: usize = 1_000;

/// Values of one file.
const CELLS_MAX: usize = 1_000_000;

/// The byte order mark that tells spreadsheets of UTF-8.
const MARK: &str = "\u{FEFF}";

/// A file that was received. Only a mapping says how it is to be read.
pub struct Document {
    bytes: Bytes,
}

/// How a file is read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Between values: one ASCII character.
    pub separator: u8,
    /// Whether the first row has the names of the columns.
    pub header: bool,
    /// Their names when there is no header; without them columns are called by their numbers, from 1.
    pub columns: Vec<String>,
    /// The character set of what is read.
    pub charset: &'static Encoding,
    /// Whether what is written begins with a byte order mark.
    pub mark: bool,
    /// Whether a text that a spreadsheet would take for a formula is written with an apostrophe before it.
    pub guard: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            separator: b',',
            header: true,
            columns: Vec::new(),
            charset: encoding_rs::UTF_8,
            mark: false,
            guard: false,
        }
    }
}

/// A character set by its name.
pub fn charset(name: &str) -> Option<&'static Encoding> {
    Encoding::for_label(name.as_bytes())
}

impl Document {
    /// Takes a file.
    pub fn read(bytes: Bytes) -> Result<Document, Unreadable> {
        if bytes.len() > BYTES_MAX {
            return Err(Unreadable { reason: "the CSV file is larger than 16 MiB", at: BYTES_MAX });
        }
        Ok(Document { bytes })
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The names of the columns, also when there is no row.
    pub fn columns(&self, options: &Options) -> Result<Vec<String>, Unreadable> {
        let text = text_of(&self.bytes, options.charset)?;
        let mut record = StringRecord::new();
        let read = reader(&text, options).read_record(&mut record);
        let first = if matches!(read, Ok(true)) { names_of(&record, options) } else { Ok(Vec::new()) };
        first.map_err(|reason| Unreadable { reason, at: 0 })
    }

    /// The rows.
    pub fn rows(&self, options: &Options) -> Result<Json, Unreadable> {
        let text = text_of(&self.bytes, options.charset)?;
        check_quotes(&text, options.separator)?;
        let mut reader = reader(&text, options);
        let mut record = StringRecord::new();
        let mut names: Option<Vec<String>> = None;
        let mut rows = Vec::new();
        let mut cells = 0_usize;
        loop {
            let at = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
            let unreadable = |reason| Unreadable { reason, at };
            if !reader.read_record(&mut record).map_err(|_| unreadable("a row that cannot be read"))? {
                break;
            }
            cells = cells.saturating_add(record.len());
            if cells > CELLS_MAX {
                return Err(unreadable("the CSV file has more than 1,000,000 values"));
            }
            let known = match &names {
                Some(known) => known,
                None => {
                    let first = names.insert(names_of(&record, options).map_err(unreadable)?);
                    if options.header {
                        continue;
                    }
                    first
                }
            };
            if record.len() != known.len() {
                return Err(unreadable("a row has more or fewer columns than the first"));
            }
            rows.push(row(known, &record, rows.len().saturating_add(1)));
        }
        Ok(Json::Object(Map::from_iter([(ROW.to_owned(), Json::Array(rows))])))
    }
}

fn reader<'t>(text: &'t str, options: &Options) -> Reader<&'t [u8]> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(options.separator).has_headers(false).flexible(true);
    builder.from_reader(text.as_bytes())
}

fn text_of<'b>(bytes: &'b [u8], charset: &'static Encoding) -> Result<Cow<'b, str>, Unreadable> {
    let (encoding, mark) = Encoding::for_bom(bytes).unwrap_or((charset, 0));
    let body = bytes.get(mark..).unwrap_or_default();
    encoding.decode_without_bom_handling_and_without_replacement(body).ok_or_else(|| {
        let valid = if encoding == encoding_rs::UTF_8 { std::str::from_utf8(body).err() } else { None };
        let at = valid.map_or(mark, |error| mark.saturating_add(error.valid_up_to()));
        Unreadable { reason: "the CSV file is not in its character set", at }
    })
}

/// A quote that begins a value ends it too, and nothing but a separator or the end of the row follows (RFC 4180
/// section 2). A reader that guesses would put half of a file into one value.
fn check_quotes(text: &str, separator: u8) -> Result<(), Unreadable> {
    let bytes = text.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_none_or(|byte| *byte == separator || matches!(byte, b'\r' | b'\n'));
    let mut at = 0_usize;
    while at < bytes.len() {
        if bytes.get(at) == Some(&b'"') {
            let start = at;
            loop {
                let rest = bytes.get(at.saturating_add(1)..).unwrap_or_default();
                let Some(offset) = memchr::memchr(b'"', rest) else {
                    return Err(Unreadable { reason: "a quote begins and does not end", at: start });
                };
                at = at.saturating_add(offset).saturating_add(2);
                if bytes.get(at) != Some(&b'"') {
                    break;
                }
            }
            if !is_end(bytes.get(at)) {
                return Err(Unreadable { reason: "something stands behind a closing quote", at });
            }
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let width = rest.iter().position(|byte| is_end(Some(byte))).unwrap_or(rest.len());
        at = at.saturating_add(width).saturating_add(1);
    }
    Ok(())
}

fn names_of(first: &StringRecord, options: &Options) -> Result<Vec<String>, &'static str> {
    if first.len() > COLUMNS_MAX {
        return Err("the CSV file has more than 1,000 columns");
    }
    let mut names: Vec<String> = Vec::with_capacity(first.len());
    for (number, written) in (1_usize..).zip(first) {
        let own = if options.header {
            Some(written.trim())
        } else {
            options.columns.get(number.saturating_sub(1)).map(String::as_str)
        };
        let name = own.filter(|own| !own.is_empty()).map_or_else(|| number.to_string(), str::to_owned);
        if name == NUMBER || names.contains(&name) {
            return Err("two columns of the CSV file have one name");
        }
        names.push(name);
    }
    if !options.header && !options.columns.is_empty() && options.columns.len() != names.len() {
        return Err("a row has more or fewer columns than the mapping says");
    }
    Ok(names)
}

fn row(names: &[String], record: &StringRecord, number: usize) -> Json {
    let mut row = Map::with_capacity(names.len().saturating_add(1));
    row.insert(NUMBER.to_owned(), number.into());
    row.extend(names.iter().zip(record).map(|(name, value)| (name.clone(), Json::String(value.to_owned()))));
    Json::Object(row)
}

/// Writes a file of these columns: a row for each object, with nothing where it lacks the column.
pub fn write(columns: &[String], rows: &[&Json], options: &Options) -> Result<String, csv::Error> {
    let mut writer = WriterBuilder::new()
        .delimiter(options.separator)
        .terminator(Terminator::CRLF)
        .from_writer(if options.mark { MARK.as_bytes().to_vec() } else { Vec::new() });
    if options.header {
        writer.write_record(columns)?;
    }
    for row in rows {
        let text_of_column =
            |column: &String| row.get(column).map_or(Cow::Borrowed(""), |own| cell(own, options.guard));
        let values: Vec<Cow<'_, str>> = columns.iter().map(text_of_column).collect();
        writer.write_record(values.iter().map(|text| text.as_bytes()))?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    // Texts and separators are UTF-8.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A value as text; of several, all with blanks between them.
fn cell(value: &Json, guard: bool) -> Cow<'_, str> {
    match value {
        Json::Null | Json::Object(_) => Cow::Borrowed(""),
        Json::Bool(boolean) => Cow::Owned(boolean.to_string()),
        Json::Number(number) => Cow::Owned(number.to_string()),
        Json::Array(items) => {
            let texts: Vec<Cow<'_, str>> = items.iter().map(|item| cell(item, guard)).collect();
            Cow::Owned(texts.join(" "))
        }
        Json::String(text) if guard && is_formula(text) => Cow::Owned(format!("'{text}")),
        Json::String(text) => Cow::Borrowed(text),
    }
}

/// Whether a spreadsheet would reckon with the text. A number with its sign is none.
fn is_formula(text: &str) -> bool {
    let is_number = || text.get(1..).is_some_and(|rest| rest.parse::<f64>().is_ok_and(f64::is_finite));
    match text.as_bytes().first() {
        Some(b'=' | b'@' | b'\t' | b'\r') => true,
        Some(b'+' | b'-') => !is_number(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
