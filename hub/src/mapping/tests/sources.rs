//! Paths into FHIR resources, held against R4.

use super::*;

/// What is said of a mapping from a MedicationRequest with these rules.
fn said(from: &str, to: &str, rules: &str) -> Vec<(u16, String, String)> {
    let text = format!("name = 'm'\nversion = 1\nfrom = '{from}'\nto = '{to}'\n{rules}");
    let (_, findings) =
        MappingFiles::read(&[Arc::new(SourceText::new("mappings/m.toml", text.as_str()))], &[], &[], &[]);
    let line = |line: usize| text.lines().nth(line - 1).unwrap_or_default().to_owned();
    findings.iter().map(|one| (one.code.number(), one.message.clone(), line(one.line))).collect()
}

/// The number and message of the only finding about one expression.
fn of(from: &str, expression: &str) -> Option<(u16, String)> {
    let rules = format!("[set]\nlanguage = '''{expression}'''");
    let found = said(from, "fhir Basic", &format!("{rules}\ncode = '\"x\" | codeable_concept'"));
    assert!(found.len() < 2, "{expression}: {found:?}");
    found.into_iter().next().map(|(code, message, _)| (code, message))
}

#[test]
fn paths_that_fhir_does_not_have_are_found() {
    for (from, expression, code, message) in [
        ("fhir MedicationRequest", "statuss", 123, "MedicationRequest has no element `statuss`"),
        ("fhir MedicationRequest", "subject.identifier.valeu", 123, "Identifier has no element `valeu`"),
        ("fhir MedicationRequest", "$.stats", 123, "MedicationRequest has no element `stats`"),
        ("fhir MedicationRequest", "status[0]", 123, "`status` is no list"),
        ("fhir MedicationRequest", "subject[*].display", 123, "`subject` is no list"),
        ("fhir MedicationRequest", "subject[display = \"x\"].display", 123, "`subject` is no list"),
        ("fhir MedicationRequest", "status.value", 123, "`value` stands below a value (code)"),
        ("fhir MedicationRequest", "identifier[sytem = \"x\"].value", 123, "Identifier has no element `sytem`"),
        (
            "fhir MedicationRequest",
            "medication.text",
            123,
            "`medication` of MedicationRequest is written with its type",
        ),
        ("fhir Observation", "valueDecimal", 123, "`valueDecimal` has none of the types of Observation.value[x]"),
        (
            "fhir Bundle",
            "entry[resource.resourceType = \"Patiant\"].resource.id",
            123,
            "FHIR R4 has no resource `Patiant`",
        ),
        (
            "fhir Bundle",
            "entry[resource.resourceType = \"Patient\"].resource.brithDate",
            123,
            "Patient has no element `brithDate`",
        ),
        ("fhir Bundle", "entry[*].resource.nothing | first", 123, "Resource has no element `nothing`"),
        ("fhir Bundle", "entry[fullURL = \"x\"].resource.id", 123, "Bundle.entry has no element `fullURL`"),
        (
            "fhir MedicationRequest",
            "contained[resourceType = \"Medication\"].name",
            123,
            "Medication has no element `name`",
        ),
        ("fhir MedicationRequest", "identifier.value | upper | identifer", 113, "there is no function `identifer`"),
        ("fhir MedicationRequest", "note[*].text", 118, "several values are put into `language`, which is one"),
        ("fhir Patient", "name[0].given", 118, "several values are put into `language`, which is one"),
        ("fhir MedicationRequest", "subject", 124, "Basic.language is of type code, and this is a Reference"),
        (
            "fhir MedicationRequest",
            "dispenseRequest.numberOfRepeatsAllowed",
            124,
            "Basic.language is of type code, and this is a number",
        ),
        (
            "fhir MedicationRequest",
            "\"a\" if subject = \"x\"",
            115,
            "a comparison takes values, and this is a structure",
        ),
        (
            "fhir MedicationRequest",
            "\"a\" if status = \"activ\"",
            126,
            "status is never `activ`: its value set has no such code (medicationrequest-status)",
        ),
    ] {
        let (found, said) = of(from, expression).unwrap_or_else(|| panic!("{expression} was taken"));
        assert_eq!((found, said.as_str()), (code, message), "{expression}");
    }
}

#[test]
fn functions_of_fields_take_their_own_structure_only() {
    let said = |rule: &str| said("fhir Patient", "fhir Patient", &format!("[set]\n{rule}"));
    let (code, message, _) = said("'identifier[0]' = 'name[0] | identifier'").remove(0);
    assert_eq!(code, 115);
    assert_eq!(message, "`identifier` takes a field of HL7 v2 or a text, or `Identifier`, and this is a HumanName");
    assert_eq!(said("maritalStatus = 'address[0] | codeable_concept'").remove(0).0, 115);
    assert_eq!(said("'identifier[0]' = 'identifier[0] | identifier'"), []);
    assert_eq!(said("maritalStatus = 'maritalStatus.coding[0] | codeable_concept'"), []);
}

#[test]
fn paths_that_fhir_has_are_taken() {
    for (from, expression) in [
        ("fhir MedicationRequest", "status"),
        ("fhir MedicationRequest", "identifier.value"),
        ("fhir MedicationRequest", "identifier[type.coding.code = \"PLAC\"].value"),
        ("fhir MedicationRequest", "extension[url = \"urn:x\"].valueCode"),
        ("fhir MedicationRequest", "_authoredOn.extension[url = \"urn:x\"].valueCode"),
        ("fhir MedicationRequest", "contained[resourceType = \"Patient\"].name[0].given[0]"),
        ("fhir MedicationRequest", "contained[*].name.text | first"),
        ("fhir MedicationRequest", "resourceType"),
        ("fhir MedicationRequest", "\"x\" if note"),
        ("fhir MedicationRequest", "note[*].text | join(\", \")"),
        ("fhir MedicationRequest", "dosageInstruction[0].timing.code.coding[0].code"),
        ("fhir Bundle", "entry[resource.resourceType = \"Patient\"].resource.gender"),
        ("fhir Bundle", "entry[0].resource.status"),
        ("event", "data.anything.at[0].all"),
    ] {
        assert_eq!(of(from, expression), None, "{expression}");
    }
}

#[test]
fn inside_a_block_paths_begin_at_its_item() {
    let block = |each: &str, set: &str| {
        let rules = format!("[[for]]\neach = '{each}'\nto = 'extension'\nset = {{ url = '\"urn:x\"', {set} }}\n");
        let found = said("fhir Bundle", "fhir Basic", &format!("[set]\ncode = '\"x\" | codeable_concept'\n{rules}"));
        found.into_iter().map(|(code, message, _)| (code, message)).collect::<Vec<_>>()
    };
    let patient = "entry[resource.resourceType = \"Patient\"].resource";
    assert_eq!(block(patient, "valueCode = 'gender'"), []);
    assert_eq!(block(patient, "valueDate = 'birthDate', id = '$.type'"), []);
    assert_eq!(block("entry[*]", "valueUri = 'fullUrl'"), []);
    let unknown = |name: &str, within: &str| vec![(123, format!("{within} has no element `{name}`"))];
    assert_eq!(block(patient, "valueCode = 'gendre'"), unknown("gendre", "Patient"));
    assert_eq!(block("entry[*]", "valueUri = 'fullURL'"), unknown("fullURL", "Bundle.entry"));
    assert_eq!(block("entrys[*]", "valueUri = 'fullUrl'"), unknown("entrys", "Bundle"));
}
