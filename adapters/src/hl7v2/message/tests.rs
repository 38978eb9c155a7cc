use super::*;
use crate::hl7v2::path::Path;

const TEXT: &str = concat!(
    "MSH|^~\\&|HIS|CAIRO^1.2^ISO|HUB|NDP|20261105||RDE^O11^RDE_O11|M-1|P^T|2.5.1^EGY|||AL|NE||8859/6~UNICODE UTF-8\r",
    "PID|1||28001010100013^^^EGNID&urn:ndp:nid&L^NI~77^^^H1^MR||\"\"^|a\\T\\b&c||^^|\r",
    "ZZZ\r",
);

fn document() -> Document {
    Document::read(TEXT.as_bytes().into(), CharsetRule::default()).unwrap()
}

#[test]
fn header_fields_have_their_names() {
    let document = document();
    let header = document.message().header();
    for (value, expected) in [
        (header.sending_application(), "HIS"),
        (header.sending_facility(), "CAIRO"),
        (header.receiving_application(), "HUB"),
        (header.receiving_facility(), "NDP"),
        (header.time(), "20261105"),
        (header.message_code(), "RDE"),
        (header.trigger(), "O11"),
        (header.structure(), "RDE_O11"),
        (header.control_id(), "M-1"),
        (header.processing_id(), "P"),
        (header.version(), "2.5.1"),
        (header.accept_ack(), "AL"),
        (header.application_ack(), "NE"),
        (header.charset(), "8859/6"),
    ] {
        assert_eq!(value.text(), expected);
    }
    assert_eq!(document.message().structure(), Some("RDE_O11"));
}

#[test]
fn null_empty_and_absent_are_told_apart() {
    let document = document();
    let pid = document.message().segments().nth(1).unwrap();
    let null = pid.field(5).component(1);
    assert!(null.is_null() && !null.is_empty() && !null.is_absent());
    assert_eq!(null.text(), "");
    let empty = pid.field(5).component(2);
    assert!(!empty.is_null() && empty.is_empty() && !empty.is_absent());
    let absent = pid.field(5).component(3);
    assert!(!absent.is_null() && absent.is_empty() && absent.is_absent());
    assert!(pid.field(9).is_empty() && !pid.field(9).is_absent());
    assert!(pid.field(10).is_absent());
    assert!(!pid.field(5).is_null(), "the component is null, the field is not");
}

#[test]
fn a_value_stands_in_for_its_first_part_and_the_first_part_for_the_value() {
    let document = document();
    let pid = document.message().segments().nth(1).unwrap();
    assert_eq!(pid.field(1).component(1).subcomponent(1).text(), "1");
    assert_eq!(pid.field(3).text(), "28001010100013");
    assert_eq!(pid.field(3).component(4).text(), "EGNID");
    assert_eq!(pid.field(6).text(), "a&b");
    assert_eq!(pid.field(6).component(1).raw(), b"a\\T\\b&c");
    assert_eq!(pid.field(3).component(4).component(1).subcomponent(2).text(), "urn:ndp:nid");
    assert!(pid.field(3).component(4).component(2).is_absent());
}

#[test]
fn parts_are_numbered_from_one_and_end() {
    let document = document();
    let ids = document.message().segments().nth(1).unwrap().field(3);
    assert_eq!(ids.repetitions().map(|id| id.text().into_owned()).collect::<Vec<_>>(), ["28001010100013", "77"]);
    assert_eq!(ids.repetition(2).component(5).text(), "MR");
    assert_eq!(ids.repetition(2).components().count(), 5);
    assert_eq!(ids.components().count(), 5);
    assert_eq!(ids.repetition(1).component(4).subcomponents().count(), 3);
    assert!(ids.repetition(3).is_absent() && ids.repetition(0).is_absent());
    assert!(ids.component(0).is_absent() && ids.component(6).is_absent());
    assert_eq!(document.message().segments().nth(1).unwrap().field(2).repetitions().count(), 0);
    assert_eq!(document.message().segments().nth(1).unwrap().field(8).components().count(), 3);
}

#[test]
fn spans_point_into_the_message() {
    let document = document();
    for segment in document.message().segments() {
        for field in segment.fields() {
            assert_eq!(&TEXT.as_bytes()[field.span()], field.raw());
            for component in field.components() {
                assert_eq!(&TEXT.as_bytes()[component.span()], component.raw());
            }
        }
    }
}

#[test]
fn a_segment_of_its_name_only_has_no_fields() {
    let document = document();
    let bare = document.message().segments().nth(2).unwrap();
    assert_eq!((bare.name(), bare.field_count(), bare.raw()), ("ZZZ", 0, &b"ZZZ"[..]));
    assert!(bare.field(1).is_absent());
    assert_eq!(bare.fields().count(), 0);
}

#[test]
fn without_its_time_a_message_is_the_same_as_its_repeat() {
    let repeat = TEXT.replace("|20261105|", "|20261106120000+0200|");
    let other = TEXT.replace("|M-1|", "|M-2|");
    let without_time = |text: &str| {
        let document = Document::read(text.as_bytes().to_vec().into(), CharsetRule::default()).unwrap();
        document.message().without_time().collect::<Vec<_>>().concat()
    };
    assert_eq!(without_time(TEXT), without_time(&repeat));
    assert_ne!(without_time(TEXT), without_time(&other));
    assert_eq!(without_time("MSH|^~\\&|A"), b"MSH|^~\\&|A");
    assert_eq!(without_time(TEXT).len(), TEXT.len() - "20261105".len());
}

#[test]
fn a_truncated_value_says_so_only_where_the_message_declares_it() {
    let text = "MSH|^~\\&#|A\rPID|cut#|whole#x|cut#^b\r";
    let document = Document::read(text.as_bytes().into(), CharsetRule::default()).unwrap();
    let message = document.message();
    let is_truncated = |path: &str| message.find(&message.whole(), &Path::parse(path).unwrap()).is_truncated();
    assert!(is_truncated("PID-1") && is_truncated("PID-3.1"));
    assert!(!is_truncated("PID-2") && !is_truncated("PID-3.2") && !is_truncated("MSH-2") && !is_truncated("PID-9"));
}

#[test]
fn nothing_of_a_message_is_shown_by_debug() {
    let document = document();
    let message = document.message();
    let pid = message.segments().nth(1).unwrap();
    let shown = format!("{document:?} {message:?} {pid:?} {:?} {:?}", pid.field(3), message.header());
    assert!(!shown.contains("28001010100013") && !shown.contains("CAIRO"), "{shown}");
}

#[test]
fn a_document_keeps_the_bytes_and_reports_the_character_set() {
    let document = document();
    assert_eq!(document.bytes().as_ref(), TEXT.as_bytes());
    assert_eq!(document.charset().used, super::super::charset::Charset::Ascii);
    assert!(!document.charset().disagrees);
}

#[test]
fn unknown_escapes_are_counted_over_the_whole_message() {
    let text = "MSH|^~\\&|A\\Q\\\rOBX|1^\\Zx\\&\\|\\T\\~\\X0\\\r";
    let document = Document::read(text.as_bytes().into(), CharsetRule::default()).unwrap();
    assert_eq!(document.message().unknown_escapes(), 4);
    assert_eq!(self::document().message().unknown_escapes(), 0);
}

#[test]
fn a_document_may_be_read_by_several_threads() {
    fn is_shareable<T: Send + Sync>(_: &T) {}
    let document = document();
    is_shareable(&document);
    let counts = std::thread::scope(|scope| {
        let read = || document.message().groups(&document.message().whole(), "PATIENT").len();
        let threads = [scope.spawn(read), scope.spawn(read)];
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(counts, [1, 1]);
}
