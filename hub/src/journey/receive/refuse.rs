//! What may not be taken is answered with the standard's code, and kept.
//!
//! In come a message, or bytes that are none, and the objection; out goes the negative answer. The bytes go into
//! the journal as a refused message, so that an operator sees what the sender sees (H2). An answer that says no does
//! not wait for a journal that is in trouble.

use std::sync::Arc;

use adapters::{Arrival, Format, Reply};

use super::policy::Objection;
use super::{Candidate, Receiver, identity, received};
use crate::store::{Flags, NewMessage, Outcome, Row, UnitOfWork};

impl Receiver {
    /// Keeps a message that may not be taken, and says why.
    pub(super) async fn refuse_message(&self, candidate: &Candidate<'_>, objection: &Objection) -> Reply {
        let reply = self.acknowledger.negative(&candidate.message, candidate.plan, objection);
        let new = self.new_message(candidate, Some(objection.cause()), reply.now.clone());
        self.keep_refused(new, objection).await;
        reply
    }

    /// Keeps bytes that are no message, and says why.
    pub(super) async fn refuse_bytes(&self, arrival: &Arrival, objection: &Objection) -> Reply {
        let reply = self.acknowledger.unreadable(&arrival.bytes, objection);
        let new = NewMessage {
            received_at: arrival.received_at,
            source: Arc::clone(&self.source),
            principal: Arc::clone(&arrival.principal.0),
            peer: Arc::clone(&arrival.peer),
            sender: "|".into(),
            control_id: "".into(),
            kind: "".into(),
            format: Format::Hl7v2,
            lane: None,
            identity: identity([arrival.bytes.as_ref()]),
            flags: Flags::default(),
            cause: None,
            refusal: Some(objection.cause()),
            body: arrival.bytes.clone(),
            answer: reply.now.clone(),
            terms: Vec::new(),
            repeat_since: None,
        };
        self.keep_refused(new, objection).await;
        reply
    }

    async fn keep_refused(&self, new: NewMessage, objection: &Objection) {
        self.count("refused");
        tracing::info!(source = %self.source, peer = %new.peer, code = objection.code, "refused");
        let unit = UnitOfWork::of(vec![Row::Message(Box::new(new.clone()))]);
        match self.hub().store.commit(vec![unit]).await.pop() {
            Some(Outcome::Committed(ids)) => {
                for id in ids {
                    self.hub().tell(|| received(&new, id, "refused", Some(objection.code)));
                }
            }
            Some(Outcome::Failed(error)) => {
                tracing::warn!(source = %self.source, %error, "a refused message could not be kept");
            }
            Some(Outcome::Repeat { .. } | Outcome::AlreadyApplied | Outcome::Conflict) | None => {}
        }
    }
}
