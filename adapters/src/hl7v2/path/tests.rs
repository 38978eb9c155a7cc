use proptest::prelude::*;

use super::*;

#[test]
fn a_path_is_read_and_written_canonically() {
    for (text, canonical) in [
        ("PID", "PID"),
        ("PID-3", "PID-3"),
        ("PID-3[2].4.1", "PID-3[2].4.1"),
        ("PID-3[*].1", "PID-3[*].1"),
        ("PID-3[.5 = \"NI\"].1", "PID-3[.5 = \"NI\"].1"),
        ("PID-3[.5=\"NI\"].1", "PID-3[.5 = \"NI\"].1"),
        ("PID-3[ .5 == \"NI\" ].1", "PID-3[.5 = \"NI\"].1"),
        ("PID-3[.4.2 != \"x\"]", "PID-3[.4.2 != \"x\"]"),
        ("PID-5[.1 = \"a \\\"b\\\" \\\\ ]\"]", "PID-5[.1 = \"a \\\"b\\\" \\\\ ]\"]"),
        ("OBX[2]-5", "OBX[2]-5"),
        ("OBX[*]-5", "OBX[*]-5"),
        ("ORDER.ORC-2.1", "ORDER.ORC-2.1"),
        ("ORDER[*].RXE", "ORDER[*].RXE"),
        ("PATIENT.INSURANCE[2].IN1-3", "PATIENT.INSURANCE[2].IN1-3"),
        ("PATIENT_RESULT.ORDER_OBSERVATION.OBX-5", "PATIENT_RESULT.ORDER_OBSERVATION.OBX-5"),
        ("ZP1-9999[10000].999.999", "ZP1-9999[10000].999.999"),
    ] {
        let path = Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(path.to_string(), canonical);
        assert_eq!(Path::parse(canonical), Ok(path));
    }
}

#[test]
fn a_path_tells_its_parts() {
    let path = Path::parse("PATIENT.INSURANCE[2].IN1-3[*].4.2").unwrap();
    assert_eq!(path.groups().collect::<Vec<_>>(), ["PATIENT", "INSURANCE"]);
    assert_eq!(
        (path.segment(), path.field(), path.component(), path.subcomponent()),
        ("IN1", Some(3), Some(4), Some(2))
    );
    assert!(path.is_repeating());
    assert!(Path::parse("OBX[*]-5").unwrap().is_repeating() && Path::parse("ORDER[*].RXE").unwrap().is_repeating());
    assert!(!Path::parse("OBX[2]-5").unwrap().is_repeating());
    assert!(!Path::parse("PID-3[.5 = \"NI\"].1").unwrap().is_repeating());
    assert_eq!(Path::parse("NTE").unwrap().field(), None);
}

/// The text, where the error is, and the help.
const ERRORS: [(&str, &str, usize, usize, Option<&str>); 31] = [
    (
        "",
        "a segment or group is expected here, not the end",
        0,
        0,
        Some("a path begins with a segment, as in PID-3.1, or with a group, as in ORDER.ORC-2"),
    ),
    (
        "-3",
        "a segment or group is expected here, not `-`",
        0,
        1,
        Some("a path begins with a segment, as in PID-3.1, or with a group, as in ORDER.ORC-2"),
    ),
    ("PID.3.1", "a field follows its segment after a hyphen", 3, 1, Some("write PID-3.1")),
    ("ORDER.ORC.2", "a field follows its segment after a hyphen", 9, 1, Some("write ORDER.ORC-2")),
    ("OBX[2].5", "a field follows its segment after a hyphen", 6, 1, Some("write OBX[2]-5")),
    (
        "PID.x",
        "a field follows its segment after a hyphen",
        3,
        1,
        Some("write a hyphen between segment and field, as in PID-3"),
    ),
    ("PID3", "`PID3` is no segment", 0, 4, Some("write PID-3")),
    ("PID3.1", "`PID3` is no segment", 0, 4, Some("write PID-3.1")),
    ("pid-3", "`pid` is not written in capital letters", 0, 3, Some("write PID-3")),
    ("order.ORC-2", "`order` is not written in capital letters", 0, 5, Some("write ORDER.ORC-2")),
    ("ORDER", "`ORDER` is no segment", 0, 5, Some("a path ends in a segment, as in ORDER.ORC-2")),
    ("PI-3", "`PI` is no segment", 0, 2, Some("a segment has three capital letters or digits, as PID or PV1")),
    (
        "1ID-3",
        "`1ID` is no name of a segment or group",
        0,
        3,
        Some("a segment has three capital letters or digits, as PID or PV1"),
    ),
    (
        "مرض-3",
        "`مرض` is no name of a segment or group",
        0,
        6,
        Some("a segment has three capital letters or digits, as PID or PV1"),
    ),
    ("PID-", "the number of a field is expected here, not the end", 4, 0, None),
    ("PID-0", "the number of a field begins at 1", 4, 1, None),
    ("PID-10000", "the number of a field is at most 9999", 4, 5, None),
    ("PID-99999999999999999999999", "the number of a field is at most 9999", 4, 23, None),
    ("PID-3.0", "the number of a component begins at 1", 6, 1, None),
    ("PID-3.1.2.3", "`.3` does not belong to the path", 9, 2, Some("nothing is below a subcomponent")),
    (
        "PID-3.1[2]",
        "`[2]` does not belong to the path",
        7,
        3,
        Some("a repetition is chosen after the field, as in PID-3[2].1"),
    ),
    ("PID-3 garbage!", "` garbage!` does not belong to the path", 5, 9, None),
    ("PID-3[0]", "the number of a repetition begins at 1", 6, 1, None),
    ("PID-3[10001]", "the number of a repetition is at most 10000", 6, 5, None),
    ("PID-3[2", "`]` is expected here, not the end", 7, 0, None),
    ("PID-3(2).1", "a repetition stands in square brackets", 5, 1, Some("write PID-3[2].1")),
    ("PID-3[.5]", "`=` or `!=` is expected here, not `]`", 8, 1, Some("a condition looks like [.5 = \"NI\"]")),
    ("PID-3[.5 ! \"NI\"]", "`!` stands before `=`", 9, 1, Some("write != or =")),
    (
        "PID-3[.5 = NI]",
        "a text in quotation marks is expected here, not `N`",
        11,
        1,
        Some("a condition looks like [.5 = \"NI\"]"),
    ),
    ("PID-3[.5 = \"NI].1", "the quotation mark is not closed", 11, 6, None),
    (
        "PID[.5 = \"NI\"]-3",
        "a condition chooses among repetitions of a field, not among segments",
        4,
        1,
        Some("write the field first, as in PID-3[.5 = \"NI\"]"),
    ),
];

#[test]
fn a_wrong_path_is_refused_where_it_is_wrong_with_a_suggestion() {
    for (text, message, at, len, help) in ERRORS {
        let error = Path::parse(text).unwrap_err();
        assert_eq!(
            (error.message.as_str(), error.at, error.len, error.help.as_deref()),
            (message, at, len, help),
            "{text}"
        );
    }
}

#[test]
fn a_path_is_bounded() {
    assert!(Path::parse(&format!("{}ORC-1", "GROUP.".repeat(8))).is_ok());
    assert!(Path::parse(&format!("{}ORC-1", "GROUP.".repeat(9))).is_err());
    assert!(Path::parse(&format!("PID-3[.1 = \"{}\"]", "x".repeat(2_000))).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_text_is_a_path_or_an_error_inside_it(text in prop_oneof![any::<String>(), "[A-Z]{3}[-.\\[\\]0-9*()=!\" A-Z]{0,20}"]) {
        match Path::parse(&text) {
            Ok(path) => prop_assert_eq!(Path::parse(&path.to_string()), Ok(path)),
            Err(error) => {
                prop_assert!(error.at + error.len <= text.len());
                prop_assert!(text.is_char_boundary(error.at) && text.is_char_boundary(error.at + error.len));
            }
        }
    }
}
