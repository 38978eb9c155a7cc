//! `from` and `to`: what a mapping reads and writes.

use adapters::hl7v2::grammar::{Grammar, Version, message_structure};
use adapters::xml::{Namespaces, is_name};
use adapters::{fhir, hl7v2};

use super::Checker;
use crate::finding::{Text, codes, did_you_mean};
use crate::mapping::documents::Settings;
use crate::mapping::parse::Documents;
use crate::mapping::plan::{MessageType, SourceFormat, TargetFormat};

impl Checker<'_> {
    pub(super) fn source_format(&mut self, text: &Text) -> Option<SourceFormat> {
        let mut words = text.value.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("hl7v2"), Some(_), _) => {
                text.value.trim_start().strip_prefix("hl7v2").and_then(message_types).map(SourceFormat::Hl7v2)
            }
            (Some("fhir"), Some(resource), None) if is_resource(resource) => {
                Some(SourceFormat::Fhir(resource.to_owned()))
            }
            (Some("event"), None, None) => Some(SourceFormat::Event),
            (Some("json"), None, None) => Some(SourceFormat::Json),
            (Some("xml"), Some(root), None) if is_name(root) => Some(SourceFormat::Xml(root.to_owned())),
            (Some("csv"), None, None) => Some(SourceFormat::Csv),
            _ => None,
        }
        .or_else(|| {
            let help = "write `hl7v2 RDE^O11`, `hl7v2 ADT^A01, A04`, `fhir MedicationRequest`, `event`, `json`, \
                        `xml` and the root element, or `csv`"
                .to_owned();
            self.report(
                codes::BAD_VALUE,
                text.span.clone(),
                format!("`{}` is nothing to map from", text.value),
                Some(help),
            );
            None
        })
    }

    /// `version` is that in which HL7 v2 is written.
    pub(super) fn target_format(&mut self, text: &Text, version: Version) -> Option<TargetFormat> {
        let mut words = text.value.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("hl7v2"), Some(kind), None) => {
                message_type(kind).map(|kind| TargetFormat::Hl7v2(kind.written_in(version)))
            }
            (Some("fhir"), Some(name), None) if fhir::grammar::resource(name).is_some() => {
                Some(TargetFormat::Fhir(name.to_owned()))
            }
            (Some("fhir"), Some(name), None) => {
                let help = did_you_mean(name, fhir::grammar::resource_names());
                self.report(codes::BAD_VALUE, text.span.clone(), format!("FHIR R4 has no resource `{name}`"), help);
                return None;
            }
            (Some("json"), None, None) => Some(TargetFormat::Json),
            (Some("xml"), Some(root), None) if is_name(root) => Some(TargetFormat::Xml(root.to_owned())),
            (Some("csv"), None, None) => Some(TargetFormat::Csv),
            _ => None,
        }
        .or_else(|| {
            let help = "write `fhir MedicationRequest`, `hl7v2 RRE^O12`, `json`, `xml` and the root element, or `csv`"
                .to_owned();
            self.report(
                codes::BAD_VALUE,
                text.span.clone(),
                format!("`{}` is nothing to map to", text.value),
                Some(help),
            );
            None
        })
    }
}

impl Checker<'_> {
    /// What a mapping says of its formats, where it reads or writes them.
    pub(super) fn settings(&mut self, documents: &Documents, from: &SourceFormat, to: &TargetFormat) -> Settings {
        let mut settings = Settings::default();
        if let Some((key, options)) = &documents.formats.csv {
            self.unused_section(key, matches!(from, SourceFormat::Csv) || matches!(to, TargetFormat::Csv));
            settings.csv = options.clone();
        }
        if let Some(xml) = &documents.formats.xml {
            let is_xml = matches!(from, SourceFormat::Xml(_)) || matches!(to, TargetFormat::Xml(_));
            self.unused_section(&xml.key, is_xml);
            settings.namespace.clone_from(&xml.namespace);
            settings.namespaces = Namespaces::new(xml.namespaces.clone());
        }
        let roots = [
            if let SourceFormat::Xml(root) = from { Some((&documents.from, root)) } else { None },
            if let TargetFormat::Xml(root) = to { Some((&documents.to, root)) } else { None },
        ];
        for (text, root) in roots.into_iter().flatten() {
            self.check_prefix(text, root, &settings.namespaces);
        }
        settings
    }

    fn unused_section(&mut self, key: &Text, is_used: bool) {
        if !is_used {
            let message =
                format!("`{}` says how a format is read and written, and this mapping has none of it", key.value);
            self.report(codes::UNKNOWN_KEY, key.span.clone(), message, None);
        }
    }

    /// A prefix of a name must be one of those that were declared.
    pub(super) fn check_prefix(&mut self, text: &Text, name: &str, namespaces: &Namespaces) -> bool {
        let Some((prefix, _)) = name.trim_start_matches('@').split_once(':') else { return true };
        if namespaces.pairs().any(|(known, _)| known == prefix) {
            return true;
        }
        let help = did_you_mean(prefix, namespaces.pairs().map(|(known, _)| known))
            .unwrap_or_else(|| format!("add `[xml]` with `namespaces = {{ {prefix} = \"...\" }}`"));
        let message = format!("no namespace has the prefix `{prefix}`");
        self.report(codes::BAD_VALUE, text.span.clone(), message, Some(help));
        false
    }
}

/// `RDE^O11`, or several: `ADT^A01, A04, A08`, where a trigger alone takes the code before it.
fn message_types(text: &str) -> Option<Vec<MessageType>> {
    let mut types: Vec<MessageType> = Vec::new();
    for name in text.split(',').map(str::trim) {
        let code = types.last().map(|last| last.code.clone());
        let whole = match code {
            Some(code) if !name.contains('^') => format!("{code}^{name}"),
            Some(_) | None => name.to_owned(),
        };
        types.push(message_type(&whole)?);
    }
    Some(types)
}

/// `RDE^O11`
fn message_type(text: &str) -> Option<MessageType> {
    let (code, trigger) = text.split_once('^')?;
    let is_code =
        |part: &str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (is_code(code) && is_code(trigger)).then(|| MessageType {
        code: code.to_owned(),
        trigger: trigger.to_owned(),
        structure: hl7v2::grammar::structure_of(code, trigger, ""),
        version: Version::USUAL,
    })
}

impl MessageType {
    /// The type as a version writes it: MSH-9.3 came with 2.3.1, and names what the version calls the structure.
    fn written_in(self, version: Version) -> MessageType {
        let known = self.structure.filter(|name| Grammar::of(version).structure(name).is_some());
        let nearest = || message_structure(version, &self.code, &self.trigger, "").map(|structure| structure.name());
        let structure = known.or_else(nearest).filter(|_| version > Version::V2_3);
        MessageType { structure, version, ..self }
    }
}

fn is_resource(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
