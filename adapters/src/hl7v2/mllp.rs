//! MLLP framing (HL7 Transport Specification: MLLP, Release 1), without I/O.
//!
//! In come the bytes of one connection, in pieces of any size; out go [`Event`]s. Promised: the events
//! do not depend on where the pieces were cut; each byte is looked at once, so a frame that drips in one
//! byte at a time costs no more than one that comes whole; no more than the limits is stored (H6).
//! Refused: a body over the limit, a body without its end, and a peer that sends something else.
//!
//! A body ends at its end byte alone. There are two exceptions. A message whose end byte was lost: when
//! another message begins inside its frame, and the first ends in a full segment and is not the same
//! message begun again, both count. And, only where it is asked for, a message without a frame, which ends
//! with the input or in silence: it counts if it ends in a full segment.

mod unframed;

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::FrameLimits;

/// Begins a frame.
pub const START_BYTE: u8 = 0x0B;
/// Ends a body.
pub const END_BYTE: u8 = 0x1C;
/// Follows the end byte.
pub const CARRIAGE_RETURN: u8 = b'\r';

const LINE_FEED: u8 = b'\n';

/// CR, LF and NUL bytes that are taken as part of the end of a frame.
const TRAILER_BYTES_MAX: u8 = 4;

/// What a piece of input contained.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// A body, without its framing.
    Frame(Bytes),
    /// So many bytes belonged to no frame and were dropped.
    Junk(usize),
    /// A frame was begun inside another that had no end: the first is lost. As much of it as is kept.
    Resync(Bytes),
    /// The body in hand is over the limit. Told once; what follows of it is skipped. As much of it as
    /// is kept.
    TooLarge(Bytes),
    /// The input ended inside a frame. As much of it as is kept; nothing, if only its start byte came.
    Cut(Bytes),
    /// This peer does not speak MLLP, or does not stop: nothing more will be read.
    GaveUp(Excess),
}

impl Event {
    /// Bytes that it holds.
    #[expect(clippy::len_without_is_empty, reason = "an event is not a container")]
    pub fn len(&self) -> usize {
        match self {
            Event::Frame(bytes) | Event::Resync(bytes) | Event::TooLarge(bytes) | Event::Cut(bytes) => bytes.len(),
            Event::Junk(_) | Event::GaveUp(_) => 0,
        }
    }
}

/// Prints sizes, not bodies (H10).
impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Event::Frame(body) => write!(f, "Frame({} bytes)", body.len()),
            Event::Junk(count) => write!(f, "Junk({count} bytes)"),
            Event::Resync(kept) => write!(f, "Resync({} bytes kept)", kept.len()),
            Event::TooLarge(kept) => write!(f, "TooLarge({} bytes kept)", kept.len()),
            Event::Cut(kept) => write!(f, "Cut({} bytes kept)", kept.len()),
            Event::GaveUp(excess) => write!(f, "GaveUp({excess:?})"),
        }
    }
}

/// Why the decoder gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// Too many bytes outside of frames.
    Junk,
    /// A body over the limit did not end within the second limit either.
    Frame,
}

/// Frames `body`. The body must hold neither a start nor an end byte: see [`can_be_framed`].
pub fn encode(body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(body.len().saturating_add(3));
    encode_into(body, &mut frame);
    frame.freeze()
}

/// Appends the frame of `body` to `out`.
pub fn encode_into(body: &[u8], out: &mut BytesMut) {
    out.reserve(body.len().saturating_add(3));
    out.put_u8(START_BYTE);
    out.put_slice(body);
    out.put_u8(END_BYTE);
    out.put_u8(CARRIAGE_RETURN);
}

/// Whether `body` comes out of a frame as it went in.
pub fn can_be_framed(body: &[u8]) -> bool {
    memchr::memchr2(START_BYTE, END_BYTE, body).is_none()
}

/// Reads frames from one connection.
#[derive(Debug)]
pub struct Decoder {
    limits: FrameLimits,
    takes_unframed: bool,
    state: State,
    /// The body of the frame in hand, as far as it came.
    body: Vec<u8>,
    /// A whole message whose end byte may have been lost, until the frame that interrupted it is known.
    unended: Option<Bytes>,
    begun: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Outside of frames, after so many bytes that belong to none.
    Outside { junk: usize },
    /// Outside of frames, after so many blanks, where a message without a frame may begin.
    Seeking { blanks: usize },
    /// Inside what may be a message without a frame, after so many blanks.
    Unframed { blanks: usize },
    /// After an end byte and so many of CR, LF and NUL.
    Trailer { taken: u8 },
    /// Inside a frame.
    Inside,
    /// Inside a frame over the limit, of which so many bytes have gone by.
    Skipping { seen: usize },
    /// Nothing more is read.
    Closed,
}

impl Decoder {
    /// A decoder for a new connection. Holds no memory until a frame is cut by the end of a piece.
    pub const fn new(limits: FrameLimits) -> Self {
        let state = State::Outside { junk: 0 };
        Decoder { limits, takes_unframed: false, state, body: Vec::new(), unended: None, begun: 0 }
    }

    /// A decoder that also takes messages without a frame.
    pub const fn taking_unframed(limits: FrameLimits) -> Self {
        let mut decoder = Decoder::new(limits);
        decoder.takes_unframed = true;
        decoder.state = State::Seeking { blanks: 0 };
        decoder
    }

    /// Reads one piece of input; appends what it contained to `events`.
    pub fn feed(&mut self, piece: &[u8], events: &mut VecDeque<Event>) {
        let mut input = piece;
        while !input.is_empty() {
            input = match self.state {
                State::Outside { junk } => self.seek_start(input, junk, events),
                State::Seeking { blanks } => self.seek_unframed(input, blanks, events),
                State::Unframed { blanks } => self.fill_unframed(input, blanks, events),
                State::Trailer { taken } => self.take_trailer(input, taken),
                State::Inside => self.fill(input, events),
                State::Skipping { seen } => self.skip(input, seen, events),
                State::Closed => return,
            };
        }
    }

    /// The input ended, or its time was over: tells what was left, and reads nothing more.
    pub fn finish(&mut self, events: &mut VecDeque<Event>) {
        self.end_unframed(events);
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Outside { junk } | State::Seeking { blanks: junk } if junk > 0 => {
                events.push_back(Event::Junk(junk));
            }
            State::Inside => {
                let body = std::mem::take(&mut self.body);
                self.settle_unended(&body, events);
                events.push_back(Event::Cut(self.kept(body)));
            }
            State::Outside { .. } | State::Seeking { .. } | State::Unframed { .. } => {}
            State::Trailer { .. } | State::Skipping { .. } | State::Closed => {}
        }
    }

    /// Whether a frame was begun and not ended.
    pub fn is_inside(&self) -> bool {
        matches!(self.state, State::Inside | State::Skipping { .. })
    }

    /// How many frames were begun so far.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Bytes stored at the moment.
    pub fn held_bytes(&self) -> usize {
        self.body.capacity().saturating_add(self.unended.as_ref().map_or(0, Bytes::len))
    }

    fn seek_start<'a>(&mut self, input: &'a [u8], junk: usize, events: &mut VecDeque<Event>) -> &'a [u8] {
        let (before, start, rest) = split_at_mark(input, memchr::memchr(START_BYTE, input));
        let dropped = junk.saturating_add(before.len());
        if dropped > self.limits.junk_bytes_max {
            self.give_up(Excess::Junk, events);
            return &[];
        }
        if start.is_none() {
            self.state = State::Outside { junk: dropped };
            return rest;
        }
        if dropped > 0 {
            events.push_back(Event::Junk(dropped));
        }
        self.begin();
        rest
    }

    fn take_trailer<'a>(&mut self, input: &'a [u8], taken: u8) -> &'a [u8] {
        match input.split_first() {
            Some((&(CARRIAGE_RETURN | LINE_FEED | 0), rest)) if taken < TRAILER_BYTES_MAX => {
                self.state = State::Trailer { taken: taken.saturating_add(1) };
                rest
            }
            Some(_) | None => {
                self.state =
                    if self.takes_unframed { State::Seeking { blanks: 0 } } else { State::Outside { junk: 0 } };
                input
            }
        }
    }

    fn fill<'a>(&mut self, input: &'a [u8], events: &mut VecDeque<Event>) -> &'a [u8] {
        let (more, mark, rest) = split_at_mark(input, memchr::memchr2(START_BYTE, END_BYTE, input));
        let seen = self.body.len().saturating_add(more.len());
        if seen > self.limits.frame_bytes_max {
            self.refuse_large(more, events);
            return self.pass_mark(seen, mark, rest, events);
        }
        match mark {
            None => self.body.extend_from_slice(more),
            Some(END_BYTE) => {
                let body = self.take_body(more);
                self.settle_unended(&body, events);
                if !is_blank(&body) {
                    events.push_back(Event::Frame(body));
                }
                self.state = State::Trailer { taken: 0 };
            }
            Some(_) => {
                let body = self.take_body(more);
                self.settle_unended(&body, events);
                self.interrupt(body, events);
                self.begin();
            }
        }
        rest
    }

    fn skip<'a>(&mut self, input: &'a [u8], seen: usize, events: &mut VecDeque<Event>) -> &'a [u8] {
        let (more, mark, rest) = split_at_mark(input, memchr::memchr2(START_BYTE, END_BYTE, input));
        self.pass_mark(seen.saturating_add(more.len()), mark, rest, events)
    }

    /// Goes on after a stretch of a body over the limit.
    fn pass_mark<'a>(
        &mut self,
        seen: usize,
        mark: Option<u8>,
        rest: &'a [u8],
        events: &mut VecDeque<Event>,
    ) -> &'a [u8] {
        if seen > self.limits.skipped_bytes_max {
            self.give_up(Excess::Frame, events);
            return &[];
        }
        match mark {
            None => self.state = State::Skipping { seen },
            Some(END_BYTE) => self.state = State::Trailer { taken: 0 },
            Some(_) => self.begin(),
        }
        rest
    }

    fn begin(&mut self) {
        self.begun = self.begun.saturating_add(1);
        self.state = State::Inside;
    }

    fn give_up(&mut self, excess: Excess, events: &mut VecDeque<Event>) {
        self.state = State::Closed;
        events.push_back(Event::GaveUp(excess));
    }

    fn take_body(&mut self, more: &[u8]) -> Bytes {
        if self.body.is_empty() {
            return Bytes::copy_from_slice(more);
        }
        let mut body = std::mem::take(&mut self.body);
        body.extend_from_slice(more);
        Bytes::from(body)
    }

    fn refuse_large(&mut self, more: &[u8], events: &mut VecDeque<Event>) {
        let mut kept = std::mem::take(&mut self.body);
        let room = self.limits.kept_bytes_max.saturating_sub(kept.len());
        kept.extend(more.iter().take(room));
        let evidence = self.kept(kept);
        self.settle_unended(&evidence, events);
        events.push_back(Event::TooLarge(evidence));
    }

    /// A frame began inside the one that holds `body`.
    fn interrupt(&mut self, body: Bytes, events: &mut VecDeque<Event>) {
        if is_blank(&body) {
            return;
        }
        if is_header(&body) && ends_segment(&body) {
            self.unended = Some(body);
        } else {
            let event = Event::Resync(self.kept(body.into()));
            events.push_back(event);
        }
    }

    /// Decides about a message without end byte, now that the frame that interrupted it is known.
    fn settle_unended(&mut self, next: &[u8], events: &mut VecDeque<Event>) {
        let Some(first) = self.unended.take() else { return };
        let event = if is_header(next) && control_id(&first) != control_id(next) {
            Event::Frame(first)
        } else {
            Event::Resync(self.kept(first.into()))
        };
        events.push_back(event);
    }

    fn kept(&self, mut bytes: Vec<u8>) -> Bytes {
        bytes.truncate(self.limits.kept_bytes_max);
        bytes.shrink_to_fit();
        Bytes::from(bytes)
    }
}

/// What stands before the mark at `at`, the mark, and what follows it.
fn split_at_mark(input: &[u8], at: Option<usize>) -> (&[u8], Option<u8>, &[u8]) {
    let (before, from) = at.and_then(|at| input.split_at_checked(at)).unwrap_or((input, &[]));
    match from.split_first() {
        Some((mark, rest)) => (before, Some(*mark), rest),
        None => (before, None, &[]),
    }
}

/// A frame without content is a heartbeat: no message, no answer.
fn is_blank(body: &[u8]) -> bool {
    body.iter().all(|byte| is_blank_byte(*byte))
}

fn is_blank_byte(byte: u8) -> bool {
    matches!(byte, CARRIAGE_RETURN | LINE_FEED | b' ' | 0)
}

fn ends_segment(body: &[u8]) -> bool {
    matches!(body.last(), Some(&(CARRIAGE_RETURN | LINE_FEED)))
}

fn is_header(body: &[u8]) -> bool {
    [b"MSH", b"FHS", b"BHS"].iter().any(|name| body.starts_with(*name))
}

/// The raw MSH-10 of a message, trimmed; nothing if it has none.
fn control_id(message: &[u8]) -> Option<&[u8]> {
    let separator = message.get(3)?;
    let header = message.split(|byte| matches!(*byte, CARRIAGE_RETURN | LINE_FEED)).next()?;
    let id = header.split(|byte| byte == separator).nth(9)?.trim_ascii();
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests;
