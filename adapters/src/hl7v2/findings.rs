//! What reading a message noticed and forgave.
//!
//! A finding is never a refusal: the message was read whole, and every byte of it is still in place.

/// A small set of findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Findings(u32);

impl Findings {
    /// A byte order mark stands before the message.
    pub const BYTE_ORDER_MARK: Findings = Findings(1);
    /// Line breaks stand before the message.
    pub const LEADING_LINE_BREAKS: Findings = Findings(1 << 1);
    /// Segments end in LF or CR LF where the standard asks for CR.
    pub const FOREIGN_TERMINATOR: Findings = Findings(1 << 2);
    /// Segments end in different ways.
    pub const MIXED_TERMINATORS: Findings = Findings(1 << 3);
    /// Blank lines stand between or after segments.
    pub const BLANK_LINES: Findings = Findings(1 << 4);
    /// The last segment has no terminator.
    pub const NO_FINAL_TERMINATOR: Findings = Findings(1 << 5);
    /// A line that begins no segment was kept as part of the segment before it.
    pub const CONTINUATION: Findings = Findings(1 << 6);
    /// MSH-2 has fewer than four characters.
    pub const SHORT_ENCODING_CHARACTERS: Findings = Findings(1 << 7);
    /// A second header segment follows: several messages in one.
    pub const SECOND_HEADER: Findings = Findings(1 << 8);
    /// A segment consists of its name only.
    pub const BARE_SEGMENT: Findings = Findings(1 << 9);
    /// MSH-18 names a character set that is not known.
    pub const UNKNOWN_CHARSET: Findings = Findings(1 << 10);
    /// The bytes are not in the character set that MSH-18 names.
    pub const CHARSET_DISAGREES: Findings = Findings(1 << 11);

    const NAMES: [(Findings, &'static str); 12] = [
        (Findings::BYTE_ORDER_MARK, "message.byte_order_mark"),
        (Findings::LEADING_LINE_BREAKS, "message.leading_line_breaks"),
        (Findings::FOREIGN_TERMINATOR, "segment.foreign_terminator"),
        (Findings::MIXED_TERMINATORS, "segment.mixed_terminators"),
        (Findings::BLANK_LINES, "segment.blank_lines"),
        (Findings::NO_FINAL_TERMINATOR, "segment.no_final_terminator"),
        (Findings::CONTINUATION, "segment.continuation"),
        (Findings::SHORT_ENCODING_CHARACTERS, "header.short_encoding_characters"),
        (Findings::SECOND_HEADER, "header.second"),
        (Findings::BARE_SEGMENT, "segment.bare"),
        (Findings::UNKNOWN_CHARSET, "charset.unknown"),
        (Findings::CHARSET_DISAGREES, "charset.disagrees"),
    ];

    /// Nothing was noticed.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of `other` were noticed.
    pub fn has(self, other: Findings) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds `other`.
    pub(super) fn add(&mut self, other: Findings) {
        self.0 |= other.0;
    }

    /// The findings by name, for people and for counters.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Findings::NAMES.into_iter().filter(move |(finding, _)| self.has(*finding)).map(|(_, name)| name)
    }
}
