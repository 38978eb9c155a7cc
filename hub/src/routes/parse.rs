//! `routes.toml`: text to declared sources, destinations and routes.
//!
//! In comes the file's text; out go declarations whose names and expressions are still unresolved, and
//! findings for everything about their shape. Promised: every key is read or reported; every value
//! keeps its place. Refused: keys and values that do not exist.

mod destination;
mod source;

use std::sync::Arc;

use indexmap::IndexMap;

use super::spec::{DestinationSpec, Limit, MllpSource, Order, Retry};
use crate::finding::{Finding, Findings, Located, Reader, Section, SourceText, Text, codes};

/// Names of sources, destinations and routes are at most this long, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// `routes.toml` as it stands.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    pub sources: IndexMap<String, DeclaredSource>,
    pub destinations: IndexMap<String, Located<DestinationSpec>>,
    pub routes: Vec<DeclaredRoute>,
}

/// A source whose expressions are not compiled.
#[derive(Debug)]
pub(super) struct DeclaredSource {
    pub name: Text,
    pub mllp: MllpSource,
    pub listen: Text,
    pub key: Option<Text>,
    pub patient: Option<Text>,
    pub order: Option<Vec<Text>>,
}

/// A route whose names and expressions are not resolved.
#[derive(Debug)]
pub(super) struct DeclaredRoute {
    pub id: Text,
    pub why: Text,
    pub from: Vec<Text>,
    pub when: Option<Text>,
    pub map: Option<Text>,
    pub to: Vec<Text>,
    pub limit: Option<Limit>,
    pub retry: Option<Retry>,
    pub order: Order,
    pub stop: bool,
    pub tests: Vec<DeclaredTest>,
}

/// A test of a route.
#[derive(Clone, Debug)]
pub(super) struct DeclaredTest {
    pub name: Option<Text>,
    pub given: Text,
    pub goes: Vec<Text>,
    pub outputs: Option<Located<u64>>,
    pub line: usize,
}

/// Reads the whole file.
pub(super) fn parse(source: &Arc<SourceText>) -> (Option<Declarations>, Findings) {
    Reader::read(source, |_, mut root| {
        let mut declared = Declarations::default();
        if let Some(sources) = root.section("source", "sources") {
            for entry in sources.entries() {
                let Some(section) = entry.as_section(format!("source `{}`", entry.key.value)) else {
                    entry.wrong("a table");
                    continue;
                };
                check_name(section.reader(), &entry.key, "source");
                if let Some(found) = source::read(entry.key.clone(), section) {
                    declared.sources.insert(entry.key.value, found);
                }
            }
        }
        if let Some(destinations) = root.section("destination", "destinations") {
            for entry in destinations.entries() {
                let Some(section) = entry.as_section(format!("destination `{}`", entry.key.value)) else {
                    entry.wrong("a table");
                    continue;
                };
                check_name(section.reader(), &entry.key, "destination");
                if let Some(destination) = destination::read(&entry.key, section) {
                    let located = Located::new(destination, entry.key.span.clone());
                    declared.destinations.insert(entry.key.value, located);
                }
            }
        }
        declared.routes = root.sections("route", "a route").into_iter().filter_map(read_route).collect();
        root.finish();
        declared
    })
}

fn check_name(reader: &Reader, name: &Text, what: &str) {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if name.value.is_empty() || name.value.len() > NAME_BYTES_MAX || !name.value.chars().all(is_plain) {
        let message = format!("`{}` cannot be the name of a {what}", name.value);
        let finding = Finding::error(codes::BAD_VALUE, reader.source(), name.span.clone(), message);
        reader.report(finding.with_help(format!("use letters, digits, `-` and `_`, at most {NAME_BYTES_MAX}")));
    }
}

fn read_route(mut section: Section<'_>) -> Option<DeclaredRoute> {
    let reader = section.reader();
    let id = section.required_text("id");
    if let Some(id) = &id {
        check_name(reader, id, "route");
    }
    let why = section.required_text("why");
    let from = required_texts(&mut section, "from");
    let when = section.text("when");
    let map = section.text("map");
    let to = required_texts(&mut section, "to");
    let limit = section.section("limit", "`limit`").and_then(read_limit);
    let retry = section.section("retry", "`retry`").map(read_retry);
    let order = read_order(&mut section);
    let stop = section.boolean("stop").is_some_and(|stop| stop.value);
    let tests = section.sections("test", "a test of a route").into_iter().filter_map(read_test).collect();
    section.finish();
    Some(DeclaredRoute { id: id?, why: why?, from: from?, when, map, to: to?, limit, retry, order, stop, tests })
}

fn required_texts(section: &mut Section<'_>, key: &'static str) -> Option<Vec<Text>> {
    if !section.has(key) {
        section.missing(key);
    }
    let texts = section.texts(key)?;
    if texts.is_empty() {
        section.reader().error(codes::BAD_VALUE, section.key_span(key), format!("`{key}` is empty"));
    }
    Some(texts)
}

fn read_test(mut section: Section<'_>) -> Option<DeclaredTest> {
    let (line, _) = section.reader().source().line_and_column(section.span.start);
    let name = section.text("name");
    let given = section.required_text("given");
    if !section.has("goes") {
        section.missing("goes");
    }
    let goes = section.texts("goes");
    let outputs = section.integer("outputs", 0..=1_000_000);
    section.finish();
    Some(DeclaredTest { name, given: given?, goes: goes?, outputs, line })
}

/// `{ per_second = 200, burst = 400 }`; without `burst`, as much as a second.
pub(super) fn read_limit(mut section: Section<'_>) -> Option<Limit> {
    if !section.has("per_second") {
        section.missing("per_second");
    }
    let per_second = section.integer("per_second", 1..=1_000_000).and_then(|number| u32::try_from(number.value).ok());
    let burst = section.integer("burst", 1..=1_000_000).and_then(|number| u32::try_from(number.value).ok());
    section.finish();
    Some(Limit { per_second: per_second?, burst: burst.or(per_second)? })
}

/// `{ first = "250ms", max = "5m", give_up = "24h" }`; each has a default.
pub(super) fn read_retry(mut section: Section<'_>) -> Retry {
    let standard = Retry::default();
    let first = section.duration("first");
    let max = section.duration("max");
    let give_up = section.duration("give_up");
    let retry = Retry {
        first: first.as_ref().map_or(standard.first, |first| first.value),
        max: max.as_ref().map_or(standard.max, |max| max.value),
        give_up: give_up.as_ref().map_or(standard.give_up, |give_up| give_up.value),
    };
    if retry.first.is_zero() {
        section.reader().error(codes::BAD_VALUE, section.key_span("first"), "`first` must be longer than nothing");
    }
    if retry.max < retry.first {
        section.reader().error(codes::BAD_VALUE, section.key_span("max"), "`max` is shorter than `first`");
    }
    section.finish();
    retry
}

/// `order = "key"` or `"none"`.
pub(super) fn read_order(section: &mut Section<'_>) -> Order {
    match section.word("order", &["key", "none"]) {
        Some(word) if word.value == "none" => Order::None,
        _ => Order::Key,
    }
}
