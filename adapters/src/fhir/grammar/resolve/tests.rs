use super::super::resource;
use super::*;

fn medication_at_contained(place: &str) -> Option<&'static Structure> {
    resource("Medication").filter(|_| place.starts_with("contained["))
}

#[test]
fn paths_lead_to_elements_with_their_type() {
    for (start, path, definition, kind, is_required, is_list) in [
        ("MedicationRequest", "status", "MedicationRequest.status", "code", true, false),
        ("MedicationRequest", "identifier", "MedicationRequest.identifier", "Identifier", false, true),
        ("MedicationRequest", "identifier[2]", "MedicationRequest.identifier", "Identifier", false, false),
        ("MedicationRequest", "groupIdentifier.value", "Identifier.value", "string", false, false),
        ("MedicationRequest", "subject.identifier", "Reference.identifier", "Identifier", false, false),
        ("MedicationRequest", "subject.identifier.assigner.display", "Reference.display", "string", false, false),
        (
            "MedicationRequest",
            "dosageInstruction[0].doseAndRate[0].doseQuantity.value",
            "SimpleQuantity.value",
            "decimal",
            false,
            false,
        ),
        (
            "MedicationRequest",
            "dosageInstruction[0].doseAndRate[0].doseQuantity",
            "Dosage.doseAndRate.dose[x]",
            "Quantity",
            false,
            false,
        ),
        (
            "MedicationRequest",
            "dosageInstruction[0].timing.repeat.boundsPeriod.start",
            "Period.start",
            "dateTime",
            false,
            false,
        ),
        (
            "MedicationRequest",
            "medicationCodeableConcept",
            "MedicationRequest.medication[x]",
            "CodeableConcept",
            true,
            false,
        ),
        ("MedicationRequest", "medicationCodeableConcept.coding", "CodeableConcept.coding", "Coding", false, true),
        ("MedicationRequest", "extension[0].valueDecimal", "Extension.value[x]", "decimal", false, false),
        ("MedicationRequest", "extension[0].extension[1].url", "Extension.url", "uri", true, false),
        ("MedicationRequest", "contained[0].code.text", "CodeableConcept.text", "string", false, false),
        ("MedicationRequest", "contained[0].ingredient", "Medication.ingredient", "Medication.ingredient", false, true),
        ("MedicationRequest", "contained[0].resourceType", "Medication.resourceType", "code", true, false),
        ("Bundle", "entry[0].resource", "Bundle.entry.resource", "Resource", false, false),
        ("Bundle", "entry[0].resource.id", "Resource.id", "id", false, false),
        ("Bundle", "entry[0].link[0].relation", "Bundle.link.relation", "string", true, false),
        ("Claim", "item[0].sequence", "Claim.item.sequence", "positiveInt", true, false),
        ("Patient", "_birthDate.extension[0].valueDateTime", "Extension.value[x]", "dateTime", false, false),
        ("Patient", "name[0].given", "HumanName.given", "string", false, true),
        ("Patient", "name[0].given[1]", "HumanName.given", "string", false, false),
    ] {
        let found = resource(start).unwrap().resolve_with(path, &medication_at_contained);
        let found = found.unwrap_or_else(|unknown| panic!("{path}: {unknown}"));
        let place = (found.definition(), found.kind.name, found.element.is_required, found.is_list());
        assert_eq!(place, (definition.to_owned(), kind, is_required, is_list), "{path}");
    }
}

#[test]
fn a_path_says_what_is_above_and_what_is_below_it() {
    let request = resource("MedicationRequest").unwrap();
    let dose = request.resolve("dosageInstruction[3].doseAndRate[0].doseQuantity").unwrap();
    assert_eq!(dose.parent, "dosageInstruction[3].doseAndRate[0]");
    assert_eq!(dose.within.name(), "Dosage.doseAndRate");
    assert_eq!(dose.structure().unwrap().name(), "SimpleQuantity");
    assert!(dose.primitive().is_none());
    let status = request.resolve("status").unwrap();
    assert_eq!(status.parent, "");
    assert_eq!(status.primitive(), Some(Primitive::Code));
    assert!(status.binding().unwrap().codes().unwrap().may_have(None, "on-hold"));
    let instruction = request.resolve("dosageInstruction").unwrap();
    let below = instruction.structure().unwrap();
    assert_eq!(below.resolve("timing.repeat.count").unwrap().definition(), "Timing.repeat.count");
    let contained = request.resolve_with("contained[0]", &medication_at_contained).unwrap();
    assert_eq!(contained.structure().unwrap().name(), "Medication");
    assert_eq!(request.resolve("contained[0]").unwrap().structure().unwrap().name(), "Resource");
    assert!(request.resolve("_status").unwrap().binding().is_none());
}

#[test]
fn a_wrong_step_is_named_with_what_could_stand_there() {
    for (start, path, step, within, fault, name) in [
        (
            "MedicationRequest",
            "dosage[0].text",
            "dosage[0]",
            "MedicationRequest",
            Fault::NoElement,
            "dosageInstruction",
        ),
        (
            "MedicationRequest",
            "dosageInstruction[0].doseAndRate[0].dose",
            "dose",
            "Dosage.doseAndRate",
            Fault::ChoiceWithoutType,
            "doseRange",
        ),
        (
            "MedicationRequest",
            "medication[x].text",
            "medication[x]",
            "MedicationRequest",
            Fault::ChoiceWithoutType,
            "medicationReference",
        ),
        (
            "MedicationRequest",
            "medicationString",
            "medicationString",
            "MedicationRequest",
            Fault::NoSuchType { choice: "medication" },
            "medicationCodeableConcept",
        ),
        (
            "MedicationRequest",
            "dispenseRequest.quantity.comparator",
            "comparator",
            "SimpleQuantity",
            Fault::Forbidden,
            "value",
        ),
        (
            "MedicationRequest",
            "identifier.value",
            "identifier",
            "MedicationRequest",
            Fault::IndexMissing,
            "identifier[0]",
        ),
        ("MedicationRequest", "status[0]", "status[0]", "MedicationRequest", Fault::NoList, "status"),
        ("MedicationRequest", "subject[0].display", "subject[0]", "MedicationRequest", Fault::NoList, "subject"),
        (
            "Patient",
            "birthDate.extension[0].url",
            "birthDate",
            "Patient",
            Fault::BelowValue { primitive: "date" },
            "_birthDate",
        ),
        ("Bundle", "entry[0].resource.subject", "subject", "Resource", Fault::AnyResource, "MedicationRequest"),
        ("Bundle", "entry[0].resource.nothing", "nothing", "Resource", Fault::NoElement, "meta"),
        (
            "Bundle",
            "entry[0].fullUrl.value",
            "fullUrl",
            "Bundle.entry",
            Fault::BelowValue { primitive: "uri" },
            "_fullUrl",
        ),
    ] {
        let unknown = resource(start).unwrap().resolve(path).unwrap_err();
        assert_eq!(&path[unknown.span.clone()], step, "{path}");
        assert_eq!((unknown.step.as_str(), unknown.within, &unknown.fault), (step, within, &fault), "{path}");
        assert!(unknown.names.iter().any(|possible| possible == name), "{path}: {:?}", unknown.names);
    }
}

#[test]
fn what_is_no_path_is_refused_where_it_begins_to_be_none() {
    for (path, span) in [
        ("", 0..0),
        ("subject..display", 8..8),
        ("subject.", 8..8),
        ("note[", 0..5),
        ("note[a].text", 0..7),
        ("note[-1].text", 0..8),
        ("note[*].text", 0..7),
        ("note[0]x.text", 0..8),
        ("subject display", 0..15),
        ("subject.اسم", 8..14),
    ] {
        let unknown = resource("MedicationRequest").unwrap().resolve(path).unwrap_err();
        assert_eq!((unknown.fault, unknown.span), (Fault::Malformed, span), "{path}");
    }
}

#[test]
fn a_wrong_step_is_said_in_words() {
    let said = |path| resource("MedicationRequest").unwrap().resolve(path).unwrap_err().to_string();
    assert_eq!(said("dosage"), "MedicationRequest has no element `dosage`");
    assert_eq!(said("medication"), "`medication` of MedicationRequest is written with its type");
    assert_eq!(said("note.text"), "`note` of MedicationRequest is a list, and the path goes on below it");
    assert_eq!(said("authoredOn.year"), "`authoredOn` of MedicationRequest is a value (dateTime)");
}
