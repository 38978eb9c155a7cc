use super::*;
use crate::hl7v2::index::Index;

const M: &str = "MSH|^~\\&|HIS|H1|HUB|NDP|2026||ADT^A08|B-1|P|2.5\rPID|1\r";

/// Every byte is in exactly one part.
fn check_all_bytes(bytes: &[u8], envelope: &Envelope) {
    let mut parts: Vec<Range<usize>> = envelope.messages().collect();
    parts.extend(envelope.between.iter().cloned());
    parts.extend(envelope.file_header.iter().chain(&envelope.file_trailer).cloned());
    parts.extend(envelope.batches.iter().flat_map(|batch| batch.header.iter().chain(&batch.trailer).cloned()));
    parts.sort_by_key(|part| part.start);
    let mut at = 0;
    for part in parts {
        assert_eq!(part.start, at, "no byte is lost and none is in two parts");
        at = part.end;
    }
    assert_eq!(at, bytes.len());
}

fn split_text(text: &str) -> Envelope {
    let envelope = split(text.as_bytes()).unwrap();
    check_all_bytes(text.as_bytes(), &envelope);
    for range in envelope.messages() {
        assert!(Index::new().read(&text.as_bytes()[range]).is_ok());
    }
    envelope
}

fn shape(envelope: &Envelope) -> Vec<(bool, usize, bool)> {
    let batches = envelope.batches.iter();
    batches.map(|batch| (batch.header.is_some(), batch.messages.len(), batch.trailer.is_some())).collect()
}

#[test]
fn a_file_of_two_batches_is_taken_apart() {
    let text = format!("FHS|^~\\&|A\rBHS|^~\\&|A\r{M}{M}BTS|2\rBHS|^~\\&|A\r{M}BTS|1|comment\rFTS|2\r");
    let envelope = split_text(&text);
    assert_eq!(shape(&envelope), [(true, 2, true), (true, 1, true)]);
    assert!(envelope.file_header.is_some() && envelope.file_trailer.is_some());
    assert_eq!(envelope.findings, []);
    assert_eq!(&text[envelope.messages().nth(1).unwrap()], M);
}

#[test]
fn every_header_and_trailer_may_be_missing() {
    for (text, expected) in [
        (M.to_owned(), vec![(false, 1, false)]),
        (format!("{M}{M}"), vec![(false, 2, false)]),
        (format!("\r\n{M}\r\n\r\n{M}"), vec![(false, 2, false)]),
        (format!("\u{FEFF}{M}"), vec![(false, 1, false)]),
        (format!("BHS|^~\\&\r{M}"), vec![(true, 1, false)]),
        (format!("{M}BTS|1\r{M}"), vec![(false, 1, true), (false, 1, false)]),
        (format!("FHS|^~\\&\r{M}FTS\r"), vec![(false, 1, false)]),
        (format!("BHS|^~\\&\rBHS|^~\\&\r{M}"), vec![(true, 0, false), (true, 1, false)]),
    ] {
        assert_eq!(shape(&split_text(&text)), expected, "{text:?}");
    }
}

#[test]
fn wrong_counts_are_found_and_the_messages_are_there() {
    for (text, expected) in [
        (format!("BHS|^~\\&\r{M}BTS|1\r"), vec![]),
        (format!("BHS|^~\\&\r{M}BTS\r"), vec![]),
        (format!("BHS|^~\\&\r{M}BTS|\r"), vec![]),
        (format!("BHS|^~\\&\r{M}BTS| 1 \r"), vec![]),
        (format!("BHS|^~\\&\r{M}BTS|5\r"), vec![Finding::MessageCount { batch: 0, declared: 5, found: 1 }]),
        (format!("BHS|^~\\&\r{M}BTS|one\r"), vec![Finding::UnreadableCount]),
        (format!("BHS|^~\\&\r{M}BTS|99999999999999999999999\r"), vec![Finding::UnreadableCount]),
        (format!("FHS|^~\\&\r{M}FTS|3\r"), vec![Finding::BatchCount { declared: 3, found: 1 }]),
        (format!("{M}BTS|1\rBTS|1\r"), vec![Finding::StrayTrailer]),
        (format!("{M}FTS|1\r"), vec![Finding::StrayTrailer]),
        (format!("FHS|^~\\&\r{M}FTS|1\rFHS|^~\\&\r{M}FTS|1\r"), vec![Finding::SecondFile, Finding::SecondFile]),
    ] {
        assert_eq!(split_text(&text).findings, expected, "{text:?}");
    }
}

#[test]
fn framing_in_a_file_is_between_the_messages() {
    let text = format!("\x0B{M}\x1C\r\x0B{M}\x1C\r\n\x0B{M}\x1C");
    let envelope = split_text(&text);
    assert!(envelope.messages().all(|range| &text[range] == M));
    assert_eq!(envelope.messages().count(), 3);
}

#[test]
fn a_message_in_a_batch_has_its_own_delimiters() {
    let text = format!("BHS|^~\\&|A\rMSH#*%/@#A##B\rPID#1\r{M}BTS|2\r");
    let envelope = split_text(&text);
    assert_eq!((envelope.messages().count(), envelope.findings.len()), (2, 0));
}

#[test]
fn what_begins_with_neither_header_nor_message_is_refused() {
    for bytes in [&b""[..], b"\r\n", b"PID|1\rMSH|^~\\&|A", b"hello\rBHS|^~\\&", b"MSHX"] {
        assert!(split(bytes).is_err(), "{bytes:?}");
    }
    assert!(is_envelope(b"BHS|^~\\&|") && is_envelope(b"\xEF\xBB\xBF\r\nFHS|^~\\&|"));
    assert!(!is_envelope(M.as_bytes()) && !is_envelope(b"") && !is_envelope(b"PID|1"));
}

#[test]
fn more_messages_than_the_limit_are_refused() {
    let text = "MSH|^\r".repeat(MESSAGES_MAX);
    assert_eq!(split(text.as_bytes()).unwrap().messages().count(), MESSAGES_MAX);
    let reason = split(format!("{text}MSH|^\r").as_bytes()).unwrap_err().reason;
    assert_eq!(reason, "the envelope has more messages than the limit");
}

#[test]
fn answers_are_wrapped_into_a_batch_that_names_the_one_they_answer() {
    let bytes = b"BHS|^~\\&|HIS|H1|HUB|NDP|2026||name|comment|BA-1\r";
    let mut index = Index::new();
    let header = index.read_headed(bytes).unwrap();
    let answers = [b"MSH|^~\\&|HUB\rMSA|AA|1\r".to_vec(), b"MSH|^~\\&|HUB\rMSA|AE|2".to_vec()];
    let wrapped = wrap(Some(&header), &answers, "H|1", "2026");
    assert_eq!(
        String::from_utf8(wrapped.clone()).unwrap(),
        "BHS|^~\\&|HUB|NDP|HIS|H1|2026||||H1|BA-1\rMSH|^~\\&|HUB\rMSA|AA|1\rMSH|^~\\&|HUB\rMSA|AE|2\rBTS|2\r"
    );
    let envelope = split(&wrapped).unwrap();
    assert_eq!((shape(&envelope), envelope.findings.len()), (vec![(true, 2, true)], 0));
    let mut own = Index::new();
    let own = own.read_headed(&wrapped[envelope.batches[0].header.clone().unwrap()]).unwrap();
    assert_eq!((own.header().field(11).text().as_ref(), own.header().field(12).text().as_ref()), ("H1", "BA-1"));
}

#[test]
fn any_bytes_are_split_without_losing_one() {
    let mut state = 0x9E37_79B9_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(limit).unwrap()).unwrap()
    };
    let pieces = [
        "MSH|^~\\&|",
        "BHS|^~\\&|",
        "FHS|",
        "BTS|1",
        "FTS",
        "PID|1",
        "\r",
        "\n",
        "\x0B",
        "\x1C",
        "\r\n",
        "x",
        "\0",
        "MSH",
    ];
    let mut envelopes = 0;
    for _ in 0..20_000 {
        let count = below(20);
        let text: String = (0..count).map(|_| pieces[below(pieces.len())]).collect();
        if let Ok(envelope) = split(text.as_bytes()) {
            check_all_bytes(text.as_bytes(), &envelope);
            envelopes += 1;
        }
    }
    assert!(envelopes > 1_000, "only {envelopes} could be split");
}
