//! Everything that the shipped mappings make of the fixtures.
//!
//! In come `mappings/` and the messages and events under `tests/fixtures`; out go the documents, and which mapping
//! refuses which message. Promised: every mapping meets every message of a type that it takes, by its `from` or by a
//! condition of a shipped route. Left out: files that cannot be read at all, which no mapping ever sees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adapters::clock::Timestamp;
use adapters::hl7v2::{self, CharsetRule, batch};
use adapters::{csv, xml};
use bytes::Bytes;
use hub::mapping::{Context, HmacKey, Mapping, SourceFormat};
use hub::routes::Configuration;

use crate::Fallible;
use crate::folder::workspace;
use crate::judge::Document;

/// Where messages and events lie.
const FOLDERS: [&str; 8] = ["hl7v2", "corpus", "unseen", "events", "fhir", "json", "xml", "csv"];

/// When every message is received: 2026-01-01T00:00:00Z.
const RECEIVED_AT: Timestamp = Timestamp(1_767_225_600_000_000);

/// What came of it.
#[derive(Debug, Default)]
pub struct Emitted {
    /// The documents, each named `MAPPING FILE NUMBER`.
    pub documents: Vec<Document>,
    /// How many documents each mapping made.
    pub counts: BTreeMap<String, usize>,
    /// `MAPPING FILE HUBnnnn` for each message that a mapping refuses, sorted.
    pub refused: Vec<String>,
}

/// A message of a file.
struct Given {
    /// The file's, from `tests/fixtures`, and which message of it if there are several.
    name: String,
    document: adapters::Document,
}

/// Runs all mappings over all fixtures.
pub fn emitted() -> Fallible<Emitted> {
    let loaded = Configuration::load(&workspace().join("routes.toml"))
        .map_err(|findings| format!("the shipped configuration has mistakes: {findings:?}"))?;
    let configuration = loaded.configuration;
    let given = all_given()?;
    let mut emitted = Emitted::default();
    for mapping in configuration.mappings.values() {
        let taken = given.iter().filter(|given| takes(&configuration, mapping, &given.document));
        let mut count = 0;
        for one in taken {
            count += emitted.add(mapping, one)?;
        }
        emitted.counts.insert(mapping.name.clone(), count);
    }
    emitted.refused.sort();
    Ok(emitted)
}

impl Emitted {
    fn add(&mut self, mapping: &Mapping, given: &Given) -> Fallible<usize> {
        let context = Context {
            message_id: "01J0000000000000000000TEST".to_owned(),
            source: "fixtures".to_owned(),
            received_at: RECEIVED_AT,
            hmac_key: HmacKey::new(b"key of tests"),
        };
        let outputs = match mapping.run(&given.document, &context) {
            Ok(outputs) => outputs,
            Err(error) => {
                self.refused.push(format!("{} {} {}", mapping.name, given.name, error.code));
                return Ok(0);
            }
        };
        for (number, output) in outputs.iter().enumerate() {
            let name = format!("{} {} {}", mapping.name, given.name, number + 1);
            let text = String::from_utf8(output.body.to_vec())?;
            self.documents.push(Document { name, format: output.format, text });
        }
        Ok(outputs.len())
    }
}

fn all_given() -> Fallible<Vec<Given>> {
    let mut all = Vec::new();
    for folder in FOLDERS.map(|folder| workspace().join("tests/fixtures").join(folder)) {
        if !folder.is_dir() {
            continue;
        }
        let entries: Result<Vec<_>, _> = std::fs::read_dir(folder)?.collect();
        let mut files: Vec<PathBuf> = entries?.into_iter().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            all.extend(given_in(&file)?);
        }
    }
    Ok(all)
}

/// The messages of a file: all of a batch, none of what cannot be read.
fn given_in(file: &Path) -> Fallible<Vec<Given>> {
    let name = file.strip_prefix(workspace().join("tests/fixtures"))?.display().to_string();
    let bytes = Bytes::from(std::fs::read(file)?);
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Ok(vec![Given { name, document: adapters::Document::Json(serde_json::from_slice(&bytes)?) }]),
        Some("xml") => Ok(vec![Given { name, document: adapters::Document::Xml(xml::Document::read(bytes)?) }]),
        Some("csv") => Ok(vec![Given { name, document: adapters::Document::Csv(csv::Document::read(bytes)?) }]),
        Some("hl7") => {
            let bodies: Vec<Bytes> = match batch::split(&bytes) {
                Ok(envelope) => envelope.messages().map(|range| bytes.slice(range)).collect(),
                Err(_) => vec![bytes],
            };
            let several = bodies.len() > 1;
            let messages = bodies.into_iter().enumerate().filter_map(|(number, body)| {
                let document = hl7v2::Document::read(body, CharsetRule::default()).ok()?;
                let name = if several { format!("{name}#{}", number + 1) } else { name.clone() };
                Some(Given { name, document: adapters::Document::Hl7v2(document) })
            });
            Ok(messages.collect())
        }
        Some(_) | None => Ok(Vec::new()),
    }
}

fn takes(configuration: &Configuration, mapping: &Mapping, document: &adapters::Document) -> bool {
    match (&mapping.from, document) {
        (SourceFormat::Hl7v2(_), adapters::Document::Hl7v2(hl7)) => {
            let header = hl7.message().header();
            let (code, trigger) = (header.message_code().text(), header.trigger().text());
            let routed = configuration.routes.iter().any(|route| {
                let uses = route.mapping().is_some_and(|(name, _)| name == mapping.name);
                uses && route.condition.is_some() && route.matches(document)
            });
            routed || mapping.from.takes_message(&code, &trigger)
        }
        (from, document) => from.takes(document),
    }
}
