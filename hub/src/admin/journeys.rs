//! `GET /api/v1/messages/{id}`: everything that happened to one message.
//!
//! Bodies are in it only with `?reveal=true`; who asked is logged.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use adapters::Format;
use adapters::clock::Timestamp;
use bytes::Bytes;
use serde::Serialize;

use super::bodies::Body;
use super::caller;
use super::guard::json;
use super::json::{MessageRow, Why, format_word};
use super::problem::Problem;
use super::query::Parameters;
use super::server::Api;
use crate::routes::Channel;
use crate::store::{DeliveryState, Journey, JourneyDelivery, JourneyRun, MessageId, StoredOutput};

/// A message with its journey.
#[derive(Debug, Serialize)]
struct JourneyRow {
    #[serde(flatten)]
    message: MessageRow,
    /// Why the intake refused it.
    refusal: Option<Why>,
    /// How often it was charged with a crash.
    charges: u32,
    answer: Option<Part>,
    body: Option<Body>,
    /// What happened, in the order of time.
    stages: Vec<Stage>,
    runs: Vec<RunRow>,
    effects: Vec<EffectRow>,
}

/// One step.
#[derive(Debug, Serialize)]
struct Stage {
    at: String,
    stage: &'static str,
    /// The source, route, channel or destination.
    name: Option<String>,
    outcome: &'static str,
    took_us: Option<i64>,
    reason: Option<String>,
}

/// A text that is shown only to those who ask for it.
#[derive(Debug, Serialize)]
struct Part {
    size: usize,
    body: Option<Body>,
}

#[derive(Debug, Serialize)]
struct RunRow {
    run: u32,
    route: Option<String>,
    mapping: Option<String>,
    configuration: String,
    started_at: String,
    state: &'static str,
    why: Option<Why>,
    outputs: Vec<OutputRow>,
    deliveries: Vec<DeliveryRow>,
}

#[derive(Debug, Serialize)]
struct OutputRow {
    output: u32,
    #[serde(rename = "type")]
    kind: String,
    command: Option<String>,
    format: &'static str,
    #[serde(flatten)]
    part: Part,
}

#[derive(Debug, Serialize)]
struct DeliveryRow {
    id: String,
    output: u32,
    destination: String,
    state: &'static str,
    created_at: String,
    next_at: Option<String>,
    ended_at: Option<String>,
    why: Option<Why>,
    attempts: Vec<AttemptRow>,
}

#[derive(Debug, Serialize)]
struct AttemptRow {
    attempt: u32,
    at: String,
    took_us: i64,
    verdict: &'static str,
    reason: String,
}

#[derive(Debug, Serialize)]
struct EffectRow {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Answers one journey.
pub(super) async fn show(
    api: web::Data<Api>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let reveal = Parameters::read(request.query_string(), &["reveal"])?.flag("reveal")?;
    let unknown = || Problem::not_found("there is no such message");
    let id: MessageId = id.parse().map_err(|_| unknown())?;
    let journey = api.control.store().journey(id).await?.ok_or_else(unknown)?;
    if reveal {
        tracing::info!(message = %id, by = %caller::of(&request), "the bodies of a message were shown");
    }
    json(StatusCode::OK, &JourneyRow::of(&journey, reveal))
}

impl JourneyRow {
    fn of(journey: &Journey, reveal: bool) -> JourneyRow {
        let message = &journey.message;
        JourneyRow {
            message: MessageRow::of(message, message.body.len(), journey.state.word()),
            refusal: message.refusal.as_ref().map(Why::of),
            charges: journey.charges,
            answer: journey.answer.as_ref().map(|answer| Part::of(answer, message.format, reveal)),
            body: reveal.then(|| Body::of(&message.body, message.format)),
            stages: stages(journey),
            runs: journey.runs.iter().map(|run| RunRow::of(run, reveal)).collect(),
            effects: journey
                .effects
                .iter()
                .map(|(id, kind)| EffectRow { id: id.to_string(), kind: kind.to_string() })
                .collect(),
        }
    }
}

impl Part {
    fn of(bytes: &Bytes, format: Format, reveal: bool) -> Part {
        Part { size: bytes.len(), body: reveal.then(|| Body::of(bytes, format)) }
    }
}

impl RunRow {
    fn of(run: &JourneyRun, reveal: bool) -> RunRow {
        RunRow {
            run: run.run_no,
            route: owned(run.route.as_ref()),
            mapping: owned(run.mapping.as_ref()),
            configuration: run.configuration.to_string(),
            started_at: run.started_at.to_rfc3339(),
            state: run.state.word(),
            why: run.cause.as_ref().map(Why::of),
            outputs: run.outputs.iter().map(|(number, output)| OutputRow::of(*number, output, reveal)).collect(),
            deliveries: run.deliveries.iter().map(DeliveryRow::of).collect(),
        }
    }
}

impl OutputRow {
    fn of(number: u32, output: &StoredOutput, reveal: bool) -> OutputRow {
        OutputRow {
            output: number,
            kind: output.kind.to_string(),
            command: owned(output.command.as_ref()),
            format: format_word(output.format),
            part: Part::of(&output.body, output.format, reveal),
        }
    }
}

impl DeliveryRow {
    fn of(delivery: &JourneyDelivery) -> DeliveryRow {
        DeliveryRow {
            id: delivery.id.to_string(),
            output: delivery.output_no,
            destination: delivery.destination.to_string(),
            state: delivery.state.word(),
            created_at: delivery.created_at.to_rfc3339(),
            next_at: delivery.next_at.map(Timestamp::to_rfc3339),
            ended_at: delivery.ended_at.map(Timestamp::to_rfc3339),
            why: delivery.cause.as_ref().map(Why::of),
            attempts: delivery
                .attempts
                .iter()
                .map(|attempt| AttemptRow {
                    attempt: attempt.attempt_no,
                    at: attempt.at.to_rfc3339(),
                    took_us: attempt.took_us,
                    verdict: attempt.verdict.word(),
                    reason: attempt.reason.to_string(),
                })
                .collect(),
        }
    }
}

fn owned(text: Option<&Arc<str>>) -> Option<String> {
    text.map(ToString::to_string)
}

/// The journey as one list in the order of time.
fn stages(journey: &Journey) -> Vec<Stage> {
    let message = &journey.message;
    let refusal = message.refusal.as_ref();
    let receive = Stage {
        at: message.received_at.to_rfc3339(),
        stage: "receive",
        name: Some(message.source.to_string()),
        outcome: if refusal.is_some() { "refused" } else { "accepted" },
        took_us: None,
        reason: refusal.map(|cause| format!("{} {}", cause.code, cause.reason)),
    };
    let mut stages = vec![(message.received_at, receive)];
    for run in &journey.runs {
        let stage = if run.route.is_some() { "map" } else { "route" };
        let outcome = Stage {
            at: run.started_at.to_rfc3339(),
            stage,
            name: owned(run.route.as_ref()),
            outcome: run.state.word(),
            took_us: None,
            reason: run.cause.as_ref().map(|cause| format!("{} {}", cause.code, cause.reason)),
        };
        stages.push((run.started_at, outcome));
        for delivery in &run.deliveries {
            stages.extend(delivery_stages(delivery));
        }
    }
    stages.sort_by_key(|(at, _)| *at);
    stages.into_iter().map(|(_, stage)| stage).collect()
}

/// The attempts of a delivery, and its end if no attempt says it.
fn delivery_stages(delivery: &JourneyDelivery) -> Vec<(Timestamp, Stage)> {
    let is_channel = Channel::ALL.into_iter().any(|channel| channel.name() == &*delivery.destination);
    let stage = if is_channel { "apply" } else { "deliver" };
    let name = || Some(delivery.destination.to_string());
    let mut stages: Vec<(Timestamp, Stage)> = delivery
        .attempts
        .iter()
        .map(|attempt| {
            let reason = Some(attempt.reason.to_string()).filter(|reason| !reason.is_empty());
            let outcome = attempt.verdict.word();
            let at = attempt.at.to_rfc3339();
            (attempt.at, Stage { at, stage, name: name(), outcome, took_us: Some(attempt.took_us), reason })
        })
        .collect();
    let is_said = delivery.state == DeliveryState::Delivered && !delivery.attempts.is_empty();
    if let Some(ended_at) = delivery.ended_at.filter(|_| !is_said) {
        let end = Stage {
            at: ended_at.to_rfc3339(),
            stage,
            name: name(),
            outcome: delivery.state.word(),
            took_us: None,
            reason: delivery.cause.as_ref().map(|cause| format!("{} {}", cause.code, cause.reason)),
        };
        stages.push((ended_at, end));
    }
    stages
}
