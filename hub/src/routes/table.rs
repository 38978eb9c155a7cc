//! The routing table: a checked configuration, ready to route.
//!
//! In come documents; out go the routes that match and their outputs. Promised: the table never
//! changes; another configuration is another table with another hash (H7).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use adapters::Document;
use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::parse::parse;
use super::spec::{Delivery, DestinationSpec, Limit, Order, Retry, SourceAdapter, Target};
use crate::finding::{Finding, Findings, SourceText, codes};
use crate::mapping::{Context, MapError, Output, Place};

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

/// A way in, with the expressions that read its messages.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Its name in `from`.
    pub name: String,
    /// How messages come.
    pub adapter: SourceAdapter,
    /// Line of `routes.toml` that declares it; 0 for an event source.
    pub line: usize,
}

impl SourceSpec {
    /// The lane of a message: order is kept among messages of one key (H5).
    pub fn key(&self, _document: &Document) -> Option<String> {
        None
    }

    /// The patient that a message can be found by.
    pub fn patient(&self, _document: &Document) -> Option<String> {
        None
    }

    /// The order numbers that a message can be found by.
    pub fn orders(&self, _document: &Document) -> Vec<String> {
        Vec::new()
    }
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
    /// Whether no later route is asked when this one matches.
    pub stop: bool,
    /// Where it is declared.
    pub place: Place,
}

impl Route {
    /// Whether its condition holds for `document`.
    pub fn matches(&self, _document: &Document) -> bool {
        false
    }

    /// The name and version of its mapping, if it has one.
    pub fn mapping(&self) -> Option<(&str, u64)> {
        None
    }

    /// The outputs of `document` on this route.
    pub fn run(&self, _document: &Document, _context: &Context) -> Result<Vec<Output>, MapError> {
        Ok(Vec::new())
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
        let name = routes_file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let text = match std::fs::read_to_string(routes_file) {
            Ok(text) => text,
            Err(error) => {
                let source = Arc::new(SourceText::new(name, ""));
                let mut findings = Findings::new();
                findings.push(Finding::error(codes::FILE_UNREADABLE, &source, 0..0, error.to_string()));
                return Err(findings);
            }
        };
        let source = Arc::new(SourceText::new(name.clone(), text.clone()));
        let (declared, findings) = parse(&source);
        let Some(_declared) = declared.filter(|_| !findings.has_errors()) else { return Err(findings) };
        let files = vec![(name, text)];
        let configuration = Configuration {
            hash: ConfigHash::of(&files),
            files,
            sources: IndexMap::new(),
            destinations: IndexMap::new(),
            routes: Vec::new(),
        };
        Ok(Loaded { configuration, warnings: findings })
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
        TestReport { results: Vec::new() }
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
