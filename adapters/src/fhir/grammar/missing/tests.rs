use super::super::resource;

fn missing(name: &str, paths: &[&str]) -> String {
    let medication = |place: &str| resource("Medication").filter(|_| place == "contained[0]");
    let missing = resource(name).unwrap().missing(paths, &medication);
    let names = missing.iter().map(|one| format!("{}/{}", one.parent, one.element.name));
    names.collect::<Vec<_>>().join(" ")
}

const WRITTEN: [&str; 4] = ["status", "intent", "subject", "medicationCodeableConcept"];

fn missing_beside(paths: &[&str]) -> String {
    missing("MedicationRequest", &[&WRITTEN, paths].concat())
}

#[test]
fn what_the_root_requires_is_missed_and_its_own_type_is_not() {
    assert_eq!(missing("MedicationRequest", &[]), "/status /intent /medication /subject");
    assert_eq!(missing("MedicationRequest", &["status", "medicationReference.display"]), "/intent /subject");
    assert_eq!(missing_beside(&[]), "");
    assert_eq!(missing("Patient", &["active"]), "");
    assert_eq!(missing("ExampleScenario", &["status", "instance[0].resourceId"]), "instance[0]/resourceType");
}

#[test]
fn what_a_place_requires_is_missed_only_where_the_place_is_written() {
    assert_eq!(missing_beside(&["substitution.reason"]), "substitution/allowed");
    assert_eq!(missing_beside(&["substitution.reason", "substitution.allowedBoolean"]), "");
    assert_eq!(missing_beside(&["extension[0].valueDecimal", "extension[1].url"]), "extension[0]/url");
    assert_eq!(missing_beside(&["note[0].time"]), "note[0]/text");
    assert_eq!(missing_beside(&["text.status"]), "text/div");
}

#[test]
fn a_place_above_counts_as_written_by_what_is_below_it() {
    assert_eq!(missing("Claim", &["item[0].detail[0].subDetail[0].sequence"]).split(' ').count(), 8 + 2 + 2 + 1);
    assert_eq!(
        missing("AllergyIntolerance", &["patient.display", "reaction[0].severity"]),
        "reaction[0]/manifestation"
    );
    assert_eq!(missing("AllergyIntolerance", &["patient", "reaction[0].manifestation[0].text"]), "");
}

#[test]
fn nothing_is_missed_in_what_is_written_as_a_whole() {
    assert_eq!(missing_beside(&["substitution", "substitution.reason.text"]), "");
    assert_eq!(missing_beside(&["note", "note[0].time"]), "");
    assert_eq!(missing_beside(&["note[0]", "note[1].time"]), "note[1]/text");
    assert_eq!(missing_beside(&["note[1]", "note[10].time"]), "note[10]/text");
    assert_eq!(missing_beside(&["dispenseRequest.extension[0].valueCode", "dispenseRequest"]), "");
}

#[test]
fn a_resource_inside_needs_its_type_and_what_that_requires() {
    assert_eq!(missing_beside(&["contained[0].code.text"]), "contained[0]/resourceType");
    assert_eq!(
        missing_beside(&["contained[0].resourceType", "contained[0].ingredient[0].isActive"]),
        "contained[0].ingredient[0]/item"
    );
}

#[test]
fn what_stands_beside_a_value_counts_as_the_value() {
    let paths = ["_status.extension[0].url", "intent", "subject", "medicationReference"];
    assert_eq!(missing("MedicationRequest", &paths), "");
}

#[test]
fn paths_that_lead_nowhere_count_for_nothing() {
    assert_eq!(missing_beside(&["nothing.at.all", "", "note.text"]), "");
}
