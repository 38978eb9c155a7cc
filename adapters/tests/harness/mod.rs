//! What must hold for any bytes at all. Called by the seeded test and by the fuzz targets alike.

use std::collections::VecDeque;

use adapters::hl7v2::{Charset, Delimiters, Index, Message, Path, Segment, Value, escape, mllp};
use adapters::limits::FrameLimits;

/// Reads `data` as a message and checks every law of reading.
pub fn message(data: &[u8]) {
    read(&mut Index::new(), data, &paths(), Depth::Whole);
}

/// Reads `data` as the input of one connection, cut into pieces and whole: the events must be the same.
pub fn frame(data: &[u8]) {
    let limits = FrameLimits { frame_bytes_max: 256, kept_bytes_max: 64, skipped_bytes_max: 512, junk_bytes_max: 128 };
    let whole = events(limits, data, data.len().max(1));
    for size in [1, 2, 3, 7, 64] {
        assert!(events(limits, data, size) == whole, "events do not depend on where the input was cut");
    }
    for event in &whole {
        let limit = if matches!(event, mllp::Event::Frame(_)) { limits.frame_bytes_max } else { limits.kept_bytes_max };
        assert!(event.len() <= limit, "no more than the limits is kept");
    }
    // A frame of nothing but line breaks keeps a connection alive and is no message.
    let has_content = data.iter().any(|byte| !matches!(byte, b'\r' | b'\n' | b'\0' | b' '));
    if has_content && mllp::can_be_framed(data) && data.len() <= limits.frame_bytes_max {
        let framed = events(limits, &mllp::encode(data), 5);
        assert!(
            framed.len() == 1 && matches!(&framed[0], mllp::Event::Frame(body) if body == data),
            "a body comes back"
        );
    }
}

fn events(limits: FrameLimits, data: &[u8], size: usize) -> VecDeque<mllp::Event> {
    let mut decoder = mllp::Decoder::new(limits);
    let mut events = VecDeque::new();
    data.chunks(size).for_each(|piece| decoder.feed(piece, &mut events));
    decoder.finish(&mut events);
    events
}

/// Reads `data` as one leaf, in every character set and with several delimiters.
pub fn escape(data: &[u8]) {
    for charset in [Charset::Utf8, Charset::Windows1256, Charset::Iso8859_6, Charset::Ascii] {
        for delimiters in [Delimiters::default(), Delimiters { escape: None, ..Delimiters::default() }] {
            let text = escape::decode(data, &delimiters, charset).into_owned();
            let Ok(written) = escape::encode(&text, &delimiters, charset) else { continue };
            assert_eq!(escape::decode(&written, &delimiters, charset), text, "what is written reads back");
            assert!(!written.contains(&b'\r') && !written.contains(&b'\n'), "no text begins a segment");
            assert!(!written.contains(&delimiters.field), "no text divides a field");
        }
    }
}

/// How much is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Segments, a few paths and escapes.
    Segments,
    /// Every field and every part of it as well.
    Whole,
}

/// Paths of every kind.
pub fn paths() -> Vec<Path> {
    [
        "MSH-10",
        "MSH-9.2",
        "PID-3[.5 = \"NI\"].1",
        "PID-3[2].4.2",
        "PID-5",
        "PID-3[*].1",
        "OBX[2]-5",
        "ORDER.ORC-2.1",
        "PATIENT.INSURANCE[2].IN1-3",
        "NTE-3",
    ]
    .iter()
    .filter_map(|path| Path::parse(path).ok())
    .collect()
}

/// Reads `data` and checks that nothing is lost. Returns whether it was a message.
pub fn read(index: &mut Index, data: &[u8], paths: &[Path], depth: Depth) -> bool {
    let message = match index.read(data) {
        Ok(message) => message,
        Err(unreadable) => {
            assert!(unreadable.at <= data.len(), "an error is inside the message");
            return false;
        }
    };
    check_segments(&message, data);
    check_paths(&message, paths);
    if depth == Depth::Whole {
        message.segments().for_each(|segment| check_fields(&segment, data, &message.delimiters()));
        check_groups(&message);
    }
    true
}

/// Prefix, segments and terminators are the whole message.
fn check_segments(message: &Message<'_>, data: &[u8]) {
    let mut at = message.prefix().end;
    assert_eq!(message.prefix().start, 0);
    for segment in message.segments() {
        assert_eq!(segment.span().start, at, "a segment begins where the one before it ended");
        assert_eq!(segment.raw(), &data[segment.span()]);
        assert_eq!(segment.terminator().start, segment.span().end);
        assert!(data[segment.terminator()].iter().all(|byte| matches!(byte, b'\r' | b'\n')), "only line breaks end it");
        at = segment.terminator().end;
    }
    assert_eq!(at, data.len(), "no byte is lost");
}

fn check_paths(message: &Message<'_>, paths: &[Path]) {
    let whole = message.whole();
    for path in paths {
        let value = message.find(&whole, path);
        assert!(value.span().end <= message.bytes().len());
        std::hint::black_box(value.text());
    }
}

/// Name, separators and fields are the whole segment; parts and their delimiters are the whole field.
fn check_fields(segment: &Segment<'_>, data: &[u8], delimiters: &Delimiters) {
    let is_header = matches!(segment.name(), "MSH" | "FHS" | "BHS");
    // A bare name may be followed by a line that begins no segment; else the separator stands after the name.
    let name = segment.raw().iter().position(|byte| *byte == delimiters.field).unwrap_or(segment.raw().len());
    assert!(name == 3 || matches!(segment.raw().get(3), Some(b'\r' | b'\n')));
    let mut at = segment.span().start + name;
    let first = if is_header && segment.field_count() >= 2 { 2 } else { 1 };
    for number in first..=segment.field_count() {
        assert_eq!(data.get(at), Some(&delimiters.field), "a separator stands before each field");
        let field = segment.field(number);
        assert_eq!(field.span().start, at + 1);
        assert_eq!(field.raw(), &data[field.span()]);
        at = field.span().end;
        if number > 2 || !is_header {
            check_parts(&field, delimiters);
        }
    }
    assert_eq!(at, segment.span().end, "no byte of a segment is lost");
    assert!(segment.field(segment.field_count().saturating_add(1)).is_absent());
}

fn check_parts(field: &Value<'_>, delimiters: &Delimiters) {
    assert_eq!(joined(field, field.repetitions(), delimiters.repetition), field.raw());
    for repetition in field.repetitions() {
        assert_eq!(joined(&repetition, repetition.components(), delimiters.component), repetition.raw());
        for component in repetition.components() {
            assert_eq!(joined(&component, component.subcomponents(), delimiters.subcomponent), component.raw());
        }
    }
    std::hint::black_box((field.text(), field.unknown_escapes(), field.is_truncated()));
}

fn joined<'a>(whole: &Value<'a>, parts: impl Iterator<Item = Value<'a>>, delimiter: Option<u8>) -> Vec<u8> {
    let mut at = whole.span().start;
    let mut bytes = Vec::new();
    for (place, part) in parts.enumerate() {
        if place > 0 {
            bytes.extend(delimiter);
            at += 1;
        }
        assert_eq!(part.span().start, at, "a part begins where the one before it ended");
        bytes.extend_from_slice(part.raw());
        at = part.span().end;
    }
    bytes
}

/// Groups lie inside each other and inside the message.
fn check_groups(message: &Message<'_>) {
    for name in ["ORDER", "PATIENT", "OBSERVATION", "INSURANCE", "PATIENT_RESULT", "NTE"] {
        for scope in message.groups(&message.whole(), name) {
            assert!(scope.segment_count() > 0, "a group has a segment");
            assert!(message.segments_in(&scope).count() == scope.segment_count(), "a group lies inside the message");
            for inner in message.groups(&scope, "OBSERVATION") {
                assert!(inner.segment_count() <= scope.segment_count());
            }
        }
    }
}
