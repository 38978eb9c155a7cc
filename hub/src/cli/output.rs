//! What commands print: tables for people, JSON for machines.
//!
//! Promised: what a sender wrote cannot move the cursor, change colours or turn the direction of the text
//! (control characters become U+FFFD); letters of any width, Arabic too, stand in their columns; colour
//! only on a terminal, and not with `NO_COLOR`.

use std::io::{self, IsTerminal, Write};

use adapters::clock::Timestamp;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::Exit;

/// Says on standard error what went wrong.
#[expect(clippy::print_stderr, reason = "the command line speaks to people")]
pub fn complain(text: &str) {
    eprintln!("{text}");
}

/// Says on standard output what was asked for.
#[expect(clippy::print_stdout, reason = "the command line speaks to people")]
pub fn say(text: &str) {
    print!("{text}");
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// For people: what is wrong, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure that ends with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }
}

impl From<io::Error> for Failure {
    /// Only printing gives bare I/O errors here. Who reads no further has what he wanted.
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::Success, ""),
            _ => Failure::new(Exit::Io, format!("cannot print: {error}")),
        }
    }
}

/// How a command ended, or why it could not.
pub type Outcome = Result<Exit, Failure>;

/// Where a command prints, and how.
pub struct Output<'w> {
    out: Box<dyn Write + 'w>,
    /// JSON is wanted.
    pub json: bool,
    /// Colours are wanted.
    pub colour: bool,
    /// Lines may be as long as this; none: as long as they are.
    width: Option<u16>,
    zone: TimeZone,
}

impl Output<'static> {
    /// Standard output.
    pub fn standard(json: bool) -> Output<'static> {
        let is_terminal = io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Output {
            out: Box::new(io::stdout()),
            json,
            colour: is_terminal && !no_colour,
            width: is_terminal.then(|| Table::new().width()).flatten(),
            zone: TimeZone::system(),
        }
    }
}

impl<'w> Output<'w> {
    /// Prints into `out` without colour, with times in UTC.
    pub fn plain(out: impl Write + 'w, json: bool) -> Output<'w> {
        Output { out: Box::new(out), json, colour: false, width: None, zone: TimeZone::UTC }
    }

    /// One line.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Text as it stands.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// A JSON value on lines of its own.
    pub fn value(&mut self, value: &Value) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        self.line(&text)
    }

    /// A table. Columns that are empty in every row are left out.
    pub fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let filled: Vec<usize> = (0..heads.len())
            .filter(|column| {
                rows.is_empty() || rows.iter().any(|row| row.get(*column).is_some_and(|cell| !cell.is_empty()))
            })
            .collect();
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if self.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table.set_header(filled.iter().filter_map(|column| heads.get(*column)).map(|head| {
            let cell = Cell::new(head);
            if self.colour { cell.add_attribute(Attribute::Bold) } else { cell }
        }));
        for row in rows {
            table.add_row(filled.iter().filter_map(|column| row.get(*column)).map(|text| self.cell(text)));
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        self.out.flush()
    }

    /// A body that may be shown, line by line; segments and JSON alike.
    pub fn body(&mut self, of: &str, text: &str) -> io::Result<()> {
        self.line("")?;
        self.line(&format!("Body of {of}:"))?;
        for line in text.split(['\r', '\n']).filter(|line| !line.is_empty()) {
            self.line(&format!("  {}", clean(line)))?;
        }
        Ok(())
    }

    fn cell(&self, text: &str) -> Cell {
        let cell = Cell::new(clean(text));
        match text {
            _ if !self.colour => cell,
            "delivered" | "mapped" | "accepted" | "passed" | "listening" => cell.fg(Color::Green),
            "refused" | "dead-lettered" | "rejected" | "failed" | "stopped" => cell.fg(Color::Red),
            "waiting" | "held" | "unknown" | "restarting" => cell.fg(Color::Yellow),
            _ => cell,
        }
    }

    /// A time for people: in the machine's zone, with the offset, to the millisecond.
    pub fn time(&self, rfc3339: &str) -> String {
        rfc3339.parse::<jiff::Timestamp>().map_or_else(
            |_| clean(rfc3339),
            |time| time.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f%:z").to_string(),
        )
    }

    /// A time of the hub for people.
    pub fn timestamp(&self, time: Timestamp) -> String {
        self.time(&time.to_rfc3339())
    }
}

/// Text with nothing in it that a terminal obeys.
pub fn clean(text: &str) -> String {
    text.chars().map(|letter| if obeys(letter) { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

/// Control characters, and those that turn the direction of what follows.
fn obeys(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of a JSON object; empty if it is not there.
pub fn text_of(value: &Value, key: &str) -> String {
    match value.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let items = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
            items.collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

/// The items of a JSON object's list; none if it is not there.
pub fn list_of<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `code reason` of a JSON object's `why`; empty if there is none.
pub fn why_of(value: &Value, key: &str) -> String {
    value.get(key).filter(|why| why.is_object()).map_or_else(String::new, |why| {
        format!("{} {}", text_of(why, "code"), text_of(why, "reason")).trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(print: impl FnOnce(&mut Output<'_>)) -> String {
        let mut bytes = Vec::new();
        print(&mut Output::plain(&mut bytes, false));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn columns_stand_under_each_other_whatever_the_letters() {
        let rows = [["A-1", "محمد", "delivered"], ["A-22", "薬局", "waiting"], ["A-333", "Zoë", ""]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        let table = printed(|output| output.table(&["ID", "NAME", "STATE"], &rows).unwrap());
        let expected = " ID     NAME  STATE\n A-1    محمد  delivered\n A-22   薬局  waiting\n A-333  Zoë\n";
        assert_eq!(table, expected);
    }

    #[test]
    fn a_column_that_is_empty_is_left_out() {
        let rows = [vec!["1".to_owned(), String::new()], vec!["2".to_owned(), String::new()]];
        let table = printed(|output| output.table(&["ID", "WHY"], &rows).unwrap());
        assert!(!table.contains("WHY"), "{table}");
    }

    #[test]
    fn nothing_that_a_sender_wrote_is_obeyed_by_the_terminal() {
        let rows = [vec!["A\r\nB\u{1b}[31m\u{202e}\u{7}\u{9b}31m".to_owned()]];
        let table = printed(|output| output.table(&["ID"], &rows).unwrap());
        assert_eq!(table.lines().count(), 2, "{table:?}");
        assert!(!table.chars().any(|letter| obeys(letter) && letter != '\n'), "{table:?}");
    }

    #[test]
    fn colour_is_only_there_when_it_is_wanted() {
        let rows = [vec!["delivered".to_owned()]];
        let mut bytes = Vec::new();
        let mut output = Output::plain(&mut bytes, false);
        output.colour = true;
        output.table(&["STATE"], &rows).unwrap();
        drop(output);
        assert!(bytes.contains(&0x1b));
        assert!(!printed(|plain| plain.table(&["STATE"], &rows).unwrap()).contains('\u{1b}'));
    }

    #[test]
    fn a_time_is_shown_with_its_offset() {
        let output = Output::plain(Vec::new(), false);
        assert_eq!(output.time("2026-11-05T07:30:00.123456Z"), "2026-11-05 07:30:00.123+00:00");
    }
}
