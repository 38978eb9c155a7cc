//! `GET /api/v1/tap`: what happens, as it happens (Server-Sent Events).
//!
//! Promised: metadata only (H10); so many watchers, for so long; one that is too slow misses events and is
//! told how many, and never holds up the hub (H6).

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use adapters::Drain;
use bytes::Bytes;
use futures::stream;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::{Instant, sleep_until, timeout};

use super::caller;
use super::control::TapEvent;
use super::problem::Problem;
use super::query::Parameters;
use super::server::Api;

/// A watcher is sent away after this long, and may come again.
const WATCH_MAX: Duration = Duration::from_secs(3600);
/// Something is sent at least this often, so that a connection that is gone is noticed.
const BEAT: Duration = Duration::from_secs(15);

/// One watcher.
struct Watcher {
    events: broadcast::Receiver<TapEvent>,
    source: Option<String>,
    drain: Drain,
    until: Instant,
    is_greeted: bool,
    has_ended: bool,
    /// Its place among the watchers, given back when it goes.
    _place: OwnedSemaphorePermit,
}

/// Answers with a stream of events.
pub(super) async fn watch(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::read(request.query_string(), &["source"])?;
    let place = api.taps.clone().try_acquire_owned().map_err(|_| Problem::too_many_taps())?;
    tracing::info!(by = %caller::of(&request), "the tap is watched");
    let watcher = Watcher {
        events: api.control.tap(),
        source: parameters.text("source").map(str::to_owned),
        drain: api.drain.clone(),
        until: Instant::now() + WATCH_MAX,
        is_greeted: false,
        has_ended: false,
        _place: place,
    };
    let events = stream::unfold(watcher, |mut watcher| async move {
        let text = watcher.next().await?;
        Some((Ok::<Bytes, actix_web::Error>(text.into()), watcher))
    });
    Ok(HttpResponse::Ok().content_type("text/event-stream").streaming(events))
}

impl Watcher {
    /// The next piece of the stream; none at its end.
    async fn next(&mut self) -> Option<String> {
        if self.has_ended {
            return None;
        }
        if !self.is_greeted {
            self.is_greeted = true;
            return Some(": watching\n\n".to_owned());
        }
        let next = timeout(BEAT, next_event(&mut self.events, self.source.as_deref()));
        let drain = &mut self.drain;
        let piece = tokio::select! {
            () = async { drain.wait_for(|begun| *begun).await.map_or((), |_| ()) } => Err("the hub is going down"),
            () = sleep_until(self.until) => Err("watched long enough; ask again"),
            got = next => match got {
                Err(_) => Ok(": nothing new\n\n".to_owned()),
                Ok(Ok(event)) => Ok(written(&event)),
                Ok(Err(RecvError::Lagged(missed))) => {
                    Ok(format!("event: missed\ndata: {}\n\n", json!({ "events": missed })))
                }
                Ok(Err(RecvError::Closed)) => Err("the hub is going down"),
            },
        };
        Some(piece.unwrap_or_else(|reason| self.end(reason)))
    }

    fn end(&mut self, reason: &str) -> String {
        self.has_ended = true;
        format!("event: end\ndata: {}\n\n", json!({ "reason": reason }))
    }
}

/// The next event of the source, or of any.
async fn next_event(events: &mut broadcast::Receiver<TapEvent>, source: Option<&str>) -> Result<TapEvent, RecvError> {
    loop {
        let event = events.recv().await?;
        if source.is_none_or(|source| source == &*event.source) {
            return Ok(event);
        }
    }
}

fn written(event: &TapEvent) -> String {
    let data = json!({
        "at": event.at.to_rfc3339(),
        "message": event.message.to_string(),
        "source": &*event.source,
        "type": &*event.kind,
        "stage": event.stage,
        "outcome": event.outcome,
        "name": event.at_name.as_deref(),
        "code": event.code.as_deref(),
    });
    format!("event: journey\ndata: {data}\n\n")
}
