//! What mappings read and write.
//!
//! In come documents; out goes whether a mapping takes them. Promised: a document of another format is never taken.

use adapters::Document;
use adapters::hl7v2::grammar::Version;
use serde_json::Value as Json;

use crate::mapping::expression::PathKind;

/// What a mapping reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFormat {
    /// HL7 v2 messages of some types: `RDE^O11`.
    Hl7v2(Vec<MessageType>),
    /// FHIR R4 resources of a type.
    Fhir(String),
    /// Events of the hub: CloudEvents 1.0 in JSON.
    Event,
    /// JSON of any kind.
    Json,
    /// XML with this root element.
    Xml(String),
    /// CSV.
    Csv,
}

/// What a mapping writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetFormat {
    /// A FHIR R4 resource of a type, as JSON.
    Fhir(String),
    /// An HL7 v2 message of a type.
    Hl7v2(MessageType),
    /// JSON of any kind.
    Json,
    /// XML with this root element.
    Xml(String),
    /// CSV.
    Csv,
}

/// `RDE^O11`, and the structure that the standard gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageType {
    /// MSH-9.1.
    pub code: String,
    /// MSH-9.2.
    pub trigger: String,
    /// MSH-9.3, if the structure is known.
    pub structure: Option<&'static str>,
    /// MSH-12: in which version it is written.
    pub version: Version,
}

impl MessageType {
    /// Whether these are its code and its trigger, which some senders write in small letters.
    fn is_of(&self, code: &str, trigger: &str) -> bool {
        self.code.eq_ignore_ascii_case(code) && self.trigger.eq_ignore_ascii_case(trigger)
    }

    /// `RDE^O11`
    pub fn name(&self) -> String {
        format!("{}^{}", self.code, self.trigger)
    }
}

impl SourceFormat {
    /// Whether it takes HL7 v2 messages of this type.
    pub fn takes_message(&self, code: &str, trigger: &str) -> bool {
        match self {
            SourceFormat::Hl7v2(kinds) => kinds.iter().any(|kind| kind.is_of(code, trigger)),
            SourceFormat::Fhir(_)
            | SourceFormat::Event
            | SourceFormat::Json
            | SourceFormat::Xml(_)
            | SourceFormat::Csv => false,
        }
    }

    /// Whether it takes this document, as far as the document says what it is.
    pub fn takes(&self, document: &Document) -> bool {
        let word = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        match (self, document) {
            (SourceFormat::Hl7v2(_), Document::Hl7v2(hl7)) => {
                let header = hl7.message().header();
                self.takes_message(&header.message_code().text(), &header.trigger().text())
            }
            (SourceFormat::Fhir(resource), Document::Json(json)) => {
                word(json, "resourceType").as_ref() == Some(resource)
            }
            (SourceFormat::Event, Document::Json(json)) => json.get("specversion").is_some(),
            (SourceFormat::Json, Document::Json(json)) => {
                json.get("resourceType").is_none() && json.get("specversion").is_none()
            }
            (SourceFormat::Xml(root), Document::Xml(xml)) => {
                xml.tree().name == *root.split_once(':').map_or(root.as_str(), |(_, local)| local)
            }
            (SourceFormat::Csv, Document::Csv(_)) => true,
            _ => false,
        }
    }

    pub(in crate::mapping) fn path_kind(&self) -> PathKind {
        match self {
            SourceFormat::Hl7v2(_) => PathKind::Hl7,
            SourceFormat::Fhir(_)
            | SourceFormat::Event
            | SourceFormat::Json
            | SourceFormat::Xml(_)
            | SourceFormat::Csv => PathKind::Json,
        }
    }
}

impl TargetFormat {
    /// FHIR resource type, HL7 v2 message type with `^`, root element of XML, or the name of the format.
    pub fn resource_type(&self) -> String {
        match self {
            TargetFormat::Fhir(resource) => resource.clone(),
            TargetFormat::Hl7v2(message) => message.name(),
            TargetFormat::Json => "json".to_owned(),
            TargetFormat::Xml(root) => root.clone(),
            TargetFormat::Csv => "csv".to_owned(),
        }
    }
}
