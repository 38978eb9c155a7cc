//! What operators do: a message again, the configuration again. Each is logged with who did it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
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
