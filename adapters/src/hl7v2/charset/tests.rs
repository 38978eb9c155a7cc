use super::*;

const NAME: &str = "محمد أحمد عبد الرحمن السيد";
const NAME_1256: &[u8] =
    b"\xe3\xcd\xe3\xcf \xc3\xcd\xe3\xcf \xda\xc8\xcf \xc7\xe1\xd1\xcd\xe3\xe4 \xc7\xe1\xd3\xed\xcf";
const NAME_8859_6: &[u8] =
    b"\xe5\xcd\xe5\xcf \xc3\xcd\xe5\xcf \xd9\xc8\xcf \xc7\xe4\xd1\xcd\xe5\xe6 \xc7\xe4\xd3\xea\xcf";

const AUTO: CharsetRule = CharsetRule::Auto { default: Charset::Windows1256 };

fn report(bytes: &[u8], declared: &str) -> CharsetReport {
    find(bytes, declared.as_bytes(), Some(b'~'), AUTO, &mut Findings::default())
}

#[test]
fn the_known_vectors_are_written_and_read() {
    assert_eq!(Charset::Windows1256.encode(NAME).unwrap().as_ref(), NAME_1256);
    assert_eq!(Charset::Iso8859_6.encode(NAME).unwrap().as_ref(), NAME_8859_6);
    assert_eq!(Charset::Windows1256.decode(NAME_1256), NAME);
    assert_eq!(Charset::Iso8859_6.decode(NAME_8859_6), NAME);
    assert_eq!(&NAME.as_bytes()[..9], b"\xd9\x85\xd8\xad\xd9\x85\xd8\xaf ");
}

#[test]
fn the_known_vectors_are_told_apart_without_msh_18() {
    for (bytes, charset) in [
        (NAME.as_bytes(), Charset::Utf8),
        (NAME_1256, Charset::Windows1256),
        (NAME_8859_6, Charset::Iso8859_6),
        (b"plain".as_slice(), Charset::Ascii),
        (b"\xEF\xBB\xBFplain".as_slice(), Charset::Utf8),
    ] {
        assert_eq!(report(bytes, "").used, charset);
    }
}

#[test]
fn everyday_names_and_notes_are_told_apart_in_both_arabic_character_sets() {
    let texts = [
        "السيد محمد علي",
        "فاطمة الزهراء حسن",
        "قرص كل ١٢ ساعة بعد الأكل".trim_matches(char::is_numeric),
        "هيئة التأمين الصحي الشامل",
        "عيادة الباطنة مستشفى القاهرة",
        "لا يستخدم مع حساسية البنسلين",
        "منى سمير كامل",
        "طفح جلدي",
        "ضيق تنفس",
        "يوسف",
        "عبد الله",
        "نورهان",
    ];
    let mut compared = 0;
    for text in texts {
        for charset in [Charset::Windows1256, Charset::Iso8859_6] {
            let Ok(bytes) = charset.encode(text) else { continue };
            let found = report(&bytes, "");
            assert_eq!(found.used, charset, "{text}");
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} were compared");
}

#[test]
fn every_alias_of_msh_18_is_known() {
    for (name, charset) in [
        ("ascii", Charset::Ascii),
        ("ISO IR6", Charset::Ascii),
        ("UNICODE UTF-8", Charset::Utf8),
        ("utf-8", Charset::Utf8),
        ("UTF8", Charset::Utf8),
        ("UNICODE", Charset::Utf8),
        ("8859/6", Charset::Iso8859_6),
        ("ISO-8859-6", Charset::Iso8859_6),
        ("ISO8859-6", Charset::Iso8859_6),
        ("ISO IR127", Charset::Iso8859_6),
        ("ISO_IR 127", Charset::Iso8859_6),
        ("ISO-IR-127", Charset::Iso8859_6),
        ("WINDOWS-1256", Charset::Windows1256),
        ("cp1256", Charset::Windows1256),
        ("1256", Charset::Windows1256),
        ("MS1256", Charset::Windows1256),
        ("Arabic", Charset::Windows1256),
        ("8859/1", Charset::Iso8859_1),
        ("8859/15", Charset::Iso8859_15),
    ] {
        assert_eq!(Charset::from_name(name), Some(charset), "{name}");
        assert_eq!(Charset::from_name(charset.name()), Some(charset));
    }
    assert_eq!(Charset::from_name("GB 18030-2000"), None);
    assert_eq!(Charset::from_name("8859/99"), None);
    assert_eq!(Charset::from_name(""), None);
}

#[test]
fn latin_1_that_is_really_arabic_is_read_as_arabic_and_reported() {
    let found = report(NAME_1256, "8859/1");
    assert_eq!((found.used, found.disagrees), (Charset::Windows1256, true));
    assert_eq!(found.declared, Declared::Known(Charset::Iso8859_1));
}

#[test]
fn latin_1_that_is_latin_1_is_believed() {
    let found = report(b"M\xfcller, S\xf6hne", "8859/1");
    assert_eq!((found.used, found.disagrees), (Charset::Iso8859_1, false));
    assert_eq!(found.used.decode(b"M\xfcller, S\xf6hne"), "Müller, Söhne");
}

#[test]
fn utf_8_wins_over_any_other_declaration() {
    for declared in ["8859/6", "WINDOWS-1256", "8859/1", "ASCII", "UNICODE UTF-16"] {
        let found = report(NAME.as_bytes(), declared);
        assert_eq!((found.used, found.disagrees), (Charset::Utf8, true), "{declared}");
    }
}

#[test]
fn utf_8_that_is_declared_but_not_sent_is_detected() {
    assert_eq!(report(NAME_1256, "UNICODE UTF-8").used, Charset::Windows1256);
    assert_eq!(report(NAME_8859_6, "UNICODE UTF-8").used, Charset::Iso8859_6);
}

#[test]
fn one_damaged_byte_does_not_turn_utf_8_into_another_character_set() {
    let mut bytes = NAME.as_bytes().to_vec();
    bytes.pop();
    let found = report(&bytes, "UNICODE UTF-8");
    assert_eq!((found.used, found.confidence), (Charset::Utf8, Confidence::Likely));
    assert!(Charset::Utf8.decode(&bytes).ends_with('\u{FFFD}'));
}

#[test]
fn the_first_repetition_that_is_not_empty_is_the_declaration() {
    assert_eq!(report(b"plain", "~UNICODE UTF-8").declared, Declared::Known(Charset::Utf8));
    assert_eq!(report(b"plain", "8859/6~UNICODE UTF-8").declared, Declared::Known(Charset::Iso8859_6));
    assert_eq!(report(b"plain", "~~").declared, Declared::Nothing);
    assert_eq!(report(b"plain", "BIG-5").declared, Declared::Unknown);
}

#[test]
fn a_fixed_rule_is_kept_against_msh_18_and_bytes() {
    let rule = CharsetRule::Fixed(Charset::Windows1256);
    let found = find(NAME.as_bytes(), b"UNICODE UTF-8", Some(b'~'), rule, &mut Findings::default());
    assert_eq!((found.used, found.disagrees), (Charset::Windows1256, true));
}

#[test]
fn without_evidence_the_default_of_the_source_is_used() {
    let bytes = b"\xc7\xc7";
    for default in [Charset::Windows1256, Charset::Iso8859_6] {
        let found = find(bytes, b"", None, CharsetRule::Auto { default }, &mut Findings::default());
        assert_eq!((found.used, found.confidence), (default, Confidence::Guess));
    }
}

#[test]
fn what_a_character_set_lacks_is_not_written() {
    assert_eq!(Charset::Windows1256.encode("ab😀").unwrap_err().at, 2);
    assert_eq!(Charset::Ascii.encode("é").unwrap_err().at, 0);
    assert!(Charset::Utf8.encode("😀").is_ok());
}

#[test]
fn undecodable_bytes_become_replacement_characters() {
    assert_eq!(Charset::Ascii.decode(b"a\xe9b"), "a\u{FFFD}b");
    assert_eq!(Charset::Iso8859_6.decode(b"\xdb"), "\u{FFFD}");
}
