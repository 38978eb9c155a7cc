//! Functions of identity: Identifier, Reference, names made from names.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::coded::{hl7_system, is_oid, is_uri};
use super::text::{fold_digits, trimmed};
use super::{Arguments, Environment, Example, Function, Kind, Takes, one, optional};
use crate::mapping::error::Fault;
use crate::mapping::fields::DataType;
use crate::mapping::value::{Field, Val};

/// The table of identifier types.
const IDENTIFIER_TYPES: &str = "0203";

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "identifier",
        parameters: &[one("value", Kind::Any), optional("type", Kind::Word)],
        returns: Kind::Structure,
        doc: "A FHIR Identifier from an EI, CX, XCN, XON or HD field. The authority becomes a URI by the table `systems` (its universal id, its name, or the identifier's type); an authority that is not there becomes `urn:oid:...` for an OID and `urn:hl7v2:FACILITY:NAME` for a name, so that equal numbers of two hospitals stay apart. The type is \"EI\", \"CX\" or \"XCN\" for a field whose type is not known, such as one of a Z-segment.",
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
];

fn identifier<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let kind = arguments.word(1);
    match arguments.take(0) {
        Val::Field(field) => {
            let datatype = match kind.as_deref() {
                Some("EI") => DataType::Ei,
                Some("CX") => DataType::Cx,
                Some("XCN") => DataType::Xcn,
                Some(_) | None => field.datatype,
            };
            Ok(of_field(&field, datatype, arguments.environment))
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
        | DataType::Plain => Places { value: 1, authority: Authority::Nowhere, kind: None },
    }
}

fn of_field<'r>(field: &Field<'r>, datatype: DataType, environment: &'r Environment<'r>) -> Val<'r> {
    let places = places(field, datatype);
    let Some(value) = field.component(places.value) else { return Val::Absent };
    let kind = places.kind.and_then(|place| field.component(place)).map(trimmed);
    let mut elements = Vec::with_capacity(3);
    if let Some(kind) = &kind {
        let system = hl7_system(IDENTIFIER_TYPES, kind, environment);
        let coding = Val::Object(vec![("system", Val::Text(system)), ("code", Val::Text(kind.clone()))]);
        elements.push(("type", Val::Object(vec![("coding", Val::List(vec![coding]))])));
    }
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
        if let Some(universal) = self.universal.as_deref().map(str::trim) {
            match self.universal_kind.as_deref() {
                Some("ISO") => return Some(Cow::Owned(format!("urn:oid:{universal}"))),
                Some("UUID" | "GUID") => return Some(Cow::Owned(format!("urn:uuid:{}", universal.to_lowercase()))),
                _ if is_uri(universal) => return Some(Cow::Owned(universal.to_owned())),
                _ if is_oid(universal) => return Some(Cow::Owned(format!("urn:oid:{universal}"))),
                _ => {}
            }
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
    let digest = mac.finalize().into_bytes();
    Ok(Val::from(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}
