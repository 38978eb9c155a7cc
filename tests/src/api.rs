//! The hub's HTTP interface, as any other program would use it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::{Fallible, wait};

/// Longer than any question here may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A page of messages.
const PAGE: usize = 500;

/// Asks one hub.
#[derive(Clone, Debug)]
pub struct Api {
    agent: ureq::Agent,
    base: String,
}

impl Api {
    /// Asks the hub at `address`.
    pub fn new(address: SocketAddr) -> Api {
        let config =
            ureq::Agent::config_builder().timeout_global(Some(ANSWER_WITHIN)).http_status_as_error(false).build();
        Api { agent: config.into(), base: format!("http://{address}") }
    }

    /// Gets a page as text, with its status.
    pub fn text(&self, path: &str) -> Fallible<(u16, String)> {
        let mut answer = self.agent.get(format!("{}{path}", self.base)).call()?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }

    /// Gets a page as JSON; any status but 200 is an error.
    pub fn json(&self, path: &str) -> Fallible<Value> {
        let (status, text) = self.text(path)?;
        if status != 200 {
            return Err(format!("GET {path} answered {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Every message that matches the filter, oldest or newest first as the hub gives them.
    pub fn messages(&self, filter: &str) -> Fallible<Vec<Value>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.json(&format!("/api/v1/messages?{filter}&limit={PAGE}{cursor}"))?;
            let messages = page.get("messages").and_then(Value::as_array).ok_or("the page has no messages")?;
            all.extend(messages.iter().cloned());
            match page.get("next").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// The one message of a source with a control id, once it is there.
    pub fn message(&self, source: &str, control_id: &str) -> Fallible<Value> {
        wait::until(&format!("message {control_id} can be found"), ANSWER_WITHIN, || {
            Ok(self.messages(&format!("source={source}&control_id={control_id}"))?.into_iter().next())
        })
    }

    /// The state of the one message of a source with a control id.
    pub fn state(&self, source: &str, control_id: &str) -> Fallible<String> {
        let message = self.message(source, control_id)?;
        Ok(message.get("state").and_then(Value::as_str).ok_or("a message without state")?.to_owned())
    }

    /// Why each dead letter is one, by its code.
    pub fn dead_letter_codes(&self) -> Fallible<Vec<String>> {
        let page = self.json("/api/v1/dead-letters")?;
        let dead = page.get("dead_letters").and_then(Value::as_array).ok_or("no list of dead letters")?;
        Ok(dead.iter().filter_map(|one| one.pointer("/why/code")?.as_str().map(str::to_owned)).collect())
    }

    /// The whole journey of a message.
    pub fn journey(&self, message: &Value) -> Fallible<Value> {
        let id = message.get("id").ok_or("a message without id")?;
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        self.json(&format!("/api/v1/messages/{id}"))
    }

    /// Waits until nothing is on its way inside the hub, by its own count: quick to ask, so that it can be timed.
    pub fn idle(&self, within: Duration) -> Fallible<()> {
        wait::until("nothing is on its way", within, || {
            let (_, metrics) = self.text("/metrics")?;
            let none = |line: &str| line.strip_prefix("hub_messages_in_flight ").is_some_and(|count| count == "0");
            Ok(metrics.lines().any(none).then_some(()))
        })
    }

    /// Waits until no message is on its way, by the state of every message.
    pub fn drained(&self, within: Duration) -> Fallible<()> {
        wait::until("every message is at an end", within, || {
            let open = self.json("/api/v1/messages?state=accepted&limit=1")?;
            let waiting = self.json("/api/v1/messages?state=waiting&limit=1")?;
            let none = |page: &Value| page.get("messages").and_then(Value::as_array).is_some_and(Vec::is_empty);
            Ok((none(&open) && none(&waiting)).then_some(()))
        })
    }
}
