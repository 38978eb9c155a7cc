//! The tests that stand in the files of mappings and routes.
//!
//! In come a test and the document it is given; out goes what differed from what it expects. Promised:
//! a test without differences is one whose every expectation was met. Refused: documents that cannot be
//! read, which is a difference too. Differences show values: they are those of fixtures, never of
//! messages.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use adapters::clock::Timestamp;
use adapters::hl7v2::{self, CharsetRule};
use adapters::{Document, Format, csv, xml};
use serde_json::Value as Json;

use super::context::{Context, HmacKey, Output};
use super::documents::Settings;
use super::error::{MapError, Place};
use super::json_path::{JsonPath, own_text};
use super::parse::{DeclaredTest, Expectation};
use super::plan::Mapping;
use super::value::compare_numbers;
use crate::finding::Scalar;

/// Largest fixture in bytes.
const FIXTURE_BYTES_MAX: u64 = 16 << 20;

/// Name of the message in tests that give none.
const TEST_MESSAGE_ID: &str = "test";

/// When messages of tests are received that give no time: 2026-01-01T00:00:00Z.
const TEST_RECEIVED_AT: Timestamp = Timestamp(1_767_225_600_000_000);

/// What one test gave.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// Mapping or route, and the test's name: `rde_o11_to_prescription: a new order`.
    pub name: String,
    /// Where the test stands.
    pub place: Place,
    /// What differed; empty when the test passed.
    pub differences: Vec<String>,
}

impl TestResult {
    /// Whether nothing differed.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Where the documents of tests are looked for.
#[derive(Clone, Debug)]
pub(crate) struct Fixtures {
    folders: Vec<PathBuf>,
}

impl Fixtures {
    /// Beside `routes.toml`, in the folder `tests` there, and below `mappings`.
    pub fn beside(root: &Path) -> Self {
        Fixtures { folders: vec![root.to_owned(), root.join("tests"), root.join("mappings")] }
    }

    /// The document that a test is given: a file, or the document itself.
    pub fn read(&self, given: &str, charset: CharsetRule) -> Result<Document, String> {
        let start = given.trim_start();
        if start.starts_with(['{', '[']) {
            return read_json(start.as_bytes());
        }
        if start.starts_with('<') {
            return read_xml(start.as_bytes().to_vec());
        }
        if start.starts_with("MSH") {
            // Lines of a message may be indented in the file.
            let lines: Vec<&str> = start.lines().map(str::trim_start).filter(|line| !line.is_empty()).collect();
            return read_hl7(lines.join("\r").into_bytes(), charset);
        }
        if start.contains('\n') {
            return read_csv(start.as_bytes().to_vec());
        }
        let path = self.folders.iter().map(|folder| folder.join(given)).find(|path| path.is_file());
        let path = path.ok_or_else(|| format!("there is no file {given} beside routes.toml or in its folder tests"))?;
        let size = std::fs::metadata(&path).map_err(|error| format!("{given}: {error}"))?.len();
        if size > FIXTURE_BYTES_MAX {
            return Err(format!("{given} is larger than {FIXTURE_BYTES_MAX} bytes"));
        }
        let bytes = std::fs::read(&path).map_err(|error| format!("{given}: {error}"))?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => read_json(&bytes),
            Some("xml") => read_xml(bytes),
            Some("csv") => read_csv(bytes),
            Some(_) | None => read_hl7(bytes, charset),
        }
    }
}

fn read_json(bytes: &[u8]) -> Result<Document, String> {
    serde_json::from_slice(bytes).map(Document::Json).map_err(|error| format!("the document is no JSON: {error}"))
}

fn read_xml(bytes: Vec<u8>) -> Result<Document, String> {
    let document = xml::Document::read(bytes.into());
    document.map(Document::Xml).map_err(|error| format!("the document is no XML: {error}"))
}

fn read_csv(bytes: Vec<u8>) -> Result<Document, String> {
    let document = csv::Document::read(bytes.into());
    document.map(Document::Csv).map_err(|error| format!("the document is no CSV: {error}"))
}

fn read_hl7(bytes: Vec<u8>, charset: CharsetRule) -> Result<Document, String> {
    let document = hl7v2::Document::read(bytes.into(), charset);
    document.map(Document::Hl7v2).map_err(|error| format!("the document is no HL7 v2 message: {error}"))
}

/// The context of a test that says nothing about it.
pub(crate) fn test_context(source: &str) -> Context {
    Context {
        message_id: TEST_MESSAGE_ID.to_owned(),
        source: source.to_owned(),
        received_at: TEST_RECEIVED_AT,
        hmac_key: HmacKey::new(b"key of tests"),
    }
}

impl Mapping {
    /// Runs every `[[test]]` of the mapping's file.
    pub(crate) fn test(&self, fixtures: &Fixtures) -> Vec<TestResult> {
        self.tests
            .iter()
            .map(|test| TestResult {
                name: format!("{}: {}", self.name, test.name.value),
                place: Place { file: self.place.file.clone(), line: test.line },
                differences: self.differences(test, fixtures),
            })
            .collect()
    }

    fn differences(&self, test: &DeclaredTest, fixtures: &Fixtures) -> Vec<String> {
        let context = match context_of(test) {
            Ok(context) => context,
            Err(difference) => return vec![difference],
        };
        let document = match fixtures.read(&test.given.value, CharsetRule::default()) {
            Ok(document) => document,
            Err(difference) => return vec![difference],
        };
        let result = self.run(&document, &context);
        match (&test.expect_error, result) {
            (Some(expected), Err(error)) => wrong_error(&expected.value, &error).into_iter().collect(),
            (Some(expected), Ok(outputs)) => {
                vec![format!("expected the error {}, and {} outputs came", expected.value, outputs.len())]
            }
            (None, Err(error)) => vec![error.to_string()],
            (None, Ok(outputs)) => wrong_outputs(test, &outputs, &self.settings),
        }
    }
}

fn context_of(test: &DeclaredTest) -> Result<Context, String> {
    let mut context = test_context(test.source.as_ref().map_or("test", |source| source.value.as_str()));
    if let Some(id) = &test.message_id {
        context.message_id.clone_from(&id.value);
    }
    if let Some(time) = &test.received_at {
        let time =
            time.value.parse::<jiff::Timestamp>().map_err(|_| format!("received_at is no time: {}", time.value))?;
        context.received_at = Timestamp(time.as_microsecond());
    }
    Ok(context)
}

fn wrong_error(expected: &str, error: &MapError) -> Option<String> {
    (error.code.to_string() != expected).then(|| format!("expected the error {expected}, and this came: {error}"))
}

fn wrong_outputs(test: &DeclaredTest, outputs: &[Output], settings: &Settings) -> Vec<String> {
    let mut differences = Vec::new();
    let wanted = test.outputs.as_ref().map(|number| number.value);
    let count = u64::try_from(outputs.len()).unwrap_or(u64::MAX);
    if let Some(wanted) = wanted.filter(|wanted| *wanted != count) {
        differences.push(format!("expected {wanted} outputs, and {count} came"));
    }
    if test.expect.len() > outputs.len() {
        differences.push(format!("expectations for {} outputs, and {count} came", test.expect.len()));
    }
    for (number, (expectations, output)) in test.expect.iter().zip(outputs).enumerate() {
        let prefix = if test.expect.len() > 1 { format!("output {number}: ") } else { String::new() };
        match Found::read(output, settings) {
            Ok(found) => {
                let wrong = expectations.iter().filter_map(|expectation| found.difference(output, expectation));
                differences.extend(wrong.map(|difference| format!("{prefix}{difference}")));
            }
            Err(difference) => differences.push(format!("{prefix}{difference}")),
        }
    }
    differences
}

/// An output, read back.
enum Found {
    Json(Json),
    Hl7(hl7v2::Document),
}

/// A value of an output: text, and whether it is a JSON number or boolean.
struct Value {
    shown: String,
    text: String,
}

impl Found {
    fn read(output: &Output, settings: &Settings) -> Result<Found, String> {
        match output.format {
            Format::Hl7v2 => hl7v2::Document::read(output.body.clone(), CharsetRule::default())
                .map(Found::Hl7)
                .map_err(|error| format!("the output is no HL7 v2 message: {error}")),
            Format::FhirJson | Format::Json => serde_json::from_slice(&output.body)
                .map(Found::Json)
                .map_err(|error| format!("the output is no JSON: {error}")),
            Format::Xml => {
                let document = xml::Document::read(output.body.clone());
                let tree = document.and_then(|read| read.tree_with(&settings.namespaces).map(Cow::into_owned));
                tree.map(|tree| Found::Json(tree.content)).map_err(|error| format!("the output is no XML: {error}"))
            }
            Format::Csv => {
                let options = csv::Options { charset: csv::Options::default().charset, ..settings.csv.clone() };
                let rows = csv::Document::read(output.body.clone()).and_then(|read| read.rows(&options));
                rows.map(Found::Json).map_err(|error| format!("the output is no CSV: {error}"))
            }
        }
    }

    fn difference(&self, output: &Output, expectation: &Expectation) -> Option<String> {
        let path = &expectation.path.value;
        let found = if path == "command" { output.command.as_deref().map(Value::text) } else { self.value(path) };
        match (&expectation.value, found) {
            (None, None) => None,
            (None, Some(found)) => Some(format!("{path}: expected nothing, found {}", found.shown)),
            (Some(expected), None) => Some(format!("{path}: expected {}, found nothing", show(expected))),
            (Some(expected), Some(found)) => (!meets(expected, &found))
                .then(|| format!("{path}: expected {}, found {}", show(expected), found.shown)),
        }
    }

    fn value(&self, path: &str) -> Option<Value> {
        match self {
            Found::Json(json) => {
                JsonPath::parse(path).ok()?.find(json).map(own_text).filter(is_valued).map(|found| match found {
                    Json::String(text) => Value::text(text),
                    other => Value { shown: other.to_string(), text: other.to_string() },
                })
            }
            Found::Hl7(document) => {
                let message = document.message();
                let value = message.find(&message.whole(), &hl7v2::Path::parse(path).ok()?);
                (!value.is_empty()).then(|| Value::text(&value.text()))
            }
        }
    }
}

/// An empty value of CSV, and an empty element of XML, is nothing.
fn is_valued(found: &&Json) -> bool {
    found.as_str().is_none_or(|text| !text.is_empty())
}

impl Value {
    fn text(text: &str) -> Value {
        Value { shown: format!("{text:?}"), text: text.to_owned() }
    }
}

fn meets(expected: &Scalar, found: &Value) -> bool {
    match expected {
        Scalar::Text(text) => found.text == *text,
        Scalar::Boolean(boolean) => found.text == boolean.to_string(),
        Scalar::Number(number) => compare_numbers(number, &found.text).is_some_and(std::cmp::Ordering::is_eq),
    }
}

fn show(expected: &Scalar) -> String {
    match expected {
        Scalar::Text(text) => format!("{text:?}"),
        Scalar::Number(number) => number.clone(),
        Scalar::Boolean(boolean) => boolean.to_string(),
    }
}
