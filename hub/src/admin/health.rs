//! What machines ask: whether the process lives, whether it can work, and what it counts.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::guard::json;
use super::problem::Problem;
use super::server::Api;

/// The text format of OpenMetrics, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /live`: this process answers.
pub(super) async fn live() -> Result<HttpResponse, Problem> {
    json(StatusCode::OK, &json!({ "live": true }))
}

/// `GET /ready`: 200 if every part that is needed can do its work, else 503; both with all parts.
pub(super) async fn ready(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let parts = api.control.ready();
    let is_ready = parts.iter().all(|part| !part.needed || part.trouble.is_none());
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let parts: Vec<_> = parts
        .iter()
        .map(|part| {
            let ready = part.trouble.is_none();
            json!({ "name": part.name, "needed": part.needed, "ready": ready, "trouble": part.trouble })
        })
        .collect();
    json(status, &json!({ "ready": is_ready, "parts": parts }))
}

/// `GET /metrics`: everything that is counted.
pub(super) async fn metrics(api: web::Data<Api>) -> HttpResponse {
    HttpResponse::Ok().content_type(OPEN_METRICS).body(api.control.metrics())
}
