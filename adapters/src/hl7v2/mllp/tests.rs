use proptest::prelude::*;

use super::*;

const SMALL: FrameLimits =
    FrameLimits { frame_bytes_max: 40, kept_bytes_max: 8, skipped_bytes_max: 100, junk_bytes_max: 10 };

fn frame(body: &str) -> Event {
    Event::Frame(Bytes::copy_from_slice(body.as_bytes()))
}

fn kept(body: &str) -> Bytes {
    Bytes::copy_from_slice(body.as_bytes())
}

/// Feeds `pieces`, then ends the input.
fn events_of<'a>(limits: FrameLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    events_from(Decoder::new(limits), pieces)
}

/// The same, where messages without a frame are taken too.
fn unframed_events_of<'a>(limits: FrameLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    events_from(Decoder::taking_unframed(limits), pieces)
}

fn events_from<'a>(mut decoder: Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut events = VecDeque::new();
    for piece in pieces {
        decoder.feed(piece, &mut events);
    }
    decoder.finish(&mut events);
    events.into()
}

/// Name, input, and the events that it must give however it is cut.
fn vectors() -> Vec<(&'static str, Vec<u8>, Vec<Event>)> {
    let sized = |n: usize| format!("\x0b{}\x1c\r", "a".repeat(n)).into_bytes();
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("nothing", vec![], vec![]),
        ("one frame", text("\x0bMSH|a\r\x1c\r"), vec![frame("MSH|a\r")]),
        ("no CR after the last segment", text("\x0bMSH|a\x1c\r"), vec![frame("MSH|a")]),
        ("two frames in one piece", text("\x0bone\x1c\r\x0btwo\x1c\r"), vec![frame("one"), frame("two")]),
        ("no CR after the end byte", text("\x0bone\x1c\x0btwo\x1c"), vec![frame("one"), frame("two")]),
        ("LF after the end byte", text("\x0bone\x1c\n\x0btwo\x1c\n"), vec![frame("one"), frame("two")]),
        ("CR LF after the end byte", text("\x0bone\x1c\r\n\x0btwo\x1c\r\n"), vec![frame("one"), frame("two")]),
        ("NUL after the frame", text("\x0bone\x1c\r\0\x0btwo\x1c\r\0"), vec![frame("one"), frame("two")]),
        ("CR CR LF NUL after the end byte", text("\x0bone\x1c\r\r\n\0\x0btwo\x1c"), vec![frame("one"), frame("two")]),
        ("more trailing bytes than a trailer has", text("\x0bone\x1c\r\r\r\r\r\r"), vec![frame("one"), Event::Junk(2)]),
        ("junk before the start byte", text("\r\n \0AB\x0bone\x1c\r"), vec![Event::Junk(6), frame("one")]),
        ("an end byte outside of a frame is junk", text("\x1c\r\x0bone\x1c\r"), vec![Event::Junk(2), frame("one")]),
        ("junk between frames", text("\x0bone\x1c\rXY\x0btwo\x1c\r"), vec![frame("one"), Event::Junk(2), frame("two")]),
        ("junk up to the limit", text("0123456789\x0bone\x1c\r"), vec![Event::Junk(10), frame("one")]),
        ("junk over the limit", text("0123456789A\x0bone\x1c\r"), vec![Event::GaveUp(Excess::Junk)]),
        ("junk and no frame", text("GET /"), vec![Event::Junk(5)]),
        ("an empty frame", text("\x0b\x1c\r\x0bone\x1c\r"), vec![frame("one")]),
        ("a frame of blanks", text("\x0b \r\n\0\x1c\r\x0bone\x1c\r"), vec![frame("one")]),
        ("a frame at the limit", sized(40), vec![frame(&"a".repeat(40))]),
        ("a frame over the limit", sized(41), vec![Event::TooLarge(kept("aaaaaaaa"))]),
        (
            "a frame after one over the limit",
            [sized(100), sized(3)].concat(),
            vec![Event::TooLarge(kept("aaaaaaaa")), frame("aaa")],
        ),
        (
            "a start byte inside a frame over the limit",
            [b"\x0b".to_vec(), vec![b'a'; 50], sized(3)].concat(),
            vec![Event::TooLarge(kept("aaaaaaaa")), frame("aaa")],
        ),
        (
            "a frame over both limits",
            [sized(101), sized(3)].concat(),
            vec![Event::TooLarge(kept("aaaaaaaa")), Event::GaveUp(Excess::Frame)],
        ),
        (
            "the input ends in an over-long frame",
            [b"\x0b".to_vec(), vec![b'a'; 50]].concat(),
            vec![Event::TooLarge(kept("aaaaaaaa"))],
        ),
        ("the input ends in a frame", text("\x0bMSH|^~\\&|HIS"), vec![Event::Cut(kept("MSH|^~\\&"))]),
        ("the input ends in a full segment", text("\x0bMSH|a\r"), vec![Event::Cut(kept("MSH|a\r"))]),
        ("the input ends after the start byte", text("\x0b"), vec![Event::Cut(Bytes::new())]),
        ("a start byte twice", text("\x0b\x0bone\x1c\r"), vec![frame("one")]),
        (
            "a start byte after half a frame",
            text("\x0bMSH|half\x0bone\x1c\r"),
            vec![Event::Resync(kept("MSH|half")), frame("one")],
        ),
        (
            "a lost end byte between two messages",
            text("\x0bMSH|||||||||1\rEVN\r\x0bMSH|||||||||2\r\x1c\r"),
            vec![frame("MSH|||||||||1\rEVN\r"), frame("MSH|||||||||2\r")],
        ),
        (
            "a message begun again is not two messages",
            text("\x0bMSH|||||||||1\rEVN\r\x0bMSH|7||||||||1\rEVN\r\x1c\r"),
            vec![Event::Resync(kept("MSH|||||")), frame("MSH|7||||||||1\rEVN\r")],
        ),
        (
            "a start byte as a letter of a message does not make two of it",
            text("\x0bMSH|||||||||1\r\x0bEVN\r\x1c\r"),
            vec![Event::Resync(kept("MSH|||||")), frame("EVN\r")],
        ),
        (
            "a lost end byte before a frame that is cut",
            text("\x0bMSH|||||||||1\r\x0bMSH|||||||||2\r"),
            vec![frame("MSH|||||||||1\r"), Event::Cut(kept("MSH|||||"))],
        ),
        (
            "two lost end bytes",
            text("\x0bMSH|||||||||1\r\x0bMSH|||||||||2\r\x0bMSH|||||||||3\r\x1c"),
            vec![frame("MSH|||||||||1\r"), frame("MSH|||||||||2\r"), frame("MSH|||||||||3\r")],
        ),
        (
            "a lost end byte before a message over the limit is judged by what is kept of it",
            [text("\x0bMSH|||||||||1\r\x0bMSH|||||||||2"), vec![b'a'; 50], text("\x1c")].concat(),
            vec![frame("MSH|||||||||1\r"), Event::TooLarge(kept("MSH|||||"))],
        ),
        (
            "a lost end byte before a frame over the limit",
            [text("\x0bMSH|||||||||1\r"), sized(50)].concat(),
            vec![Event::Resync(kept("MSH|||||")), Event::TooLarge(kept("aaaaaaaa"))],
        ),
    ]
}

#[test]
fn every_vector_gives_its_events() {
    for (name, input, expected) in vectors() {
        assert_eq!(events_of(SMALL, [input.as_slice()]), expected, "{name}");
    }
}

#[test]
fn no_cut_of_a_vector_changes_its_events() {
    for (name, input, expected) in vectors() {
        for at in 0..=input.len() {
            assert_eq!(events_of(SMALL, [&input[..at], &input[at..]]), expected, "{name}, cut at {at}");
        }
    }
}

#[test]
fn a_vector_that_drips_in_gives_the_same_events() {
    for (name, input, expected) in vectors() {
        assert_eq!(events_of(SMALL, input.chunks(1)), expected, "{name}");
    }
}

/// The same for a decoder that takes messages without a frame.
fn unframed_vectors() -> Vec<(&'static str, Vec<u8>, Vec<Event>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("a message without a frame", text("MSH|a\rPID|1\r"), vec![frame("MSH|a\rPID|1\r")]),
        ("blanks before it", text("\r\n MSH|a\n"), vec![Event::Junk(3), frame("MSH|a\n")]),
        ("a last segment that is not full", text("MSH|a\rPID|"), vec![Event::Cut(kept("MSH|a\rPI"))]),
        ("a header and nothing more", text("MSH"), vec![Event::Cut(kept("MSH"))]),
        ("less than a header", text("MS"), vec![Event::Junk(2)]),
        ("something else", text("GET /\r\n"), vec![Event::Junk(7)]),
        ("a header inside of something else", text("xMSH|a\r"), vec![Event::Junk(7)]),
        ("blanks and nothing more", text(" \r\n"), vec![Event::Junk(3)]),
        ("blanks over the limit", text("           MSH|a\r"), vec![Event::GaveUp(Excess::Junk)]),
        (
            "blanks and a piece of junk over the limit",
            text("         xyz\x0bone\x1c"),
            vec![Event::GaveUp(Excess::Junk)],
        ),
        ("an end byte without a start byte", text("MSH|a\x1c\rMSH|b\x1c\r"), vec![frame("MSH|a"), frame("MSH|b")]),
        (
            "a frame after it",
            text("MSH|||||||||1\r\x0bMSH|||||||||2\x1c"),
            vec![frame("MSH|||||||||1\r"), frame("MSH|||||||||2")],
        ),
        (
            "a frame after half of it",
            text("MSH|a\x0bMSH|||||||||2\x1c"),
            vec![Event::Resync(kept("MSH|a")), frame("MSH|||||||||2")],
        ),
        ("it after a frame", text("\x0bone\x1c\r\nMSH|a\r"), vec![frame("one"), frame("MSH|a\r")]),
        ("one over the limit", [text("MSH|"), vec![b'a'; 40]].concat(), vec![Event::TooLarge(kept("MSH|aaaa"))]),
    ]
}

#[test]
fn messages_without_a_frame_are_taken_only_where_asked_for() {
    for (name, input, expected) in unframed_vectors() {
        assert_eq!(unframed_events_of(SMALL, [input.as_slice()]), expected, "{name}");
        for at in 0..=input.len() {
            assert_eq!(unframed_events_of(SMALL, [&input[..at], &input[at..]]), expected, "{name}, cut at {at}");
        }
        assert_eq!(unframed_events_of(SMALL, input.chunks(1)), expected, "{name}");
    }
    assert_eq!(events_of(SMALL, [b"MSH|a\r".as_slice()]), [Event::Junk(6)]);
}

#[test]
fn framed_messages_are_read_the_same_where_unframed_ones_are_taken_too() {
    for (name, input, expected) in vectors() {
        assert_eq!(unframed_events_of(SMALL, input.chunks(1)), expected, "{name}");
    }
}

#[test]
fn silence_ends_a_message_without_a_frame_and_the_next_may_come() {
    let mut decoder = Decoder::taking_unframed(SMALL);
    let mut events = VecDeque::new();
    decoder.feed(b"MSH|a\r", &mut events);
    assert!(decoder.is_unframed() && events.is_empty());
    decoder.end_unframed(&mut events);
    assert!(!decoder.is_unframed());
    decoder.feed(b"\nMSH|b\r", &mut events);
    decoder.end_unframed(&mut events);
    assert_eq!(Vec::from(events), [frame("MSH|a\r"), Event::Junk(1), frame("MSH|b\r")]);
}

#[test]
fn a_frame_cut_in_the_end_bytes_is_not_accepted() {
    let mut decoder = Decoder::new(SMALL);
    let mut events = VecDeque::new();
    decoder.feed(b"\x0bMSH|a\r", &mut events);
    assert!(decoder.is_inside() && events.is_empty());
    decoder.feed(b"\x1c", &mut events);
    assert_eq!(Vec::from(events), [frame("MSH|a\r")]);
    assert!(!decoder.is_inside());
}

#[test]
fn a_frame_over_the_limit_is_told_before_it_ends() {
    let mut decoder = Decoder::new(SMALL);
    let mut events = VecDeque::new();
    decoder.feed(b"\x0b", &mut events);
    for _ in 0..41 {
        decoder.feed(b"a", &mut events);
    }
    assert_eq!(Vec::from(events), [Event::TooLarge(kept("aaaaaaaa"))]);
    assert!(decoder.is_inside());
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn an_endless_frame_is_not_stored() {
    let limits = FrameLimits::default();
    let mut decoder = Decoder::new(limits);
    let mut events = VecDeque::new();
    let piece = [b'a'; 16 * 1024];
    decoder.feed(b"\x0b", &mut events);
    for _ in 0..100_000 {
        decoder.feed(&piece, &mut events);
        assert!(decoder.held_bytes() <= 2 * limits.frame_bytes_max);
    }
    let told: Vec<Event> = events.into();
    assert!(
        matches!(told.as_slice(), [Event::TooLarge(kept), Event::GaveUp(Excess::Frame)] if kept.len() == 64 * 1024)
    );
}

#[test]
fn an_idle_decoder_holds_no_memory() {
    let mut decoder = Decoder::new(FrameLimits::default());
    let mut events = VecDeque::new();
    assert_eq!(decoder.held_bytes(), 0);
    decoder.feed(b"\x0bone", &mut events);
    decoder.feed(b" and two\x1c\r", &mut events);
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn a_mebibyte_that_drips_in_is_read_once() {
    let body = vec![b'a'; 1024 * 1024];
    let started = std::time::Duration::from_secs_f64(cpu_seconds());
    let mut decoder = Decoder::new(FrameLimits::default());
    let mut events = VecDeque::new();
    for byte in encode(&body).chunks(1) {
        decoder.feed(byte, &mut events);
    }
    let spent = std::time::Duration::from_secs_f64(cpu_seconds()).saturating_sub(started);
    assert_eq!(Vec::from(events), [Event::Frame(Bytes::from(body))]);
    assert!(spent < std::time::Duration::from_secs(1), "{spent:?} for a mebibyte");
}

/// Processor time of this thread, so that neighbours on the machine do not count.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    let nanoseconds: f64 = stat.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
    nanoseconds / 1e9
}

#[test]
fn debug_shows_sizes_and_no_body() {
    let events =
        [frame("CANARY"), Event::Resync(kept("CANARY")), Event::TooLarge(kept("CANARY")), Event::Cut(kept("CANARY"))];
    assert!(!format!("{events:?}").contains("CANARY"));
}

/// Input that is mostly the bytes that mean something to the decoder.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(START_BYTE), 4 => Just(END_BYTE), 4 => Just(CARRIAGE_RETURN), 2 => Just(LINE_FEED), 1 => Just(0),
        3 => Just(b'M'), 3 => Just(b'S'), 3 => Just(b'H'), 3 => Just(b'|'), 2 => any::<u8>(),
    ];
    let header = Just(b"\x0bMSH|||||||||1\r".to_vec());
    let piece = prop_oneof![6 => byte.prop_map(|byte| vec![byte]), 1 => header, 1 => Just(vec![b'x'; 45])];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_framed_comes_out_as_it_went_in(bodies in proptest::collection::vec("[^\x0b\x1c]{1,30}", 0..8)) {
        let limits = FrameLimits { frame_bytes_max: 200, ..SMALL };
        let input: Vec<u8> = bodies.iter().flat_map(|body| encode(body.as_bytes())).collect();
        let expected: Vec<Event> =
            bodies.iter().filter(|body| !is_blank(body.as_bytes())).map(|body| frame(body)).collect();
        prop_assert_eq!(events_of(limits, [input.as_slice()]), expected);
    }

    #[test]
    fn the_events_do_not_depend_on_the_cuts(input in hostile(), sizes in proptest::collection::vec(1usize..7, 1..20)) {
        let mut pieces = Vec::new();
        let mut left = input.as_slice();
        for size in sizes.iter().cycle() {
            if left.is_empty() { break; }
            let (piece, rest) = left.split_at((*size).min(left.len()));
            pieces.push(piece);
            left = rest;
        }
        prop_assert_eq!(unframed_events_of(SMALL, pieces.clone()), unframed_events_of(SMALL, [input.as_slice()]));
        prop_assert_eq!(events_of(SMALL, pieces), events_of(SMALL, [input.as_slice()]));
    }

    #[test]
    fn no_frame_is_over_the_limit_or_holds_a_framing_byte(input in hostile()) {
        let framed = events_of(SMALL, [input.as_slice()]);
        for event in framed.into_iter().chain(unframed_events_of(SMALL, [input.as_slice()])) {
            match event {
                Event::Frame(body) => prop_assert!(body.len() <= 40 && can_be_framed(&body)),
                Event::Resync(kept) | Event::TooLarge(kept) | Event::Cut(kept) => prop_assert!(kept.len() <= 8),
                Event::Junk(count) => prop_assert!(count <= 10),
                Event::GaveUp(_) => {}
            }
        }
    }
}
