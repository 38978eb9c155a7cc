use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[test]
fn the_table_has_every_type_and_no_other() {
    let rows: Vec<&str> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.split(' ').next().unwrap()).collect();
    assert_eq!(names, Primitive::all().map(Primitive::name).collect::<Vec<_>>());
    assert_eq!(Primitive::of("dateTime"), Some(Primitive::DateTime));
    assert_eq!(Primitive::of("datetime"), None);
    assert_eq!(Primitive::Decimal.form(), Form::Number);
    assert_eq!(Primitive::Boolean.form(), Form::Boolean);
    assert_eq!(Primitive::Instant.form(), Form::Text);
    assert_eq!(Primitive::Boolean.pattern(), Some("true|false"));
    assert_eq!(Primitive::Xhtml.pattern(), None);
}

#[test]
fn values_are_taken() {
    for (name, texts) in [
        ("date", "2026 2026-11 2026-11-05 2024-02-29 2000-02-29 0001-01-01"),
        ("dateTime", "2026 2026-11-05 2026-11-05T09:29:00+02:00 2026-11-05T23:59:60Z 2026-11-05T00:00:00.1-14:00"),
        ("instant", "2026-11-05T07:30:16.120000Z 2026-11-05T09:29:00+02:00"),
        ("time", "09:29:00 23:59:59.999"),
        ("code", "active entered-in-error 1/d"),
        ("id", "a RX-2026.1 0123456789012345678901234567890123456789012345678901234567890123"),
        ("decimal", "0 -0 1.50 -1.5e-3 10E+2 0.0"),
        ("integer", "0 -1 2147483647 -2147483648"),
        ("unsignedInt", "0 2147483647"),
        ("positiveInt", "1 2147483647"),
        ("uri", "urn:oid:1.2 http://hl7.org/fhir/ValueSet/x|4.0.1 #medication"),
        ("oid", "urn:oid:2.16.840.1.113883 urn:oid:0.0"),
        ("uuid", "urn:uuid:6f1c0f4e-8f4f-5a39-9d7e-0c2f6c1d9a11"),
        ("base64Binary", "QUJD QUI= QUJDQUI="),
        ("string", "قرص é \u{a0}"),
        ("boolean", "true false"),
        ("xhtml", "<div/>"),
    ] {
        for text in texts.split(' ') {
            assert_eq!(Primitive::of(name).unwrap().judge(text), Ok(()), "{name} {text}");
        }
    }
    assert_eq!(Primitive::Code.judge("two words"), Ok(()));
    assert_eq!(Primitive::Base64Binary.judge(" QUJD \n QUJDQUJD\n"), Ok(()));
    assert_eq!(Primitive::String.judge("a line\r\n\tand another"), Ok(()));
}

#[test]
fn what_is_no_value_is_refused_with_the_reason() {
    for (name, flaw, texts) in [
        ("date", Flaw::Shape, "26 2026-1 2026-13 2026-00 2026-11-00 2026-11-32 2026-11-05T09:29:00Z 0000 2026-"),
        ("date", Flaw::Day, "2026-02-29 2026-02-30 1900-02-29 2026-11-31 2026-04-31"),
        ("dateTime", Flaw::Shape, "2026-11T09:29:00Z 2026-11-05T09:29Z 2026-11-05T09:29:00 2026-11-05T24:00:00Z"),
        ("dateTime", Flaw::Shape, "2026-11-05T09:29:61Z 2026-11-05T09:29:00.Z 2026-11-05T09:29:00+14:01 20261105"),
        ("dateTime", Flaw::Shape, "2026-11-05T09:29:00+0200 2026-11-05T09:29:00+15:00 2026-11-05T09:29:00+02:60"),
        ("dateTime", Flaw::Day, "2026-02-30T09:29:00Z"),
        ("instant", Flaw::Shape, "2026-11-05 2026-11-05T09:29Z 2026-11-05T09:29:00"),
        ("instant", Flaw::Day, "2025-02-29T00:00:00Z"),
        ("time", Flaw::Shape, "9:29:00 24:00:00 09:29 09:29:00Z"),
        ("id", Flaw::Shape, "a_b a/b é"),
        ("id", Flaw::TooLarge, "01234567890123456789012345678901234567890123456789012345678901234"),
        ("decimal", Flaw::Shape, "01 1. .5 +1 1e 1,5 - NaN"),
        ("integer", Flaw::Shape, "+1 01 1.0 -01 1e3"),
        ("integer", Flaw::TooLarge, "2147483648 -2147483649 99999999999999999999"),
        ("unsignedInt", Flaw::Shape, "-1 -0 00"),
        ("positiveInt", Flaw::Shape, "0 -1"),
        ("positiveInt", Flaw::TooLarge, "2147483648"),
        ("oid", Flaw::Shape, "1.2.3 urn:oid:1 urn:oid:3.1 urn:oid:1.02 urn:oid:1. urn:oid:1..2"),
        ("uuid", Flaw::Shape, "6f1c0f4e-8f4f-5a39-9d7e-0c2f6c1d9a11 urn:uuid:6F1C0F4E-8F4F-5A39-9D7E-0C2F6C1D9A11"),
        (
            "uuid",
            Flaw::Shape,
            "urn:uuid:6f1c0f4e8f4f5a399d7e0c2f6c1d9a11 urn:uuid:6f1c0f4e-8f4f-5a39-9d7e-0c2f6c1d9a1é",
        ),
        ("base64Binary", Flaw::Shape, "QUJ QUJDQ QU=D- é==="),
        ("boolean", Flaw::Shape, "True 1 yes"),
    ] {
        for text in texts.split(' ') {
            assert_eq!(Primitive::of(name).unwrap().judge(text), Err(flaw), "{name} {text}");
        }
    }
    for (name, text) in [
        ("code", " active"),
        ("code", "active "),
        ("code", "two  words"),
        ("code", "\t"),
        ("uri", "urn: x"),
        ("url", "http://a b"),
        ("string", "bell \u{7}"),
        ("markdown", "\u{0}"),
        ("base64Binary", "QU JD"),
        ("base64Binary", " "),
    ] {
        assert_eq!(Primitive::of(name).unwrap().judge(text), Err(Flaw::Shape), "{name} {text:?}");
    }
}

#[test]
fn nothing_is_empty_and_no_string_is_endless() {
    for primitive in Primitive::all() {
        assert_eq!(primitive.judge(""), Err(Flaw::Empty), "{primitive:?}");
    }
    let longest = "a".repeat(STRING_BYTES_MAX);
    assert_eq!(Primitive::String.judge(&longest), Ok(()));
    assert_eq!(Primitive::String.judge(&(longest + "a")), Err(Flaw::TooLarge));
}

/// A value of any type, and the pattern of its type. White space and letters are those of ASCII: the two
/// readers of patterns see it differently outside.
fn value() -> impl Strategy<Value = (Primitive, String)> {
    let patterned: Vec<Primitive> = Primitive::all().filter(|primitive| primitive.pattern().is_some()).collect();
    prop::sample::select(patterned).prop_flat_map(|primitive| {
        let pattern = primitive.pattern().unwrap();
        let pattern = pattern.replace("[^\\s]", "[!-~]").replace("\\S", "!-~").replace("\\s", "[ \t\r\n]");
        let pattern = if pattern.starts_with("!-~") { pattern.replace("!-~", "[!-~]") } else { pattern };
        (Just(primitive), prop::string::string_regex(&pattern).unwrap())
    })
}

/// What the pattern of a type says of a text.
fn matches_pattern(primitive: Primitive, text: &str) -> bool {
    let whole = format!("^(?:{})$", primitive.pattern().unwrap());
    regex_lite::Regex::new(&whole).unwrap().is_match(text)
}

/// What the hand-written reading says of the shape, without what the patterns do not say.
fn has_shape(primitive: Primitive, text: &str) -> bool {
    !matches!(primitive.judge(text), Err(Flaw::Shape))
}

proptest! {
    #[test]
    fn what_a_pattern_takes_is_taken((primitive, text) in value()) {
        prop_assert!(matches_pattern(primitive, &text));
        prop_assert!(has_shape(primitive, &text));
    }

    #[test]
    fn a_value_with_one_letter_changed_is_judged_as_its_pattern_judges_it(
        (primitive, text) in value(),
        place in any::<Index>(),
        put in prop_oneof!["", "[0-9]", "[ -~]", "\\PC"],
    ) {
        let mut letters: Vec<String> = text.chars().map(String::from).collect();
        prop_assume!(!letters.is_empty());
        let at = place.index(letters.len());
        letters[at] = put;
        let changed = letters.concat();
        prop_assume!(!changed.is_empty());
        prop_assert_eq!(has_shape(primitive, &changed), matches_pattern(primitive, &changed), "{:?} {:?}", primitive, changed);
    }
}
