//! HL7 v2 messages that mappings write: order, repetitions, nulls, versions, character sets.

use super::*;

/// What a mapping from events with these rules writes, line by line, without the header.
fn lines(kind: &str, rules: &str, document: &str) -> Vec<String> {
    let message = message_of(kind, rules, document);
    let text = String::from_utf8(message).unwrap();
    text.split_terminator('\r').skip(1).map(str::to_owned).collect()
}

fn message_of(kind: &str, rules: &str, document: &str) -> Vec<u8> {
    let text = format!("name = 'm'\nversion = 1\nfrom = 'event'\nto = 'hl7v2 {kind}'\n{rules}");
    let outputs = compile("mappings/m.toml", &text)
        .run(&Document::Json(serde_json::from_str(document).unwrap()), &context())
        .unwrap();
    outputs[0].body.to_vec()
}

fn names(lines: &[String]) -> String {
    lines.iter().map(|line| &line[..3]).collect::<Vec<_>>().join(" ")
}

/// Rules that write every segment that RRE^O12 requires, whatever the event says.
const ANSWER: &str = "[set]\n\"MSA-1\" = '\"AA\"'\n\"MSA-2\" = '\"1\"'\n\"PID-3\" = '\"1\"'\n\"PID-5\" = '\"A\"'\n\"ORC-1\" = '\"OK\"'\n";

#[test]
fn the_resources_of_the_fixtures_give_the_golden_messages() {
    let mut count = 0;
    for (mapping, begin) in [
        ("medication_request_to_rre_o12", "medication_request_"),
        ("medication_request_to_orp_o10", "medication_request_"),
        ("medication_dispense_to_rds_o13", "medication_dispense_"),
        ("patient_to_adt_a08", "patient_"),
        ("diagnostic_report_to_oru_r01", "diagnostic_report_"),
    ] {
        let compiled = shipped(mapping);
        for entry in std::fs::read_dir(workspace().join("tests/fixtures/fhir")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(name) = name.strip_suffix(".json").filter(|name| name.starts_with(begin)) else { continue };
            let outputs = compiled.run(&fixture(&format!("fhir/{name}.json")), &context()).unwrap();
            let message = String::from_utf8(outputs[0].body.to_vec()).unwrap();
            compare_golden(&format!("{mapping}/{name}.txt"), &message.replace('\r', "\n"));
            count += 1;
        }
    }
    assert!(count >= 13, "{count}");
}

#[test]
fn segments_stand_in_the_order_of_the_structure_whatever_that_of_the_file() {
    let rules = "[set]\n\"RXR-1\" = '\"PO\"'\n\"RXE-2\" = '\"X\"'\n\"RXE-3\" = '1'\n\"RXE-5\" = '\"mg\"'\n\"ORC-1\" = '\"OK\"'\n\"PID-3\" = '\"1\"'\n\"PID-5\" = '\"A\"'\n\"MSA-2\" = '\"1\"'\n\"MSA-1\" = '\"AA\"'\n[[for]]\neach = 'd'\nto = 'TQ1'\nafter = 'RXE'\nset = { \"TQ1-1\" = '$index' }\n[[for]]\neach = 'c'\nto = 'RXC'\nset = { \"RXC-1\" = '\"A\"', \"RXC-2\" = '\"x\"', \"RXC-3\" = '1', \"RXC-4\" = '\"g\"' }\n";
    let lines = lines("RRE^O12", rules, r#"{"d": [1, 2], "c": [1]}"#);
    assert_eq!(names(&lines), "MSA PID ORC RXE TQ1 TQ1 RXR RXC");
    assert_eq!(lines[4..6], ["TQ1|1", "TQ1|2"]);
}

#[test]
fn a_segment_of_several_places_gets_the_next_after_what_the_file_names_before() {
    let note = |after: &str| {
        let rules =
            format!("{ANSWER}[[for]]\neach = 'n'\nto = 'NTE'\nafter = '{after}'\nset = {{ \"NTE-3\" = '.' }}\n");
        names(&lines("RRE^O12", &rules, r#"{"n": ["a", "b"]}"#))
    };
    assert_eq!(note("MSA"), "MSA NTE NTE PID ORC");
    assert_eq!(note("PID"), "MSA PID NTE NTE ORC");
    let in_order = "[set]\n\"MSA-1\" = '\"AA\"'\n\"MSA-2\" = '\"1\"'\n\"NTE-3\" = '\"message\"'\n\"PID-3\" = '\"1\"'\n\"PID-5\" = '\"A\"'\n\"NTE[2]-3\" = '\"more\"'\n\"ORC-1\" = '\"OK\"'\n";
    assert_eq!(names(&lines("RRE^O12", in_order, "{}")), "MSA NTE NTE PID ORC");
}

#[test]
fn groups_nest_and_keep_what_is_theirs() {
    let rules = "[[for]]\neach = 'patients'\nto = 'PATIENT_RESULT'\n[for.set]\n\"PID-3\" = 'id | required'\n\"PID-5\" = '\"A\"'\n[[for.for]]\neach = 'orders'\nto = 'ORDER_OBSERVATION'\n[for.for.set]\n\"OBR-1\" = '$index'\n\"OBR-4\" = 'code | required'\n[[for.for.for]]\neach = 'results'\nto = 'OBSERVATION'\n[for.for.for.set]\n\"OBX-1\" = '$index'\n\"OBX-3\" = '. | required'\n\"OBX-11\" = '\"F\"'\n\"NTE-3\" = '.'\n";
    let event = r#"{"patients": [{"id": "1", "orders": [{"code": "x", "results": ["a", "b"]}, {"code": "y"}]},
        {"id": "2", "orders": [{"code": "z", "results": ["c"]}]}]}"#;
    let lines = lines("ORU^R01", rules, event);
    assert_eq!(names(&lines), "PID OBR OBX NTE OBX NTE OBR PID OBR OBX NTE");
    assert_eq!((lines[4].as_str(), lines[6].as_str()), ("OBX|2||b||||||||F", "OBR|2|||y"));
}

#[test]
fn a_second_of_a_segment_begins_its_group_anew() {
    let rules = "[set]\n\"PID-3\" = '\"1\"'\n\"PID-5\" = '\"A\"'\n\"OBR-4\" = '\"one\"'\n\"OBX-3\" = '\"x\"'\n\"OBX-11\" = '\"F\"'\n\"NTE-3\" = '\"of x\"'\n\"OBR[2]-4\" = '\"two\"'\n\"OBX[2]-3\" = '\"y\"'\n\"OBX[2]-11\" = '\"F\"'\n";
    assert_eq!(names(&lines("ORU^R01", rules, "{}")), "PID OBR OBX NTE OBR OBX");
}

#[test]
fn local_segments_stay_where_the_file_has_them() {
    let rules = format!(
        "{ANSWER}\"ZRX-1\" = '\"x\"'\n[[for]]\neach = 'z'\nto = 'ZPI'\nafter = 'PID'\nset = {{ \"ZPI-2.3\" = '.' }}\n"
    );
    let lines = lines("RRE^O12", &rules, r#"{"z": ["a"]}"#);
    assert_eq!(names(&lines), "MSA PID ZPI ORC ZRX");
    assert_eq!(lines[2], "ZPI||^^a");
}

#[test]
fn repetitions_of_a_field_keep_together_what_belongs_together() {
    let rules = "[set]\n\"EVN-2\" = '\"2026\"'\n\"PID-3.1\" = '\"0\"'\n\"PID-5\" = '\"A\"'\n\"PV1-2\" = '\"N\"'\n[[for]]\neach = 'ids'\nto = 'PID-3'\nwhen = 'value'\nset = { \"PID-3.1\" = 'value', \"PID-3.4.2\" = 'system', \"PID-3.5\" = 'type' }\n";
    let event = r#"{"ids": [{"value": "1", "type": "MR"}, {"type": "XX"}, {"value": "2", "system": "s"}, {"value": "3", "type": "NI"}]}"#;
    let lines = lines("ADT^A08", rules, event);
    assert_eq!(lines[1], "PID|||0~1^^^^MR~2^^^&s~3^^^^NI||A");
}

#[test]
fn a_null_is_written_where_a_rule_says_so_and_never_because_a_text_looks_like_one() {
    let rules = format!(
        "{ANSWER}\"PID-7\" = 'null() if is_null(born) else born'\n\"PID-8\" = 'sex'\n\"PID-11.3\" = 'null()'\n"
    );
    let lines = lines("RRE^O12", &rules, r#"{"born": null, "sex": "\"\""}"#);
    assert_eq!(lines[1], r#"PID|||1||A||""||||^^"""#);
}

#[test]
fn a_version_has_its_own_header() {
    let header = |version: &str| {
        let rules = format!(
            "[set]\n\"MSH-12\" = '\"{version}\"'\n\"EVN-2\" = '\"2026\"'\n\"PID-3.1\" = '\"1\"'\n\"PID-3.5\" = '\"MR\"'\n\"PID-5\" = '\"A\"'\n\"PV1-2\" = '\"N\"'\n"
        );
        let message = String::from_utf8(message_of("ADT^A08", &rules, "{}")).unwrap();
        let fields: Vec<String> = message.split(['|', '\r']).map(str::to_owned).collect();
        (fields[8].clone(), fields[11].clone())
    };
    for (version, kind) in [
        ("2.3.1", "ADT^A08^ADT_A01"),
        ("2.4", "ADT^A08^ADT_A01"),
        ("2.5.1", "ADT^A08^ADT_A01"),
        ("2.8", "ADT^A08^ADT_A01"),
    ] {
        assert_eq!(header(version), (kind.to_owned(), version.to_owned()));
    }
}

#[test]
fn before_2_3_1_the_header_names_no_structure() {
    let rules = "[set]\n\"MSH-12\" = '\"2.3\"'\n\"MSA-1\" = '\"AA\"'\n\"MSA-2\" = '\"1\"'\n";
    let message = String::from_utf8(message_of("ACK^A08", rules, "{}")).unwrap();
    assert!(message.contains("||ACK^A08|"), "{message}");
}

#[test]
fn a_message_is_written_in_the_character_set_that_it_declares() {
    let message = |charset: &str, name: &str| {
        let rules = format!("{ANSWER}\"MSH-18\" = '\"{charset}\"'\n\"PID-6\" = 'name'\n");
        message_of("RRE^O12", &rules, &format!(r#"{{"name": "{name}"}}"#))
    };
    for (charset, bytes) in [
        ("UNICODE UTF-8", "فاطمة".as_bytes()),
        ("8859/6", b"\xe1\xc7\xd7\xe5\xc9"),
        ("WINDOWS-1256", b"\xdd\xc7\xd8\xe3\xc9"),
    ] {
        let message = message(charset, "فاطمة");
        assert!(message.windows(bytes.len()).any(|part| part == bytes), "{charset}");
    }
    let text = format!(
        "name = 'm'\nversion = 1\nfrom = 'event'\nto = 'hl7v2 RRE^O12'\n{ANSWER}\"MSH-18\" = 'charset'\n\"PID-6\" = 'name'\n"
    );
    let mapping = compile("mappings/m.toml", &text);
    for event in [r#"{"charset": "8859/6", "name": "日本"}"#, r#"{"charset": "KLINGON", "name": "x"}"#] {
        let error = mapping.run(&Document::Json(serde_json::from_str(event).unwrap()), &context()).unwrap_err();
        assert_eq!(error.code.number(), 151, "{event}");
    }
}

#[test]
fn an_entry_of_what_is_no_bundle_is_a_mistake() {
    let text = "name = 'm'\nversion = 1\nfrom = 'event'\nto = 'hl7v2 RRE^O12'\n[set]\n\"MSA-1\" = '\"AA\"'\n\"MSA-2\" = 'id | required'\n[[entry]]\nresource = 'Patient'\nset = { active = 'true' }\n";
    let source = Arc::new(SourceText::new("mappings/m.toml", text));
    let (_, findings) = MappingFiles::read(&[source], &[], &table_sources(), &[]);
    let told = findings.iter().map(|finding| (finding.line, finding.message.as_str())).collect::<Vec<_>>();
    assert!(told.contains(&(9, "an entry belongs into a Bundle")), "{findings}");
}
