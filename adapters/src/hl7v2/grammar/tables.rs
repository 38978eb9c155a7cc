//! The tables of HL7 v2 and their codes (HL7 v2.5.1 appendix A).
//!
//! The tables are those of one source that does not tell in which version a code came: they hold what any
//! version up to 2.7.1 has. Tables that a user defines, such as 0005, hold HL7's suggestions only.

use std::sync::LazyLock;

use super::read::rows;

pub(super) const CODES: &str = include_str!("data/codes.txt");

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| read(CODES));

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Four digits: `0119`.
    pub number: &'static str,
    /// `Order control codes`.
    pub text: &'static str,
    /// Its codes, in the order of the source.
    pub codes: Vec<Code>,
}

/// A code of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `NW`.
    pub code: &'static str,
    /// `New order/service`.
    pub text: &'static str,
}

impl Table {
    /// The code as it is written; HL7's codes are told apart by case.
    pub fn code(&self, code: &str) -> Option<&Code> {
        self.codes.iter().find(|known| known.code == code)
    }
}

/// The table of a number, with or without zeros before it.
pub fn table(number: &str) -> Option<&'static Table> {
    let wanted = format!("{:0>4}", number.trim_start_matches('0'));
    let place = TABLES.binary_search_by(|table| table.number.cmp(&wanted)).ok()?;
    TABLES.get(place)
}

/// All tables, by number.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    TABLES.iter()
}

fn read(codes: &'static str) -> Vec<Table> {
    let mut found: Vec<Table> = Vec::new();
    for row in rows(codes) {
        match row.strip_prefix('\t') {
            None => {
                let Some((number, text)) = row.split_once(' ') else { continue };
                found.push(Table { number, text, codes: Vec::new() });
            }
            Some(inner) => {
                let Some((code, text)) = inner.split_once('\t') else { continue };
                found.last_mut().into_iter().for_each(|table| table.codes.push(Code { code, text }));
            }
        }
    }
    found
}
