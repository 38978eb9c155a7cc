//! Functions of identity: Identifier, Reference, names made from names.

use std::borrow::Cow;

use adapters::hl7v2::grammar::table;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::coded::{is_oid, is_uri};
use super::text::{fold_digits, trimmed};
use super::time::fhir_date;
use super::{Arguments, Environment, Example, Function, Kind, Takes, one, optional};
use crate::mapping::error::Fault;
use crate::mapping::fields::DataType;
use crate::mapping::value::{Field, Val};

/// The system of identifier types.
const IDENTIFIER_TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

/// The system of identifiers that are URIs.
const URIS: &str = "urn:ietf:rfc:3986";

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "identifier",
        parameters: &[one("value", Kind::Any), optional("type", Kind::Word)],
        returns: Kind::Structure,
        doc: "A FHIR Identifier from an EI, CX, XCN, XON, HD, DLN or PLN field. The authority becomes a URI by the table `systems` (its universal id, its name, or the identifier's type); an authority that is not there becomes `urn:oid:...` for an OID and `urn:hl7v2:FACILITY:NAME` for a name, so that equal numbers of two hospitals stay apart. Licences (DLN, PLN) have who issued them as assigner, and the day on which they end. The type is \"EI\", \"CX\", \"XCN\", \"XON\", \"DLN\" or \"PLN\" for a field whose type is not known, such as one of a Z-segment.",
        example: Example {
            given: "PID|||28001010100013^^^EGNID&urn:ndp:nid&L^NI",
            expression: "PID-3 | identifier",
            gives: r#"{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NI"}]},"system":"http://mohp.gov.eg/national-id","value":"28001010100013"}"#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: identifier,
    },
    Function {
        name: "reference",
        parameters: &[one("identifier", Kind::Structure), one("type", Kind::Word), optional("display", Kind::Value)],
        returns: Kind::Structure,
        doc: "A FHIR Reference by identifier to a resource of a type, with a name to show.",
        example: Example {
            given: "PV1|||||||||||||||||||V-991^^^CAIRO^VN",
            expression: "PV1-19 | identifier | reference(\"Encounter\")",
            gives: r#"{"type":"Encounter","identifier":{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"VN"}]},"system":"urn:hl7v2:KASR_ALAINY:CAIRO","value":"V-991"}}"#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: reference,
    },
    Function {
        name: "uuid5",
        parameters: &[one("value", Kind::Value), one("namespace", Kind::Word)],
        returns: Kind::Text,
        doc: "A UUID that follows from the value (RFC 9562, version 5). The namespace is a UUID or a URI.",
        example: Example {
            given: "ORC|NW|12",
            expression: "ORC-2.1 | uuid5(\"http://ndp.egypt.gov.eg/orders\")",
            gives: r#""5c97afcf-d660-5893-9fc6-530620535728""#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| match (arguments.text(0), arguments.word(1)) {
            (Some(value), Some(namespace)) => {
                let space = uuid::Uuid::parse_str(&namespace)
                    .unwrap_or_else(|_| uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, namespace.as_bytes()));
                Ok(Val::from(uuid::Uuid::new_v5(&space, value.as_bytes()).to_string()))
            }
            (None, _) | (_, None) => Ok(Val::Absent),
        },
    },
    Function {
        name: "urn",
        // The compiler adds the place in hand.
        parameters: &[one("name", Kind::Word)],
        returns: Kind::Text,
        doc: "A URL for the thing in hand, called so: `urn:uuid:` and a UUID that follows from the message, the name and the place in it (the message, a group, a segment, a repetition of a field). It is equal wherever the same place of the same message is in hand, so that entries of a Bundle can refer to each other.",
        example: Example {
            given: "ORC|NW|12",
            expression: "urn(\"order\")",
            gives: r#""urn:uuid:e88af48e-f817-568d-97f2-6ed3b56d89ed""#,
        },
        may_fail: false,
        takes: Takes::Whole,
        run: |arguments| {
            let message = &arguments.environment.context.message_id;
            let (name, place) = (arguments.word(0).unwrap_or_default(), arguments.text(1).unwrap_or_default());
            let space = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, message.as_bytes());
            let uuid = uuid::Uuid::new_v5(&space, format!("{name} {place}").as_bytes());
            Ok(Val::from(format!("urn:uuid:{uuid}")))
        },
    },
    Function {
        name: "hmac",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "HMAC-SHA-256 of the value with the hub's key, in 64 hexadecimal digits: equal for equal values, and nobody without the key can find the value.",
        example: Example {
            given: "PID|||1",
            expression: "PID-3.1 | hmac",
            gives: r#""d8e2d1fd980d5453c233f8fb5d07641c7bdfd9fe7cb6f5221bab76e3180aa74f""#,
        },
        may_fail: true,
        takes: Takes::Each,
        run: hmac,
    },
    Function {
        name: "hash",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "SHA-256 of the UTF-8 bytes of the text, in 64 hexadecimal digits. Who knows all possible values, as those of a national ID, finds the value behind it: use `hmac` for such.",
        example: Example {
            given: "ORC|NW|12",
            expression: "ORC-2.1 | hash",
            gives: r#""6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918""#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| {
            let digest = arguments.text(0).map(|text| Sha256::digest(text.as_bytes()));
            Ok(digest.map_or(Val::Absent, |digest| Val::from(hexadecimal(&digest))))
        },
    },
];

fn identifier<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let kind = arguments.word(1);
    match arguments.take(0) {
        Val::Field(field) => {
            let datatype = match kind.as_deref() {
                Some("EI") => DataType::Ei,
                Some("CX") => DataType::Cx,
                Some("XCN") => DataType::Xcn,
                Some("XON") => DataType::Xon,
                Some("DLN") => DataType::Dln,
                Some("PLN") => DataType::Pln,
                Some(_) | None => field.datatype,
            };
            Ok(match datatype {
                DataType::Dln => of_licence(field.components::<3>(), Some("DL")),
                DataType::Pln => {
                    let [number, of_type, issuer, end] = field.components::<4>();
                    of_licence([number, issuer, end], of_type.map(trimmed).as_deref())
                }
                DataType::Hd => of_authority(field.components::<3>()),
                _ => of_field(&field, datatype, arguments.environment),
            })
        }
        structure @ (Val::Object(_) | Val::Json(serde_json::Value::Object(_))) => Ok(structure),
        other => Ok(other.text().map_or(Val::Absent, |text| Val::Object(vec![("value", Val::Text(trimmed(text)))]))),
    }
}

/// Where an identifier, its authority and its type stand in a field.
struct Places {
    value: u16,
    authority: Authority,
    kind: Option<u16>,
}

/// Where the authority stands.
enum Authority {
    /// An HD in one component.
    In(u16),
    /// Three components in a row.
    From(u16),
    /// The second to fourth subcomponent of a component.
    Below(u16),
    /// The value has none.
    Nowhere,
}

fn places(field: &Field<'_>, datatype: DataType) -> Places {
    match datatype {
        DataType::Cx => Places { value: 1, authority: Authority::In(4), kind: Some(5) },
        DataType::Xcn => Places { value: 1, authority: Authority::In(9), kind: Some(13) },
        DataType::Ei => Places { value: 1, authority: Authority::From(2), kind: None },
        // The placer's number, with `&` between its parts.
        DataType::Eip => Places { value: 1, authority: Authority::Below(1), kind: None },
        DataType::Xon if field.component(10).is_some() => {
            Places { value: 10, authority: Authority::In(6), kind: Some(7) }
        }
        DataType::Xon => Places { value: 3, authority: Authority::In(6), kind: Some(7) },
        DataType::Unknown if field.component(5).is_some() || field.subcomponent(4, 2).is_some() => {
            Places { value: 1, authority: Authority::In(4), kind: Some(5) }
        }
        DataType::Unknown => Places { value: 1, authority: Authority::From(2), kind: None },
        DataType::Xpn
        | DataType::Xad
        | DataType::Xtn
        | DataType::Coded
        | DataType::Ts
        | DataType::Nm
        | DataType::Cq
        | DataType::Tq
        | DataType::Rpt
        | DataType::Pl
        | DataType::Hd
        | DataType::Mo
        | DataType::Cp
        | DataType::Dln
        | DataType::Pln
        | DataType::Plain => Places { value: 1, authority: Authority::Nowhere, kind: None },
    }
}

fn of_field<'r>(field: &Field<'r>, datatype: DataType, environment: &'r Environment<'r>) -> Val<'r> {
    let places = places(field, datatype);
    let Some(value) = field.component(places.value) else { return Val::Absent };
    let kind = places.kind.and_then(|place| field.component(place)).map(trimmed);
    let mut elements = Vec::with_capacity(3);
    elements.extend(kind.clone().map(type_of));
    let (namespace, universal, universal_kind) = match places.authority {
        Authority::In(place) => {
            (field.subcomponent(place, 1), field.subcomponent(place, 2), field.subcomponent(place, 3))
        }
        Authority::From(place) => {
            (field.component(place), field.component(place.saturating_add(1)), field.component(place.saturating_add(2)))
        }
        Authority::Below(place) => {
            (field.subcomponent(place, 2), field.subcomponent(place, 3), field.subcomponent(place, 4))
        }
        Authority::Nowhere => return Val::Object(vec![("value", Val::Text(fold_digits(trimmed(value))))]),
    };
    let names = Names { namespace, universal, universal_kind, kind };
    if let Some(system) = names.system(environment) {
        elements.push(("system", Val::Text(system)));
    }
    elements.push(("value", Val::Text(fold_digits(trimmed(value)))));
    Val::Object(elements)
}

/// The element `type` of an identifier: coded if HL7 table 0203 has the code, else as the sender's own word.
fn type_of<'r>(kind: Cow<'r, str>) -> (&'r str, Val<'r>) {
    if table("0203").is_none_or(|types| types.code(&kind).is_none()) {
        return ("type", Val::Object(vec![("text", Val::Text(kind))]));
    }
    let coding = Val::Object(vec![("system", Val::from(IDENTIFIER_TYPES)), ("code", Val::Text(kind))]);
    ("type", Val::Object(vec![("coding", Val::List(vec![coding]))]))
}

/// A licence by its number, issuer and last day. The authority of its number is known by name only.
fn of_licence<'r>(parts: [Option<Cow<'r, str>>; 3], kind: Option<&str>) -> Val<'r> {
    let [number, issuer, end] = parts;
    let Some(number) = number else { return Val::Absent };
    let mut elements = Vec::with_capacity(4);
    elements.extend(kind.map(|kind| type_of(Cow::Owned(kind.to_owned()))));
    elements.push(("value", Val::Text(fold_digits(trimmed(number)))));
    let end = end.and_then(|end| fhir_date(end).ok().flatten());
    elements.extend(end.map(|end| ("period", Val::Object(vec![("end", Val::from(end))]))));
    let assigner = issuer.map(|issuer| Val::Object(vec![("display", Val::Text(trimmed(issuer)))]));
    elements.extend(assigner.map(|assigner| ("assigner", assigner)));
    Val::Object(elements)
}

/// An authority is itself identified: by its name, or as URI (RFC 3986) by its universal id.
fn of_authority(parts: [Option<Cow<'_, str>>; 3]) -> Val<'_> {
    let [name, universal, kind] = parts;
    if let Some(name) = name {
        return Val::Object(vec![("value", Val::Text(fold_digits(trimmed(name))))]);
    }
    let Some(universal) = universal.map(trimmed) else { return Val::Absent };
    match universal_uri(&universal, kind.as_deref()) {
        Some(uri) => Val::Object(vec![("system", Val::from(URIS)), ("value", Val::from(uri))]),
        None => Val::Object(vec![("value", Val::Text(universal))]),
    }
}

/// A universal id as URI; `None` if it is of a kind that has none.
fn universal_uri(universal: &str, kind: Option<&str>) -> Option<String> {
    match kind {
        Some("ISO") if is_oid(universal) => Some(format!("urn:oid:{universal}")),
        Some("UUID" | "GUID") => uuid::Uuid::parse_str(universal).ok().map(|uuid| uuid.urn().to_string()),
        _ if is_uri(universal) => Some(universal.to_owned()),
        _ if is_oid(universal) => Some(format!("urn:oid:{universal}")),
        _ => None,
    }
}

/// What a message says about an authority.
struct Names<'r> {
    namespace: Option<Cow<'r, str>>,
    universal: Option<Cow<'r, str>>,
    universal_kind: Option<Cow<'r, str>>,
    kind: Option<Cow<'r, str>>,
}

impl<'r> Names<'r> {
    fn system(&self, environment: &'r Environment<'r>) -> Option<Cow<'r, str>> {
        let named = [&self.universal, &self.namespace].into_iter().flatten();
        if let Some(uri) = named.into_iter().find_map(|name| environment.system(name.trim())) {
            return Some(Cow::Borrowed(uri));
        }
        let universal = self.universal.as_deref().map(str::trim);
        if let Some(uri) = universal.and_then(|universal| universal_uri(universal, self.universal_kind.as_deref())) {
            return Some(Cow::Owned(uri));
        }
        if let Some(name) = self.namespace.as_deref().or(self.universal.as_deref()) {
            return Some(Cow::Owned(environment.local_system(name)));
        }
        // No authority: the type may say it (NI), else the sender is its own authority.
        let by_type = self.kind.as_deref().and_then(|kind| environment.system(kind.trim()));
        by_type.map(Cow::Borrowed).or_else(|| environment.sender_system().map(Cow::Owned))
    }
}

fn reference<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let identifier = arguments.take(0);
    let kind = arguments.take(1);
    let display = arguments.text(2);
    let mut elements = vec![("type", kind), ("identifier", identifier)];
    if let Some(display) = display {
        elements.push(("display", Val::Text(trimmed(display))));
    }
    Ok(Val::Object(elements))
}

fn hmac<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let Some(value) = arguments.text(0) else { return Ok(Val::Absent) };
    let key = arguments.environment.context.hmac_key.bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Fault::Invalid("the hub's key cannot be used"))?;
    mac.update(value.as_bytes());
    Ok(Val::from(hexadecimal(&mac.finalize().into_bytes())))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
