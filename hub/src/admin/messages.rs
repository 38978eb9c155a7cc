//! `GET /api/v1/messages`: lists of messages, newest first.

use std::collections::HashSet;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::control::{Control, SearchBy};
use super::guard::json;
use super::json::{MessageListed, MessagePage};
use super::problem::Problem;
use super::query::Parameters;
use super::server::Api;
use crate::store::{MessageFilter, MessageId, MessageState, StoreError};

/// Messages of a page if nobody says how many.
const PAGE_STANDARD: usize = 50;
/// Messages of a page at most.
const PAGE_MAX: usize = 1_000;
/// Messages that the index is asked for at most; who has more of one patient narrows the time down.
const FOUND_MAX: usize = 10_000;
/// Characters of an identifier that is looked for.
const IDENTIFIER_CHARS_MAX: usize = 256;

const KNOWN: [&str; 9] = ["state", "source", "control_id", "patient", "order", "since", "until", "limit", "cursor"];

/// Answers a list.
pub(super) async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::read(request.query_string(), &KNOWN)?;
    let filter = MessageFilter { among: found(api.control.as_ref(), &parameters).await?, ..filter(&parameters)? };
    let page = api.control.store().messages(filter).await?;
    let page = MessagePage {
        messages: page.messages.iter().map(MessageListed::of).collect(),
        next: page.next.map(|id| id.to_string()),
    };
    json(StatusCode::OK, &page)
}

/// All but the identifiers that the index knows.
fn filter(parameters: &Parameters) -> Result<MessageFilter, Problem> {
    let states = MessageState::ALL.map(MessageState::word).join(", ");
    Ok(MessageFilter {
        state: parameters.read_by("state", &format!("one of {states}"), MessageState::from_word)?,
        source: parameters.text("source").map(str::to_owned),
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        before: parameters.parsed::<MessageId>("cursor", "the `next` of a page")?,
        limit: parameters.limit(PAGE_STANDARD, PAGE_MAX)?,
        ..MessageFilter::default()
    })
}

/// The messages that have every identifier that was asked for; none was: no restriction.
async fn found(control: &dyn Control, parameters: &Parameters) -> Result<Option<Vec<MessageId>>, Problem> {
    let mut among: Option<HashSet<MessageId>> = None;
    for by in [SearchBy::Patient, SearchBy::Order, SearchBy::ControlId] {
        let Some(value) = parameters.text(by.kind()) else { continue };
        if value.chars().count() > IDENTIFIER_CHARS_MAX {
            return Err(Problem::parameter(format!("{} is longer than {IDENTIFIER_CHARS_MAX}", by.kind())));
        }
        let having: Result<HashSet<MessageId>, StoreError> =
            control.find(by, value, FOUND_MAX).await.map(|ids| ids.into_iter().collect());
        let having = having?;
        among = Some(among.map_or(having.clone(), |among| among.intersection(&having).copied().collect()));
    }
    Ok(among.map(|ids| ids.into_iter().collect()))
}
