//! `GET /api/openapi.json`: the interface, described for machines.

use actix_web::HttpResponse;

/// The description. A test holds it against the router and against real answers.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// Answers the description.
pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(OPENAPI)
}
