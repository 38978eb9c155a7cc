//! The routing table: a checked configuration, ready to route.
//!
//! In come documents; out go the routes that match and their outputs. Promised: the table never
//! changes; another configuration is another table with another hash (H7).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use adapters::hl7v2::{self, CharsetRule};
use adapters::{Document, Format};
use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::check::check;
use super::load::Files;
use super::parse::parse;
use super::spec::{Delivery, DestinationSpec, Limit, Order, Retry, SourceAdapter, Target};
use crate::finding::Findings;
use crate::mapping::{
    Context, Fixtures, MapError, Mapping, MappingFiles, Output, Place, Question, TestResult, test_context,
};

/// SHA-256 over the names and contents of all files of a configuration.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ConfigHash(Arc<str>);

impl ConfigHash {
    fn of(files: &[(String, String)]) -> Self {
        let mut hash = Sha256::new();
        for part in files.iter().flat_map(|(name, text)| [name, text]) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        ConfigHash(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }

    /// 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A way in, with the questions that are asked of its messages.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Its name in `from`.
    pub name: String,
    /// How messages come.
    pub adapter: SourceAdapter,
    /// Line of `routes.toml` that declares it; 0 for an event source.
    pub line: usize,
    pub(super) key: Option<Arc<Question>>,
    pub(super) patient: Option<Arc<Question>>,
    pub(super) orders: Vec<Arc<Question>>,
}

impl SourceSpec {
    /// The lane of a message: order is kept among messages of one key (H5).
    pub fn key(&self, document: &Document) -> Option<String> {
        first_text(self.key.as_deref(), document)
    }

    /// The patient that a message can be found by.
    pub fn patient(&self, document: &Document) -> Option<String> {
        first_text(self.patient.as_deref(), document)
    }

    /// The order numbers that a message can be found by, each once.
    pub fn orders(&self, document: &Document) -> Vec<String> {
        let mut orders: Vec<String> = Vec::new();
        for order in self.orders.iter().flat_map(|question| question.texts(document)) {
            if !orders.contains(&order) {
                orders.push(order);
            }
        }
        orders
    }

    /// How the character set of its messages is found.
    pub fn charset(&self) -> CharsetRule {
        match &self.adapter {
            SourceAdapter::Mllp(mllp) => mllp.charset_rule(),
            SourceAdapter::Events(_) => CharsetRule::Fixed(hl7v2::Charset::Utf8),
        }
    }
}

fn first_text(question: Option<&Question>, document: &Document) -> Option<String> {
    question?.texts(document).into_iter().next()
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub id: String,
    /// What it is for.
    pub why: String,
    /// The sources it takes messages from.
    pub from: Vec<String>,
    /// Where its outputs go.
    pub to: Vec<Target>,
    /// Rate of its deliveries, beside the destination's own.
    pub limit: Option<Limit>,
    /// When its deliveries are tried again, if not as the destination says.
    pub retry: Option<Retry>,
    /// Whether a lane's order is kept.
    pub order: Order,
    /// Its condition as it is written, on one line; none takes every message.
    pub condition: Option<String>,
    /// Whether no later route is asked when this one matches.
    pub stop: bool,
    /// Where it is declared.
    pub place: Place,
    pub(super) when: Option<Arc<Question>>,
    pub(super) mapping: Option<Arc<Mapping>>,
    pub(super) tests: Vec<RouteTest>,
}

/// A test of a route.
#[derive(Clone, Debug)]
pub(super) struct RouteTest {
    pub name: String,
    pub given: String,
    pub goes: Vec<String>,
    pub outputs: Option<u64>,
    pub place: Place,
}

impl Route {
    /// Whether its condition holds for `document`.
    pub fn matches(&self, document: &Document) -> bool {
        self.when.as_ref().is_none_or(|when| when.holds(document))
    }

    /// The name and version of its mapping, if it has one.
    pub fn mapping(&self) -> Option<(&str, u64)> {
        self.mapping.as_ref().map(|mapping| (mapping.name.as_str(), mapping.version))
    }

    /// Its mapping, if it has one.
    pub fn plan(&self) -> Option<&Arc<Mapping>> {
        self.mapping.as_ref()
    }

    /// The outputs of `document` on this route; the document itself on a route without mapping.
    pub fn run(&self, document: &Document, context: &Context) -> Result<Vec<Output>, MapError> {
        match &self.mapping {
            Some(mapping) => mapping.run(document, context),
            None => Ok(vec![unchanged(document)]),
        }
    }

    /// How deliveries of this route to `destination` are made.
    pub fn delivery(&self, destination: &DestinationSpec) -> Delivery {
        let mut delivery = destination.delivery.clone();
        delivery.retry = self.retry.unwrap_or(delivery.retry);
        if self.order == Order::None {
            delivery.order = Order::None;
        }
        delivery
    }

    /// Runs one of its tests with a document of its first source.
    fn differences(&self, test: &RouteTest, fixtures: &Fixtures, source: Option<&SourceSpec>) -> Vec<String> {
        let charset = source.map_or_else(CharsetRule::default, SourceSpec::charset);
        let document = match fixtures.read(&test.given, charset) {
            Ok(document) => document,
            Err(difference) => return vec![difference],
        };
        let matches = self.matches(&document);
        let went: Vec<&str> = if matches { self.to.iter().map(Target::name).collect() } else { Vec::new() };
        let mut differences = Vec::new();
        let (mut expected, mut found) = (test.goes.iter().map(String::as_str).collect::<Vec<_>>(), went);
        expected.sort_unstable();
        found.sort_unstable();
        if expected != found {
            differences.push(format!("expected to go to [{}], went to [{}]", expected.join(", "), found.join(", ")));
        }
        if matches {
            let name = source.map_or("test", |source| source.name.as_str());
            match self.run(&document, &test_context(name)) {
                Err(error) => differences.push(error.to_string()),
                Ok(outputs) => {
                    let count = u64::try_from(outputs.len()).unwrap_or(u64::MAX);
                    let wanted = test.outputs.filter(|wanted| *wanted != count);
                    differences.extend(wanted.map(|wanted| format!("expected {wanted} outputs, and {count} came")));
                }
            }
        }
        differences
    }
}

/// A document as it came.
fn unchanged(document: &Document) -> Output {
    match document {
        Document::Hl7v2(document) => {
            let header = document.message().header();
            Output {
                body: document.bytes().clone(),
                format: Format::Hl7v2,
                command: None,
                resource_type: format!("{}^{}", header.message_code().text(), header.trigger().text()),
            }
        }
        Document::Xml(document) => Output {
            body: document.bytes().clone(),
            format: Format::Xml,
            command: None,
            resource_type: document.tree().name.clone(),
        },
        Document::Csv(document) => Output {
            body: document.bytes().clone(),
            format: Format::Csv,
            command: None,
            resource_type: "csv".to_owned(),
        },
        Document::Json(json) => Output {
            body: json.to_string().into(),
            format: json_format(json),
            command: None,
            resource_type: ["type", "resourceType"]
                .into_iter()
                .find_map(|name| json.get(name)?.as_str())
                .unwrap_or_default()
                .to_owned(),
        },
    }
}

/// FHIR resources and events say what they are.
fn json_format(json: &serde_json::Value) -> Format {
    let is_known = ["resourceType", "specversion", "type"].into_iter().any(|name| json.get(name).is_some());
    if is_known { Format::FhirJson } else { Format::Json }
}

/// A checked configuration.
#[derive(Debug)]
pub struct Configuration {
    /// Names this configuration for ever.
    pub hash: ConfigHash,
    /// Every file, with its name relative to the folder of `routes.toml`.
    pub files: Vec<(String, String)>,
    /// Every source, the event sources too.
    pub sources: IndexMap<String, SourceSpec>,
    /// Every destination.
    pub destinations: IndexMap<String, DestinationSpec>,
    /// Every route, in the file's order.
    pub routes: Vec<Route>,
    /// Every mapping, by name, used or not, unless they were [forgotten](Configuration::forget_unrouted).
    pub mappings: IndexMap<String, Arc<Mapping>>,
    /// The file of every code table, by the table's name.
    pub tables: BTreeMap<String, String>,
    fixtures: Fixtures,
}

/// A configuration that may run, and what somebody should look at.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub configuration: Configuration,
    /// Findings that are no errors.
    pub warnings: Findings,
}

impl Configuration {
    /// Reads `routes_file` and the folder `mappings/` beside it.
    pub fn load(routes_file: &Path) -> Result<Loaded, Findings> {
        Configuration::checked(Files::read(routes_file))
    }

    /// The same, as if the file called `name` had this text.
    pub fn load_with(routes_file: &Path, name: &str, text: &str) -> Result<Loaded, Findings> {
        let (mut files, findings) = Files::read(routes_file);
        files.replace(name, text);
        Configuration::checked((files, findings))
    }

    fn checked((files, mut findings): (Files, Findings)) -> Result<Loaded, Findings> {
        Configuration::of(files, &mut findings)
            .map(|configuration| {
                findings.settle();
                Loaded { configuration, warnings: findings.clone() }
            })
            .ok_or_else(|| {
                findings.settle();
                findings
            })
    }

    /// Checks files that were read. `None` when there are errors.
    pub(super) fn of(files: Files, findings: &mut Findings) -> Option<Configuration> {
        let (mut mappings, mapping_findings) =
            MappingFiles::read(&files.mappings, &files.fragments, &files.tables, &files.samples);
        let (declared, shape_findings) = parse(&files.routes);
        let (checked, route_findings) = check(declared.unwrap_or_default(), &files.routes, &mut mappings);
        let is_broken = mapping_findings.has_errors() || shape_findings.has_errors();
        findings.extend(mapping_findings);
        findings.extend(shape_findings);
        // What the routes lack may be what could not be read.
        findings.extend(route_findings.without_warnings_if(is_broken));
        if findings.has_errors() {
            return None;
        }
        let texts: Vec<(String, String)> =
            files.all().map(|source| (source.name().to_owned(), source.text().to_owned())).collect();
        let places = mappings.tables.places();
        let tables = places.map(|(source, name)| (name.value.clone(), source.name().to_owned())).collect();
        Some(Configuration {
            tables,
            hash: ConfigHash::of(&texts),
            files: texts,
            sources: checked.sources,
            destinations: checked.destinations,
            routes: checked.routes,
            mappings: mappings.mappings,
            fixtures: Fixtures::beside(&files.root),
        })
    }

    /// Forgets the mappings that no route uses. They were checked with all others, and a hub that runs has no need of
    /// them.
    pub fn forget_unrouted(&mut self) {
        let Configuration { routes, mappings, .. } = self;
        mappings.retain(|name, _| routes.iter().any(|route| route.mapping().is_some_and(|(used, _)| used == name)));
    }

    /// The routes that take `document` from `source`, in the file's order, up to the first with `stop`.
    pub fn matches<'c>(&'c self, source: &str, document: &Document) -> Vec<&'c Route> {
        let mut matching = Vec::new();
        for route in &self.routes {
            if route.from.iter().any(|from| from == source) && route.matches(document) {
                matching.push(route);
                if route.stop {
                    break;
                }
            }
        }
        matching
    }

    /// Runs every test of every mapping and route.
    pub fn test(&self) -> TestReport {
        let mut results: Vec<TestResult> =
            self.mappings.values().flat_map(|mapping| mapping.test(&self.fixtures)).collect();
        for route in &self.routes {
            let source = route.from.first().and_then(|from| self.sources.get(from));
            results.extend(route.tests.iter().map(|test| TestResult {
                name: format!("{}: {}", route.id, test.name),
                place: test.place.clone(),
                differences: route.differences(test, &self.fixtures, source),
            }));
        }
        TestReport { results }
    }
}

/// What all tests gave.
#[derive(Clone, Debug, Default)]
pub struct TestReport {
    /// In the order of the files.
    pub results: Vec<TestResult>,
}

impl TestReport {
    /// Whether every test passed.
    pub fn passed(&self) -> bool {
        self.results.iter().all(TestResult::passed)
    }
}
