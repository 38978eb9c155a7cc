use super::*;
use crate::hl7v2::message::Document;

const HEADER: &str = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5";

fn names(text: &str) -> Vec<String> {
    let mut index = Index::new();
    let message = index.read(text.as_bytes()).unwrap();
    message.segments().map(|segment| segment.name().to_owned()).collect()
}

fn findings(text: &str) -> Findings {
    Index::new().read(text.as_bytes()).unwrap().findings()
}

fn reason(bytes: &[u8]) -> (&'static str, usize) {
    let unreadable = Index::new().read(bytes).unwrap_err();
    (unreadable.reason, unreadable.at)
}

#[test]
fn segments_may_end_in_any_line_break_and_the_last_in_none() {
    for end in ["\r", "\n", "\r\n", "\r\r", "\n\n", "\r\n\r\n", "\n\r"] {
        for last in ["", end] {
            let text = format!("{HEADER}{end}PID|1||2{end}PV1|1{last}");
            assert_eq!(names(&text), ["MSH", "PID", "PV1"], "{text:?}");
        }
    }
}

#[test]
fn what_is_forgiven_is_found() {
    let cr = format!("{HEADER}\rPID|1\r");
    assert!(findings(&cr).is_empty());
    for (text, finding) in [
        (format!("\u{FEFF}{cr}"), Findings::BYTE_ORDER_MARK),
        (format!("\r\n{cr}"), Findings::LEADING_LINE_BREAKS),
        (cr.replace('\r', "\n"), Findings::FOREIGN_TERMINATOR),
        (cr.replace('\r', "\r\n"), Findings::FOREIGN_TERMINATOR),
        (format!("{cr}PV1|1\n"), Findings::MIXED_TERMINATORS),
        (format!("{cr}\r"), Findings::BLANK_LINES),
        (format!("{cr}PV1|1"), Findings::NO_FINAL_TERMINATOR),
        (format!("{cr}no segment\r"), Findings::CONTINUATION),
        (format!("{cr}pid|1\r"), Findings::CONTINUATION),
        (format!("{cr}ZZZ\r"), Findings::BARE_SEGMENT),
        (format!("{cr}{cr}"), Findings::SECOND_HEADER),
        (cr.replace("^~\\&", "^~&"), Findings::SHORT_ENCODING_CHARACTERS),
        (format!("{HEADER}||||||KLINGON\r"), Findings::UNKNOWN_CHARSET),
        (format!("{HEADER}||||||8859/1\rPID|é\r"), Findings::CHARSET_DISAGREES),
    ] {
        let found = findings(&text);
        assert!(found.has(finding), "{text:?}: {:?}", found.names().collect::<Vec<_>>());
        assert!(!found.is_empty() && found.names().count() >= 1);
    }
}

#[test]
fn a_line_that_begins_no_segment_goes_on_in_the_field_before_it() {
    let text = format!("{HEADER}\rNTE|1||first\nsecond|more\r\nthird\rPID|7\r");
    let mut index = Index::new();
    let message = index.read(text.as_bytes()).unwrap();
    let note = message.segments().nth(1).unwrap();
    assert_eq!(note.raw(), b"NTE|1||first\nsecond|more\r\nthird");
    assert_eq!(note.field(3).text(), "first\nsecond");
    assert_eq!(note.field(4).text(), "more\nthird");
    assert_eq!(message.segments().nth(2).unwrap().field(1).text(), "7");
}

#[test]
fn a_word_of_three_capitals_on_a_line_of_its_own_in_a_note_is_no_segment() {
    let text = format!("{HEADER}\rNTE|1||take\nNPO\nafter meals|x\rZZ1\rPID|7\r");
    let mut index = Index::new();
    let message = index.read(text.as_bytes()).unwrap();
    assert_eq!(message.segments().map(|segment| segment.name()).collect::<Vec<_>>(), ["MSH", "NTE", "ZZ1", "PID"]);
    assert_eq!(message.segments().nth(1).unwrap().field(3).text(), "take\nNPO\nafter meals");
    assert_eq!(
        names(&text.replace('\r', "\n")),
        ["MSH", "NTE", "NPO", "ZZ1", "PID"],
        "the same line break tells nothing"
    );
}

#[test]
fn any_delimiters_are_honoured() {
    let text = "MSH#*%/@#A*B%C#D/F/E\rPID#1@2*3%4\r";
    let mut index = Index::new();
    let message = index.read(text.as_bytes()).unwrap();
    assert_eq!(message.header().field(3).component(2).text(), "B");
    assert_eq!(message.header().field(3).repetition(2).text(), "C");
    assert_eq!(message.header().field(4).text(), "D#E");
    assert_eq!(message.segments().nth(1).unwrap().field(1).subcomponent(2).text(), "2");
}

#[test]
fn msh_counts_its_separator_and_its_first_two_fields_are_never_divided_or_unescaped() {
    let text = "MSH|^~\\&#|A";
    let mut index = Index::new();
    let message = index.read(text.as_bytes()).unwrap();
    let header = message.header();
    assert_eq!((header.field(1).text().as_ref(), header.field(1).span()), ("|", 3..4));
    assert_eq!((header.field(2).text().as_ref(), header.field(2).span()), ("^~\\&#", 4..9));
    assert_eq!(header.field(2).component(1).text(), "^~\\&#");
    assert!(header.field(2).component(2).is_absent());
    assert_eq!(header.field(2).repetitions().count(), 1);
    assert_eq!(header.field(3).text(), "A");
    assert!(header.field(4).is_absent());
    assert!(header.field(0).is_absent());
}

#[test]
fn three_and_fewer_encoding_characters_are_read_for_what_they_are() {
    for (written, component, escape, subcomponent) in [
        ("^~&", Some(b'^'), None, Some(b'&')),
        ("^~\\", Some(b'^'), Some(b'\\'), None),
        ("^~", Some(b'^'), None, None),
        ("^", Some(b'^'), None, None),
        ("", None, None, None),
    ] {
        let text = format!("MSH|{written}|A");
        let mut index = Index::new();
        let delimiters = index.read(text.as_bytes()).unwrap().delimiters();
        assert_eq!(
            (delimiters.component, delimiters.escape, delimiters.subcomponent),
            (component, escape, subcomponent),
            "{written}"
        );
    }
}

#[test]
fn what_is_no_message_is_refused_with_a_reason() {
    for (bytes, expected) in [
        (&b""[..], "the message is empty"),
        (b"\r\n", "the message is empty"),
        (b"hello", "the message does not begin with MSH"),
        (b"PID|1", "the message does not begin with MSH"),
        (b"msh|^~\\&|", "the message does not begin with MSH"),
        (b"<ORU_R01 xmlns=\"urn:hl7-org:v2xml\"/>", "XML where ER7 encoding is expected"),
        (b"BHS|^~\\&|A\rMSH|^~\\&|A", "a batch where a message is expected"),
        (b"FHS|^~\\&|A", "a batch where a message is expected"),
        (b"\xFF\xFEM\0S\0H\0", "UTF-16, which cannot be framed"),
        (b"MSH", "the header ends before its field separator"),
        (b"MSH\r", "a delimiter is not a printable ASCII character"),
        (b"MSH |", "a delimiter is not a printable ASCII character"),
        (b"MSH|^~\\\xC3|", "a delimiter is not a printable ASCII character"),
        (b"MSH|A~\\&|", "a delimiter is a letter, a digit or a quotation mark"),
        (b"MSHX^~\\&X", "a delimiter is a letter, a digit or a quotation mark"),
        (b"MSH|^~\\\"|", "a delimiter is a letter, a digit or a quotation mark"),
        (b"MSH|^^\\&|", "two delimiters are the same character"),
        (b"MSH|^~\\&#$|", "MSH-2 has more than five encoding characters"),
    ] {
        assert_eq!(reason(bytes).0, expected, "{bytes:?}");
    }
}

#[test]
fn what_is_over_a_limit_is_refused_with_a_reason() {
    let limits = Limits { message_bytes_max: 300, segment_bytes_max: 80, segments_max: 4, repetitions_max: 5 };
    let read = |text: &str| Index::with(limits, CharsetRule::default()).read(text.as_bytes()).map(|_| ());
    let within = format!("{HEADER}\rPID|1~2~3~4~5\rA01|\rA02|\r");
    assert_eq!(read(&within), Ok(()));
    for (text, expected) in [
        (format!("{within}A03|\r"), "the message has more segments than the limit"),
        (within.replace("A01|", &format!("A01|{}", "x".repeat(77))), "a segment is larger than the limit"),
        (within.replace("A01|", &format!("A01|\n{}", "x".repeat(77))), "a segment is larger than the limit"),
        (within.replace("4~5", "4~5~6"), "a field has more repetitions than the limit"),
        (format!("{within}{}", " ".repeat(300)), "the message is larger than the limit"),
    ] {
        assert_eq!(read(&text).unwrap_err().reason, expected);
    }
}

#[test]
fn ten_thousand_repetitions_are_read_and_one_more_is_not() {
    let text = format!("{HEADER}\rPID|1||{}x\r", "x~".repeat(9_999));
    assert!(Index::new().read(text.as_bytes()).is_ok());
    let over = text.replace("x\r", "x~x\r");
    assert_eq!(reason(over.as_bytes()).0, "a field has more repetitions than the limit");
}

#[test]
fn ten_thousand_fields_are_read() {
    let text = format!("{HEADER}\rZZZ{}last\r", "|".repeat(10_000));
    let mut index = Index::new();
    let message = index.read(text.as_bytes()).unwrap();
    let segment = message.segments().nth(1).unwrap();
    assert_eq!(segment.field_count(), 10_000);
    assert_eq!(segment.field(10_000).text(), "last");
}

#[test]
fn an_index_that_was_used_knows_nothing_of_the_message_before() {
    let mut index = Index::new();
    let long = format!("\u{FEFF}{HEADER}\nPID|1\nno segment\nOBX|1|é");
    assert_eq!(index.read(long.as_bytes()).unwrap().segment_count(), 3);
    assert!(index.read(b"MSH").is_err());
    let message = index.read(b"MSH|^~\\&|A\r").unwrap();
    assert_eq!(message.segment_count(), 1);
    assert!(message.findings().is_empty());
    assert_eq!(message.prefix(), 0..0);
    assert_eq!(message.charset().used, charset::Charset::Ascii);
}

#[test]
fn a_used_index_allocates_nothing_for_a_smaller_message() {
    let mut index = Index::new();
    let long = format!("{HEADER}\r{}", "PID|1|2|3\r".repeat(50));
    index.read(long.as_bytes()).unwrap();
    let before = (index.lines.capacity(), index.ends.capacity(), index.lines.as_ptr(), index.ends.as_ptr());
    index.read(format!("{HEADER}\rPID|1\r").as_bytes()).unwrap();
    assert_eq!(before, (index.lines.capacity(), index.ends.capacity(), index.lines.as_ptr(), index.ends.as_ptr()));
}

#[test]
fn every_version_of_the_standard_is_read() {
    for version in
        ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.2", "2.5.1^EGY", ""]
    {
        let text = format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|{version}\rPID|1\r");
        let document = Document::read(text.into_bytes().into(), CharsetRule::default()).unwrap();
        let expected = version.split('^').next().unwrap();
        assert_eq!(document.message().header().version().text(), expected);
        assert_eq!(document.message().segment_count(), 2);
    }
}

#[test]
fn the_header_alone_is_read_of_a_message_that_is_over_a_limit() {
    let text = format!("\r\n{HEADER}\r{}", "PID|1\r".repeat(10));
    let limits = Limits { segments_max: 2, ..Limits::default() };
    let mut index = Index::with(limits, CharsetRule::default());
    assert!(index.read(text.as_bytes()).is_err());
    assert_eq!(index.read_header_only(text.as_bytes()).unwrap().header().control_id().text(), "1");
}

#[test]
fn separators_are_found_at_every_offset_and_distance() {
    for length in 0..40 {
        for gap in 1..12 {
            let line: Vec<u8> = (0..length).map(|at| if at % gap == 0 { b'|' } else { b'|' ^ 0x80 }).collect();
            let mut found = Vec::new();
            push_separators(&line, b'|', 100, &mut found);
            let expected: Vec<u32> = memchr_iter(b'|', &line).map(|at| narrow(at) + 100).collect();
            assert_eq!(found, expected, "length {length}, gap {gap}");
        }
    }
}
