//! Messages without a frame, for peers that send the bare text.
//!
//! In come bytes outside of frames; out go bodies that begin with a header. Promised: nothing but a full last
//! segment is taken as the end of one, since there is no end byte. Refused: everything else, as junk or as a
//! cut message.

use super::{
    Bytes, Decoder, END_BYTE, Event, Excess, START_BYTE, State, VecDeque, ends_segment, is_blank_byte, is_header,
    split_at_mark,
};

/// MSH, FHS, BHS.
const HEADER_NAME_BYTES: usize = 3;

impl Decoder {
    /// Whether a message without a frame may have begun.
    pub fn is_unframed(&self) -> bool {
        matches!(self.state, State::Unframed { .. })
    }

    /// Nothing came for a while: a message without a frame has ended.
    pub fn end_unframed(&mut self, events: &mut VecDeque<Event>) {
        let State::Unframed { blanks } = self.state else { return };
        if !is_header(&self.body) {
            return self.drop_unframed(blanks, events);
        }
        if blanks > 0 {
            events.push_back(Event::Junk(blanks));
        }
        let body = Bytes::from(std::mem::take(&mut self.body));
        let event = if ends_segment(&body) { Event::Frame(body) } else { Event::Cut(self.kept(body.into())) };
        events.push_back(event);
        self.state = State::Seeking { blanks: 0 };
    }

    /// Passes over blanks to where a frame, or a message without one, may begin.
    pub(super) fn seek_unframed<'a>(
        &mut self,
        input: &'a [u8],
        blanks: usize,
        events: &mut VecDeque<Event>,
    ) -> &'a [u8] {
        let passed = input.iter().take_while(|byte| is_blank_byte(**byte)).count();
        let seen = blanks.saturating_add(passed);
        let rest = input.get(passed..).unwrap_or_default();
        if seen > self.limits.junk_bytes_max {
            self.give_up(Excess::Junk, events);
            return &[];
        }
        self.state = match rest.first() {
            None => State::Seeking { blanks: seen },
            Some(&START_BYTE) => State::Outside { junk: seen },
            Some(_) => State::Unframed { blanks: seen },
        };
        rest
    }

    /// Reads on in what may be a message without a frame: its first bytes decide.
    pub(super) fn fill_unframed<'a>(
        &mut self,
        input: &'a [u8],
        blanks: usize,
        events: &mut VecDeque<Event>,
    ) -> &'a [u8] {
        let missing = HEADER_NAME_BYTES.saturating_sub(self.body.len());
        if missing == 0 {
            if blanks > 0 {
                events.push_back(Event::Junk(blanks));
            }
            self.state = State::Unframed { blanks: 0 };
            return self.fill(input, events);
        }
        let (first, _) = input.split_at_checked(missing).unwrap_or((input, &[]));
        let (name, mark, _) = split_at_mark(first, memchr::memchr2(START_BYTE, END_BYTE, first));
        self.body.extend_from_slice(name);
        if mark.is_some() || (self.body.len() == HEADER_NAME_BYTES && !is_header(&self.body)) {
            self.drop_unframed(blanks, events);
        }
        input.get(name.len()..).unwrap_or_default()
    }

    /// What came was no message: it counts as junk.
    fn drop_unframed(&mut self, blanks: usize, events: &mut VecDeque<Event>) {
        let junk = blanks.saturating_add(std::mem::take(&mut self.body).len());
        if junk > self.limits.junk_bytes_max {
            self.give_up(Excess::Junk, events);
        } else {
            self.state = State::Outside { junk };
        }
    }
}
