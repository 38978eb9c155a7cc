//! Everything that the shipped mappings emit passes judges that other people wrote.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says so by failing")]

use std::sync::LazyLock;

use adapters::Format;
use hub_tests::Fallible;
use hub_tests::emitted::{Emitted, emitted};
use hub_tests::folder::workspace;
use hub_tests::judge::{Document, JUDGES, Judge, Objection, objections};
use serde_json::{Value, json};

/// Rows of a failure that are printed.
const ROWS_MAX: usize = 200;

/// A Java judge needs seconds to start: all documents of both tests are judged at once.
static JUDGED: LazyLock<Result<Judged, String>> = LazyLock::new(|| judged().map_err(|error| error.to_string()));

struct Judged {
    emitted: Emitted,
    objections: Vec<Objection>,
}

fn judged() -> Fallible<Judged> {
    let emitted = emitted()?;
    let seeded = sound().into_iter().chain(wrong().into_iter().map(|(_, document)| document));
    let documents: Vec<Document> = emitted.documents.iter().cloned().chain(seeded).collect();
    Ok(Judged { emitted, objections: objections(&documents)? })
}

#[test]
fn everything_that_the_mappings_emit_passes_every_judge() -> Fallible<()> {
    let Judged { emitted, objections } = JUDGED.as_ref().map_err(String::as_str)?;
    let silent: Vec<&String> = emitted.counts.iter().filter(|(_, count)| **count == 0).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "no fixture gives these mappings an output to judge: {silent:?}");
    compare_refused(&emitted.refused)?;
    let is_emitted = |one: &&Objection| emitted.documents.iter().any(|document| document.name == one.document);
    let found: Vec<&Objection> = objections.iter().filter(is_emitted).collect();
    let rows = found.iter().take(ROWS_MAX).map(|one| {
        format!("{} | {:?} | {} | {}", one.document.replace(' ', " | "), one.judge, one.location, one.message)
    });
    let table: Vec<String> = rows.collect();
    assert!(
        found.is_empty(),
        "{} objections to {} documents\nmapping | file | output | judge | location | message\n{}",
        found.len(),
        emitted.documents.len(),
        table.join("\n")
    );
    Ok(())
}

/// Messages that a mapping refuses are known, one by one.
fn compare_refused(found: &[String]) -> Fallible<()> {
    let path = workspace().join("tests/fixtures/golden/refused.txt");
    if std::env::var_os("HUB_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    }
    let text = std::fs::read_to_string(&path)?;
    let golden: Vec<&str> = text.lines().collect();
    let new: Vec<_> = found.iter().filter(|line| !golden.contains(&line.as_str())).collect();
    let gone: Vec<_> = golden.iter().filter(|line| !found.iter().any(|one| one == *line)).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "refused.txt differs; refused now: {new:#?}; no longer: {gone:#?}; HUB_WRITE_GOLDEN=1 writes the file anew"
    );
    Ok(())
}

fn medication_request() -> Value {
    json!({
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "subject": { "reference": "Patient/1" },
        "medicationCodeableConcept": { "text": "AUGMENTIN 1G TAB" },
        "authoredOn": "2026-11-05",
        "substitution": { "allowedBoolean": false }
    })
}

const RRE: &str = "MSH|^~\\&|NDPHUB|EG|HIS|H1|20261105093016||RRE^O12^RRE_O12|1|P|2.5.1\r\
    MSA|AA|2\r\
    PID|||28001010100013^^^EG^NI||ELSAYED^MOHAMED\r\
    ORC|OK|RX88-1^HIS|RX-1^NDP||IP\r\
    RXE||1^AUGMENTIN^EDA|1||{tablet}^Tablet^UCUM\r\
    TQ1|1||BID\r\
    RXR|26643006^Oral route^SCT\r\
    ZNP|1|a segment of ours\r";

fn fhir(name: &str, value: &Value) -> Document {
    Document { name: name.to_owned(), format: Format::FhirJson, text: value.to_string() }
}

fn hl7(name: &str, text: String) -> Document {
    Document { name: name.to_owned(), format: Format::Hl7v2, text }
}

/// A sound document with one element set, or taken away.
fn with(pointer: &str, name: &str, value: Option<Value>) -> Value {
    let mut wrong = medication_request();
    let parent = wrong.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
    match value {
        Some(value) => parent.insert(name.to_owned(), value),
        None => parent.remove(name),
    };
    wrong
}

/// Wrong documents, and which judge must object, at least.
fn wrong_resources() -> Vec<(Judge, Document)> {
    let bundle = |full_url: &str, resource: Value| json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "fullUrl": full_url, "resource": resource }] });
    let system = "http://terminology.hl7.org/CodeSystem/";
    let coded = |name: &str, code: &str| json!([{ "coding": [{ "system": format!("{system}{name}"), "code": code }] }]);
    let own = "http://ndp.egypt.gov.eg/fhir/StructureDefinition-of-others/x";
    [
        (Judge::HapiFhir, "a missing element", with("", "subject", None)),
        (Judge::NpmFhir, "the same, to the other judge", with("", "subject", None)),
        (Judge::HapiFhir, "a text for a list", with("", "note", Some(json!("x")))),
        (Judge::HapiFhir, "a number for a text", with("", "priority", Some(json!(1)))),
        (Judge::NpmFhir, "an unknown element", with("", "dosage", Some(json!([])))),
        (Judge::HapiFhir, "an unknown element, to the other judge", with("", "dosage", Some(json!("x")))),
        (Judge::HapiFhir, "an unknown code", with("", "status", Some(json!("activ")))),
        (Judge::NpmFhir, "an unknown code, to the other judge", with("", "status", Some(json!("activ")))),
        (Judge::HapiFhir, "a day that no month has", with("", "authoredOn", Some(json!("2026-02-30")))),
        (Judge::HapiFhir, "two choices", with("", "medicationReference", Some(json!({ "reference": "#m" })))),
        (Judge::NpmFhir, "a reference to a wrong type", with("", "subject", Some(json!({ "reference": "Device/1" })))),
        (Judge::NpmFhir, "no choice at all", with("", "substitution", Some(json!({ "reason": { "text": "x" } })))),
        (Judge::HapiFhir, "a code that HL7's table lacks", with("", "category", Some(coded("v2-0163", "MTH")))),
        (Judge::HapiFhir, "a table that HL7 lacks", with("", "category", Some(coded("v2-0293", "MTH")))),
        (Judge::HapiFhir, "a system that R4 lacks", with("", "category", Some(coded("request-categories", "x")))),
        (
            Judge::HapiFhir,
            "an extension of others",
            with("", "extension", Some(json!([{ "url": own, "valueCode": "x" }]))),
        ),
        (
            Judge::HapiFhir,
            "inside a bundle",
            bundle("urn:uuid:5c97afcf-d660-5893-9fc6-530620535728", with("", "subject", None)),
        ),
        (Judge::HapiFhir, "a fullUrl that is none", bundle("1", medication_request())),
        (Judge::HapiFhir, "no resource", json!({ "resourceType": "Prescription" })),
        (Judge::NpmFhir, "no resource, to the other judge", json!({ "resourceType": "Prescription" })),
    ]
    .map(|(judge, name, value)| (judge, fhir(name, &value)))
    .into()
}

fn wrong_messages() -> Vec<(Judge, Document)> {
    [
        (Judge::Hapi, "no MSA", "MSA|AA|2\r", ""),
        (Judge::Hl7apy, "no MSA, to the other judge", "MSA|AA|2\r", ""),
        (Judge::Hapi, "no name", "|28001010100013^^^EG^NI||ELSAYED^MOHAMED", "|28001010100013^^^EG^NI"),
        (
            Judge::Hl7apy,
            "no name, to the other judge",
            "|28001010100013^^^EG^NI||ELSAYED^MOHAMED",
            "|28001010100013^^^EG^NI",
        ),
        (Judge::Hapi, "a segment of another message", "ZNP|1|a segment of ours", "OBR|1"),
        (Judge::Hapi, "an unknown structure", "RRE_O12", "RRE_O99"),
        (Judge::Hapi, "a text for a number", "|1||{tablet}", "|one||{tablet}"),
        (Judge::Hl7apy, "a text for a number, to the other judge", "|1||{tablet}", "|one||{tablet}"),
        (Judge::Hl7apy, "a code that HL7's table lacks", "ORC|OK", "ORC|QQ"),
        (Judge::Hl7apy, "a thirteenth month", "20261105093016", "20261305093016"),
        (Judge::Hapi, "more components than the type has", "MSA|AA|2", "MSA|AA^x|2"),
        (Judge::Hapi, "more fields than the segment has", "RXR|26643006^Oral route^SCT", "RXR|26643006||||||||1"),
        (Judge::Hapi, "a field that may not repeat", "RX-1^NDP", "RX-1^NDP~RX-2^NDP"),
        (Judge::Hl7apy, "a field that may not repeat, to the other judge", "RX-1^NDP", "RX-1^NDP~RX-2^NDP"),
    ]
    .map(|(judge, name, from, to)| {
        assert!(RRE.contains(from), "{from}");
        (judge, hl7(name, RRE.replace(from, to)))
    })
    .into()
}

fn wrong() -> Vec<(Judge, Document)> {
    wrong_resources().into_iter().chain(wrong_messages()).collect()
}

fn sound() -> [Document; 2] {
    [fhir("a sound resource", &medication_request()), hl7("a sound message", RRE.to_owned())]
}

#[test]
fn every_judge_refuses_what_is_wrong_and_nothing_else() -> Fallible<()> {
    let found = &JUDGED.as_ref().map_err(String::as_str)?.objections;
    let wrong = wrong();
    for (judge, document) in &wrong {
        let objects = found.iter().any(|one| one.judge == *judge && one.document == document.name);
        assert!(objects, "{judge:?} takes {}: {}", document.name, document.text);
    }
    for document in sound() {
        let objected: Vec<_> = found.iter().filter(|one| one.document == document.name).collect();
        assert!(objected.is_empty(), "{objected:?}");
    }
    assert!(JUDGES.iter().all(|judge| wrong.iter().any(|(one, _)| one == judge)), "a judge that nothing tests");
    Ok(())
}
