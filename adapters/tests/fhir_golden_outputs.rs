//! The resources among the golden files, judged by the grammar: elements, lists, types, values, codes,
//! and what is required.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says so by failing")]

use std::path::Path;

use adapters::fhir::grammar::{Binding, ElementType, Form, Primitive, Strength, Structure, Written, resource};
use serde_json::{Map, Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");

/// Everything that is wrong with a document.
#[derive(Default)]
struct Judge {
    found: Vec<String>,
}

impl Judge {
    fn resource(&mut self, place: &str, value: &Value) {
        let name = value["resourceType"].as_str().unwrap_or_default();
        match (resource(name), value.as_object()) {
            (Some(structure), Some(fields)) => self.fields(place, structure, fields),
            (None, _) | (_, None) => self.found.push(format!("{place}: no resource")),
        }
    }

    fn fields(&mut self, place: &str, structure: &'static Structure, fields: &Map<String, Value>) {
        if fields.is_empty() {
            self.found.push(format!("{place}: empty"));
        }
        let mut seen = Vec::new();
        for (name, value) in fields {
            let place = format!("{place}.{name}");
            let Some(written) = structure.written(name) else {
                self.found.push(format!("{place}: unknown"));
                continue;
            };
            if seen.contains(&(written.element.name, written.is_beside)) {
                self.found.push(format!("{place}: written twice"));
            }
            seen.push((written.element.name, written.is_beside));
            self.element(&place, &written, value);
        }
        let required = structure.elements().filter(|element| element.is_required);
        let missing = required.filter(|element| !seen.iter().any(|(name, _)| *name == element.name));
        self.found.extend(missing.map(|element| format!("{place}: no {}", element.name)));
    }

    fn element(&mut self, place: &str, written: &Written, value: &Value) {
        match (written.element.repeats, value) {
            (true, Value::Array(items)) if !items.is_empty() => {
                items.iter().filter(|item| !item.is_null()).for_each(|item| self.value(place, written, item));
            }
            (false, Value::Null | Value::Array(_)) | (true, _) => self.found.push(format!("{place}: wrong list")),
            (false, _) => self.value(place, written, value),
        }
    }

    fn value(&mut self, place: &str, written: &Written, value: &Value) {
        let ElementType { name, .. } = written.kind;
        let binding = written.element.binding.filter(|binding| binding.strength == Strength::Required);
        if let Some(primitive) = written.kind.primitive() {
            self.primitive(place, primitive, value);
            return self.codes(place, binding, &[json!({ "code": value })]);
        }
        match (*name, value) {
            ("Resource", _) => return self.resource(place, value),
            ("CodeableConcept", _) => self.codes(place, binding, value["coding"].as_array().map_or(&[], Vec::as_slice)),
            ("Coding" | "Quantity", _) => self.codes(place, binding, std::slice::from_ref(value)),
            ("Reference", _) => self.reference(place, written.kind, value),
            (_, _) => {}
        }
        match (written.kind.structure(), value) {
            (Some(structure), Value::Object(fields)) => self.fields(place, structure, fields),
            (_, _) => self.found.push(format!("{place}: no {name}")),
        }
    }

    fn primitive(&mut self, place: &str, primitive: Primitive, value: &Value) {
        let text = match (primitive.form(), value) {
            (Form::Text, Value::String(text)) => text.clone(),
            (Form::Number, Value::Number(number)) => number.to_string(),
            (Form::Boolean, Value::Bool(boolean)) => boolean.to_string(),
            (_, _) => return self.found.push(format!("{place}: no {}", primitive.name())),
        };
        if let Err(flaw) = primitive.judge(&text) {
            self.found.push(format!("{place}: {flaw}"));
        }
    }

    /// One of the codings must be in a required value set.
    fn codes(&mut self, place: &str, binding: Option<Binding>, codings: &[Value]) {
        let Some(codes) = binding.and_then(|binding| binding.codes()) else { return };
        let is_bound = |coding: &Value| {
            let code = coding["code"].as_str();
            code.is_some_and(|code| codes.may_have(coding["system"].as_str(), code))
        };
        if !codings.iter().any(is_bound) {
            self.found.push(format!("{place}: not in {}", codes.name));
        }
    }

    fn reference(&mut self, place: &str, kind: &ElementType, value: &Value) {
        let by_url = value["reference"].as_str().and_then(|text| text.split_once('/')).map(|(before, _)| before);
        let named = value["type"].as_str().or(by_url.filter(|name| resource(name).is_some()));
        if named.is_some_and(|name| !kind.may_lead_to(name)) {
            self.found.push(format!("{place}: leads to a {}", named.unwrap_or_default()));
        }
    }
}

fn judge(document: &Value) -> Vec<String> {
    let mut judge = Judge::default();
    judge.resource("", document);
    judge.found
}

/// The documents of a golden file: each begins with `{` alone on its line.
fn documents(text: &str) -> Vec<Value> {
    let starts: Vec<usize> = text.match_indices("{\n").map(|(at, _)| at).collect();
    let outer = starts.into_iter().filter(|at| *at == 0 || text[..*at].ends_with('\n'));
    outer.map(|at| serde_json::Deserializer::from_str(&text[at..]).into_iter().next().unwrap().unwrap()).collect()
}

#[test]
fn every_golden_prescription_is_a_resource_as_the_standard_has_it() {
    let mut count = 0;
    for entry in std::fs::read_dir(Path::new(FIXTURES).join("golden/prescription")).unwrap() {
        let path = entry.unwrap().path();
        for document in documents(&std::fs::read_to_string(&path).unwrap()) {
            count += 1;
            assert_eq!(judge(&document), Vec::<String>::new(), "{}", path.display());
        }
    }
    assert!(count >= 15, "{count} documents");
}

#[test]
fn the_resource_inside_an_event_is_as_the_standard_has_it() {
    let text = std::fs::read_to_string(Path::new(FIXTURES).join("events/prescription_issued.json")).unwrap();
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(judge(&event["data"]), Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_a_resource_is_found() {
    let sound = json!({
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "subject": { "reference": "Patient/1" },
        "medicationCodeableConcept": { "text": "AUGMENTIN 1G TAB" },
        "dosageInstruction": [{ "timing": { "repeat": { "period": 1, "periodUnit": "d" } } }],
        "authoredOn": "2026-11-05"
    });
    assert_eq!(judge(&sound), Vec::<String>::new());
    for (pointer, name, value, expected) in [
        ("", "status", json!("activ"), ".status: not in medicationrequest-status"),
        ("", "authoredOn", json!("2026-02-30"), ".authoredOn: there is no such day"),
        ("", "authoredOn", json!(2026), ".authoredOn: no dateTime"),
        ("", "dosage", json!([]), ".dosage: unknown"),
        ("", "medicationReference", json!({ "display": "x" }), ".medicationReference: written twice"),
        ("", "subject", json!({ "reference": "Practitioner/1" }), ".subject: leads to a Practitioner"),
        ("", "subject", json!([{ "reference": "Patient/1" }]), ".subject: wrong list"),
        ("", "note", json!({ "text": "x" }), ".note: wrong list"),
        ("", "note", json!([]), ".note: wrong list"),
        ("", "note", json!([{ "authorString": "x" }]), ".note: no text"),
        ("", "substitution", json!({}), ".substitution: empty"),
        ("", "contained", json!([{ "code": {} }]), ".contained: no resource"),
        ("/dosageInstruction/0", "text", json!(1), ".dosageInstruction.text: no string"),
        ("/dosageInstruction/0", "text", json!(""), ".dosageInstruction.text: it is empty"),
        (
            "/dosageInstruction/0/timing/repeat",
            "periodUnit",
            json!("day"),
            ".dosageInstruction.timing.repeat.periodUnit: not in units-of-time",
        ),
        (
            "",
            "dispenseRequest",
            json!({ "quantity": { "comparator": "<", "value": 1 } }),
            ".dispenseRequest.quantity.comparator: unknown",
        ),
    ] {
        let mut wrong = sound.clone();
        wrong.pointer_mut(pointer).unwrap()[name] = value;
        assert!(judge(&wrong).iter().any(|found| found == expected), "{expected}: {:?}", judge(&wrong));
    }
}
