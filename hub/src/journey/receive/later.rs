//! The answer that comes after the receipt: what became of a message, when it was routed.
//!
//! In comes a message that is in the journal and whose sender asked for an application answer (MSH-16); out goes
//! that answer, once, if it is known before its time is over. A repeat gets the answer of the first (H4).

use std::sync::Arc;
use std::time::Duration;

use adapters::Reply;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::answer::Asked;
use super::{Candidate, Receiver, charset_rule};
use crate::journey::{Answered, Hub};
use crate::store::{MessageId, RunState};

/// How long an application answer is waited for.
const APPLICATION_DEADLINE: Duration = Duration::from_secs(10);
/// How often the journey of a repeat is looked at while its application answer is waited for.
const REPEAT_LOOK_EVERY: Duration = Duration::from_millis(50);

impl Receiver {
    /// The application answer, when the message was routed (HL7 v2.5.1 section 2.9.3).
    pub(super) fn answer_later(
        &self,
        candidate: &Candidate<'_>,
        id: MessageId,
        answered: oneshot::Receiver<Answered>,
    ) -> oneshot::Receiver<Bytes> {
        let (sender, later) = oneshot::channel();
        let plan = candidate.plan;
        let asked = Asked { body: candidate.arrival.bytes.clone(), rule: charset_rule(candidate.source), id };
        let acknowledger = self.acknowledger.clone();
        tokio::spawn(async move {
            let Ok(Ok(became)) = tokio::time::timeout(APPLICATION_DEADLINE, answered).await else { return };
            if let Some(answer) = acknowledger.application(asked, plan, &became) {
                let _ = sender.send(answer);
            }
        });
        later
    }

    /// A repeat: the stored answer, and the application answer that follows from what became of the first.
    pub(super) fn repeat(&self, candidate: &Candidate<'_>, of: MessageId, stored: Option<Bytes>) -> Reply {
        if !candidate.plan.application_is_wanted() {
            return Reply { now: stored, later: None };
        }
        let (asker, answered) = oneshot::channel();
        let later = self.answer_later(candidate, of, answered);
        let hub = Arc::clone(self.hub());
        tokio::spawn(async move {
            if let Ok(Some(known)) = tokio::time::timeout(APPLICATION_DEADLINE, look_up(&hub, of)).await {
                let _ = asker.send(known);
            }
        });
        Reply { now: stored, later: Some(later) }
    }
}

/// What became of a message, as soon as it was routed.
async fn look_up(hub: &Hub, id: MessageId) -> Option<Answered> {
    loop {
        let journey = hub.store.journey(id).await.ok().flatten()?;
        if !journey.runs.is_empty() {
            // What is held was taken.
            let ended = journey.runs.into_iter().filter(|run| run.state != RunState::Held);
            let refused = ended.filter_map(|run| run.cause).next();
            return Some(refused.map_or(Answered::Taken, Answered::Refused));
        }
        tokio::time::sleep(REPEAT_LOOK_EVERY).await;
    }
}
