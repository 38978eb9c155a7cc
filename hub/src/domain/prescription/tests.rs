//! The rules of a line: the whole table, the laws, and the cases that a table cannot show.

mod laws;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use crate::domain::command::CommandKind;
use crate::domain::identifiers::Form;
use crate::domain::refusal::Class;

const NID: &str = "28001010100013";
const RX: &str = "RX-20261105A1B2C3";

/// The times of a test: orders are written on 5 November and valid to 5 December, in Cairo.
const WRITTEN: &str = "2026-11-05T07:30:00Z";
const LAST_INSTANT: &str = "2026-12-05T21:59:59.999999Z";
const OVER: &str = "2026-12-05T22:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

fn context<'a>(rules: &'a Rules, now: &str) -> Context<'a> {
    let free = PrescriptionNumber::parse(RX).unwrap();
    Context { now: at(now), rules, cause: "m1-0-0", number: Some(GroupNumber::Free(free)) }
}

fn order(number: &str) -> Value {
    json!({
        "resourceType": "MedicationRequest",
        "identifier": [{ "system": "HIS", "value": number }],
        "groupIdentifier": { "system": "HIS", "value": "GRP1" },
        "status": "active",
        "intent": "order",
        "authoredOn": "2026-11-05T09:29:55+02:00",
        "subject": { "identifier": { "system": "http://mohp.gov.eg/national-id", "value": NID } },
        "requester": { "identifier": { "system": "http://syndicate.eg/physician", "value": "12345" } },
        "medicationCodeableConcept": { "text": "AUGMENTIN" }
    })
}

fn with(mut resource: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        resource[name] = value.clone();
    }
    resource
}

fn command(kind: CommandKind, resource: &Value) -> Command {
    Command::read(kind.name(), resource.to_string().as_bytes(), "OWN").unwrap()
}

fn created(now: &str) -> Prescription {
    let rules = Rules::default();
    let effects = apply(Held::default(), &command(CommandKind::Create, &order("ORD1")), &context(&rules, now));
    effects.unwrap().states.remove(0)
}

fn in_state(status: Status) -> Prescription {
    Prescription { status, ..created(WRITTEN) }
}

fn held(line: &Prescription) -> Held<'_> {
    Held { order: Some(line), prior: None }
}

fn resource(line: &Prescription) -> Value {
    serde_json::from_str(&line.resource.to_json().unwrap()).unwrap()
}

/// What a command did, in one word or two: the new state and the event, or the code.
fn told(outcome: &Result<Effects, Refusal>) -> String {
    match outcome {
        Ok(effects) if effects.is_empty() => "unchanged".to_owned(),
        Ok(effects) => {
            let lines = effects.states.iter().zip(&effects.events);
            let told: Vec<String> = lines.map(|(line, event)| format!("{:?} {:?}", line.status, event.kind)).collect();
            told.join(", ")
        }
        Err(refusal) => match refusal.reason {
            Reason::NotYet(awaited) => format!("waits for {awaited}"),
            reason => reason.code().to_owned(),
        },
    }
}

/// Each row a state, each column a command in the order of [`CommandKind::ALL`].
#[test]
fn every_command_in_every_state_does_what_the_table_says() {
    let exists = "HUB0307";
    let signed = "HUB0308";
    let over = "HUB0309";
    let expired = "HUB0310";
    let no_order = "waits for order";
    let no_sign = "waits for signature";
    let table: [(Option<Status>, [&str; 6]); 9] = [
        (None, ["Active Issued", no_order, no_order, no_order, no_order, no_order]),
        (Some(Status::Draft), [exists, "Active Issued", "Draft Amended", "Cancelled Cancelled", no_sign, no_sign]),
        (
            Some(Status::Active),
            [exists, signed, "Active Amended", "Cancelled Cancelled", "Suspended Suspended", "waits for hold"],
        ),
        (
            Some(Status::Suspended),
            [exists, signed, "Suspended Amended", "Cancelled Cancelled", "waits for release", "Active Resumed"],
        ),
        (Some(Status::Completed), [exists, over, over, over, over, over]),
        (Some(Status::Cancelled), [exists, over, over, over, over, over]),
        (Some(Status::Stopped), [exists, over, over, over, over, over]),
        (Some(Status::Expired), [exists, expired, expired, expired, expired, expired]),
        (Some(Status::EnteredInError), [exists, over, over, over, over, over]),
    ];
    assert!(Status::ALL.iter().all(|status| table.iter().any(|(row, _)| *row == Some(*status))));
    let rules = Rules::default();
    for (status, row) in table {
        for (kind, expected) in CommandKind::ALL.into_iter().zip(row) {
            let line = status.map(in_state);
            let sent = command(kind, &with(order("ORD1"), json!({ "note": [{ "text": "other content" }] })));
            let outcome = apply(Held { order: line.as_ref(), prior: None }, &sent, &context(&rules, WRITTEN));
            assert_eq!(told(&outcome), expected, "{status:?} {kind:?}");
            let class = outcome.err().map(|refusal| refusal.class());
            let waits = expected.starts_with("waits");
            assert_eq!(class == Some(Class::Wait), waits, "{status:?} {kind:?}");
        }
    }
}

/// What becomes of an order, by its state, when another order takes its place.
#[test]
fn every_state_that_is_replaced_does_what_the_table_says() {
    let table = [
        (Status::Draft, "Cancelled Cancelled, Active Issued"),
        (Status::Active, "Stopped Stopped, Active Issued"),
        (Status::Suspended, "Stopped Stopped, Active Issued"),
        (Status::Completed, "HUB0309"),
        (Status::Cancelled, "HUB0309"),
        (Status::Stopped, "HUB0309"),
        (Status::Expired, "HUB0310"),
        (Status::EnteredInError, "HUB0309"),
    ];
    let rules = Rules::default();
    for (status, expected) in table {
        let prior = in_state(status);
        let outcome = apply(
            Held { order: None, prior: Some(&prior) },
            &command(CommandKind::Replace, &replacement()),
            &context(&rules, WRITTEN),
        );
        assert_eq!(told(&outcome), expected, "{status:?}");
    }
}

fn replacement() -> Value {
    with(order("ORD2"), json!({ "priorPrescription": { "identifier": { "system": "HIS", "value": "ORD1" } } }))
}

#[test]
fn a_replacement_ends_the_old_line_and_begins_the_new_one_in_the_same_prescription() {
    let rules = Rules::default();
    let mut prior = created(WRITTEN);
    prior.dispensed = Dispensed::Part;
    let sent = command(CommandKind::Replace, &replacement());
    let both = Held { order: None, prior: Some(&prior) };
    let effects = apply(both, &sent, &context(&rules, WRITTEN)).unwrap();
    let [old, new] = effects.states.as_slice() else { panic!("two lines change") };
    assert_eq!((old.status, old.version, old.replaced_by.as_ref()), (Status::Stopped, 2, Some(&sent.order)));
    assert_eq!((new.status, new.version, &new.number), (Status::Active, 1, &prior.number));
    assert_eq!(resource(new)["priorPrescription"]["identifier"], json!({ "system": "HIS", "value": "ORD1" }));
    assert_eq!(resource(new)["groupIdentifier"]["value"], RX);
    assert!(effects.assigned.is_none());
    let ids: Vec<&str> = effects.events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["m1-0-0-0", "m1-0-0-1"]);

    let again = apply(Held { order: Some(new), prior: Some(old) }, &sent, &context(&rules, WRITTEN));
    assert_eq!(told(&again), "unchanged");
}

#[test]
fn a_replacement_waits_for_the_order_it_replaces_and_never_takes_over_another_order() {
    let rules = Rules::default();
    let sent = command(CommandKind::Replace, &replacement());
    let early = apply(Held::default(), &sent, &context(&rules, WRITTEN));
    assert_eq!(told(&early), "waits for order");
    let prior = created(WRITTEN);
    let taken = in_state(Status::Active);
    let both = Held { order: Some(&taken), prior: Some(&prior) };
    assert_eq!(told(&apply(both, &sent, &context(&rules, WRITTEN))), "HUB0307");
}

#[test]
fn a_replacement_that_names_its_own_order_changes_it_in_place() {
    let rules = Rules::default();
    let line = created(WRITTEN);
    let changed = with(
        order("ORD1"),
        json!({
            "priorPrescription": { "identifier": { "system": "HIS", "value": "ORD1" } },
            "medicationCodeableConcept": { "text": "PANADOL" }
        }),
    );
    let effects = apply(held(&line), &command(CommandKind::Replace, &changed), &context(&rules, WRITTEN)).unwrap();
    let [amended] = effects.states.as_slice() else { panic!("one line changes") };
    assert_eq!(resource(amended)["medicationCodeableConcept"]["text"], "PANADOL");
    assert_eq!((amended.version, &amended.number), (2, &line.number));
    assert_eq!(amended.begun_by, line.begun_by);
}

#[test]
fn what_is_dispensed_in_part_is_stopped_by_a_cancel_and_cannot_be_changed_in_place() {
    let rules = Rules::default();
    let line = Prescription { dispensed: Dispensed::Part, ..created(WRITTEN) };
    let sent = with(order("ORD1"), json!({ "note": [] }));
    let cancelled = apply(held(&line), &command(CommandKind::Cancel, &sent), &context(&rules, WRITTEN));
    assert_eq!(told(&cancelled), "Stopped Stopped");
    let amended = apply(held(&line), &command(CommandKind::Replace, &sent), &context(&rules, WRITTEN));
    assert_eq!(told(&amended), "HUB0312");
}

#[test]
fn an_identical_create_changes_nothing_even_after_the_line_went_on() {
    let rules = Rules::default();
    let create = command(CommandKind::Create, &order("ORD1"));
    for status in Status::ALL {
        let line = in_state(status);
        assert_eq!(told(&apply(held(&line), &create, &context(&rules, WRITTEN))), "unchanged", "{status:?}");
    }
}

#[test]
fn an_order_is_created_as_draft_or_active_and_as_nothing_else() {
    let rules = Rules::default();
    let outcome = |status: Value| {
        let sent = command(CommandKind::Create, &with(order("ORD1"), json!({ "status": status })));
        told(&apply(Held::default(), &sent, &context(&rules, WRITTEN)))
    };
    assert_eq!(outcome(json!("active")), "Active Issued");
    assert_eq!(outcome(json!("draft")), "Draft Received");
    for other in [json!("on-hold"), json!("completed"), json!("unknown"), json!("ACTIVE"), Value::Null] {
        assert_eq!(outcome(other.clone()), "HUB0314", "{other}");
    }
}

#[test]
fn an_order_without_an_identified_prescriber_can_be_a_draft_only_until_a_prescriber_signs_it() {
    let rules = Rules::default();
    let nameless = with(order("ORD1"), json!({ "requester": { "display": "a doctor" } }));
    let create = command(CommandKind::Create, &nameless);
    assert_eq!(told(&apply(Held::default(), &create, &context(&rules, WRITTEN))), "HUB0304");

    let draft = command(CommandKind::Create, &with(nameless.clone(), json!({ "status": "draft" })));
    let line = apply(Held::default(), &draft, &context(&rules, WRITTEN)).unwrap().states.remove(0);
    assert_eq!(line.expires_at, None);
    let unsigned = apply(held(&line), &command(CommandKind::Sign, &nameless), &context(&rules, WRITTEN));
    assert_eq!(told(&unsigned), "HUB0304");
    let signed = apply(held(&line), &command(CommandKind::Sign, &order("ORD1")), &context(&rules, WRITTEN));
    let signed = signed.unwrap().states.remove(0);
    assert_eq!(signed.status, Status::Active);
    assert_eq!(resource(&signed)["requester"]["identifier"]["value"], "12345");
    assert_eq!(signed.expires_at, Some(at(OVER)));
}

#[test]
fn an_order_needs_a_patient_whose_national_id_can_be_one() {
    let rules = Rules::default();
    let outcome = |subject: Value| {
        let sent = command(CommandKind::Create, &with(order("ORD1"), json!({ "subject": subject })));
        told(&apply(Held::default(), &sent, &context(&rules, WRITTEN)))
    };
    let named = |system: &str, value: &str| json!({ "identifier": { "system": system, "value": value } });
    assert_eq!(outcome(Value::Null), "HUB0305");
    assert_eq!(outcome(json!({ "display": "someone" })), "HUB0305");
    assert_eq!(outcome(named("http://mohp.gov.eg/national-id", "28013010100018")), "HUB0305");
    assert_eq!(outcome(named("http://mohp.gov.eg/national-id", "٢٨٠٠١٠١٠١٠٠٠١٣")), "Active Issued");
    assert_eq!(outcome(named("urn:ndp:mrn", "28013010100018")), "Active Issued");
    assert_eq!(outcome(json!({ "reference": "Patient/7" })), "Active Issued");
}

#[test]
fn a_command_that_names_another_patient_than_the_order_is_refused() {
    let rules = Rules::default();
    let line = created(WRITTEN);
    let subject = |system: &str, value: &str| {
        let identifier = json!({ "system": system, "value": value });
        with(order("ORD1"), json!({ "subject": { "identifier": identifier } }))
    };
    let outcome =
        |sent: &Value| told(&apply(held(&line), &command(CommandKind::Hold, sent), &context(&rules, WRITTEN)));
    assert_eq!(outcome(&subject("http://mohp.gov.eg/national-id", "28001010100021")), "HUB0311");
    assert_eq!(outcome(&subject("urn:other", "28001010100021")), "Suspended Suspended");
    assert_eq!(outcome(&with(order("ORD1"), json!({ "subject": null }))), "Suspended Suspended");
}

#[test]
fn the_hub_gives_one_number_to_a_group_and_keeps_the_senders_where_there_is_one() {
    let rules = Rules::default();
    let number_of = |resource: &Value, number: Option<GroupNumber>| {
        let context = Context { number, ..context(&rules, WRITTEN) };
        apply(Held::default(), &command(CommandKind::Create, resource), &context)
    };
    let free = || Some(GroupNumber::Free(PrescriptionNumber::parse(RX).unwrap()));

    let given = number_of(&order("ORD1"), free()).unwrap();
    let assignment = given.assigned.unwrap();
    assert_eq!((assignment.group.number(), assignment.number.number().as_str()), ("GRP1", RX));
    assert_eq!(assignment.number.issuer(), NATIONAL_SYSTEM);
    assert_eq!(given.states[0].number, assignment.number);
    assert_eq!(given.events[0].subject, RX);

    let second = number_of(&order("ORD2"), Some(GroupNumber::Known(assignment.number.clone()))).unwrap();
    assert!(second.assigned.is_none());
    assert_eq!(second.states[0].number, assignment.number);

    let alone = number_of(&with(order("ORD3"), json!({ "groupIdentifier": null })), free()).unwrap();
    assert_eq!(alone.assigned.unwrap().group.number(), "ORD3");

    let theirs = json!({ "groupIdentifier": { "system": "CLINIC", "value": "NDP-2026-000123" } });
    let kept = number_of(&with(order("ORD4"), theirs), free()).unwrap().assigned.unwrap().number;
    assert_eq!((kept.issuer(), kept.number().form()), ("CLINIC", Form::YearAndSequence));

    let none = number_of(&order("ORD5"), None);
    assert_eq!(none.as_ref().unwrap_err().code(), "HUB0313");
    assert_eq!(none.unwrap_err().class(), Class::Wait);
}

#[test]
fn a_number_of_the_platform_beside_the_senders_own_is_the_prescriptions_number() {
    let rules = Rules::default();
    let both = json!({ "identifier": [
        { "system": "HIS", "value": "ORD1" },
        { "system": "https://fhir.healthflow.eg/sid/prescription", "value": "RX-2026-00012345" }
    ] });
    let sent = command(CommandKind::Create, &with(order("ORD1"), both));
    let effects = apply(Held::default(), &sent, &context(&rules, WRITTEN)).unwrap();
    let number = &effects.states[0].number;
    assert_eq!((number.issuer(), number.number().as_str()), (NATIONAL_SYSTEM, "RX-2026-00012345"));
}

#[test]
fn an_event_is_a_cloud_event_with_the_whole_order_and_the_decimals_as_they_were_written() {
    let rules = Rules::default();
    let body = r#"{"resourceType":"MedicationRequest","identifier":[{"value":"ORD1"}],
        "groupIdentifier":{"system":"HIS","value":"GRP1"},"status":"active","intent":"order",
        "authoredOn":"2026-11-05","subject":{"reference":"Patient/7"},"requester":{"reference":"Practitioner/1"},
        "dispenseRequest":{"quantity":{"value":14.0},"validityPeriod":{"start":"2026-11-06"}}}"#;
    let sent = Command::read("create", body.as_bytes(), "OWN").unwrap();
    let effects = apply(Held::default(), &sent, &context(&rules, WRITTEN)).unwrap();
    let event = effects.events[0].to_json().unwrap();
    let expected = concat!(
        r#"{"specversion":"1.0","id":"m1-0-0-0","source":"/hub/prescription","#,
        r#""type":"eg.ndp.prescription.PrescriptionIssued","subject":"RX-20261105A1B2C3","#,
        r#""time":"2026-11-05T07:30:00.000000Z","datacontenttype":"application/fhir+json","#,
        r#""schemaversion":"1","sequence":"1","sequencetype":"Integer","causationid":"m1-0-0","#,
        r#""data":{"resourceType":"MedicationRequest","#,
        r#""identifier":[{"value":"ORD1","system":"OWN"},{"type":{"coding":[{"#,
        r#""system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"PGN"}]},"#,
        r#""system":"HIS","value":"GRP1"}],"groupIdentifier":{"use":"official","#,
        r#""system":"http://ndp.egypt.gov.eg/fhir/prescription-id","value":"RX-20261105A1B2C3"},"#,
        r#""status":"active","intent":"order","authoredOn":"2026-11-05","subject":{"reference":"Patient/7"},"#,
        r#""requester":{"reference":"Practitioner/1"},"dispenseRequest":{"quantity":{"value":14.0},"#,
        r#""validityPeriod":{"start":"2026-11-06","end":"2026-12-05"}}}}"#,
    );
    assert_eq!(event, expected);
}

#[test]
fn a_reason_that_the_sender_gave_is_told_and_taken_away_with_the_hold() {
    let rules = Rules::default();
    let line = created(WRITTEN);
    let hold = with(order("ORD1"), json!({ "statusReason": { "text": "allergy" } }));
    let mut effects = apply(held(&line), &command(CommandKind::Hold, &hold), &context(&rules, WRITTEN)).unwrap();
    let suspended = effects.states.remove(0);
    assert_eq!(resource(&suspended)["statusReason"]["text"], "allergy");
    assert_eq!(resource(&suspended)["status"], "on-hold");
    let release = command(CommandKind::Release, &order("ORD1"));
    let resumed = apply(held(&suspended), &release, &context(&rules, WRITTEN)).unwrap().states.remove(0);
    assert_eq!(resource(&resumed)["statusReason"], Value::Null);
    assert_eq!(resource(&resumed)["status"], "active");
}

#[test]
fn an_order_can_be_held_in_its_last_microsecond_and_is_expired_in_the_next() {
    let rules = Rules::default();
    let line = created(WRITTEN);
    let hold = command(CommandKind::Hold, &order("ORD1"));
    assert_eq!(told(&apply(held(&line), &hold, &context(&rules, LAST_INSTANT))), "Suspended Suspended");

    let refused = apply(held(&line), &hold, &context(&rules, OVER)).unwrap_err();
    assert_eq!(refused.reason, Reason::Expired);
    let noticed = *refused.noticed.unwrap();
    assert_eq!(told(&Ok(noticed.clone())), "Expired Expired");
    assert_eq!((noticed.states[0].version, noticed.events[0].sequence), (2, 2));
    assert_eq!(resource(&noticed.states[0])["status"], "stopped");
    assert_eq!(resource(&noticed.states[0])["statusReason"]["coding"][0]["code"], "expired");

    let later = apply(held(&noticed.states[0]), &hold, &context(&rules, OVER)).unwrap_err();
    assert_eq!(later.reason, Reason::Expired);
    assert!(later.noticed.is_none());
}

#[test]
fn only_what_is_valid_can_expire_and_only_once() {
    for status in Status::ALL {
        let line = in_state(status);
        let expired = expire(&line, at(OVER), "sweep").unwrap();
        let can_expire = matches!(status, Status::Active | Status::Suspended);
        assert_eq!(expired.is_some(), can_expire, "{status:?}");
        assert!(expire(&line, at(LAST_INSTANT), "sweep").unwrap().is_none());
    }
}

#[test]
fn an_order_that_arrives_after_its_validity_is_recorded_as_expired() {
    let rules = Rules::default();
    let create = command(CommandKind::Create, &order("ORD1"));
    assert_eq!(told(&apply(Held::default(), &create, &context(&rules, OVER))), "Expired Expired");
}

#[test]
fn a_stored_line_is_read_back_equal() {
    let mut line = created(WRITTEN);
    line.replaced_by = Some(OrderIdentity::new("HIS", "ORD2").unwrap());
    for status in Status::ALL {
        line.status = status;
        let json = line.to_json().unwrap();
        let read = Prescription::from_json(json.as_bytes()).unwrap();
        assert!(read == line, "{status:?}");
        assert!(json.contains(&format!(r#""status":"{}""#, status.name())), "{status:?}");
    }
    assert!(Prescription::from_json(b"{}").is_err());
}

#[test]
fn no_debug_output_error_or_attribute_holds_anything_of_the_message() {
    let rules = Rules::default();
    let canary = "CANARY";
    let body = with(
        order(canary),
        json!({
            "groupIdentifier": { "system": canary, "value": canary },
            "subject": { "identifier": { "system": "http://mohp.gov.eg/national-id", "value": canary } },
            "note": [{ "text": canary }]
        }),
    );
    let sent = command(CommandKind::Create, &body);
    let refused = apply(Held::default(), &sent, &context(&rules, WRITTEN)).unwrap_err();
    let fine = with(body, json!({ "subject": { "reference": canary } }));
    let effects = apply(Held::default(), &command(CommandKind::Create, &fine), &context(&rules, WRITTEN)).unwrap();
    let shown = format!("{sent:?} {refused} {refused:?} {effects:?}");
    assert!(!shown.contains(canary), "{shown}");
    let event: HashMap<String, Value> = serde_json::from_str(&effects.events[0].to_json().unwrap()).unwrap();
    let attributes = event.iter().filter(|(name, _)| name.as_str() != "data");
    assert!(attributes.into_iter().all(|(_, value)| !value.to_string().contains(canary)));
}
