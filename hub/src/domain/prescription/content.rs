//! What the hub writes into a MedicationRequest: its number, its identity, its state, its validity.
//!
//! In comes the order as the sender wrote it; out goes the same with these elements set. All else stays
//! word for word. Refused is an element that would have to be changed and is not what FHIR R4 says it is.

use jiff::civil::Date;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Prescription;
use super::transition::Status;
use super::validity::Validity;
use crate::domain::command::{Command, IdentifierElement, ReferenceElement};
use crate::domain::identifiers::{IssuedNumber, NationalId, OrderIdentity, is_national_id_system};
use crate::domain::refusal::Reason;
use crate::domain::resource::{Resource, UnreadableElement};

/// The code system of reasons that the hub itself gives.
const REASON_SYSTEM: &str = "http://ndp.egypt.gov.eg/fhir/CodeSystem/prescription-status-reason";

/// HL7 table 0203: placer group number.
const GROUP_NUMBER_TYPE: &str = "PGN";
const IDENTIFIER_TYPE_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

/// The sender's order, with its identity whole and the prescription's number as its group.
pub(super) fn adopt(command: &Command, number: &IssuedNumber) -> Result<Resource, UnreadableElement> {
    let mut adopted = command.resource.clone();
    adopted.set("identifier", &identifiers(command, number)?)?;
    adopted.set(
        "groupIdentifier",
        &json!({ "use": "official", "system": number.issuer(), "value": number.number().as_str() }),
    )?;
    if let Some(prior) = &command.replaces {
        adopted.set("priorPrescription", &json!({ "type": "MedicationRequest", "identifier": plain(prior) }))?;
    }
    Ok(adopted)
}

/// The sender's identifiers; the first with its authority; the sender's group number kept beside them.
fn identifiers(command: &Command, number: &IssuedNumber) -> Result<Vec<Box<RawValue>>, UnreadableElement> {
    let unreadable = UnreadableElement { element: "identifier" };
    let sent: Vec<Box<RawValue>> = command.resource.element("identifier")?.unwrap_or_default();
    let (first, others) = sent.split_first().ok_or(unreadable)?;
    let mut whole: Resource = serde_json::from_str(first.get()).map_err(|_| unreadable)?;
    whole.set("system", &command.order.assigning_authority())?;
    let mut kept = vec![RawValue::from_string(whole.to_json()?).map_err(|_| unreadable)?];
    kept.extend(others.iter().cloned());
    let group =
        command.group.as_ref().filter(|group| group.number() != number.number().as_str() && **group != command.order);
    if let Some(group) = group {
        let kind = json!({ "coding": [{ "system": IDENTIFIER_TYPE_SYSTEM, "code": GROUP_NUMBER_TYPE }] });
        let identifier = json!({ "type": kind, "system": group.assigning_authority(), "value": group.number() });
        kept.push(RawValue::from_string(identifier.to_string()).map_err(|_| unreadable)?);
    }
    Ok(kept)
}

fn plain(identity: &OrderIdentity) -> Value {
    json!({ "system": identity.assigning_authority(), "value": identity.number() })
}

/// Writes the state, and why it came: in the sender's words, else in the hub's, else not at all.
pub(super) fn set_status(
    resource: &mut Resource,
    status: Status,
    command: Option<&Command>,
) -> Result<(), UnreadableElement> {
    resource.set("status", &status.fhir())?;
    resource.remove("statusReason");
    if status == Status::Expired {
        let coding = json!([{ "system": REASON_SYSTEM, "code": "expired" }]);
        resource.set("statusReason", &json!({ "coding": coding, "text": "expired" }))?;
    } else if let Some(command) = command {
        resource.take_over("statusReason", &command.resource);
    }
    Ok(())
}

/// Writes from when to when the order may be dispensed. A start, and an end that comes before the one by
/// rule, stay as the sender wrote them.
pub(super) fn set_validity(resource: &mut Resource, validity: &Validity) -> Result<(), UnreadableElement> {
    let mut request: Resource = resource.element("dispenseRequest")?.unwrap_or_else(Resource::empty);
    let mut period: Resource = request.element("validityPeriod")?.unwrap_or_else(Resource::empty);
    if period.text_of("start").is_none() {
        period.set("start", &validity.first_day.to_string())?;
    }
    if !validity.ended_by_sender {
        period.set("end", &validity.last_day.to_string())?;
    }
    request.set("validityPeriod", &period)?;
    resource.set("dispenseRequest", &request)
}

/// Whether the order says who prescribed it, by identifier or by reference.
pub(super) fn has_prescriber(resource: &Resource) -> Result<bool, UnreadableElement> {
    let requester: Option<ReferenceElement> = resource.element("requester")?;
    Ok(requester.is_some_and(|requester| is_identified(&requester)))
}

/// Checks that the order says whose it is, and that a national id can be one on the civil day `today`.
pub(super) fn check_patient(resource: &Resource, today: Date) -> Result<(), Reason> {
    let subject: Option<ReferenceElement> = resource.element("subject")?;
    let subject = subject.filter(is_identified).ok_or(Reason::NoPatient)?;
    let Some(identifier) = subject.identifier else { return Ok(()) };
    if identifier.system.as_deref().is_some_and(is_national_id_system) {
        NationalId::parse(identifier.value.as_deref().unwrap_or_default(), today)?;
    }
    Ok(())
}

/// Checks that a command which names a patient names the one of the order. Identifiers of two systems
/// cannot be compared, and count as the same patient.
pub(super) fn check_same_patient(line: &Prescription, command: &Command) -> Result<(), Reason> {
    let identifier_of = |resource: &Resource| -> Result<Option<IdentifierElement>, UnreadableElement> {
        let subject: Option<ReferenceElement> = resource.element("subject")?;
        Ok(subject.and_then(|subject| subject.identifier))
    };
    let (Some(known), Some(named)) = (identifier_of(&line.resource)?, identifier_of(&command.resource)?) else {
        return Ok(());
    };
    let both_named = known.value.is_some() && named.value.is_some();
    if both_named && known.system == named.system && known.value != named.value {
        return Err(Reason::OtherPatient);
    }
    Ok(())
}

fn is_identified(reference: &ReferenceElement) -> bool {
    let says = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    says(&reference.reference) || reference.identifier.as_ref().is_some_and(|identifier| says(&identifier.value))
}
