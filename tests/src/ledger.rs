//! What the senders know of each message: issued, answered positively or negatively, or lost on the way.
//!
//! The ledger lives in the test, which is never killed, and writes a log of its own outside the hub's data folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Fallible;
use crate::payload::{Id, Kind};

/// What may be found in the hub of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It was answered positively: exactly one end, and exactly one effect.
    Once,
    /// It was answered negatively: no effect.
    Never,
    /// Its answer was lost and it was not sent again: none or one.
    AtMostOnce,
}

/// How often each thing happened to one message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// Written to a connection.
    pub sent: u32,
    /// Answered AA or CA.
    pub positive: u32,
    /// Answered AE, AR, CE or CR.
    pub negative: u32,
    /// The connection died before the answer.
    pub unknown: u32,
}

impl Entry {
    /// What the law says of it.
    pub fn expected(&self) -> Expected {
        match (self.positive, self.negative, self.unknown) {
            (0, 0, _) => Expected::AtMostOnce,
            // A refusal after a lost answer says nothing about the lost one.
            (0, _, 0) => Expected::Never,
            (0, _, _) => Expected::AtMostOnce,
            (_, _, _) => Expected::Once,
        }
    }
}

/// What happened to one message on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was written.
    Sent,
    /// It was answered AA or CA.
    Positive,
    /// It was answered AE, AR, CE or CR.
    Negative,
    /// The connection died before its answer.
    Unknown,
}

/// Counts over all messages, for the checks that the test tested something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Different messages that were written.
    pub issued: usize,
    /// Of these, answered positively.
    pub positive: usize,
    /// Answered negatively.
    pub negative: usize,
    /// Never answered.
    pub unknown: usize,
    /// Written again because their answer was lost.
    pub resent: u32,
    /// Written again although they had been answered.
    pub repeated: u32,
}

/// The senders' common book.
#[derive(Debug)]
pub struct Ledger(Mutex<Book>);

#[derive(Debug)]
struct Book {
    entries: BTreeMap<Id, Entry>,
    resent: u32,
    repeated: u32,
    log: BufWriter<File>,
}

impl Ledger {
    /// Opens a book with its log at `path`.
    pub fn new(path: &Path) -> Fallible<Ledger> {
        let log = BufWriter::new(File::create(path)?);
        Ok(Ledger(Mutex::new(Book { entries: BTreeMap::new(), resent: 0, repeated: 0, log })))
    }

    /// Writes down what happened to a message.
    pub fn record(&self, id: Id, event: Event) -> Fallible<()> {
        let mut book = self.book();
        let before = book.entries.get(&id).copied().unwrap_or_default();
        if event == Event::Sent && before.sent > 0 {
            if before.positive + before.negative > 0 { book.repeated += 1 } else { book.resent += 1 }
        }
        let entry = book.entries.entry(id).or_default();
        match event {
            Event::Sent => entry.sent += 1,
            Event::Positive => entry.positive += 1,
            Event::Negative => entry.negative += 1,
            Event::Unknown => entry.unknown += 1,
        }
        Ok(writeln!(book.log, "{event:?} {}", id.control_id())?)
    }

    /// Puts the log on the disk.
    pub fn sync(&self) -> Fallible<()> {
        let mut book = self.book();
        book.log.flush()?;
        Ok(book.log.get_ref().sync_data()?)
    }

    /// Every message that was written, in order.
    pub fn entries(&self) -> Vec<(Id, Entry)> {
        self.book().entries.iter().map(|(id, entry)| (*id, *entry)).collect()
    }

    /// Orders that were refused although nothing is wrong with them.
    pub fn refused_orders(&self) -> usize {
        let book = self.book();
        book.entries.iter().filter(|(id, entry)| entry.negative > 0 && id.kind() != Kind::Training).count()
    }

    /// The counts.
    pub fn totals(&self) -> Totals {
        let book = self.book();
        let mut totals =
            Totals { issued: book.entries.len(), resent: book.resent, repeated: book.repeated, ..Totals::default() };
        for entry in book.entries.values() {
            match entry.expected() {
                Expected::Once => totals.positive += 1,
                Expected::Never => totals.negative += 1,
                Expected::AtMostOnce => totals.unknown += 1,
            }
        }
        totals
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
