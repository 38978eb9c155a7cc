//! What operators do: a message again, the configuration again. Each is logged with who did it.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::caller;
use super::guard::json;
use super::problem::Problem;
use super::server::Api;
use crate::store::MessageId;

/// `POST /api/v1/messages/{id}/replay`: a new run under the configuration of now (H7).
pub(super) async fn replay(
    api: web::Data<Api>,
    id: web::Path<String>,
    request: HttpRequest,
    _body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let id: MessageId = id.parse().map_err(|_| Problem::not_found("there is no such message"))?;
    tracing::info!(message = %id, by = %caller::of(&request), "a message is replayed");
    api.control.replay_message(id).await?;
    json(StatusCode::OK, &json!({ "message": id.to_string() }))
}

/// `POST /api/v1/reload`: all or nothing (H7).
pub(super) async fn reload(
    api: web::Data<Api>,
    request: HttpRequest,
    _body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    tracing::info!(by = %caller::of(&request), "the configuration is read again");
    let configuration = api.control.reload().await?;
    json(StatusCode::OK, &json!({ "configuration": configuration }))
}

/// What is published again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reconcile {
    older_than_seconds: u32,
}

/// `POST /api/v1/reconcile`: what brokers confirmed and nobody applied is published again.
pub(super) async fn reconcile(
    api: web::Data<Api>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let shape = "the body must be JSON with `older_than_seconds`";
    let asked: Reconcile = serde_json::from_slice(&body).map_err(|_| Problem::parameter(shape))?;
    tracing::info!(seconds = asked.older_than_seconds, by = %caller::of(&request), "records are published again");
    let published = api.control.reconcile(Duration::from_secs(u64::from(asked.older_than_seconds))).await?;
    json(StatusCode::OK, &json!({ "published": published }))
}
