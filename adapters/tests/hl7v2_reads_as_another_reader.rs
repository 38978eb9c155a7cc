//! Compares every value of every sample with what `hl7-parser`, an independent reader, makes of it.
//!
//! The other reader is not right everywhere. Where it is known to be wrong it is not asked, by these rules:
//!
//! - it takes text only, so messages are turned into UTF-8 without byte order mark before both read them;
//! - R1: it shifts all of MSH when MSH-2 has not exactly four characters;
//! - R2: it stops, without an error, at a blank line, at a segment without fields and at a line that begins
//!   no segment;
//! - R3: it counts characters as bytes when a text has both an escape and a letter beyond ASCII;
//! - R4: of escapes it knows F, S, R, E, T, X0A and X0D, and loses text after an unterminated one;
//! - R5: it has no null value;
//! - R6: it holds an empty field for one empty repetition, and we hold it for none.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says so by failing")]
#![allow(clippy::print_stdout, reason = "the counts are shown")]

mod corpus;

use adapters::hl7v2::{Charset, CharsetRule, Findings, Index, Limits, Message, Segment, Value};
use hl7_parser::message::{Component, Field, Message as OtherMessage, Segment as OtherSegment, Separators};

/// What was compared and what was not.
#[derive(Debug, Default)]
struct Counts {
    messages: usize,
    excluded_messages: usize,
    segments: usize,
    raw_values: usize,
    texts: usize,
    escaped_texts: usize,
    excluded_texts: usize,
}

#[test]
fn every_value_is_what_another_reader_finds_where_that_reader_is_right() {
    let mut counts = Counts::default();
    for (path, bytes) in corpus::all() {
        let text = as_text(&bytes);
        let mut index = Index::with(Limits::default(), CharsetRule::Fixed(Charset::Utf8));
        let message = index.read(text.as_bytes()).unwrap();
        if is_excluded(&message) {
            counts.excluded_messages += 1;
            continue;
        }
        let other = OtherMessage::parse_with_lenient_newlines(&text, true)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        compare(&message, &other, &path.display().to_string(), &mut counts);
        counts.messages += 1;
    }
    println!("{counts:?}");
    assert!(counts.messages >= 70, "{counts:?}");
    assert!(counts.excluded_messages <= 20, "{counts:?}");
    assert!(counts.raw_values > 20_000, "{counts:?}");
    assert!(counts.texts > 8_000 && counts.escaped_texts >= 10, "{counts:?}");
    assert!(counts.excluded_texts * 50 < counts.texts, "{counts:?}");
}

/// The message in UTF-8, without byte order mark.
fn as_text(bytes: &[u8]) -> String {
    let mut index = Index::new();
    let used = index.read(bytes).unwrap().charset().used;
    used.decode(bytes).trim_start_matches('\u{FEFF}').to_owned()
}

/// Rules R1 and R2.
fn is_excluded(message: &Message<'_>) -> bool {
    let stops = [Findings::BLANK_LINES, Findings::LEADING_LINE_BREAKS, Findings::BARE_SEGMENT, Findings::CONTINUATION];
    message.delimiters().encoding_characters().count() != 4 || stops.iter().any(|stop| message.findings().has(*stop))
}

fn compare(message: &Message<'_>, other: &OtherMessage<'_>, name: &str, counts: &mut Counts) {
    let others: Vec<&OtherSegment<'_>> = other.segments().collect();
    assert_eq!(others.len(), message.segment_count(), "{name}: segments");
    for (segment, other_segment) in message.segments().zip(others) {
        let place = format!("{name} {}", segment.name());
        assert_eq!(other_segment.name, segment.name(), "{place}");
        assert_eq!(other_segment.raw_value().as_bytes(), segment.raw(), "{place}");
        assert_eq!(other_segment.range, segment.span(), "{place}");
        compare_segment(&segment, other_segment, &other.separators, &place, counts);
        counts.segments += 1;
    }
}

fn compare_segment(
    segment: &Segment<'_>,
    other: &OtherSegment<'_>,
    separators: &Separators,
    place: &str,
    counts: &mut Counts,
) {
    assert_eq!(other.fields().count(), usize::from(segment.field_count()), "{place}: fields");
    for (number, other_field) in (1..).zip(other.fields()) {
        let field = segment.field(number);
        let place = format!("{place}-{number}");
        assert_eq!(other_field.raw_value().as_bytes(), field.raw(), "{place}");
        assert_eq!(other_field.range, field.span(), "{place}");
        counts.raw_values += 1;
        // MSH-1 and MSH-2 are not divided by us.
        if segment.name() != "MSH" || number > 2 {
            compare_field(&field, other_field, separators, &place, counts);
        }
    }
}

fn compare_field(field: &Value<'_>, other: &Field<'_>, separators: &Separators, place: &str, counts: &mut Counts) {
    // Rule R6.
    if field.raw().is_empty() {
        assert!(other.raw_value().is_empty(), "{place}");
        return;
    }
    assert_eq!(other.repeats().count(), field.repetitions().count(), "{place}: repetitions");
    for (repetition, other_repetition) in field.repetitions().zip(other.repeats()) {
        assert_eq!(other_repetition.raw_value().as_bytes(), repetition.raw(), "{place}");
        counts.raw_values += 1;
        for (component, other_component) in repetition.components().zip(other_repetition.components()) {
            assert_eq!(other_component.raw_value().as_bytes(), component.raw(), "{place}");
            assert_eq!(other_component.range, component.span(), "{place}");
            counts.raw_values += 1;
            compare_component(&component, other_component, separators, place, counts);
        }
        if !repetition.is_empty() {
            assert_eq!(other_repetition.components().count(), repetition.components().count(), "{place}: components");
        }
    }
}

fn compare_component(
    component: &Value<'_>,
    other: &Component<'_>,
    separators: &Separators,
    place: &str,
    counts: &mut Counts,
) {
    if component.is_empty() {
        return;
    }
    assert_eq!(other.subcomponents().count(), component.subcomponents().count(), "{place}: subcomponents");
    for (leaf, other_leaf) in component.subcomponents().zip(other.subcomponents()) {
        assert_eq!(other_leaf.raw_value().as_bytes(), leaf.raw(), "{place}");
        counts.raw_values += 1;
        if leaf.is_empty() {
            continue;
        }
        if leaf.is_null() || !is_decoded_rightly(other_leaf.raw_value(), separators.escape) {
            counts.excluded_texts += 1;
            continue;
        }
        assert_eq!(separators.decode(other_leaf.raw_value()).to_string(), leaf.text(), "{place}");
        counts.texts += 1;
        counts.escaped_texts += usize::from(other_leaf.raw_value().contains(separators.escape));
    }
}

/// Rules R3 and R4.
fn is_decoded_rightly(raw: &str, escape: char) -> bool {
    let parts: Vec<&str> = raw.split(escape).collect();
    if parts.len() == 1 {
        return true;
    }
    let known = ["F", "S", "R", "E", "T", "X0A", "X0D"];
    raw.is_ascii() && parts.len() % 2 == 1 && parts.iter().skip(1).step_by(2).all(|code| known.contains(code))
}
