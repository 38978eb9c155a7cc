//! Map: a document -> the outputs of every matching route, as rows that commit together.
//!
//! In come a message of the journal and the configuration of now; out go its runs, outputs and
//! deliveries. Pure: the same message, configuration and held lanes give the same rows (H7). A message that no
//! route takes, or that a mapping refuses, ends here, visibly (H2). One that lacks a code of a table which holds,
//! or comes behind such a one in its lane, is held ([`hold`](super::hold)).

use std::sync::Arc;

use adapters::clock::Timestamp;
use adapters::{Document, Format, csv, hl7v2, xml};

use super::blame::provoke;
use super::hold::{CODE_CHARS_MAX, HELD_MAX, Place, View};
use super::{Answered, Journaled, Launch, Live};
use crate::keys::Keys;
use crate::mapping::{Context, MapError, Output};
use crate::routes::{Order, Route, Target};
use crate::store::{
    AwaitedCode, Cause, DeliveryId, MessageRef, NewDelivery, NewHeld, NewOutput, NewRun, Row, RunId, RunState,
    UnitOfWork,
};

/// Everything that one message gives.
#[derive(Debug, Default)]
pub struct Mapped {
    /// Its rows, for one unit.
    pub rows: Vec<Row>,
    /// Its deliveries, to be sent when the rows are committed.
    pub launches: Vec<Launch>,
    /// Each run's route and state, to be counted.
    pub runs: Vec<(Arc<str>, RunState)>,
    /// What an application answer says.
    pub answer: Option<Cause>,
    /// Where runs of it are held.
    pub holds: Vec<Place>,
    /// Where it was held, and is no more.
    pub lets_go: Option<Place>,
    /// Where it was held, and still is: what waits there cannot go.
    pub sticks: Option<Place>,
}

impl Mapped {
    /// The unit of work, once.
    pub fn take_unit(&mut self) -> UnitOfWork {
        UnitOfWork::of(std::mem::take(&mut self.rows))
    }

    /// What an asker is told.
    pub fn answered(&self) -> Answered {
        self.answer.clone().map_or(Answered::Taken, Answered::Refused)
    }
}

/// Reads a message of the journal again. What was accepted once is read the same way again.
pub fn decode(live: &Live, message: &Journaled) -> Result<Document, Cause> {
    match message.format {
        Format::Hl7v2 => {
            let charset = live
                .configuration
                .sources
                .get(&*message.source)
                .map_or_else(hl7v2::CharsetRule::default, super::receive::charset_rule);
            hl7v2::Document::read(message.body.clone(), charset)
                .map(Document::Hl7v2)
                .map_err(|error| Cause::new("HUB0403", error.reason))
        }
        Format::FhirJson | Format::Json => serde_json::from_slice(&message.body)
            .map(Document::Json)
            .map_err(|_| Cause::new("HUB0403", "the body is not JSON")),
        Format::Xml => {
            let read = xml::Document::read(message.body.clone());
            read.map(Document::Xml).map_err(|error| Cause::new("HUB0403", error.reason))
        }
        Format::Csv => {
            let read = csv::Document::read(message.body.clone());
            read.map(Document::Csv).map_err(|error| Cause::new("HUB0403", error.reason))
        }
    }
}

/// Routes and maps one message. What it holds up is added to `held`.
pub fn map(live: &Live, keys: &Keys, message: &Journaled, now: Timestamp, held: &mut View) -> Mapped {
    if waits_on(live, message, held) {
        return Mapped { sticks: place_of(message), ..Mapped::default() };
    }
    let mut pass = Pass::new(live, message, now);
    let document = match decode(live, message) {
        Ok(document) => document,
        Err(cause) => return pass.end_unrouted(RunState::Refused, Some(cause)),
    };
    provoke("MAP", &message.control_id);
    let context = Context {
        message_id: message.id.to_string(),
        source: message.source.to_string(),
        received_at: message.received_at,
        hmac_key: keys.for_mappings(),
    };
    let mut routes = live.configuration.matches(&message.source, &document);
    if let Some(only) = &message.only {
        routes.retain(|route| *route.id == *only.route);
    }
    if routes.is_empty() {
        return pass.end_unrouted(RunState::Filtered, None);
    }
    for (route, run_no) in routes.into_iter().zip(message.next_run..) {
        let lane = message.lane.filter(|_| route.order == Order::Key);
        match route.run(&document, &context) {
            Err(error) if error.held.is_some() => pass.hold(route, run_no, Some(&error), held),
            // A message that was held has those before it behind it.
            _ if message.held.is_none() && held.keeps(&route.id, lane) => pass.hold(route, run_no, None, held),
            Ok(outputs) => pass.add_run(route, run_no, outputs),
            Err(error) => pass.end_run(Some(route), run_no, RunState::Refused, Some(cause_of(&error))),
        }
    }
    pass.mapped
}

/// The rows of a message that cannot be finished: dead-lettered, with its cause.
pub fn bury(live: &Live, message: &Journaled, cause: Cause, now: Timestamp) -> Mapped {
    Pass::new(live, message, now).end_unrouted(RunState::DeadLettered, Some(cause))
}

/// Whether a message that was held waits on: behind another one, or for its route to come back.
fn waits_on(live: &Live, message: &Journaled, held: &View) -> bool {
    let Some(place) = place_of(message) else { return false };
    held.is_stuck(&place.route, place.lane) || !live.configuration.routes.iter().any(|route| *route.id == *place.route)
}

/// Where a message was held.
fn place_of(message: &Journaled) -> Option<Place> {
    let (was, only) = (message.held.as_ref()?, message.only.as_ref()?);
    Some(Place { route: Arc::clone(&only.route), lane: was.lane })
}

/// One message on its way through route and map.
struct Pass<'a> {
    live: &'a Live,
    message: &'a Journaled,
    now: Timestamp,
    mapped: Mapped,
}

impl<'a> Pass<'a> {
    /// A pass. A run that was held is so no more, and the unit fails if it was not.
    fn new(live: &'a Live, message: &'a Journaled, now: Timestamp) -> Pass<'a> {
        let mut mapped = Mapped::default();
        if let Some(was) = &message.held {
            mapped.rows.push(Row::LetGo(RunId { message: message.id, run_no: was.run_no }));
            mapped.lets_go = place_of(message);
        }
        Pass { live, message, now, mapped }
    }

    /// A run waits: for the code that `error` names, or behind others of its lane.
    fn hold(&mut self, route: &Route, run_no: u32, error: Option<&MapError>, held: &mut View) {
        let code = error.and_then(|error| error.held.as_ref());
        let code = code.map(|code| AwaitedCode { table: code.table.as_str().into(), code: code.code.as_str().into() });
        let was = self.message.held.as_ref();
        if code.is_some() && was.is_some_and(|was| was.code == code) {
            let sticks = self.mapped.lets_go.take();
            sticks.iter().for_each(|place| held.add(place.clone()));
            self.mapped = Mapped { sticks, ..Mapped::default() };
            return;
        }
        let cause = error.map_or_else(behind, cause_of);
        if let Some(objection) = cannot_be_held(code.as_ref(), was.is_none() && held.is_full()) {
            let cause = Cause::new(&cause.code, &format!("{}; {objection}", cause.reason));
            return self.end_run(Some(route), run_no, RunState::DeadLettered, Some(cause));
        }
        let lane = self.message.lane.filter(|_| route.order == Order::Key);
        let place = Place { route: route.id.as_str().into(), lane };
        held.add(place.clone());
        self.end_run(Some(route), run_no, RunState::Held, Some(cause));
        self.mapped.rows.push(Row::Hold(NewHeld {
            id: RunId { message: self.message.id, run_no },
            route: Arc::clone(&place.route),
            destination: self.message.only.as_ref().and_then(|only| only.destination.clone()),
            lane,
            source: Arc::clone(&self.message.source),
            received_at: self.message.received_at,
            code,
        }));
        self.mapped.sticks = was.is_some().then(|| place.clone());
        self.mapped.holds.push(place);
    }

    /// The message ends here.
    fn end_unrouted(mut self, state: RunState, cause: Option<Cause>) -> Mapped {
        self.end_run(None, self.message.next_run, state, cause);
        self.mapped
    }

    /// A run, with what became of it.
    fn end_run(&mut self, route: Option<&Route>, run_no: u32, state: RunState, cause: Option<Cause>) {
        let only = self.message.only.as_ref().map(|only| Arc::clone(&only.route));
        let name = route.map(|taken| Arc::from(taken.id.as_str())).or(only);
        self.mapped.runs.push((name.clone().unwrap_or_else(|| "none".into()), state));
        if !matches!(state, RunState::Filtered | RunState::Held) && self.mapped.answer.is_none() {
            self.mapped.answer.clone_from(&cause);
        }
        self.mapped.rows.push(Row::Run(NewRun {
            message: MessageRef::Stored(self.message.id),
            run_no,
            route: name,
            mapping: route.and_then(mapping_of),
            configuration: self.live.number,
            started_at: self.now,
            state,
            cause,
        }));
    }

    fn add_run(&mut self, route: &Route, run_no: u32, outputs: Vec<Output>) {
        let state = if outputs.is_empty() { RunState::Filtered } else { RunState::Mapped };
        self.end_run(Some(route), run_no, state, None);
        let mut delivery_no = 0;
        for (output, output_no) in outputs.into_iter().zip(1..) {
            self.mapped.rows.push(Row::Output(NewOutput {
                message: self.message.id,
                run_no,
                output_no,
                format: output.format,
                command: output.command.as_deref().map(Arc::from),
                kind: output.resource_type.as_str().into(),
                body: route.mapping().is_some().then(|| output.body.clone()),
            }));
            let only = self.message.only.as_ref().and_then(|only| only.destination.as_ref());
            let wanted = |name: &str| only.is_none_or(|only| **only == *name);
            for target in route.to.iter().filter(|target| wanted(target.name())) {
                delivery_no += 1;
                let id = DeliveryId { message: self.message.id, run_no, delivery_no };
                self.add_delivery(route, target, (id, output_no), &output);
            }
        }
    }

    fn add_delivery(&mut self, route: &Route, target: &Target, (id, output_no): (DeliveryId, u32), output: &Output) {
        let far = self.live.configuration.destinations.get(target.name());
        let order = far.map_or(route.order, |spec| route.delivery(spec).order);
        let lane = self.message.lane.filter(|_| order == Order::Key);
        self.mapped.rows.push(Row::Delivery(NewDelivery {
            id,
            output_no,
            destination: target.name().into(),
            lane,
            created_at: self.now,
        }));
        self.mapped.launches.push(Launch {
            id,
            target: target.clone(),
            lane,
            source: Arc::clone(&self.message.source),
            route: route.id.as_str().into(),
            created_at: self.now,
            format: output.format,
            command: output.command.as_deref().map(Arc::from),
            kind: output.resource_type.as_str().into(),
            body: output.body.clone(),
            suspect: false,
        });
    }
}

fn mapping_of(route: &Route) -> Option<Arc<str>> {
    route.mapping().map(|(name, version)| format!("{name} v{version}").into())
}

/// Why a run cannot wait.
fn cannot_be_held(code: Option<&AwaitedCode>, is_full: bool) -> Option<String> {
    if is_full {
        return Some(format!("{HELD_MAX} are held already"));
    }
    let too_long = code.is_some_and(|awaited| awaited.code.chars().count() > CODE_CHARS_MAX);
    too_long.then(|| format!("a code of more than {CODE_CHARS_MAX} characters is not waited for"))
}

/// Why a run waits that lacks no code.
fn behind() -> Cause {
    Cause::new("HUB0412", "it waits behind a message of its lane that is held")
}

fn cause_of(error: &MapError) -> Cause {
    Cause::new(&error.code.to_string(), &reason_of(error))
}

/// What a refused run says: rule, path and kind of failure, never content (H10).
fn reason_of(error: &MapError) -> String {
    let from = error.source.as_ref().map_or_else(String::new, |source| format!(" (from {source})"));
    let table = error.table.as_ref().map_or_else(String::new, |table| format!(" (table {table})"));
    format!("{} {}: {}{table}{from}", error.rule, error.path, error.reason)
}

#[cfg(test)]
mod tests;
