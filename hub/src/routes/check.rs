//! Routes, from declarations to the routing table.
//!
//! In come the declarations of `routes.toml` and the compiled mappings; out go sources, destinations and
//! routes that can run, or findings. Promised: every name leads to what it names, every route carries a
//! document that its end can take, and no message goes round for ever. Refused: the rest.

mod carried;
mod conflicts;

use std::sync::Arc;

use indexmap::IndexMap;

use self::carried::Carried;
use super::parse::{Declarations, DeclaredRoute, DeclaredSource};
use super::spec::{Channel, DestinationAdapter, DestinationSpec, SourceAdapter, Target};
use super::table::{Route, RouteTest, SourceSpec};
use crate::finding::{Code, Finding, Findings, Located, SourceText, Text, codes, did_you_mean, one_of};
use crate::mapping::{Mapping, MappingFiles, PathKind, Place, Question, SourceFormat};

/// The lane of a message whose source names none, and the patient it is found by.
const KEY_DEFAULT: &str = r#"PID-3[.5 = "NI"].1 ?? PID-3.1"#;

/// The order numbers that a message is found by when its source names none.
const ORDERS_DEFAULT: [&str; 3] = ["ORC[*]-2.1", "ORC[*]-3.1", "ORC[*]-4.1"];

/// A configuration whose every part was checked.
pub(super) struct Checked {
    pub sources: IndexMap<String, SourceSpec>,
    pub destinations: IndexMap<String, DestinationSpec>,
    pub routes: Vec<Route>,
}

/// Checks all declarations.
pub(super) fn check(declared: Declarations, source: &Arc<SourceText>, files: &mut MappingFiles) -> (Checked, Findings) {
    let mut checker = Checker { source, files, findings: Findings::new() };
    checker.listeners(&declared);
    let sources = checker.sources(&declared.sources);
    let routes = checker.routes(&declared, &sources);
    let cycles = conflicts::cycles(&declared);
    cycles.into_iter().for_each(|cycle| checker.cycle(cycle));
    // A name with a slip of the pen would make what it means look unused.
    if !checker.findings.has_errors() {
        checker.unused(&declared);
    }
    let destinations = declared.destinations.into_iter().map(|(name, located)| (name, located.value)).collect();
    (Checked { sources, destinations, routes }, checker.findings)
}

/// What a source sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sends {
    Hl7v2,
    Events,
}

impl Sends {
    pub fn of(name: &str) -> Sends {
        if Channel::is_events(name) { Sends::Events } else { Sends::Hl7v2 }
    }

    fn word(self) -> &'static str {
        match self {
            Sends::Hl7v2 => "HL7 v2 messages",
            Sends::Events => "events",
        }
    }
}

struct Checker<'c> {
    source: &'c Arc<SourceText>,
    files: &'c mut MappingFiles,
    findings: Findings,
}

impl Checker<'_> {
    fn error(&mut self, code: Code, text: &Text, message: String, help: Option<String>) {
        let finding = Finding::error(code, self.source, text.span.clone(), message);
        self.findings.push(finding.with_help_if(help));
    }

    fn warning(&mut self, code: Code, text: &Text, message: String, help: Option<String>) {
        let finding = Finding::warning(code, self.source, text.span.clone(), message);
        self.findings.push(finding.with_help_if(help));
    }

    /// Listeners that cannot all listen, and listeners that everybody on the network could read.
    fn listeners(&mut self, declared: &Declarations) {
        let sources: Vec<&DeclaredSource> = declared.sources.values().collect();
        for (place, source) in sources.iter().enumerate() {
            let address = source.mllp.listen;
            let mut earlier = sources.iter().take(place);
            if let Some(other) = earlier.find(|other| conflicts::same_address(other.mllp.listen, address)) {
                let message = format!("`{}` listens where `{}` already does", source.name.value, other.name.value);
                let help = Some("give each source a port of its own".to_owned());
                self.error(codes::ADDRESS_TAKEN, &source.listen, message, help);
            }
            let is_plain = source.mllp.tls.is_none() && source.mllp.insecure.is_none();
            if is_plain && !address.ip().is_loopback() {
                let help = "add `tls = { certificate = ..., key = ..., client_ca = ... }`, or say why not: `insecure = \"reason\"`";
                let message = format!("`{}` would listen on the network without TLS", source.name.value);
                self.error(codes::PLAIN_NETWORK, &source.listen, message, Some(help.to_owned()));
            }
            let names_clients = source.mllp.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
            if !source.mllp.principals.is_empty() && !names_clients {
                let message =
                    format!("`principals` of `{}` are certificates, and no client shows one", source.name.value);
                let help = Some("add `client_ca` to `tls`".to_owned());
                self.error(codes::BAD_VALUE, &source.name, message, help);
            }
        }
    }

    /// Declared sources and those of events, with their questions.
    fn sources(&mut self, declared: &IndexMap<String, DeclaredSource>) -> IndexMap<String, SourceSpec> {
        let mut sources = IndexMap::new();
        for (name, source) in declared {
            let (line, _) = self.source.line_and_column(source.name.span.start);
            let standard = |text: &str| Text::new(text.to_owned(), 0..0);
            let key = self.question(&source.key.clone().unwrap_or_else(|| standard(KEY_DEFAULT)), PathKind::Hl7);
            let patient =
                source.patient.clone().or_else(|| source.key.clone()).unwrap_or_else(|| standard(KEY_DEFAULT));
            let patient = self.question(&patient, PathKind::Hl7);
            let orders = source.order.clone().unwrap_or_else(|| ORDERS_DEFAULT.map(standard).to_vec());
            let orders = orders.iter().filter_map(|order| self.question(order, PathKind::Hl7)).collect();
            let adapter = SourceAdapter::Mllp(Box::new(source.mllp.clone()));
            sources.insert(name.clone(), SourceSpec { name: name.clone(), adapter, line, key, patient, orders });
        }
        for channel in Channel::ALL {
            let name = channel.events().to_owned();
            let ask =
                |checker: &mut Self, text: &str| checker.question(&Text::new(text.to_owned(), 0..0), PathKind::Json);
            let spec = SourceSpec {
                adapter: SourceAdapter::Events(channel),
                line: 0,
                key: ask(self, "subject"),
                patient: ask(self, "data.subject.identifier.value"),
                orders: ask(self, "data.identifier[*].value").into_iter().collect(),
                name: name.clone(),
            };
            sources.insert(name, spec);
        }
        sources
    }

    fn question(&mut self, text: &Text, kind: PathKind) -> Option<Arc<Question>> {
        self.files.question(text, kind, self.source, &mut self.findings).map(Arc::new)
    }

    fn routes(&mut self, declared: &Declarations, sources: &IndexMap<String, SourceSpec>) -> Vec<Route> {
        let mut routes: Vec<Route> = Vec::with_capacity(declared.routes.len());
        for (place, route) in declared.routes.iter().enumerate() {
            if declared.routes.iter().take(place).any(|other| other.id.value == route.id.value) {
                let message = format!("there are two routes called `{}`", route.id.value);
                self.error(codes::DUPLICATE, &route.id, message, None);
            }
            let earlier = declared.routes.iter().take(place).filter(|other| other.stop && other.when.is_none());
            let never = route
                .from
                .iter()
                .all(|from| earlier.clone().any(|other| other.from.iter().any(|one| one.value == from.value)));
            if never && !route.from.is_empty() {
                let message =
                    format!("`{}` never sees a message: a route above takes all and has `stop = true`", route.id.value);
                self.warning(codes::UNUSED, &route.id, message, None);
            }
            routes.extend(self.route(route, declared, sources));
        }
        routes
    }

    fn route(
        &mut self,
        route: &DeclaredRoute,
        declared: &Declarations,
        sources: &IndexMap<String, SourceSpec>,
    ) -> Option<Route> {
        let sends = self.from(route, sources);
        let targets: Vec<Option<Target>> = route.to.iter().map(|to| self.target(to, declared)).collect();
        let mapping = match &route.map {
            None => Some(None),
            Some(name) => self.mapping(name).map(Some),
        };
        let kind = match sends {
            Some(Sends::Events) => PathKind::Json,
            Some(Sends::Hl7v2) | None => PathKind::Hl7,
        };
        let when = route.when.as_ref().map(|when| self.question(when, kind));
        if let (Some(sends), Some(mapping)) = (sends, &mapping) {
            self.reads(route, sends, mapping.as_deref());
            let carried = Carried::of(sends, mapping.as_deref());
            for (target, to) in targets.iter().zip(&route.to) {
                if let Some(target) = target {
                    self.carries(to, target, carried, declared);
                }
            }
        }
        let tests = self.tests(route);
        let (line, _) = self.source.line_and_column(route.id.span.start);
        Some(Route {
            id: route.id.value.clone(),
            why: route.why.value.clone(),
            from: route.from.iter().map(|from| from.value.clone()).collect(),
            to: targets.into_iter().collect::<Option<Vec<Target>>>()?,
            limit: route.limit,
            retry: route.retry,
            order: route.order,
            condition: route.when.as_ref().map(|text| on_one_line(&text.value)),
            stop: route.stop,
            place: Place { file: self.source.name().into(), line },
            when: match when {
                None => None,
                Some(question) => Some(question?),
            },
            mapping: mapping?,
            tests,
        })
    }

    /// What the route's sources send; `None` when they are not known, or send different things.
    fn from(&mut self, route: &DeclaredRoute, sources: &IndexMap<String, SourceSpec>) -> Option<Sends> {
        let mut sends = None;
        let mut fine = true;
        for from in &route.from {
            if !sources.contains_key(&from.value) {
                let names = sources.keys().map(String::as_str);
                let help = did_you_mean(&from.value, names.clone())
                    .unwrap_or_else(|| format!("sources are {}", one_of(names)));
                self.error(codes::UNKNOWN_SOURCE, from, format!("there is no source `{}`", from.value), Some(help));
                fine = false;
                continue;
            }
            let this = Sends::of(&from.value);
            if sends.is_some_and(|sends| sends != this) {
                let message = format!("`{}` sends {}, and the sources before it do not", from.value, this.word());
                let help = Some("make a route for each kind of source".to_owned());
                self.error(codes::MAPPING_SOURCE, from, message, help);
                fine = false;
            }
            sends = Some(this);
        }
        sends.filter(|_| fine)
    }

    fn target(&mut self, to: &Text, declared: &Declarations) -> Option<Target> {
        if let Some(channel) = Channel::ALL.into_iter().find(|channel| channel.name() == to.value) {
            return Some(Target::Channel(channel));
        }
        if declared.destinations.contains_key(&to.value) {
            return Some(Target::Destination(to.value.clone()));
        }
        let names: Vec<&str> = Channel::ALL
            .iter()
            .map(|channel| channel.name())
            .chain(declared.destinations.keys().map(String::as_str))
            .collect();
        let help = did_you_mean(&to.value, names.iter().copied())
            .unwrap_or_else(|| format!("channels and destinations are {}", one_of(names.iter().copied())));
        self.error(
            codes::UNKNOWN_DESTINATION,
            to,
            format!("there is no channel or destination `{}`", to.value),
            Some(help),
        );
        None
    }

    fn mapping(&mut self, name: &Text) -> Option<Arc<Mapping>> {
        let mapping = self.files.mappings.get(&name.value).map(Arc::clone);
        if mapping.is_none() && !self.files.names.contains(&name.value) {
            let names = self.files.names.iter().map(String::as_str);
            let help = did_you_mean(&name.value, names)
                .unwrap_or_else(|| format!("make the file mappings/{}.toml", name.value));
            self.error(codes::UNKNOWN_MAPPING, name, format!("there is no mapping `{}`", name.value), Some(help));
        }
        mapping
    }

    /// Whether the mapping reads what the sources send.
    fn reads(&mut self, route: &DeclaredRoute, sends: Sends, mapping: Option<&Mapping>) {
        if let (Some(mapping), Some(name)) = (mapping, &route.map) {
            let reads = match mapping.from {
                SourceFormat::Hl7v2(_) => sends == Sends::Hl7v2,
                SourceFormat::Fhir(_) | SourceFormat::Event | SourceFormat::Json => sends == Sends::Events,
                SourceFormat::Xml(_) | SourceFormat::Csv => false,
            };
            if !reads {
                let message = format!("`{}` does not read {}, which the source sends", mapping.name, sends.word());
                self.error(codes::MAPPING_SOURCE, name, message, None);
            }
        }
    }

    /// Whether the end `to` takes what the route carries.
    fn carries(&mut self, to: &Text, target: &Target, carried: Carried<'_>, declared: &Declarations) {
        match target {
            Target::Channel(_) => self.channel_takes(to, carried),
            Target::Destination(name) => {
                let adapter = declared.destinations.get(name).map(|destination| &destination.value.adapter);
                if matches!(adapter, Some(DestinationAdapter::Mllp(_))) && !carried.is_hl7 {
                    let message = format!("`{name}` takes HL7 v2 messages, and this route carries {}", carried.word);
                    let help = Some("add a mapping `to = \"hl7v2 ...\"`".to_owned());
                    self.error(codes::MAPPING_TARGET, to, message, help);
                }
            }
        }
    }

    /// A channel takes FHIR resources with a command.
    fn channel_takes(&mut self, text: &Text, carried: Carried<'_>) {
        let Some(mapping) = carried.mapping else {
            let message = format!("the channel `{}` takes commands, and this route has no mapping", text.value);
            let help = Some("add `map = \"...\"`".to_owned());
            return self.error(codes::NEEDS_MAPPING, text, message, help);
        };
        if !carried.is_fhir {
            let (channel, name, word) = (&text.value, &mapping.name, carried.word);
            let message = format!("the channel `{channel}` takes FHIR resources, and `{name}` gives {word}");
            self.error(codes::MAPPING_TARGET, text, message, None);
        } else if !mapping.names_command() {
            let message = format!("`{}` never says what `{}` shall do", mapping.name, text.value);
            let help = Some("add `command = ...` to the `[set]` of the mapping".to_owned());
            self.error(codes::MAPPING_TARGET, text, message, help);
        }
    }

    fn tests(&mut self, route: &DeclaredRoute) -> Vec<RouteTest> {
        let mut tests = Vec::with_capacity(route.tests.len());
        for test in &route.tests {
            for goes in test.goes.iter().filter(|goes| !route.to.iter().any(|to| to.value == goes.value)) {
                let message = format!("`{}` is not in `to` of this route", goes.value);
                let help = did_you_mean(&goes.value, route.to.iter().map(|to| to.value.as_str()));
                self.error(codes::UNKNOWN_DESTINATION, goes, message, help);
            }
            tests.push(RouteTest {
                name: test.name.as_ref().map_or_else(|| test.given.value.clone(), |name| name.value.clone()),
                given: test.given.value.clone(),
                goes: test.goes.iter().map(|goes| goes.value.clone()).collect(),
                outputs: test.outputs.as_ref().map(|outputs| outputs.value),
                place: Place { file: self.source.name().into(), line: test.line },
            });
        }
        tests
    }

    fn cycle(&mut self, cycle: conflicts::Cycle) {
        let message = format!("`{}` leads back to `{}`, where it begins", cycle.to.value, cycle.from);
        if cycle.is_endless {
            let help = Some("give a route of the circle a `when` that ends it".to_owned());
            self.error(codes::CYCLE, &cycle.to, message, help);
        } else {
            let help = Some("see that the conditions of the circle's routes end it".to_owned());
            self.warning(codes::CYCLE, &cycle.to, message, help);
        }
    }

    /// Warns of what no route uses.
    fn unused(&mut self, declared: &Declarations) {
        let from = |name: &str| declared.routes.iter().any(|route| route.from.iter().any(|from| from.value == name));
        let to = |name: &str| declared.routes.iter().any(|route| route.to.iter().any(|to| to.value == name));
        let sources: Vec<&Text> =
            declared.sources.values().map(|source| &source.name).filter(|name| !from(&name.value)).collect();
        for name in sources {
            let message = format!("no route takes the messages of `{}`: they all end as filtered", name.value);
            self.warning(codes::UNUSED, name, message, None);
        }
        let destinations: Vec<Text> = declared
            .destinations
            .iter()
            .filter(|(name, _)| !to(name))
            .map(|(name, located)| located_text(name, located))
            .collect();
        for name in &destinations {
            self.warning(codes::UNUSED, name, format!("no route goes to `{}`", name.value), None);
        }
        self.findings.extend(self.files.unused());
    }
}

fn located_text<T>(name: &str, located: &Located<T>) -> Text {
    Text::new(name.to_owned(), located.span.clone())
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
