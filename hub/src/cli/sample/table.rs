//! The report of the sample feed for people and for machines.
//!
//! In comes a report; out go a table, or JSON lines. Promised: columns stay aligned with Arabic in them,
//! and no colour where it is not wanted. The patients are invented, and are the only ones ever shown here.

use std::fmt::Write;
use std::io::IsTerminal;
use std::net::SocketAddr;

use adapters::clock::Timestamp;
use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::outcome::{Order, Outcome};
use super::{Line, Report, ZONE};
use crate::cli::output;
use crate::store::MessageState;

/// Below this width control id and message id go below what they belong to.
const WIDE_COLUMNS: u16 = 120;
/// Ends the direction of Arabic, so that a terminal does not draw the next column into it.
const LEFT_TO_RIGHT_MARK: char = '\u{200e}';

/// How a report is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// Columns of the terminal.
    width: u16,
    /// Whether it may have colours.
    colour: bool,
}

/// Columns where nobody says how many there are.
const COLUMNS: u16 = 140;

impl Look {
    /// As standard output has it. `NO_COLOR` is obeyed.
    fn of_stdout() -> Look {
        let is_terminal = std::io::stdout().is_terminal();
        let width = Table::new().width().filter(|_| is_terminal).unwrap_or(COLUMNS);
        Look { width, colour: is_terminal && std::env::var_os("NO_COLOR").is_none() }
    }
}

impl Report {
    /// Prints it, and where to look now.
    pub fn print(&self, json: bool, http: SocketAddr) {
        if json {
            output::say(&self.to_json_lines());
        } else {
            output::say(&self.to_text(Look::of_stdout()));
            output::say(&self.where_to_look(http));
        }
    }

    /// For people.
    fn to_text(&self, look: Look) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "Sample feed of {}, played on {} to {} at {}\n{}",
            self.edition,
            time(self.at),
            self.source,
            self.address,
            self.table(look)
        );
        let _ = write!(text, "{}", self.verdict());
        text
    }

    /// For machines: one JSON object a line and message.
    fn to_json_lines(&self) -> String {
        self.lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{}", line.to_json());
            text
        })
    }

    /// Where to look now.
    fn where_to_look(&self, http: SocketAddr) -> String {
        let mut text = String::from("Where to look:\n");
        for folder in &self.folders {
            let _ = writeln!(text, "  {:<32} what was delivered, a file a document", format!("{}/", folder.display()));
        }
        let id = self.lines.iter().find_map(|line| line.outcome.as_ref()).map(|outcome| outcome.id.to_string());
        let rows = [
            ("hub messages".to_owned(), "every message, newest first"),
            (format!("hub message {}", id.unwrap_or_default()), "the whole journey of one"),
            (format!("http://{http}/"), "the same, in a browser"),
        ];
        for (what, why) in rows {
            let _ = writeln!(text, "  {what:<32} {why}");
        }
        text
    }

    fn table(&self, look: Look) -> Table {
        let wide = look.width >= WIDE_COLUMNS;
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(look.width);
        if look.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let header: &[&str] = if wide {
            &["", "case", "control id", "answer", "state", "what happened", "message"]
        } else {
            &["", "case, control id", "answer", "state, message", "what happened"]
        };
        table.set_header(header.iter().copied());
        for (line, number) in self.lines.iter().zip(1..) {
            table.add_row(line.cells(number, wide));
        }
        let elastic = if wide { 5 } else { 4 };
        for (place, column) in table.column_iter_mut().enumerate() {
            if place == 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if place != elastic {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table
    }

    fn verdict(&self) -> String {
        let repeats = self.lines.iter().filter(|line| line.is_repeat).count();
        let different = self.lines.iter().filter(|line| line.difference.is_some()).count();
        let count = self.lines.len();
        let ends = match different {
            0 => "each as it has to be".to_owned(),
            some => format!("{some} not as they have to be"),
        };
        let answered = match repeats {
            0 | 1 => String::new(),
            some => format!("; {some} had come before and got the answer of then"),
        };
        format!("{count} messages, {ends}{answered}.\n")
    }
}

impl Line {
    fn state_word(&self) -> &'static str {
        self.outcome.as_ref().map_or("unknown", |outcome| outcome.state.word())
    }

    fn cells(&self, number: usize, wide: bool) -> Vec<Cell> {
        let id = self.outcome.as_ref().map(|outcome| outcome.id.to_string()).unwrap_or_default();
        let mut case = vec![self.title.to_owned()];
        let mut state = vec![self.state_word().to_owned()];
        if !wide {
            case.push(self.control_id.clone());
            state.push(id.clone());
        }
        case.extend(self.arabic_name().map(|name| format!("{name}{LEFT_TO_RIGHT_MARK}")));
        let answers = if self.answers.is_empty() { "none".to_owned() } else { self.answers.join(", ") };
        let state = Cell::new(state.join("\n")).fg(self.colour());
        let happened = self.happened().join("\n");
        let number = Cell::new(number);
        let case = Cell::new(case.join("\n"));
        if wide {
            vec![
                number,
                case,
                Cell::new(&self.control_id),
                Cell::new(answers),
                state,
                Cell::new(happened),
                Cell::new(id),
            ]
        } else {
            vec![number, case, Cell::new(answers), state, Cell::new(happened)]
        }
    }

    fn colour(&self) -> Color {
        if self.difference.is_some() {
            return Color::Red;
        }
        match self.outcome.as_ref().map(|outcome| outcome.state) {
            Some(MessageState::Delivered) => Color::Green,
            Some(MessageState::Filtered) => Color::Grey,
            Some(MessageState::Accepted | MessageState::Waiting) => Color::Cyan,
            Some(MessageState::Refused | MessageState::DeadLettered | MessageState::Held) => Color::Yellow,
            None => Color::Red,
        }
    }

    fn arabic_name(&self) -> Option<&str> {
        let orders = self.outcome.iter().flat_map(|outcome| &outcome.orders);
        let mut names = orders.filter_map(|order| order.patient.as_deref());
        names.find(|name| name.chars().any(|letter| ('\u{600}'..='\u{6ff}').contains(&letter)))
    }

    fn happened(&self) -> Vec<String> {
        let mut told = self.outcome.as_ref().map(story).unwrap_or_default();
        if let (true, Some(first)) = (self.is_repeat, told.first_mut()) {
            *first = format!("came before: {first}");
        }
        told.extend(self.difference.as_ref().map(|difference| format!("BUT {difference}")));
        told
    }

    fn to_json(&self) -> Value {
        let outcome = self.outcome.as_ref();
        let orders = outcome.map(|outcome| outcome.orders.as_slice()).unwrap_or_default();
        let order =
            |order: &Order| json!({ "prescription": order.number, "status": order.status, "patient": order.patient });
        json!({
            "case": self.title,
            "control_id": self.control_id,
            "answers": self.answers,
            "state": self.state_word(),
            "repeat": self.is_repeat,
            "control_id_reused": outcome.is_some_and(|outcome| outcome.reuses_control_id),
            "routes": outcome.map(|outcome| &outcome.routes),
            "commands": outcome.map(|outcome| &outcome.commands),
            "orders": orders.iter().map(order).collect::<Vec<_>>(),
            "delivered_to": outcome.map(|outcome| &outcome.delivered_to),
            "code": outcome.and_then(|outcome| outcome.cause.as_ref()).map(|cause| &*cause.code),
            "reason": outcome.and_then(|outcome| outcome.cause.as_ref()).map(|cause| &*cause.reason),
            "next_at": outcome.and_then(|outcome| outcome.next_at).map(Timestamp::to_rfc3339),
            "message": outcome.map(|outcome| outcome.id.to_string()),
            "as_expected": self.difference.is_none(),
            "difference": self.difference,
        })
    }
}

/// What happened to a message, in a few lines.
fn story(outcome: &Outcome) -> Vec<String> {
    let mut told = Vec::new();
    match outcome.state {
        MessageState::Filtered => told.push("no route takes it".to_owned()),
        MessageState::Accepted
        | MessageState::Waiting
        | MessageState::Held
        | MessageState::Delivered
        | MessageState::Refused
        | MessageState::DeadLettered => told.extend(effect(outcome)),
    }
    if outcome.reuses_control_id {
        told.push("flagged: its control id was used before, for another body".to_owned());
    }
    told.extend(outcome.cause.as_ref().map(|cause| format!("{} {}", cause.code, cause.reason)));
    if let (MessageState::Waiting, Some(at)) = (outcome.state, outcome.next_at) {
        told.push(format!("next try at {}", time(at)));
    }
    told
}

/// What was asked for, what came of it, and where that went.
fn effect(outcome: &Outcome) -> Option<String> {
    let command = outcome.commands.first()?;
    let count = outcome.commands.len();
    let times = if count > 1 { format!("{count} x ") } else { String::new() };
    let mut told = format!("{times}{command}");
    let mut number = "";
    for order in &outcome.orders {
        if order.number != number {
            number = &order.number;
            let _ = write!(told, " {number}");
        }
        let _ = write!(told, ", {}", order.status);
    }
    let _ = write!(told, "\nby {}", outcome.routes.join(", "));
    if !outcome.delivered_to.is_empty() {
        let _ = write!(told, " to {}", outcome.delivered_to.join(", "));
    }
    Some(told)
}

/// A time with its zone.
fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0)
        .map(|at| at.to_zoned_datetime(ZONE.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::store::{Cause, MessageId};

    fn line(title: &'static str, patient: Option<&str>) -> Line {
        let order = Order {
            number: "RX-20261124E1D5E5".to_owned(),
            status: "active".to_owned(),
            patient: patient.map(str::to_owned),
        };
        let outcome = Outcome {
            id: MessageId(7),
            state: MessageState::Waiting,
            answer: None,
            routes: vec!["hospital-prescriptions".to_owned()],
            commands: vec!["create".to_owned(), "create".to_owned()],
            orders: vec![order.clone(), order],
            delivered_to: vec!["prescription-events".to_owned()],
            cause: Some(Cause::new("HUB0306", "the order this command follows has not come yet")),
            next_at: Some(Timestamp(1_795_000_000_000_000)),
            reuses_control_id: true,
            is_settled: true,
        };
        Line {
            title,
            control_id: "S20261124-01".to_owned(),
            answers: vec!["CA".to_owned(), "AE".to_owned()],
            is_repeat: true,
            outcome: Some(outcome),
            difference: None,
        }
    }

    fn report() -> Report {
        let unknown =
            Line { outcome: None, difference: Some("it has to be there".to_owned()), ..line("not HL7", None) };
        Report {
            source: "kasr-al-ainy".to_owned(),
            address: ([127, 0, 0, 1], 2575).into(),
            at: Timestamp(1_795_000_000_000_000),
            edition: date(2026, 11, 24),
            folders: vec!["data/out".into()],
            lines: vec![line("a new order", Some("KARIM MANSOUR")), line("Arabic", Some("محمد أحمد السيد")), unknown],
        }
    }

    #[test]
    fn every_line_of_the_table_is_equally_wide_with_arabic_too() {
        for width in [80, 120, 140] {
            let text = report().to_text(Look { width, colour: false });
            let rows = text.lines().filter(|line| line.starts_with(['┌', '│', '╞', '└']));
            let widths: Vec<usize> =
                rows.map(|row| row.chars().filter(|letter| *letter != LEFT_TO_RIGHT_MARK).count()).collect();
            assert!(widths.len() > 8, "{text}");
            assert!(widths.iter().all(|one| *one == widths[0] && *one <= usize::from(width)), "{text}");
        }
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        let text = |colour| report().to_text(Look { width: 120, colour });
        assert!(text(true).contains('\u{1b}'));
        assert!(!text(false).contains('\u{1b}'));
    }

    #[test]
    fn a_table_tells_what_happened_with_times_in_their_zone() {
        let text = report().to_text(Look { width: 200, colour: false });
        for part in [
            "came before: 2 x create RX-20261124E1D5E5, active, active",
            "by hospital-prescriptions to prescription-events",
            "HUB0306 the order this command follows",
            "next try at 2026-11-18 13:06:40 +02:00",
            "BUT it has to be there",
            "3 messages, 1 not as they have to be; 3 had come before",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn a_machine_gets_one_json_object_a_message() {
        let lines: Vec<Value> =
            report().to_json_lines().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1]["orders"][0]["patient"], "محمد أحمد السيد");
        assert_eq!(lines[1]["code"], "HUB0306");
        assert_eq!(lines[2]["as_expected"], false);
        assert_eq!(lines[2]["message"], Value::Null);
    }
}
