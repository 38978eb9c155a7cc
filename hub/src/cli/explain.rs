//! `hub explain`.

mod names;
mod report;

use std::path::{Path, PathBuf};

use adapters::clock::{Clock, SystemClock};
use adapters::hl7v2::{self, CharsetRule, batch};
use adapters::{Document, csv, xml};
use bytes::Bytes;
use clap::Args;

use self::report::{MappingReport, Report};
use super::client::configuration;
use super::output::{Failure, Outcome, Output, clean};
use super::{Exit, Global, files};
use crate::config::Settings;
use crate::mapping::{Context, HmacKey, SourceFormat};
use crate::routes::{Configuration, SourceAdapter, SourceSpec};

/// The byte order mark of UTF-8.
const MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// Show what the hub makes of a message: what it reads, which routes take it, where each value goes
///
/// Works on the configuration here; no hub need run, and nothing is sent. Values of the message are shown only
/// with --reveal. Pseudonyms are not those of a running hub, which has a key of its own. Ends with 1 if a
/// mapping cannot make its document.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hub explain tests/fixtures/hl7v2/rde_o11_new.hl7
      as if it came from any source that sends HL7 v2
  hub explain order.hl7 --source kasr-al-ainy --reveal
      as if it came from this one, with the values
  hub explain order.hl7 --mapping rde_o11_to_prescription --json
      one mapping, whatever the routes say, for a machine
  hub explain directory.csv --mapping medicine_directory_to_fhir
      a file of another format: XML and JSON are known by how they begin, CSV by its name or the mapping
Without --mapping: the mappings of the routes that take the message; without --source, or if there is no such
route, also the others that read its type.")]
pub struct ExplainArgs {
    /// A file with a message: HL7 v2, JSON, XML or CSV; `-` is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// As if it came from this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// This mapping, whether a route uses it for the message or not
    #[arg(long, value_name = "NAME")]
    pub mapping: Option<String>,
    /// Which message of a file that has several
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub number: usize,
    /// Show values of the message, which are patient data
    #[arg(long)]
    pub reveal: bool,
}

/// Explains.
pub fn run(global: &Global, args: &ExplainArgs, output: &mut Output<'_>) -> Outcome {
    let settings = Settings::load(global).map_err(configuration)?;
    let loaded = Configuration::load(&settings.routes).map_err(configuration)?.configuration;
    let named = args.source.as_ref().map(|name| source_named(&loaded, name)).transpose()?;
    let (body, of) = message_in(&args.file, args.number)?;
    let asked = args.mapping.as_ref().and_then(|name| loaded.mappings.get(name));
    let is_csv = asked.is_some_and(|mapping| mapping.from == SourceFormat::Csv);
    let document = document_of(body, named, &args.file, is_csv)?;
    let sources = sources_of(&loaded, named, &document);
    let mut report = Report::of(&document, &loaded, &sources, of);
    let source = sources.first().map_or("explain", |source| source.name.as_str());
    let context = Context {
        message_id: "explain".to_owned(),
        source: source.to_owned(),
        received_at: SystemClock.now(),
        hmac_key: HmacKey::new(b"explain"),
    };
    let mappings = match &args.mapping {
        Some(name) => vec![loaded.mappings.get(name).ok_or_else(|| unknown("mapping", loaded.mappings.keys()))?],
        None => {
            let mut mappings = report.routed_mappings(&loaded);
            // Whoever names a source asks what happens to its message, not what could.
            if mappings.is_empty() || named.is_none() {
                mappings.extend(report.other_mappings(&document, &loaded));
            }
            mappings
        }
    };
    for mapping in mappings {
        report.mappings.push(MappingReport::of(mapping, &document, &context, args.reveal));
    }
    if output.json {
        output.value(&report.to_json())?;
    } else {
        report.print(output)?;
        if of.1 > 1 {
            output.line(&format!("\nThis is message {} of {}; --number shows another.", of.0, of.1))?;
        }
    }
    Ok(if report.mappings.iter().any(|mapping| mapping.failure.is_some()) { Exit::Failed } else { Exit::Success })
}

/// The message, its number, and how many the file has.
fn message_in(path: &Path, number: usize) -> Result<(Bytes, (usize, usize)), Failure> {
    let bytes = files::read(path)?;
    let Ok(envelope) = batch::split(&bytes) else { return Ok((bytes, (1, 1))) };
    let count = envelope.messages().count();
    let range = number.checked_sub(1).and_then(|place| envelope.messages().nth(place));
    match range {
        Some(range) => Ok((bytes.slice(range), (number, count))),
        None => Err(Failure::new(Exit::Usage, format!("the file has {count} messages"))),
    }
}

/// What the file is, by its name and its first byte. `is_csv` says that the mapping that was asked for reads CSV.
fn document_of(body: Bytes, source: Option<&SourceSpec>, path: &Path, is_csv: bool) -> Result<Document, Failure> {
    let name = clean(&path.display().to_string());
    let unreadable = |kind: &str, error: adapters::Unreadable| {
        Failure::new(Exit::Failed, format!("{name} cannot be read as {kind}: {error}"))
    };
    let extension = path.extension().and_then(|extension| extension.to_str());
    let start = body.strip_prefix(MARK).unwrap_or(&body).trim_ascii_start();
    if extension == Some("xml") || start.starts_with(b"<") {
        return xml::Document::read(body).map(Document::Xml).map_err(|error| unreadable("XML", error));
    }
    if extension == Some("csv") || is_csv {
        return csv::Document::read(body).map(Document::Csv).map_err(|error| unreadable("CSV", error));
    }
    if start.starts_with(b"{") || start.starts_with(b"[") {
        // What is wrong with the JSON is said by its place, not by its text.
        return serde_json::from_slice(&body).map(Document::Json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Failure::new(Exit::Failed, format!("{name} is no JSON: line {line}, column {column}"))
        });
    }
    let charset = source.map_or_else(CharsetRule::default, SourceSpec::charset);
    hl7v2::Document::read(body, charset)
        .map(Document::Hl7v2)
        .map_err(|error| Failure::new(Exit::Failed, format!("{name} cannot be read as HL7 v2: {error}")))
}

fn source_named<'c>(configuration: &'c Configuration, name: &str) -> Result<&'c SourceSpec, Failure> {
    configuration.sources.get(name).ok_or_else(|| unknown("source", configuration.sources.keys()))
}

fn unknown<'n>(what: &str, names: impl Iterator<Item = &'n String>) -> Failure {
    let names: Vec<&str> = names.map(String::as_str).collect();
    Failure::new(Exit::Usage, format!("there is no such {what}; there are {}", names.join(", ")))
}

/// The source that was named, else every one that sends documents of this kind.
fn sources_of<'c>(
    configuration: &'c Configuration,
    named: Option<&'c SourceSpec>,
    document: &Document,
) -> Vec<&'c SourceSpec> {
    if let Some(source) = named {
        return vec![source];
    }
    let sends = |source: &&SourceSpec| {
        matches!(
            (&source.adapter, document),
            (SourceAdapter::Mllp(_), Document::Hl7v2(_)) | (SourceAdapter::Events(_), Document::Json(_))
        )
    };
    configuration.sources.values().filter(sends).collect()
}
