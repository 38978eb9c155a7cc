//! What `hub explain` found out, for people and for machines.
//!
//! Promised: without `reveal` nothing here holds a value of the message (H10): places, names and counts only.

use std::sync::Arc;

use adapters::hl7v2::charset::{Confidence, Declared};
use adapters::hl7v2::{self, Message};
use adapters::{Document, Format};
use serde_json::{Value, json};

use super::names::Names;
use crate::cli::output::{Output, clean, text_of};
use crate::mapping::{Called, Context, Lineage, Mapping, Origin, Output as Mapped, Place, Table};
use crate::routes::{Configuration, SourceSpec, Target};

/// Routes and mappings for one message.
pub(super) struct Report {
    message: Value,
    routes: Vec<RouteReport>,
    /// One for each mapping that was run.
    pub mappings: Vec<MappingReport>,
}

/// What one route says to the message of one source.
struct RouteReport {
    route: String,
    source: String,
    matches: bool,
    why: String,
    condition: Option<String>,
    mapping: Option<String>,
    to: Vec<String>,
    place: String,
}

/// What one mapping made.
pub(super) struct MappingReport {
    name: String,
    place: String,
    /// Why it made nothing: the rule, and no content.
    pub failure: Option<String>,
    outputs: Vec<Value>,
    written: Vec<Value>,
    nowhere: Vec<Value>,
}

impl Report {
    /// What is read, and which routes take it.
    pub fn of(
        document: &Document,
        configuration: &Configuration,
        sources: &[&SourceSpec],
        number: (usize, usize),
    ) -> Report {
        let mut message = match document {
            Document::Hl7v2(hl7) => hl7_facts(hl7.message()),
            Document::Json(event) => {
                // A resource may have an element `type`, which is content.
                let kind = ["resourceType", "type"].into_iter().find_map(|name| event.get(name)?.as_str());
                json!({ "format": "json", "type": kind })
            }
            Document::Xml(xml) => json!({ "format": "xml", "type": xml.tree().name }),
            Document::Csv(_) => json!({ "format": "csv", "type": "csv" }),
        };
        if let Some(facts) = message.as_object_mut() {
            facts.insert("number".to_owned(), number.0.into());
            facts.insert("of".to_owned(), number.1.into());
        }
        let routes = sources.iter().flat_map(|source| routes_of(document, configuration, source)).collect();
        Report { message, routes, mappings: Vec::new() }
    }

    /// The mappings of the routes that match, each once.
    pub fn routed_mappings<'c>(&self, configuration: &'c Configuration) -> Vec<&'c Arc<Mapping>> {
        configuration.mappings.values().filter(|mapping| self.is_routed(&mapping.name)).collect()
    }

    /// Those that take such a document, and that no route uses for it.
    pub fn other_mappings<'c>(&self, document: &Document, configuration: &'c Configuration) -> Vec<&'c Arc<Mapping>> {
        let takes = |mapping: &&Arc<Mapping>| mapping.from.takes(document);
        configuration.mappings.values().filter(takes).filter(|mapping| !self.is_routed(&mapping.name)).collect()
    }

    fn is_routed(&self, name: &str) -> bool {
        self.routes.iter().any(|route| route.matches && route.mapping.as_deref() == Some(name))
    }

    /// For machines.
    pub fn to_json(&self) -> Value {
        let routes: Vec<Value> = self.routes.iter().map(RouteReport::to_json).collect();
        let mappings: Vec<Value> = self.mappings.iter().map(MappingReport::to_json).collect();
        json!({ "message": self.message, "routes": routes, "mappings": mappings })
    }

    /// For people.
    pub fn print(&self, output: &mut Output<'_>) -> std::io::Result<()> {
        let facts = ["type", "control_id", "version", "sender", "delimiters", "charset", "segments", "noticed"];
        let mut rows: Vec<Vec<String>> =
            facts.iter().map(|key| vec![key.replace('_', " "), text_of(&self.message, key)]).collect();
        rows.retain(|row| row.get(1).is_some_and(|value| !value.is_empty()));
        output.table(&["MESSAGE", ""], &rows)?;
        output.line("")?;
        if self.routes.is_empty() {
            output.line("No route takes messages of this kind of source.")?;
        } else {
            let asked: Vec<Vec<String>> = self.routes.iter().map(RouteReport::row).collect();
            output.table(&["ROUTE", "FROM", "RESULT", "WHEN", "MAPPING", "TO", "PLACE"], &asked)?;
        }
        self.mappings.iter().try_for_each(|mapping| mapping.print(output))
    }
}

fn hl7_facts(message: Message<'_>) -> Value {
    let header = message.header();
    let report = message.charset();
    let declared = match report.declared {
        Declared::Nothing => "nothing declared".to_owned(),
        Declared::Known(charset) => format!("declared {}", charset.name()),
        Declared::Wide => "declared UTF-16 or UTF-32".to_owned(),
        Declared::Unknown => "declared something unknown".to_owned(),
    };
    let confidence = match report.confidence {
        Confidence::Guess => "a guess",
        Confidence::Likely => "likely",
        Confidence::Certain => "certain",
    };
    let delimiters = message.delimiters();
    let characters: String =
        std::iter::once(delimiters.field).chain(delimiters.encoding_characters()).map(char::from).collect();
    json!({
        "format": "hl7v2",
        "type": format!("{}^{}", header.message_code().text(), header.trigger().text()),
        "control_id": header.control_id().text(),
        "version": header.version().text(),
        "sender": format!("{}|{}", header.sending_application().text(), header.sending_facility().text()),
        "delimiters": characters,
        "charset": format!("{} ({confidence}; {declared})", report.used.name()),
        "segments": segments(message),
        "noticed": message.findings().names().collect::<Vec<_>>(),
    })
}

/// `MSH`, `PID`, `NTE x2`, in the order of the message.
fn segments(message: Message<'_>) -> Vec<String> {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for segment in message.segments() {
        match runs.last_mut().filter(|(name, _)| name == segment.name()) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => runs.push((segment.name().to_owned(), 1)),
        }
    }
    runs.into_iter().map(|(name, count)| if count == 1 { name } else { format!("{name} x{count}") }).collect()
}

fn routes_of(document: &Document, configuration: &Configuration, source: &SourceSpec) -> Vec<RouteReport> {
    let mut stopped_by: Option<&str> = None;
    let mut reports = Vec::new();
    for route in configuration.routes.iter().filter(|route| route.from.contains(&source.name)) {
        let holds = route.matches(document);
        let matches = holds && stopped_by.is_none();
        let why = match stopped_by {
            Some(other) => format!("not asked: {other} stops"),
            None if holds => "matches".to_owned(),
            None => "its condition does not hold".to_owned(),
        };
        reports.push(RouteReport {
            route: route.id.clone(),
            source: source.name.clone(),
            matches,
            why,
            condition: route.condition.clone(),
            mapping: route.mapping().map(|(name, _)| name.to_owned()),
            to: route.to.iter().map(Target::name).map(str::to_owned).collect(),
            place: route.place.to_string(),
        });
        if matches && route.stop {
            stopped_by = Some(&route.id);
        }
    }
    reports
}

impl RouteReport {
    fn to_json(&self) -> Value {
        json!({
            "route": self.route,
            "source": self.source,
            "matches": self.matches,
            "why": self.why,
            "when": self.condition,
            "mapping": self.mapping,
            "to": self.to,
            "place": self.place,
        })
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.route.clone(),
            self.source.clone(),
            self.why.clone(),
            self.condition.clone().unwrap_or_default(),
            self.mapping.clone().unwrap_or_default(),
            self.to.join(", "),
            self.place.clone(),
        ]
    }
}

impl MappingReport {
    /// Runs the mapping, watched.
    pub fn of(mapping: &Mapping, document: &Document, context: &Context, reveal: bool) -> MappingReport {
        let (name, place) = (mapping.name.clone(), mapping.place.to_string());
        let (outputs, lineage) = match mapping.explain(document, context) {
            Ok(explained) => explained,
            Err(error) => {
                let failure = Some(error.to_string());
                return MappingReport { name, place, failure, outputs: vec![], written: vec![], nowhere: vec![] };
            }
        };
        let values = Values { document, outputs: &outputs, reveal };
        MappingReport {
            name,
            place,
            failure: None,
            outputs: (1_usize..).zip(&outputs).map(|(number, output)| values.output(number, output)).collect(),
            written: values.written(&lineage),
            nowhere: values.nowhere(&lineage),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "mapping": self.name,
            "place": self.place,
            "failure": self.failure,
            "outputs": self.outputs,
            "written": self.written,
            "nowhere": self.nowhere,
        })
    }

    fn print(&self, output: &mut Output<'_>) -> std::io::Result<()> {
        output.line("")?;
        output.line(&format!("Mapping {} ({})", self.name, self.place))?;
        if let Some(failure) = &self.failure {
            return output.line(&format!("  makes nothing: {}", clean(failure)));
        }
        let table = |to: &mut Output<'_>, heads: &[&str], keys: &[&str], rows: &[Value]| {
            let cells: Vec<Vec<String>> =
                rows.iter().map(|row| keys.iter().map(|key| text_of(row, key)).collect()).collect();
            if cells.is_empty() { Ok(()) } else { to.table(heads, &cells) }
        };
        table(output, &["OUTPUT", "TYPE", "COMMAND", "SIZE"], &["output", "type", "command", "size"], &self.outputs)?;
        output.line("")?;
        let heads = ["OUTPUT", "ELEMENT", "FROM", "NAME", "BY", "RULE", "READ", "ROW", "WROTE"];
        let keys = ["output", "target", "from", "names", "functions", "place", "read", "rows", "wrote"];
        table(output, &heads, &keys, &self.written)?;
        output.line("")?;
        if self.nowhere.is_empty() {
            return output.line("Everything in the message went somewhere.");
        }
        table(output, &["WENT NOWHERE", "NAME", "VALUE"], &["path", "name", "value"], &self.nowhere)?;
        for one in &self.outputs {
            if let Some(body) = one.get("body").and_then(Value::as_str) {
                output.body(&format!("output {}", text_of(one, "output")), body)?;
            }
        }
        Ok(())
    }
}

/// Values of the message and of what was made of it; none unless they may be shown.
struct Values<'r> {
    document: &'r Document,
    outputs: &'r [Mapped],
    reveal: bool,
}

impl Values<'_> {
    fn output(&self, number: usize, output: &Mapped) -> Value {
        let mut shown = json!({
            "output": number,
            "type": output.resource_type,
            "command": output.command,
            "size": output.body.len(),
        });
        if let Some(object) = shown.as_object_mut().filter(|_| self.reveal) {
            object.insert("body".to_owned(), String::from_utf8_lossy(&output.body).into());
        }
        shown
    }

    fn written(&self, lineage: &Lineage) -> Vec<Value> {
        let bodies: Vec<Option<Value>> = self
            .outputs
            .iter()
            .map(|output| match output.format {
                Format::FhirJson | Format::Json if self.reveal => serde_json::from_slice(&output.body).ok(),
                Format::FhirJson | Format::Json | Format::Hl7v2 | Format::Xml | Format::Csv => None,
            })
            .collect();
        let names = Names::of(self.document);
        let mut rows = Vec::with_capacity(lineage.written.len());
        for written in &lineage.written {
            let mut row = json!({
                "output": written.output.saturating_add(1),
                "target": written.target,
                "from": written.sources.iter().map(|origin| origin.path.as_str()).collect::<Vec<_>>(),
                "names": written.sources.iter().filter_map(|origin| names.name(&origin.path)).collect::<Vec<_>>(),
                "functions": written.functions.iter().map(Called::to_string).collect::<Vec<_>>(),
                "file": &*written.rule.file,
                "line": written.rule.line,
                "place": place_of(&written.rule),
            });
            if let Some(object) = row.as_object_mut().filter(|_| self.reveal) {
                let read: Vec<String> = written.sources.iter().flat_map(|origin| self.texts(origin)).collect();
                object.insert("rows".to_owned(), rows_of(&written.functions, &read).into());
                object.insert("read".to_owned(), read.into());
                let body = bodies.get(written.output).and_then(Option::as_ref);
                object.insert("wrote".to_owned(), body.and_then(|made| element(made, &written.target)).cloned().into());
            }
            rows.push(row);
        }
        rows
    }

    fn nowhere(&self, lineage: &Lineage) -> Vec<Value> {
        let names = Names::of(self.document);
        let row = |one: &crate::mapping::Nowhere| {
            let mut row = json!({ "path": one.path, "name": names.name(&one.path) });
            if let Some(object) = row.as_object_mut().filter(|_| self.reveal) {
                object.insert("value".to_owned(), self.text(one.span.clone()).into());
            }
            row
        };
        lineage.nowhere.iter().map(row).collect()
    }

    fn texts(&self, origin: &Origin) -> Vec<String> {
        origin.spans.iter().filter_map(|span| self.text(span.clone())).collect()
    }

    /// The bytes of an HL7 v2 message at a place, as text.
    fn text(&self, span: std::ops::Range<usize>) -> Option<String> {
        let Document::Hl7v2(document) = self.document else { return None };
        let document: &hl7v2::Document = document;
        document.bytes().get(span).map(|bytes| document.charset().used.decode(bytes).into_owned())
    }
}

/// A rule's file and line, without the folder that all have.
fn place_of(rule: &Place) -> String {
    let place = rule.to_string();
    place.strip_prefix("mappings/").map(str::to_owned).unwrap_or(place)
}

/// The rows of tables that stand for what was read: `NW = create`.
fn rows_of(called: &[Called], read: &[String]) -> Vec<String> {
    let row_of = |table: &Table, text: &String| {
        // Of a coded field, the first component is the code.
        let code = text.split('^').next().unwrap_or(text);
        table.row(code).map(|row| format!("{code} = {row}"))
    };
    let tables = called.iter().filter_map(|one| one.table.as_deref());
    tables.flat_map(|table| read.iter().filter_map(move |text| row_of(table, text))).collect()
}

/// The element at a target path: `note[1].text`.
fn element<'v>(body: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(body, |value, step| {
        let (name, places) = step.split_once('[').map_or((step, None), |(name, places)| (name, Some(places)));
        let named = value.get(name)?;
        let Some(places) = places else { return Some(named) };
        places.split('[').try_fold(named, |list, place| list.get(place.trim_end_matches(']').parse::<usize>().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_by_its_path() {
        let body = json!({ "note": [{ "text": "a" }, { "text": "b" }], "subject": { "id": 1 } });
        assert_eq!(element(&body, "note[1].text"), Some(&json!("b")));
        assert_eq!(element(&body, "subject.id"), Some(&json!(1)));
        for path in ["note[2].text", "note[x]", "subject.id.x", ""] {
            assert_eq!(element(&body, path), None, "{path}");
        }
    }
}
