use proptest::prelude::*;

use super::*;
use crate::hl7v2::charset::CharsetRule;
use crate::hl7v2::message::Document;

const TEXT: &str = concat!(
    "\u{FEFF}MSH|^~\\&|HIS|H1^1.2^ISO|HUB|NDP|2026||RDE^O11|1|P|2.5\r\n\n",
    "PID|1||100^^^H1&1.2&ISO^MR~200^^^NID^NI||ALI^MONA|\r\n",
    "ORC|NW|R1^HIS\r\nNTE|1||raw\nline\r\nORC|NW|R2\r\nRXE||D2",
);

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn edited(text: &str, edit: impl FnOnce(&mut Editor) -> Result<(), EditError>) -> Result<String, EditError> {
    let document = Document::read(text.as_bytes().to_vec().into(), CharsetRule::default()).unwrap();
    let mut editor = Editor::new(&document.message());
    edit(&mut editor)?;
    Ok(String::from_utf8(editor.finish()).unwrap())
}

#[test]
fn what_is_set_is_changed_and_every_other_byte_stays() {
    for (place, text, before, after) in [
        ("MSH-3", "LAB", "|HIS|", "|LAB|"),
        ("MSH-10", "9^9", "|1|P", r"|9\S\9|P"),
        ("PID-3.1", "101", "|100^", "|101^"),
        ("PID-3[2].1", "201", "~200^", "~201^"),
        ("PID-3[.5 = \"NI\"].1", "201", "~200^", "~201^"),
        ("PID-3[.5 = \"NI\"]", "201", "~200^^^NID^NI", "~201"),
        ("PID-3.4.2", "1.3", "&1.2&", "&1.3&"),
        ("PID-3.4.1", "H2", "^H1&", "^H2&"),
        ("PID-3.4", "H2", "^H1&1.2&ISO^", "^H2^"),
        ("PID-3", "7", "100^^^H1&1.2&ISO^MR~200^^^NID^NI", "7"),
        ("PID-5.3", "SAMIR", "ALI^MONA|", "ALI^MONA^SAMIR|"),
        ("PID-5.5.2", "x", "ALI^MONA|", "ALI^MONA^^^&x|"),
        ("PID-5[3].2", "x", "ALI^MONA|", "ALI^MONA~~^x|"),
        ("PID-2", "x", "PID|1||", "PID|1|x|"),
        ("PID-6", "x", "MONA|\r", "MONA|x\r"),
        ("PID-9.2", "x", "MONA|\r", "MONA||||^x\r"),
        ("ORC[2]-2", "R9", "|R2\r", "|R9\r"),
        ("ORDER[2].RXE-2", "D9", "||D2", "||D9"),
        ("RXE-4.2", "x", "||D2", "||D2||^x"),
        ("NTE-3", "a\nb", "raw\nline", r"a\.br\b"),
        ("ORC-2.1", "line\rRXE|1", "|R1^", r"|line\X0D\RXE\F\1^"),
    ] {
        assert_eq!(TEXT.matches(before).count(), 1, "{before:?} stands once");
        let expected = TEXT.replace(before, after);
        assert_eq!(edited(TEXT, |editor| editor.set(&path(place), text)).unwrap(), expected, "{place}");
    }
}

#[test]
fn null_and_raw_bytes_are_set_as_they_are() {
    let null = edited(TEXT, |editor| editor.set_null(&path("PID-5.1"))).unwrap();
    assert!(null.contains("|\"\"^MONA|"));
    let raw = edited(TEXT, |editor| editor.set_raw(&path("PID-5"), br"A^B&C~D\Zx\")).unwrap();
    assert!(raw.contains(r"|A^B&C~D\Zx\|"));
    for (place, bytes) in [
        ("PID-5", &b"a|b"[..]),
        ("PID-5", b"a\rb"),
        ("PID-5", b"a\nb"),
        ("PID-5[1]", b"a~b"),
        ("PID-5.1", b"a^b"),
        ("PID-5.1.1", b"a&b"),
    ] {
        assert_eq!(edited(TEXT, |editor| editor.set_raw(&path(place), bytes)), Err(EditError::Divides), "{place}");
    }
}

#[test]
fn several_changes_follow_each_other() {
    let changed = edited(TEXT, |editor| {
        editor.set(&path("PID-30"), "last")?;
        editor.set(&path("PID-3.1"), "longer than before")?;
        editor.set(&path("PID-30"), "again")?;
        editor.set(&path("RXE-2"), "")
    })
    .unwrap();
    let document = Document::read(changed.into_bytes().into(), CharsetRule::default()).unwrap();
    let message = document.message();
    let text = |at: &str| message.find(&message.whole(), &path(at)).text().into_owned();
    assert_eq!(
        [text("PID-30"), text("PID-3.1"), text("PID-5.2"), text("RXE-2")],
        ["again", "longer than before", "MONA", ""]
    );
    assert_eq!(message.segment_count(), 6);
}

#[test]
fn what_cannot_be_written_is_refused_and_changes_nothing() {
    for (place, expected) in [
        ("OBX-5", EditError::NoSegment),
        ("ORC[3]-1", EditError::NoSegment),
        ("PID", EditError::NoField),
        ("PID-3[*].1", EditError::NotOnePlace),
        ("ORC[*]-1", EditError::NotOnePlace),
        ("PID-3[.5 = \"XX\"].1", EditError::NoRepetition),
        ("MSH-1", EditError::Delimiters),
        ("MSH-2", EditError::Delimiters),
    ] {
        assert_eq!(edited(TEXT, |editor| editor.set(&path(place), "x")), Err(expected), "{place}");
    }
    let short = "MSH|^|A|B|C|D|2026||ADT^A01|1|P|2.2\rPID|1\r";
    assert_eq!(edited(short, |editor| editor.set(&path("PID-1.2"), "x")).unwrap(), short.replace("PID|1", "PID|1^x"));
    assert_eq!(edited(short, |editor| editor.set(&path("PID-1.1.2"), "x")), Err(EditError::NoDelimiter));
    assert_eq!(edited(short, |editor| editor.set(&path("PID-1[2]"), "x")), Err(EditError::NoDelimiter));
    assert_eq!(edited(short, |editor| editor.set(&path("PID-1"), "a|b")), Err(EditError::Text(EncodeError::NoEscape)));
}

#[test]
fn text_is_written_in_the_character_set_of_the_message() {
    let name = Charset::Windows1256.encode("السيد").unwrap().into_owned();
    let mut bytes = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5||||||WINDOWS-1256\rPID|1||||".to_vec();
    bytes.extend_from_slice(&name);
    let document = Document::read(bytes.into(), CharsetRule::default()).unwrap();
    let mut editor = Editor::new(&document.message());
    editor.set(&path("PID-5.2"), "محمد").unwrap();
    assert!(matches!(editor.set(&path("PID-5.3"), "日本"), Err(EditError::Text(EncodeError::Charset(_)))));
    let expected = [&name[..], b"^", &Charset::Windows1256.encode("محمد").unwrap()].concat();
    assert!(editor.finish().ends_with(&expected));
}

#[test]
fn seven_bit_text_takes_the_character_set_that_is_declared() {
    let declared = TEXT.trim_start_matches('\u{FEFF}').replace("|P|2.5", "|P|2.5||||||UNICODE UTF-8");
    assert!(edited(&declared, |editor| editor.set(&path("PID-5.1"), "علي")).unwrap().contains("|علي^MONA|"));
    let undeclared = TEXT.trim_start_matches('\u{FEFF}');
    assert!(edited(undeclared, |editor| editor.set(&path("PID-5.1"), "علي")).is_err());
}

#[test]
fn a_new_message_is_built_field_by_field() {
    let mut builder = Builder::new(Delimiters::default(), Charset::Utf8).unwrap();
    let msh = builder.segment("MSH").unwrap();
    builder.set(msh, Place::field(3), "HUB").unwrap();
    builder.set(msh, Place::component(9, 2), "O11").unwrap();
    builder.set(msh, Place::component(9, 1), "RDE").unwrap();
    let pid = builder.segment("PID").unwrap();
    builder.set(pid, Place::of(&path("PID-3[2].4.2")).unwrap(), "1.2").unwrap();
    builder.set(pid, Place::of(&path("PID-3[1].1")).unwrap(), "a|b").unwrap();
    builder.set_null(pid, Place::field(5)).unwrap();
    builder.set_raw(pid, Place::field(6), b"x^y~z").unwrap();
    builder.set(pid, Place::field(9), "").unwrap();
    builder.segment("ZZ1").unwrap();
    let expected = "MSH|^~\\&|HUB||||||RDE^O11\rPID|||a\\F\\b~^^^&1.2||\"\"|x^y~z\rZZ1\r";
    assert_eq!(String::from_utf8(builder.finish()).unwrap(), expected);
}

#[test]
fn a_new_message_has_the_delimiters_and_the_character_set_that_were_asked_for() {
    let delimiters = Delimiters {
        field: b'#',
        component: Some(b'*'),
        repetition: Some(b'%'),
        escape: Some(b'/'),
        subcomponent: Some(b'@'),
        truncation: None,
    };
    let mut builder = Builder::new(delimiters, Charset::Windows1256).unwrap();
    let msh = builder.segment("MSH").unwrap();
    builder.set(msh, Place::field(3), "A#B").unwrap();
    builder.set(msh, Place::component(4, 2), "محمد").unwrap();
    assert_eq!(builder.finish(), b"MSH#*%/@#A/F/B#*\xe3\xcd\xe3\xcf\r");
}

#[test]
fn a_new_message_that_could_not_be_read_is_refused() {
    let twice = Delimiters { escape: Some(b'^'), ..Delimiters::default() };
    assert_eq!(Builder::new(twice, Charset::Utf8).unwrap_err(), EditError::Delimiters);
    let mut builder = Builder::new(Delimiters::default(), Charset::Utf8).unwrap();
    for name in ["", "PI", "PIDX", "pid", "1ID", "P D", "P|D"] {
        assert_eq!(builder.segment(name), Err(EditError::Name), "{name}");
    }
    let msh = builder.segment("MSH").unwrap();
    assert_eq!(builder.set(msh, Place::field(2), "x"), Err(EditError::Delimiters));
    assert_eq!(builder.set(msh, Place::field(0), "x"), Err(EditError::Number));
    assert_eq!(builder.set(msh, Place::field(10_000), "x"), Err(EditError::Number));
    assert_eq!(builder.set(msh, Place { repetition: Some(10_001), ..Place::field(3) }, "x"), Err(EditError::Number));
    assert_eq!(builder.set(msh, Place::component(3, 0), "x"), Err(EditError::Number));
    assert_eq!(builder.set(7, Place::field(3), "x"), Err(EditError::NoSegment));
    assert_eq!(builder.set_raw(msh, Place::field(3), b"a\rb"), Err(EditError::Divides));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_set_is_read_back_and_no_segment_comes_or_goes(
        text in "[ء-يa-z\\\\|^~&#\"\r\n.]{0,20}",
        field in 3_u16..40,
        repetition in 1_u32..4,
        component in 1_u16..6,
        subcomponent in prop::option::of(1_u16..4),
    ) {
        prop_assume!(text != "\"\"");
        let below = subcomponent.map(|subcomponent| format!(".{subcomponent}")).unwrap_or_default();
        let place = path(&format!("PID-{field}[{repetition}].{component}{below}"));
        let changed = edited(TEXT, |editor| editor.set(&place, &text)).unwrap();
        let document = Document::read(changed.into_bytes().into(), CharsetRule::default()).unwrap();
        let message = document.message();
        prop_assert_eq!(message.find(&message.whole(), &place).text(), text);
        prop_assert_eq!(message.segment_count(), 6);
        prop_assert_eq!(message.find(&message.whole(), &path("RXE-2")).text(), "D2");
    }
}
