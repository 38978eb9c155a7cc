//! Documents as the trees that paths lead through, and trees as the documents that are written.
//!
//! In comes a document with what a mapping says of its format; out goes what its rules read. In comes JSON as rules
//! wrote it; out goes XML or CSV. Promised: HL7 v2 and JSON are read where they lie. Refused: documents of another
//! format or another root than the mapping reads, and files that are not as it says.

use std::borrow::Cow;

use adapters::csv;
use adapters::hl7v2::Message;
use adapters::xml::{self, Namespaces, Tree};
use adapters::{Document, Format};
use bytes::Bytes;
use serde_json::Value as Json;

use super::error::Fault;
use super::evaluate::Ground;
use super::plan::{SourceFormat, TargetFormat};

/// What a mapping says of the formats that it reads and writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// `[csv]`.
    pub csv: csv::Options,
    /// `[xml]`: the namespace of what is written, and those that paths have prefixes for.
    pub namespace: Option<String>,
    pub namespaces: Namespaces,
    /// The columns of CSV that is written, in the order of the file.
    pub columns: Vec<String>,
    /// Whether blocks write the rows of it; else each output is one row.
    pub is_of_rows: bool,
}

/// A document as rules read it.
pub(super) enum Source<'d> {
    Hl7(Message<'d>),
    Json(&'d Json),
    Xml(Cow<'d, Tree>),
    Csv(Json),
}

impl<'d> Source<'d> {
    /// The document, as a mapping from `from` reads it.
    pub fn of(document: &'d Document, from: &SourceFormat, settings: &Settings) -> Result<Source<'d>, &'static str> {
        const OTHER: &str = "the document is of another format than the mapping reads";
        match (from, document) {
            (SourceFormat::Hl7v2(_), Document::Hl7v2(document)) => Ok(Source::Hl7(document.message())),
            (SourceFormat::Fhir(_) | SourceFormat::Event | SourceFormat::Json, Document::Json(json)) => {
                Ok(Source::Json(json))
            }
            (SourceFormat::Xml(root), Document::Xml(document)) => {
                let tree = document.tree_with(&settings.namespaces).map_err(|error| error.reason)?;
                if tree.name != *root {
                    return Err("the XML document has another root element than the mapping reads");
                }
                Ok(Source::Xml(tree))
            }
            (SourceFormat::Csv, Document::Csv(document)) => {
                document.rows(&settings.csv).map(Source::Csv).map_err(|error| error.reason)
            }
            (
                SourceFormat::Hl7v2(_)
                | SourceFormat::Fhir(_)
                | SourceFormat::Event
                | SourceFormat::Json
                | SourceFormat::Xml(_)
                | SourceFormat::Csv,
                Document::Hl7v2(_) | Document::Json(_) | Document::Xml(_) | Document::Csv(_),
            ) => Err(OTHER),
        }
    }

    /// The document, as somebody reads it who knows of no mapping. CSV has nothing to be asked then.
    pub fn plain(document: &'d Document) -> Source<'d> {
        match document {
            Document::Hl7v2(document) => Source::Hl7(document.message()),
            Document::Json(json) => Source::Json(json),
            Document::Xml(document) => Source::Xml(Cow::Borrowed(document.tree())),
            Document::Csv(document) => Source::Csv(document.rows(&csv::Options::default()).unwrap_or_default()),
        }
    }

    /// What paths lead through.
    pub fn ground(&self) -> Ground<'_> {
        match self {
            Source::Hl7(message) => Ground::Hl7(*message),
            Source::Json(json) => Ground::Json(json),
            Source::Xml(tree) => Ground::Xml(&tree.content),
            Source::Csv(rows) => Ground::Json(rows),
        }
    }

    /// The message, if it is HL7 v2.
    pub fn message(&self) -> Option<Message<'_>> {
        match self {
            Source::Hl7(message) => Some(*message),
            Source::Json(_) | Source::Xml(_) | Source::Csv(_) => None,
        }
    }
}

/// The document of a mapping to `to` whose rules wrote `json`.
pub(super) fn written(json: String, to: &TargetFormat, settings: &Settings) -> Result<(Bytes, Format), Fault> {
    let tree = || serde_json::from_str::<Json>(&json).map_err(|_| Fault::Invalid("the output cannot be read back"));
    match to {
        TargetFormat::Fhir(_) => Ok((Bytes::from(json), Format::FhirJson)),
        TargetFormat::Json => Ok((Bytes::from(json), Format::Json)),
        TargetFormat::Xml(root) => {
            let Settings { namespace, namespaces, .. } = settings;
            let frame = xml::Frame { root, namespace: namespace.as_deref(), namespaces };
            let text = xml::write(frame, &tree()?).map_err(|error| Fault::Invalid(unwritable(error)))?;
            Ok((Bytes::from(text), Format::Xml))
        }
        TargetFormat::Csv => {
            let content = tree()?;
            let rows: Vec<&Json> = match content.get(csv::ROW) {
                Some(Json::Array(rows)) => rows.iter().collect(),
                Some(_) | None if settings.is_of_rows => Vec::new(),
                Some(_) | None => vec![&content],
            };
            let text = csv::write(&settings.columns, &rows, &settings.csv);
            Ok((Bytes::from(text.map_err(|_| Fault::Invalid("the rows cannot be written"))?), Format::Csv))
        }
        TargetFormat::Hl7v2(_) => Err(Fault::Invalid("HL7 v2 is not made of JSON")),
    }
}

fn unwritable(error: xml::Unwritable) -> &'static str {
    match error {
        xml::Unwritable::Name => "a name that XML cannot have",
        xml::Unwritable::Character => "a text has a character that XML cannot have",
        xml::Unwritable::Attribute => "an attribute with parts",
    }
}
