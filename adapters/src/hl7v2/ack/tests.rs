use super::*;

const TIME: &str = "20261105093015+0200";

fn message(msh_rest: &str) -> String {
    format!("MSH|^~\\&|HIS|CAIRO^1.2^ISO|NDPHUB|HEALTHFLOW|20261105||{msh_rest}\rPID|1\r")
}

fn written(text: &[u8], answer: &Answer<'_>) -> String {
    let mut index = Index::new();
    String::from_utf8(write(&index.read(text).unwrap(), answer)).unwrap()
}

fn problem() -> Problem {
    Problem {
        location: Some(Location::field("PID", 3)),
        condition: Condition::RequiredFieldMissing,
        severity: Severity::Error,
        code: "HUB0101".to_owned(),
        text: "a field is missing".to_owned(),
        diagnostic: "PID-3 has no NI".to_owned(),
        user_text: "send the national id".to_owned(),
    }
}

#[test]
fn an_answer_goes_back_to_its_sender_as_the_standard_says() {
    let text = message("RDE^O11^RDE_O11|HIS00001|P|2.5.1|||AL|AL|EGY|UNICODE UTF-8|ar");
    let answer = Answer::new(Code::CommitAccept, "H0001", TIME);
    assert_eq!(
        written(text.as_bytes(), &answer),
        "MSH|^~\\&|NDPHUB|HEALTHFLOW|HIS|CAIRO^1.2^ISO|20261105093015+0200||ACK^O11^ACK|H0001|P|2.5.1||||||UNICODE UTF-8\r\
         MSA|CA|HIS00001\r"
    );
}

#[test]
fn version_processing_id_and_control_id_go_back_byte_for_byte() {
    for control_id in ["a\\F\\b", " padded ", "x^y&z~w", "\"\"", "123456789012345678901234567890", "é", "\\X0D\\"] {
        let text = message(&format!("ADT^A04|{control_id}|P^T|2.5.1^EGY|||||EGY|8859/1~X"));
        let answer = written(text.as_bytes(), &Answer::new(Code::ApplicationAccept, "H1", TIME));
        assert!(answer.contains(&format!("\rMSA|AA|{control_id}\r")), "{answer}");
        assert!(answer.contains("|ACK^A04^ACK|H1|P^T|2.5.1^EGY||||||8859/1~X\r"), "{answer}");
        assert_eq!(read(answer.as_bytes()).unwrap().control_id, control_id.trim().as_bytes());
    }
}

#[test]
fn an_answer_uses_the_delimiters_of_the_message() {
    let text = "MSH#*%/@#HIS#H1#HUB#NDP#2026##RDE*O11#D/F/1#P#2.5.1\rPID#1\r";
    let answer = Answer { text: "a#b/c", problems: &[problem()], ..Answer::new(Code::ApplicationError, "H1", TIME) };
    assert_eq!(
        written(text.as_bytes(), &answer),
        "MSH#*%/@#HUB#NDP#HIS#H1#20261105093015+0200##ACK*O11*ACK#H1#P#2.5.1\r\
         MSA#AE#D/F/1#a/F/b/E/c\r\
         ERR##PID*1*3#101*Required field missing*HL70357#E#HUB0101*a field is missing*HUBERR##PID-3 has no NI#send the national id\r"
    );
}

#[test]
fn errors_have_the_form_of_the_version() {
    let problems = [
        problem(),
        Problem {
            location: Some(Location {
                segment: "RXE".to_owned(),
                sequence: 2,
                field: Some(5),
                repetition: None,
                component: Some(1),
                subcomponent: Some(2),
            }),
            condition: Condition::TableValueNotFound,
            severity: Severity::Warning,
            code: String::new(),
            text: String::new(),
            diagnostic: String::new(),
            user_text: String::new(),
        },
        Problem {
            location: None,
            condition: Condition::ApplicationError,
            severity: Severity::Information,
            ..problem()
        },
    ];
    let answer = Answer { problems: &problems, ..Answer::new(Code::ApplicationError, "H1", TIME) };
    let new = "ERR||PID^1^3|101^Required field missing^HL70357|E|HUB0101^a field is missing^HUBERR||PID-3 has no NI|send the national id\r\
               ERR||RXE^2^5^^1^2|103^Table value not found^HL70357|W\r\
               ERR|||207^Application error^HL70357|I|HUB0101^a field is missing^HUBERR||PID-3 has no NI|send the national id\r";
    let old = "ERR|PID^1^3^101&Required field missing&HL70357~RXE^2^5^103&Table value not found&HL70357~\
               ^^^207&Application error&HL70357\r";
    for (version, expected) in [
        ("2.1", old),
        ("2.2", old),
        ("2.3", old),
        ("2.3.1", old),
        ("2.4", old),
        ("2.5", new),
        ("2.5.1", new),
        ("2.51", new),
        ("2.7.1", new),
        ("2.8.2^EGY", new),
        ("", new),
        ("nonsense", new),
    ] {
        let answer = written(message(&format!("ADT^A08|1|P|{version}")).as_bytes(), &answer);
        assert_eq!(answer.split_once("MSA|AE|1\r").unwrap().1, expected, "{version}");
    }
}

#[test]
fn the_errors_of_every_version_are_read_back() {
    let answer = Answer {
        text: "refused",
        problems: &[problem(), problem()],
        ..Answer::new(Code::ApplicationReject, "H1", TIME)
    };
    for (version, application_code) in [("2.3", ""), ("2.6", "HUB0101")] {
        let read = read(written(message(&format!("ADT^A08|1|P|{version}")).as_bytes(), &answer).as_bytes()).unwrap();
        assert_eq!((read.code, read.text.as_str()), (Code::ApplicationReject, "refused"));
        let expected = ReportedError {
            condition: "101".to_owned(),
            severity: "E".to_owned(),
            application_code: application_code.to_owned(),
        };
        assert_eq!(read.errors, [expected.clone(), expected]);
    }
}

#[test]
fn a_message_without_control_id_or_trigger_is_answered_without() {
    let problem = Problem { location: Some(Location::field("MSH", 10)), ..problem() };
    let answer = Answer { problems: &[problem], ..Answer::new(Code::ApplicationReject, "H1", TIME) };
    let text = written(message("ADT||P|2.5").as_bytes(), &answer);
    assert!(text.contains("||ACK|H1|P|2.5\rMSA|AR|\rERR||MSH^1^10|101^"), "{text}");
    assert_eq!(read(text.as_bytes()).unwrap().control_id, b"");
}

#[test]
fn what_a_sender_wrote_begins_no_segment_of_the_answer() {
    let text = b"MSH|^~\\&|HIS|H1\nMSA|HUB|NDP|2026||ADT^A01|1\nno segment|P|2.5||||||X\nY";
    let mut index = Index::new();
    let message = index.read(text).unwrap();
    let answer = Answer { text: "line\rMSA|AA|2\n", ..Answer::new(Code::ApplicationError, "H\r1", TIME) };
    let written = write(&message, &answer);
    let mut answer_index = Index::new();
    let read = answer_index.read(&written).unwrap();
    assert_eq!(read.segments().map(|segment| segment.name().to_owned()).collect::<Vec<_>>(), ["MSH", "MSA"]);
    assert!(read.findings().is_empty());
}

#[test]
fn texts_of_an_answer_are_short_and_ascii() {
    let long = "محمد ".repeat(200);
    let answer = Answer { text: &long, ..Answer::new(Code::ApplicationError, "H1", TIME) };
    let written = written(message("ADT^A01|1|P|2.5").as_bytes(), &answer);
    assert!(written.is_ascii() && written.len() < 500);
}

#[test]
fn the_sequence_that_is_expected_stands_in_msa_4() {
    let answer = Answer { expected_sequence: Some(-1), ..Answer::new(Code::CommitError, "H1", TIME) };
    let written = written(message("ADT^A01|1|P|2.5").as_bytes(), &answer);
    assert!(written.ends_with("MSA|CE|1||-1\r"), "{written}");
    assert_eq!(read(written.as_bytes()).unwrap().expected_sequence, Some(-1));
}

#[test]
fn bytes_that_are_no_message_are_answered_from_defaults() {
    let answer = Answer { problems: &[problem()], ..Answer::new(Code::ApplicationReject, "H1", TIME) };
    for bytes in [&b""[..], b"GET / HTTP/1.1", b"MSH", b"MSH|^^\\&|A"] {
        let written = String::from_utf8(write_unreadable(bytes, &answer)).unwrap();
        assert!(
            written.starts_with("MSH|^~\\&|HUB|NDP|||20261105093015+0200||ACK|H1|P|2.5.1\rMSA|AR|\rERR||PID^1^3|101^"),
            "{written}"
        );
    }
}

#[test]
fn a_message_of_which_only_the_header_can_be_read_is_answered_by_it() {
    let text = format!("{}{}", message("ADT^A01|77|P|2.5"), "PID|1\r".repeat(100_001));
    assert!(Index::new().read(text.as_bytes()).is_err());
    let written =
        String::from_utf8(write_unreadable(text.as_bytes(), &Answer::new(Code::ApplicationReject, "H1", TIME)));
    assert!(written.unwrap().ends_with("|ACK^A01^ACK|H1|P|2.5\rMSA|AR|77\r"));
}

#[test]
fn short_delimiters_still_make_an_answer() {
    let text = "MSH|^|OLD|H1|HUB|NDP|1998||ORM^O01|O-2|P|2.2\r";
    let answer = Answer { text: "a|b^c", problems: &[problem()], ..Answer::new(Code::ApplicationError, "H1", TIME) };
    assert_eq!(
        written(text.as_bytes(), &answer),
        "MSH|^|HUB|NDP|OLD|H1|20261105093015+0200||ACK^O01^ACK|H1|P|2.2\rMSA|AE|O-2|a b c\rERR|PID^1^3^101\r"
    );
}

/// MSH-15, MSH-16; whether an accept and an application acknowledgement are due after success, after an error.
#[test]
fn the_mode_follows_the_table_of_the_standard() {
    for (accept, application, on_success, on_error) in [
        ("", "", (false, true), (false, true)),
        ("NE", "NE", (false, false), (false, false)),
        ("AL", "NE", (true, false), (true, false)),
        ("AL", "", (true, false), (true, false)),
        ("SU", "NE", (true, false), (false, false)),
        ("ER", "", (false, false), (true, false)),
        ("NE", "AL", (false, true), (false, true)),
        ("", "AL", (false, true), (false, true)),
        ("", "SU", (false, true), (false, false)),
        ("NE", "ER", (false, false), (false, true)),
        ("AL", "AL", (true, true), (true, true)),
        ("AL", "ER", (true, false), (true, true)),
        ("ER", "AL", (false, true), (true, true)),
        ("al", " ne ", (true, false), (true, false)),
        ("\"\"", "\"\"", (false, true), (false, true)),
        ("WHAT", "", (true, false), (true, false)),
    ] {
        let text = message(&format!("ADT^A01|1|P|2.5|||{accept}|{application}"));
        let mut index = Index::new();
        let header = index.read(text.as_bytes()).unwrap().header();
        let mode = AckMode::of(&header, AckRule::AsAsked);
        let due = |success| (mode.accept_due(success), mode.application_due(success));
        assert_eq!((due(true), due(false)), (on_success, on_error), "{accept} {application}");
        assert_eq!(AckMode::of(&header, AckRule::Original), AckMode::Original);
    }
    assert!(AckMode::Original.application_due(true) && AckMode::Original.application_due(false));
    assert!(!AckMode::Original.accept_due(true) && !AckMode::Original.accept_due(false));
}

#[test]
fn acknowledgements_of_careless_receivers_are_understood() {
    for (text, code, control_id) in [
        ("MSH|^~\\&|A|B|C|D|2026||ACK|9|P|2.5\rMSA|AA|M-1\r", Code::ApplicationAccept, "M-1"),
        ("MSH|^~\\&|A|B|C|D|2026||ACK|9|P|2.5\nMSA|aa| M-1 \n", Code::ApplicationAccept, "M-1"),
        ("MSH|^~\\&|A|B|C|D|2026||ACK|9|P|2.5\r\nMSA| CA |M-1", Code::CommitAccept, "M-1"),
        ("MSH|^~\\&|A\r\rMSA|AE", Code::ApplicationError, ""),
        ("MSH|^~\\&|A\rMSA|CR|", Code::CommitReject, ""),
        ("MSH#*%/@#A\rMSA#AR#M-1#no/F/thing", Code::ApplicationReject, "M-1"),
    ] {
        let read = read(text.as_bytes()).unwrap();
        assert_eq!((read.code, read.control_id.as_slice()), (code, control_id.as_bytes()), "{text}");
    }
}

#[test]
fn an_answer_that_is_no_acknowledgement_is_refused() {
    for (text, reason) in [
        ("MSH|^~\\&|A|B", "the answer has no MSA"),
        ("MSH|^~\\&|A\rMSA||M-1", "the answer has no acknowledgement code"),
        ("MSH|^~\\&|A\rMSA|OK|M-1", "the answer has no acknowledgement code"),
        ("MSA|AA|M-1", "the message does not begin with MSH"),
        ("", "the message is empty"),
    ] {
        assert_eq!(read(text.as_bytes()).unwrap_err().reason, reason, "{text}");
    }
}

#[test]
fn an_acknowledgement_answers_the_message_that_it_names() {
    let named = read(b"MSH|^~\\&|A\rMSA|AA|M-1").unwrap();
    assert!(named.answers(b"M-1", false) && named.answers(b" M-1", true));
    assert!(!named.answers(b"M-2", true) && !named.answers(b"M-2", false));
    let unnamed = read(b"MSH|^~\\&|A\rMSA|AA").unwrap();
    assert!(unnamed.answers(b"M-1", true) && !unnamed.answers(b"M-1", false));
}

#[test]
fn the_text_of_an_acknowledgement_is_not_shown_by_debug() {
    let read = read(b"MSH|^~\\&|A\rMSA|AE|M-1|patient ALI unknown\rERR||PID^1^3|204|E|X1").unwrap();
    let shown = format!("{read:?}");
    assert!(!shown.contains("ALI") && shown.contains("204") && shown.contains("X1"), "{shown}");
}

#[test]
fn codes_are_written_as_they_are_read() {
    for code in ["AA", "AE", "AR", "CA", "CE", "CR"] {
        let read = Code::parse(code).unwrap();
        assert_eq!(read.as_str(), code);
        assert_eq!(read.is_positive(), code.ends_with('A'));
        assert_eq!(read.is_commit(), code.starts_with('C'));
    }
    assert_eq!(Code::parse("XX"), None);
}
