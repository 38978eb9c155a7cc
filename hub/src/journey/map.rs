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
use crate::routes::{Order, Route};
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
    /// The unit of work.
    pub fn unit(&self) -> UnitOfWork {
        UnitOfWork::of(self.rows.clone())
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
    let mut mapped = Mapped::default();
    let document = match decode(live, message) {
        Ok(document) => document,
        Err(cause) => {
            mapped.end(live, message, None, RunState::Refused, Some(cause), now);
            return mapped;
        }
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
    for (route, run_no) in routes.iter().zip(message.next_run..) {
        match route.run(&document, &context) {
            Ok(outputs) => mapped.add_run(live, message, route, (run_no, now), outputs),
            Err(error) => {
                mapped.refuse_run(live, message, route, (run_no, now), &error);
            }
        }
    }
    if routes.is_empty() {
        mapped.end(live, message, None, RunState::Filtered, None, now);
    }
    mapped
}

/// The rows of a message that cannot be finished: dead-lettered, with its cause.
pub fn bury(live: &Live, message: &Journaled, cause: Cause, now: Timestamp) -> Mapped {
    let mut mapped = Mapped::default();
    mapped.end(live, message, None, RunState::DeadLettered, Some(cause), now);
    mapped
}

impl Mapped {
    /// A run without deliveries is an end.
    fn end(
        &mut self,
        live: &Live,
        message: &Journaled,
        route: Option<(&Route, u32)>,
        state: RunState,
        cause: Option<Cause>,
        now: Timestamp,
    ) {
        let (name, run_no) = route.map_or((None, message.next_run), |(route, run_no)| (Some(route), run_no));
        self.runs.push((name.map_or("none", |route| route.id.as_str()).into(), state));
        if state != RunState::Filtered {
            self.answer.clone_from(&cause);
        }
        self.rows.push(Row::Run(NewRun {
            message: MessageRef::Stored(message.id),
            run_no,
            route: name.map(|route| route.id.as_str().into()),
            mapping: name.and_then(mapping_of),
            configuration: live.number,
            started_at: now,
            state,
            cause,
        }));
    }

    fn refuse_run(
        &mut self,
        live: &Live,
        message: &Journaled,
        route: &Route,
        (run_no, now): (u32, Timestamp),
        error: &MapError,
    ) {
        let cause = Cause::new(&error.code.to_string(), &reason_of(error));
        self.end(live, message, Some((route, run_no)), RunState::Refused, Some(cause), now);
    }

    fn add_run(
        &mut self,
        live: &Live,
        message: &Journaled,
        route: &Route,
        (run_no, now): (u32, Timestamp),
        outputs: Vec<Output>,
    ) {
        let state = if outputs.is_empty() { RunState::Filtered } else { RunState::Mapped };
        self.end(live, message, Some((route, run_no)), state, None, now);
        let lane = message.lane.filter(|_| route.order == Order::Key);
        let mut delivery_no = 0;
        for (output, output_no) in outputs.into_iter().zip(1..) {
            let command: Option<Arc<str>> = output.command.as_deref().map(Arc::from);
            let kind: Arc<str> = output.resource_type.as_str().into();
            self.rows.push(Row::Output(NewOutput {
                message: message.id,
                run_no,
                output_no,
                format: output.format,
                command: command.clone(),
                kind: Arc::clone(&kind),
                body: route.mapping().is_some().then(|| output.body.clone()),
            }));
            let wanted = |name: &str| message.only.as_ref().is_none_or(|only| *only.destination == *name);
            for target in route.to.iter().filter(|target| wanted(target.name())) {
                delivery_no += 1;
                let id = DeliveryId { message: message.id, run_no, delivery_no };
                self.rows.push(Row::Delivery(NewDelivery {
                    id,
                    output_no,
                    destination: target.name().into(),
                    lane,
                    created_at: now,
                }));
                self.launches.push(Launch {
                    id,
                    target: target.clone(),
                    lane,
                    source: Arc::clone(&message.source),
                    route: route.id.as_str().into(),
                    created_at: now,
                    format: output.format,
                    command: command.clone(),
                    kind: Arc::clone(&kind),
                    body: output.body.clone(),
                    suspect: false,
                });
            }
        }
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
