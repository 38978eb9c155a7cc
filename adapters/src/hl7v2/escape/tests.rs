use proptest::prelude::*;

use super::*;

const FIVE: Delimiters = Delimiters {
    field: b'|',
    component: Some(b'^'),
    repetition: Some(b'~'),
    escape: Some(b'\\'),
    subcomponent: Some(b'&'),
    truncation: Some(b'#'),
};

const OTHERS: Delimiters = Delimiters {
    field: b'#',
    component: Some(b'*'),
    repetition: Some(b'%'),
    escape: Some(b'/'),
    subcomponent: Some(b'@'),
    truncation: None,
};

fn text(leaf: &str) -> String {
    decode(leaf.as_bytes(), &Delimiters::default(), Charset::Utf8).into_owned()
}

#[test]
fn every_row_of_the_standard_is_decoded() {
    for (leaf, expected) in [
        (r"a\F\b", "a|b"),
        (r"a\S\b", "a^b"),
        (r"a\R\b", "a~b"),
        (r"a\E\b", r"a\b"),
        (r"a\T\b", "a&b"),
        (r"a\P\b", "a#b"),
        (r"a\L\b", "a#b"),
        (r"caf\XC3A9\", "café"),
        (r"caf\Xc3\\XA9\", "café"),
        (r"a\X0D\b", "a\rb"),
        (r"a\X0A\b", "a\nb"),
        (r"a\X000d\b", "a\rb"),
        (r"a\X000A\b", "a\nb"),
        (r"a\.br\b", "a\nb"),
        (r"a\.BR\b", "a\nb"),
        (r"a\.sp\b", "a\nb"),
        (r"a\.sp3\b", "a\n\n\nb"),
        (r"a\.sp+2\b", "a\n\nb"),
        (r"a\.sk4\b", "a    b"),
        (r"a\.sk\b", "a b"),
        (r"a\.in4\b", "ab"),
        (r"a\.ti-2\b", "ab"),
        (r"a\.fi\b\.nf\c", "abc"),
        (r"a\.ce\b", "a\nb"),
        (r"\H\loud\N\ quiet", "loud quiet"),
        (r"日本\S\語", "日本^語"),
        (r"Müller \T\ Söhne", "Müller & Söhne"),
        ("broken\nline", "broken\nline"),
        ("broken\r\nline", "broken\nline"),
        ("broken\rline", "broken\nline"),
    ] {
        assert_eq!(text(leaf), expected, "{leaf}");
    }
}

#[test]
fn what_is_unknown_or_unterminated_stays_and_is_counted() {
    for leaf in [
        r"a\Zdd1\b",
        r"a\Q\b",
        r"a\b",
        r"5 mg \ day",
        r"a\",
        r"\",
        r"\\",
        r"a\X0\b",
        r"a\X0D0\b",
        r"a\XZZ\b",
        r"a\X\b",
        r"a\M2442\b",
        r"a\C0000\b",
        r"a\f\b",
        r"a\.sp1000\b",
        r"a\.sp99999999999999999999999\b",
        r"a\.zz\b",
        r"C:\Users\x y\z",
    ] {
        let decoded = decode_counting(leaf.as_bytes(), &Delimiters::default(), Charset::Utf8);
        assert_eq!(decoded.text, leaf);
        assert!(decoded.unknown > 0, "{leaf}");
    }
}

#[test]
fn a_known_escape_after_a_lone_backslash_is_still_read() {
    assert_eq!(text(r"5 mg \ day \T\ night"), r"5 mg \ day & night");
}

#[test]
fn hexadecimal_bytes_are_read_in_the_character_set_of_the_message() {
    let arabic = decode(br"\XE3CDE3CF\", &Delimiters::default(), Charset::Windows1256);
    assert_eq!(arabic, "محمد");
}

#[test]
fn a_switch_of_character_set_holds_until_the_next() {
    let leaf = b"a\\C2D47\\\xe5\xcd\xe5\xcf\\C2842\\b\xe3";
    assert_eq!(decode(leaf, &Delimiters::default(), Charset::Windows1256), "aمحمدbم");
}

#[test]
fn a_hidden_carriage_return_stays_text_and_is_written_as_text() {
    let hostile = text(r"note\X0D\RXE|1\F\2");
    assert_eq!(hostile, "note\rRXE|1|2");
    let written = encode(&hostile, &Delimiters::default(), Charset::Utf8).unwrap();
    assert_eq!(written, br"note\X0D\RXE\F\1\F\2");
}

#[test]
fn the_delimiters_of_the_target_are_escaped() {
    let all = "|^~\\&#*%/@";
    for (delimiters, expected) in [
        (Delimiters::default(), r"\F\\S\\R\\E\\T\#*%/@"),
        (FIVE, r"\F\\S\\R\\E\\T\\X23\*%/@"),
        (OTHERS, r"|^~\&/F//S//R//E//T/"),
    ] {
        let written = encode(all, &delimiters, Charset::Utf8).unwrap();
        assert_eq!(String::from_utf8(written.clone()).unwrap(), expected);
        assert_eq!(decode(&written, &delimiters, Charset::Utf8), all);
    }
}

#[test]
fn line_breaks_are_written_for_formatted_and_for_plain_types() {
    assert_eq!(encode("a\nb\rc", &Delimiters::default(), Charset::Utf8).unwrap(), br"a\.br\b\X0D\c");
    assert_eq!(encode_unformatted("a\nb\rc", &Delimiters::default(), Charset::Utf8).unwrap(), br"a\X0A\b\X0D\c");
}

#[test]
fn without_an_escape_character_a_delimiter_is_refused_and_nothing_is_unescaped() {
    let delimiters = Delimiters { escape: None, ..Delimiters::default() };
    assert_eq!(encode("a|b", &delimiters, Charset::Utf8), Err(EncodeError::NoEscape));
    assert_eq!(encode("ab", &delimiters, Charset::Utf8).unwrap(), b"ab");
    assert_eq!(decode(br"a\F\b", &delimiters, Charset::Utf8), r"a\F\b");
}

fn charsets() -> impl Strategy<Value = Charset> {
    prop_oneof![Just(Charset::Utf8), Just(Charset::Windows1256), Just(Charset::Iso8859_6), Just(Charset::Ascii)]
}

fn delimiters() -> impl Strategy<Value = Delimiters> {
    prop_oneof![Just(Delimiters::default()), Just(FIVE), Just(OTHERS)]
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\\\|^~&#.XFSRETPLHNZCM0-9a-d\r\n ]{0,40}", "[ء-ي \\\\|^\r\n\u{64B}-\u{652}]{0,40}",]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_written_reads_back_as_the_same_text(text in texts(), delimiters in delimiters(), charset in charsets()) {
        if let Ok(written) = encode(&text, &delimiters, charset) {
            prop_assert_eq!(decode_counting(&written, &delimiters, charset).unknown, 0);
            prop_assert_eq!(decode(&written, &delimiters, charset), text.as_str());
            let plain = encode_unformatted(&text, &delimiters, charset).unwrap();
            prop_assert_eq!(decode(&plain, &delimiters, charset), text.as_str());
        }
    }

    #[test]
    fn what_is_written_holds_no_delimiter_and_no_line_break(text in texts(), delimiters in delimiters(), charset in charsets()) {
        if let Ok(written) = encode(&text, &delimiters, charset) {
            let dividing = [Some(delimiters.field), delimiters.component, delimiters.repetition, delimiters.subcomponent];
            prop_assert!(!written.iter().any(|&byte| is_line_break(byte) || dividing.contains(&Some(byte))));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(leaf in prop::collection::vec(any::<u8>(), 0..200), charset in charsets()) {
        decode(&leaf, &Delimiters::default(), charset);
    }
}
