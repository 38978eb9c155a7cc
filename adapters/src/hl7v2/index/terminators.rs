//! What ends the segments of a message: CR as the standard says, or LF, or CR LF, or several of them.

use crate::hl7v2::delimiters::is_line_break;
use crate::hl7v2::findings::Findings;

/// What ends a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Terminator {
    CarriageReturn,
    LineFeed,
    Both,
    Nothing,
}

/// Which terminators a message uses.
#[derive(Default)]
pub(super) struct Terminators {
    /// What ended the first segment.
    pub(super) first: Option<Terminator>,
    /// What ended the line before.
    pub(super) last: Option<Terminator>,
    carriage_return: bool,
    line_feed: bool,
    both: bool,
    blank: bool,
    missing: bool,
}

impl Terminators {
    /// How many bytes of line breaks `after` begins with.
    pub(super) fn measure(&mut self, after: &[u8]) -> usize {
        let (kind, length) = match after {
            [] => (Terminator::Nothing, 0),
            [b'\r', b'\n', ..] => (Terminator::Both, 2),
            [b'\r', ..] => (Terminator::CarriageReturn, 1),
            _ => (Terminator::LineFeed, 1),
        };
        self.note(kind);
        match after.get(length) {
            Some(&byte) if is_line_break(byte) => {
                self.blank = true;
                after.iter().take_while(|&&after| is_line_break(after)).count()
            }
            _ => length,
        }
    }

    fn note(&mut self, kind: Terminator) {
        self.first.get_or_insert(kind);
        self.last = Some(kind);
        match kind {
            Terminator::CarriageReturn => self.carriage_return = true,
            Terminator::LineFeed => self.line_feed = true,
            Terminator::Both => self.both = true,
            Terminator::Nothing => self.missing = true,
        }
    }

    pub(super) fn report(&self, findings: &mut Findings) {
        for (seen, finding) in [
            (self.line_feed || self.both, Findings::FOREIGN_TERMINATOR),
            (self.blank, Findings::BLANK_LINES),
            (self.missing, Findings::NO_FINAL_TERMINATOR),
        ] {
            if seen {
                findings.add(finding);
            }
        }
        if [self.carriage_return, self.line_feed, self.both].into_iter().filter(|seen| *seen).count() > 1 {
            findings.add(Findings::MIXED_TERMINATORS);
        }
    }
}
