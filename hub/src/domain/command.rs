//! Commands to the prescription actor: what a mapping wrote, read once and typed.
//!
//! In come the name of the command and a MedicationRequest; out goes a [`Command`]. The order is
//! `identifier[0]`, with its authority: where the sender named none, the caller gives the source's own, so
//! that no bare number gets further. Refused is an unknown command, a resource that is no
//! MedicationRequest, an order without identity, and an element that is read here and is not what FHIR R4
//! says it is. Nothing of a command shows in Debug output but its kind (H10).

use std::fmt;

use adapters::clock::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::identifiers::{IssuedNumber, OrderIdentity, PrescriptionNumber, is_national_system};
use super::refusal::{Reason, Refusal};
use super::resource::{Resource, UnreadableElement};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    Create,
    Sign,
    Replace,
    Cancel,
    Hold,
    Release,
}

/// One command on one order.
#[derive(Clone)]
pub struct Command {
    /// What is asked for.
    pub kind: CommandKind,
    /// Which order: for a replacement, the new one.
    pub order: OrderIdentity,
    /// The prescription of the sender that the order is a line of: its group, else the number it brought.
    pub group: Option<OrderIdentity>,
    /// The prescription's number, if the sender brought one.
    pub number: Option<IssuedNumber>,
    /// The order that this one takes the place of, if that is another one.
    pub replaces: Option<OrderIdentity>,
    /// The status that the sender wrote.
    pub status: Option<String>,
    /// When it was written.
    pub authored: Option<Moment>,
    /// The whole, as the mapping wrote it.
    pub resource: Resource,
    /// Equal for commands of the same kind and content.
    pub fingerprint: Fingerprint,
}

/// A FHIR dateTime that is exact to the day at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A civil date.
    Day(Date),
    /// A point in time.
    Instant(Timestamp),
}

/// SHA-256 of a command's kind, order and content, as hexadecimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(String);

/// What the hub reads of a FHIR Identifier.
#[derive(Deserialize)]
pub(super) struct IdentifierElement {
    pub system: Option<String>,
    pub value: Option<String>,
}

/// What the hub reads of a FHIR Reference.
#[derive(Deserialize)]
pub(super) struct ReferenceElement {
    pub reference: Option<String>,
    pub identifier: Option<IdentifierElement>,
}

impl CommandKind {
    /// Every kind.
    pub const ALL: [CommandKind; 6] = [
        CommandKind::Create,
        CommandKind::Sign,
        CommandKind::Replace,
        CommandKind::Cancel,
        CommandKind::Hold,
        CommandKind::Release,
    ];

    /// The kind that mappings call `name`.
    pub fn by_name(name: &str) -> Option<CommandKind> {
        CommandKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What mappings call it.
    pub fn name(self) -> &'static str {
        match self {
            CommandKind::Create => "create",
            CommandKind::Sign => "sign",
            CommandKind::Replace => "replace",
            CommandKind::Cancel => "cancel",
            CommandKind::Hold => "hold",
            CommandKind::Release => "release",
        }
    }
}

impl Command {
    /// Reads what a mapping wrote for the command `kind`. `own_authority` is the source's, for numbers
    /// without one.
    pub fn read(kind: &str, body: &[u8], own_authority: &str) -> Result<Command, Refusal> {
        let kind = CommandKind::by_name(kind).ok_or(Reason::UnknownCommand)?;
        let resource = Resource::read(body)?;
        if resource.element::<String>("resourceType")?.as_deref() != Some("MedicationRequest") {
            return Err(UnreadableElement { element: "resourceType" }.into());
        }
        let identifiers: Vec<IdentifierElement> = resource.element("identifier")?.unwrap_or_default();
        let order = identity(identifiers.first(), own_authority)?;
        let sent_group = optional_identity(resource.element("groupIdentifier")?, own_authority)?;
        let number = number_of_sender(&identifiers, sent_group.as_ref(), &order);
        let group = match (sent_group, &number) {
            (None, Some(number)) => Some(OrderIdentity::new(number.issuer(), number.number().as_str())?),
            (group, _) => group,
        };
        let replaces = match kind {
            CommandKind::Replace => replaced_order(&resource, own_authority)?.filter(|prior| *prior != order),
            CommandKind::Create
            | CommandKind::Sign
            | CommandKind::Cancel
            | CommandKind::Hold
            | CommandKind::Release => None,
        };
        let status = resource.element("status")?;
        let authored = moment(&resource, "authoredOn")?;
        let fingerprint = Fingerprint::of(kind, &order, &resource);
        Ok(Command { kind, order, group, number, replaces, status, authored, resource, fingerprint })
    }

    /// The prescription that the order is a line of: the sender's group, or the order alone.
    pub fn group_or_order(&self) -> &OrderIdentity {
        self.group.as_ref().unwrap_or(&self.order)
    }

    /// Whether the command begins a line, which needs a prescription number.
    pub fn begins_a_line(&self) -> bool {
        self.kind == CommandKind::Create || self.replaces.is_some()
    }
}

/// Reads a FHIR dateTime. A year or a month alone is too coarse and counts as absent.
pub(super) fn moment(resource: &Resource, element: &'static str) -> Result<Option<Moment>, UnreadableElement> {
    let Some(text) = resource.element::<String>(element)? else { return Ok(None) };
    Moment::parse(&text).ok_or(UnreadableElement { element })
}

impl Moment {
    /// `None` if it is no dateTime, `Some(None)` if it is too coarse.
    pub(super) fn parse(text: &str) -> Option<Option<Moment>> {
        match text.len() {
            4 if is_number(text) => Some(None),
            7 if Date::strptime("%Y-%m-%d", format!("{text}-01")).is_ok() => Some(None),
            10 => Date::strptime("%Y-%m-%d", text).ok().map(|day| Some(Moment::Day(day))),
            _ => {
                let instant: jiff::Timestamp = text.parse().ok()?;
                Some(Some(Moment::Instant(Timestamp(instant.as_microsecond()))))
            }
        }
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn identity(identifier: Option<&IdentifierElement>, own_authority: &str) -> Result<OrderIdentity, Reason> {
    let value = identifier.and_then(|one| one.value.as_deref()).unwrap_or_default();
    let system = identifier.and_then(|one| one.system.as_deref()).filter(|system| !system.trim().is_empty());
    Ok(OrderIdentity::new(system.unwrap_or(own_authority), value)?)
}

fn optional_identity(
    identifier: Option<IdentifierElement>,
    own_authority: &str,
) -> Result<Option<OrderIdentity>, Reason> {
    let present = identifier.filter(|one| one.value.as_ref().is_some_and(|value| !value.trim().is_empty()));
    present.map(|one| identity(Some(&one), own_authority)).transpose()
}

fn replaced_order(resource: &Resource, own_authority: &str) -> Result<Option<OrderIdentity>, Reason> {
    let prior: Option<ReferenceElement> = resource.element("priorPrescription")?;
    optional_identity(prior.and_then(|reference| reference.identifier), own_authority)
}

/// The number that the sender brought: one of the platform, else the group's, else (for an order that is a
/// prescription by itself) the order's own, if it has the shape of one.
fn number_of_sender(
    identifiers: &[IdentifierElement],
    group: Option<&OrderIdentity>,
    order: &OrderIdentity,
) -> Option<IssuedNumber> {
    let national = identifiers.iter().find_map(|one| {
        let system = one.system.as_deref().filter(|system| is_national_system(system))?;
        let number = PrescriptionNumber::parse(one.value.as_deref()?).ok()?;
        Some(IssuedNumber::new(system, number))
    });
    let own = group.unwrap_or(order);
    national.or_else(|| {
        let number = PrescriptionNumber::parse(own.number()).ok()?;
        Some(IssuedNumber::new(own.assigning_authority(), number))
    })
}

impl Fingerprint {
    fn of(kind: CommandKind, order: &OrderIdentity, resource: &Resource) -> Fingerprint {
        let mut hash = Sha256::new();
        for part in [kind.name(), order.assigning_authority(), order.number()] {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        resource.add_to(&mut hash);
        let mut text = String::with_capacity(64);
        for byte in hash.finalize() {
            text.extend([byte >> 4, byte & 0x0F].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)));
        }
        Fingerprint(text)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({} [phi])", self.kind.name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body() -> Value {
        json!({
            "resourceType": "MedicationRequest",
            "identifier": [{ "system": "HIS", "value": "ORD1" }],
            "groupIdentifier": { "value": " GRP1 " },
            "status": "active",
            "authoredOn": "2026-11-05T09:29:55+02:00",
            "priorPrescription": { "identifier": { "value": "ORD0" } }
        })
    }

    fn read(kind: &str, body: &Value) -> Result<Command, Refusal> {
        Command::read(kind, body.to_string().as_bytes(), "OWN")
    }

    fn changed(name: &str, value: Value) -> Value {
        let mut changed = body();
        changed[name] = value;
        changed
    }

    #[test]
    fn a_command_is_read_with_the_sources_own_authority_where_none_is_named() {
        let sent = read("replace", &body()).unwrap();
        let own = |number| OrderIdentity::new("OWN", number).unwrap();
        assert_eq!(sent.kind, CommandKind::Replace);
        assert_eq!(sent.order, OrderIdentity::new("HIS", "ORD1").unwrap());
        assert_eq!(sent.group, Some(own("GRP1")));
        assert_eq!(sent.replaces, Some(own("ORD0")));
        assert_eq!(sent.status.as_deref(), Some("active"));
        let written = "2026-11-05T07:29:55Z".parse::<jiff::Timestamp>().unwrap();
        assert_eq!(sent.authored, Some(Moment::Instant(Timestamp(written.as_microsecond()))));
        assert!(sent.begins_a_line());
        let bare = read("hold", &changed("identifier", json!([{ "system": " ", "value": "ORD1" }]))).unwrap();
        assert_eq!(bare.order, own("ORD1"));
        assert!(!bare.begins_a_line());
    }

    #[test]
    fn only_a_replacement_replaces_and_never_itself() {
        assert_eq!(read("create", &body()).unwrap().replaces, None);
        let itself = json!({ "identifier": { "system": "HIS", "value": "ORD1" } });
        assert_eq!(read("replace", &changed("priorPrescription", itself)).unwrap().replaces, None);
        let nameless = json!({ "reference": "MedicationRequest/1" });
        assert_eq!(read("replace", &changed("priorPrescription", nameless)).unwrap().replaces, None);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_code() {
        let code = |kind: &str, body: &Value| read(kind, body).unwrap_err().code();
        assert_eq!(code("dispense", &body()), "HUB0302");
        assert_eq!(code("Create", &body()), "HUB0302");
        assert_eq!(code("create", &json!([])), "HUB0301");
        assert_eq!(code("create", &changed("resourceType", json!("Patient"))), "HUB0301");
        assert_eq!(code("create", &changed("resourceType", Value::Null)), "HUB0301");
        assert_eq!(code("create", &changed("identifier", json!({}))), "HUB0301");
        assert_eq!(code("create", &changed("groupIdentifier", json!(7))), "HUB0301");
        assert_eq!(code("create", &changed("status", json!(7))), "HUB0301");
        assert_eq!(code("create", &changed("authoredOn", json!("yesterday"))), "HUB0301");
        assert_eq!(code("create", &changed("identifier", Value::Null)), "HUB0303");
        assert_eq!(code("create", &changed("identifier", json!([]))), "HUB0303");
        assert_eq!(code("create", &changed("identifier", json!([{ "value": " " }]))), "HUB0303");
        assert_eq!(code("create", &changed("identifier", json!([{ "value": "9".repeat(600) }]))), "HUB0303");
        assert_eq!(Command::read("create", b"MSH|", "OWN").unwrap_err().code(), "HUB0301");
    }

    #[test]
    fn the_sender_brings_a_number_by_the_platforms_identifier_by_its_group_or_by_a_lone_order() {
        let number = |body: &Value| {
            let number = read("create", body).unwrap().number;
            number.map(|number| format!("{} {}", number.issuer(), number.number().as_str()))
        };
        assert_eq!(number(&body()), None);
        let group = json!({ "system": "CLINIC", "value": "RX-2026-A1B2C3" });
        assert_eq!(number(&changed("groupIdentifier", group.clone())).as_deref(), Some("CLINIC RX-2026-A1B2C3"));
        let lone = json!([{ "system": "HIS", "value": "RX-2026-A1B2C3" }]);
        assert_eq!(number(&changed("identifier", lone.clone())), None);
        let mut alone = changed("identifier", lone);
        alone["groupIdentifier"] = Value::Null;
        assert_eq!(number(&alone).as_deref(), Some("HIS RX-2026-A1B2C3"));
        let national = json!([
            { "system": "HIS", "value": "ORD1" },
            { "system": "http://ndp.egypt.gov.eg/fhir/prescription-id", "value": "RX-20260503A1B2C3" }
        ]);
        let mut both = changed("identifier", national);
        both["groupIdentifier"] = group;
        let platform = "http://ndp.egypt.gov.eg/fhir/prescription-id RX-20260503A1B2C3";
        assert_eq!(number(&both).as_deref(), Some(platform));
    }

    #[test]
    fn lines_without_a_group_that_bring_the_same_number_are_of_one_prescription() {
        let line = |order: &str| {
            let mut line = changed(
                "identifier",
                json!([
                    { "system": "HIS", "value": order },
                    { "system": "https://fhir.healthflow.eg/sid/prescription", "value": "RX-20260503A1B2C3" }
                ]),
            );
            line["groupIdentifier"] = Value::Null;
            read("create", &line).unwrap()
        };
        let (first, second) = (line("ORD1"), line("ORD2"));
        assert_ne!(first.order, second.order);
        assert_eq!(first.group_or_order(), second.group_or_order());
        let platform = "http://ndp.egypt.gov.eg/fhir/prescription-id";
        assert_eq!(first.group, Some(OrderIdentity::new(platform, "RX-20260503A1B2C3").unwrap()));
    }

    #[test]
    fn fingerprints_tell_kind_order_and_content_apart() {
        let print = |kind: &str, body: &Value| read(kind, body).unwrap().fingerprint;
        let first = print("hold", &body());
        assert_eq!(first, print("hold", &body()));
        assert_ne!(first, print("release", &body()));
        assert_ne!(first, print("hold", &changed("note", json!([]))));
        let bare = changed("identifier", json!([{ "value": "ORD1" }]));
        let other = Command::read("hold", bare.to_string().as_bytes(), "OTHER").unwrap();
        assert_ne!(print("hold", &bare), other.fingerprint);
    }

    #[test]
    fn every_kind_has_a_name_that_finds_it() {
        for kind in CommandKind::ALL {
            assert_eq!(CommandKind::by_name(kind.name()), Some(kind));
        }
    }
}
