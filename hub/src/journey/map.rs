//! Map: a document -> the outputs of every matching route, as rows that commit together.
//!
//! In come a message of the journal and the configuration of now; out go its runs, outputs and
//! deliveries. Pure: the same message and configuration give the same rows (H7). A message that no route
//! takes, or that a mapping refuses, ends here, visibly (H2).

use std::sync::Arc;

use adapters::clock::Timestamp;
use adapters::hl7v2;
use adapters::{Document, Format};

use super::blame::provoke;
use super::{Answered, Journaled, Launch, Live};
use crate::keys::Keys;
use crate::mapping::{Context, MapError, Output};
use crate::routes::{Order, Route, Target};
use crate::store::{Cause, DeliveryId, MessageRef, NewDelivery, NewOutput, NewRun, Row, RunState, UnitOfWork};

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
        Format::FhirJson => serde_json::from_slice(&message.body)
            .map(Document::Json)
            .map_err(|_| Cause::new("HUB0403", "the body is not JSON")),
    }
}

/// Routes and maps one message.
pub fn map(live: &Live, keys: &Keys, message: &Journaled, now: Timestamp) -> Mapped {
    let mut pass = Pass { live, message, now, mapped: Mapped::default() };
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
        match route.run(&document, &context) {
            Ok(outputs) => pass.add_run(route, run_no, outputs),
            Err(error) => {
                let cause = Cause::new(&error.code.to_string(), &reason_of(&error));
                pass.end_run(Some(route), run_no, RunState::Refused, Some(cause));
            }
        }
    }
    pass.mapped
}

/// The rows of a message that cannot be finished: dead-lettered, with its cause.
pub fn bury(live: &Live, message: &Journaled, cause: Cause, now: Timestamp) -> Mapped {
    let pass = Pass { live, message, now, mapped: Mapped::default() };
    pass.end_unrouted(RunState::DeadLettered, Some(cause))
}

/// One message on its way through route and map.
struct Pass<'a> {
    live: &'a Live,
    message: &'a Journaled,
    now: Timestamp,
    mapped: Mapped,
}

impl Pass<'_> {
    /// The message ends here.
    fn end_unrouted(mut self, state: RunState, cause: Option<Cause>) -> Mapped {
        self.end_run(None, self.message.next_run, state, cause);
        self.mapped
    }

    /// A run, with what became of it.
    fn end_run(&mut self, route: Option<&Route>, run_no: u32, state: RunState, cause: Option<Cause>) {
        self.mapped.runs.push((route.map_or("none", |taken| taken.id.as_str()).into(), state));
        if state != RunState::Filtered && self.mapped.answer.is_none() {
            self.mapped.answer.clone_from(&cause);
        }
        self.mapped.rows.push(Row::Run(NewRun {
            message: MessageRef::Stored(self.message.id),
            run_no,
            route: route.map(|taken| taken.id.as_str().into()),
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
            let only = self.message.only.as_ref();
            let wanted = |name: &str| only.is_none_or(|only| *only.destination == *name);
            for target in route.to.iter().filter(|target| wanted(target.name())) {
                delivery_no += 1;
                let id = DeliveryId { message: self.message.id, run_no, delivery_no };
                self.add_delivery(route, target, (id, output_no), &output);
            }
        }
    }

    fn add_delivery(&mut self, route: &Route, target: &Target, (id, output_no): (DeliveryId, u32), output: &Output) {
        let lane = self.message.lane.filter(|_| route.order == Order::Key);
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

/// What a refused run says: rule, path and kind of failure, never content (H10).
fn reason_of(error: &MapError) -> String {
    let from = error.source.as_ref().map_or_else(String::new, |source| format!(" (from {source})"));
    format!("{} {}: {}{from}", error.rule, error.path, error.reason)
}
