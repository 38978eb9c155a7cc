//! Dead letters: the list, and one of them again.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::caller;
use super::guard::json;
use super::json::DeadLetterRow;
use super::problem::Problem;
use super::query::Parameters;
use super::server::Api;
use crate::store::{DeliveryId, RunId};

/// Dead letters of a list if nobody says how many.
const LIST_STANDARD: usize = 100;
/// Dead letters of a list at most.
const LIST_MAX: usize = 1_000;

/// `GET /api/v1/dead-letters`: newest first.
pub(super) async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let limit = Parameters::read(request.query_string(), &["limit"])?.limit(LIST_STANDARD, LIST_MAX)?;
    let letters = api.control.store().dead_letters(limit).await?;
    let rows: Vec<DeadLetterRow> = letters.iter().map(DeadLetterRow::of).collect();
    json(StatusCode::OK, &json!({ "dead_letters": rows }))
}

/// `POST /api/v1/dead-letters/{letter}/replay`: a new run for this letter only.
pub(super) async fn replay(
    api: web::Data<Api>,
    letter: web::Path<String>,
    request: HttpRequest,
    _body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let name = Letter::read(&letter).ok_or_else(|| Problem::not_found("there is no such dead letter"))?;
    tracing::info!(letter = %letter, by = %caller::of(&request), "a dead letter is replayed");
    let message = match name {
        Letter::Delivery(id) => {
            api.control.replay_delivery(id).await?;
            id.message
        }
        Letter::Run(id) => {
            api.control.replay_run(id).await?;
            id.message
        }
    };
    json(StatusCode::OK, &json!({ "message": message.to_string() }))
}

/// What a dead letter is.
#[derive(Debug, PartialEq, Eq)]
enum Letter {
    /// A delivery: `message.run.delivery`.
    Delivery(DeliveryId),
    /// A run: `message.run`.
    Run(RunId),
}

impl Letter {
    fn read(name: &str) -> Option<Letter> {
        if let Ok(id) = name.parse() {
            return Some(Letter::Delivery(id));
        }
        name.parse().ok().map(Letter::Run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MessageId;

    #[test]
    fn a_letter_is_a_delivery_or_a_run() {
        let message = MessageId(77);
        let id = DeliveryId { message, run_no: 1, delivery_no: 2 };
        assert_eq!(Letter::read(&id.to_string()), Some(Letter::Delivery(id)));
        assert_eq!(Letter::read(&format!("{message}.3")), Some(Letter::Run(RunId { message, run_no: 3 })));
        for name in ["", "1", &message.to_string(), &format!("{message}.x"), &format!("{message}.1.2.3")] {
            assert_eq!(Letter::read(name), None, "{name}");
        }
    }
}
