use super::*;

fn by(version: Version, structure: &str, path: &str) -> Result<Resolved, Unknown> {
    resolve(version, structure, &Path::parse(path).unwrap())
}

fn strictly(version: Version, structure: &str, path: &str) -> Result<Resolved, Unknown> {
    Grammar::of(version).resolve(structure, &Path::parse(path).unwrap())
}

fn known(structure: &str, path: &str) -> Resolved {
    strictly(Version::V2_5_1, structure, path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn unknown(structure: &str, path: &str) -> Unknown {
    match strictly(Version::V2_5_1, structure, path) {
        Ok(found) => panic!("{path} is {found:?}"),
        Err(unknown) => unknown,
    }
}

#[test]
fn a_path_is_resolved_to_its_innermost_part() {
    for (path, data_type, text, table) in [
        ("PID-3", "CX", "Patient Identifier List", None),
        ("PID-3.1", "ST", "ID Number", None),
        ("PID-3.4", "HD", "Assigning Authority", Some("0363")),
        ("PID-3.4.1", "IS", "Namespace ID", Some("0300")),
        ("PID-3[2].4.3", "ID", "Universal ID Type", Some("0301")),
        ("PID-5.1.1", "ST", "Surname", None),
        ("ORC-1", "ID", "Order Control", Some("0119")),
        ("ORDER.RXE-2.1", "ST", "Identifier", None),
        ("ORDER[2].RXE-2.3", "ID", "Name of Coding System", Some("0396")),
        ("PATIENT.INSURANCE[2].IN1-3.1", "ST", "ID Number", None),
        ("ORDER.COMPONENT.RXC-2", "CE", "Component Code", None),
        ("RXE-15", "ST", "Prescription Number", None),
        ("MSH-9.2", "ID", "Trigger Event", Some("0003")),
    ] {
        let found = known("RDE_O11", path);
        assert_eq!(found.data_type(), Some(data_type), "{path}");
        assert_eq!(found.element().map(|element| element.text), Some(text), "{path}");
        assert_eq!(found.element().and_then(|element| element.table), table, "{path}");
        assert_eq!((found.structure, found.version), ("RDE_O11", Version::V2_5_1));
    }
    assert_eq!(known("RDE_O11", "ORC-1").table().map(|table| table.text), Some("Order control codes"));
}

#[test]
fn a_whole_segment_has_places_and_no_type() {
    let found = known("RDE_O11", "ORC");
    assert_eq!((found.data_type(), found.segment.map(|segment| segment.name)), (None, Some("ORC")));
    assert!(!found.is_required());
    let order = Step { name: "ORDER", required: true, repeats: true };
    let orc = Step { name: "ORC", required: true, repeats: false };
    assert_eq!(found.places, [Place { groups: vec![order], segment: orc }]);
}

#[test]
fn the_groups_of_a_path_choose_among_the_places_of_its_segment() {
    assert_eq!(known("RDE_O11", "NTE-3").places.len(), 6);
    assert_eq!(known("RDE_O11", "ORDER.NTE-3").places.len(), 4);
    assert_eq!(known("RDE_O11", "ORDER.ORDER_DETAIL.NTE-3").places.len(), 2);
    assert_eq!(known("RDE_O11", "COMPONENT.NTE-3").places.len(), 1);
    assert_eq!(known("ADT_A17", "PID-3").places.len(), 2);
}

#[test]
fn repetitions_are_left_unless_the_path_chooses() {
    for (path, leaves) in [
        ("PID-3", true),
        ("PID-3.1", true),
        ("PID-3[*].1", true),
        ("PID-3[1].1", false),
        ("PID-3[.5 = \"NI\"].1", false),
        ("PID-7", false),
        ("RXE-2", false),
    ] {
        assert_eq!(known("RDE_O11", path).leaves_repetitions, leaves, "{path}");
    }
}

#[test]
fn what_a_condition_looks_at_is_resolved_too() {
    let found = known("RDE_O11", "PID-3[.5 = \"NI\"].1");
    assert_eq!(found.condition.map(|element| element.text), Some("Identifier Type Code"));
    assert_eq!(found.condition.and_then(|element| element.table), Some("0203"));
    let by_authority = known("RDE_O11", "PID-3[.4.2 = \"1.2.3\"].1");
    assert_eq!(by_authority.condition.map(|element| element.text), Some("Universal ID"));
    let error = unknown("RDE_O11", "PID-3[.55 = \"NI\"].1");
    assert_eq!((error.part, error.name.as_str()), (Part::Component, "55"));
}

#[test]
fn a_place_is_required_if_all_that_leads_to_it_is() {
    for (path, required) in [
        ("PID-3", true),
        ("PID-3.1", true),
        ("PID-3.5", false),
        ("PID-7", false),
        ("ORC-1", true),
        ("RXE-3", true),
        ("RXE-4", false),
    ] {
        assert_eq!(known("RDE_O11", path).is_required(), required, "{path}");
    }
}

#[test]
fn local_segments_are_never_unknown() {
    for path in ["ZRX", "ZRX-1", "ZRX-99.5.2", "ORDER.ZRX-3[2]", "ZZZ-1[.2 = \"A\"]"] {
        let found = known("RDE_O11", path);
        assert!(found.segment.is_none() && found.element().is_none() && found.places.is_empty(), "{path}");
    }
    assert_eq!(unknown("RDE_O11", "ORDRE.ZRX-3").part, Part::Group, "but their groups may be");
}

#[test]
fn what_is_inside_a_field_that_varies_is_not_judged() {
    for path in ["OBX-5", "OBX-5.1", "OBX-5.17.3", "OBX-5[.2 = \"A\"].1"] {
        assert_eq!(known("ORU_R01", path).data_type(), Some(VARIES), "{path}");
    }
}

#[test]
fn component_1_of_a_simple_type_is_the_value_itself() {
    for path in ["MSH-10.1", "MSH-10.1.1", "PID-3.1.1"] {
        assert_eq!(known("RDE_O11", path).data_type(), Some("ST"), "{path}");
    }
    assert_eq!(unknown("RDE_O11", "MSH-10.2").within, "MSH-10 (ST)");
    assert_eq!(unknown("RDE_O11", "MSH-10.1.2").within, "MSH-10.1 (ST)");
}

#[test]
fn an_unknown_part_is_named_with_what_could_stand_there() {
    for (path, said, possible) in [
        ("ORDRE.RXE-2", "RDE_O11 has no group ORDRE in HL7 v2.5.1", "ORDER"),
        ("ORDER.INSURANCE.IN1-3", "ORDER has no group INSURANCE in HL7 v2.5.1", "COMPONENT"),
        ("RXD-2", "RDE_O11 has no segment RXD in HL7 v2.5.1", "RXE"),
        ("PDI-2", "RDE_O11 has no segment PDI in HL7 v2.5.1", "PID"),
        ("PATIENT.RXE-2", "PATIENT has no segment RXE in HL7 v2.5.1", "AL1"),
        ("PID-40", "PID has no field 40 in HL7 v2.5.1", "39"),
        ("PID-3.11", "PID-3 (CX) has no component 11 in HL7 v2.5.1", "10"),
        ("PID-3.4.4", "PID-3.4 (HD) has no subcomponent 4 in HL7 v2.5.1", "3"),
        ("RXE-2.9", "RXE-2 (CE) has no component 9 in HL7 v2.5.1", "6"),
    ] {
        let error = unknown("RDE_O11", path);
        assert_eq!(error.to_string(), said);
        assert!(error.possible.iter().any(|one| one.name == possible), "{path}: {:?}", error.possible);
    }
    let fields = unknown("RDE_O11", "PID-40").possible;
    assert_eq!((fields.len(), fields[2].text), (39, "Patient Identifier List"));
    let groups = unknown("RDE_O11", "ORDER.INSURANCE.IN1-3").possible;
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["TIMING", "ORDER_DETAIL", "COMPONENT", "TIMING_ENCODED", "OBSERVATION"]);
    let segments = unknown("RDE_O11", "PATIENT.RXE-2").possible;
    assert_eq!(segments[0], Possible { name: "PID".to_owned(), text: "Patient Identification" });
    assert_eq!(segments.iter().filter(|segment| segment.name == "NTE").count(), 1, "each segment once");
}

#[test]
fn an_unknown_structure_is_said_with_those_that_exist() {
    let error = unknown("RDE_O99", "PID-3");
    assert_eq!(error.to_string(), "HL7 v2.5.1 has no structure RDE_O99");
    assert!(error.possible.iter().any(|structure| structure.name == "RDE_O11"));
    assert_eq!(by(Version::V2_3, "XYZ_X01", "PID-3").unwrap_err().version, Version::V2_3);
}

#[test]
fn what_a_version_does_not_know_is_resolved_by_the_nearest_that_does() {
    for (asked, structure, path, answered) in [
        (Version::V2_5_1, "RDE_O11", "RXE-2.1", Version::V2_5_1),
        (Version::V2_5_1, "RDE_O11", "RXE-2.9", Version::V2_6),
        (Version::V2_8, "RDE_O11", "RXE-1.2", Version::V2_6),
        (Version::V2_3, "RDE_O11", "RXE-2.1", Version::V2_4),
        (Version::V2_3, "RDE_O01", "RXE-2.1", Version::V2_3),
        (Version::V2_4, "RDE_O11", "TQ1-3", Version::V2_5),
        (Version::V2_5_1, "RDE_O11", "RXE-45", Version::V2_7),
        (Version::V2_8, "ORM_O01", "ORC-1", Version::V2_6),
    ] {
        let found = by(asked, structure, path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(found.version, answered, "{structure} {path} by {asked}");
    }
}

#[test]
fn what_no_version_knows_is_unknown_as_the_asked_version_has_it() {
    let said = |version| by(version, "RDE_O11", "PID-99").unwrap_err().to_string();
    assert_eq!(said(Version::V2_5_1), "PID has no field 99 in HL7 v2.5.1");
    assert_eq!(said(Version::V2_3), "PID has no field 99 in HL7 v2.4", "2.3 has no such structure");
}

#[test]
fn events_are_resolved_by_the_structure_that_they_have() {
    assert_eq!(known("RDE_O25", "RXE-2").structure, "RDE_O11");
    assert_eq!(known("ADT_A04", "PV1-3.1").structure, "ADT_A01");
}
