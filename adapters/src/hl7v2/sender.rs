//! A way out for HL7 v2 over MLLP.
//!
//! In come parcels; out go frames, one in flight on each connection, and a verdict by the answer. Promised:
//! delivered means that the far system answered AA or CA to this very message; every attempt carries the
//! same MSH-10, so that a repeat can be known (H3); a connection whose answer did not come, or was not
//! understood, is closed, so that a late answer can never be taken for that of a later message. Refused: a
//! body without MSH-10, and one that holds a framing byte.

mod link;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rustls_pki_types::ServerName;
use tokio::sync::Semaphore;

use self::link::{Failure, Link};
use super::ack::{self, Acknowledgement, Code};
use super::{Index, mllp};
use crate::limits::SendLimits;
use crate::{Format, Parcel, Sink, Verdict, tls};

/// What a destination is built from.
pub struct Options {
    /// `host:port`.
    pub address: String,
    /// Its bounds.
    pub limits: SendLimits,
    /// Plain without it.
    pub tls: Option<Tls>,
    /// Whether an AR or a CR is tried again. Some receivers send them while they are down; most for what
    /// they will never take.
    pub retry_ar: bool,
}

/// TLS of a destination.
#[derive(Clone)]
pub struct Tls {
    /// Whom we trust, and who we are.
    pub client: Arc<tls::Client>,
    /// The name that the far system's certificate must have: see [`tls::server_name`].
    pub server_name: ServerName<'static>,
}

/// Sends to one far system.
pub struct MllpSink {
    options: Options,
    turns: Semaphore,
    /// Connections without a message in flight.
    idle: Mutex<Vec<Link>>,
}

impl MllpSink {
    /// A destination that is not connected yet.
    pub fn new(options: Options) -> MllpSink {
        let turns = Semaphore::new(options.limits.connections.max(1));
        MllpSink { options, turns, idle: Mutex::default() }
    }

    async fn attempt(&self, body: &[u8], control_id: &[u8]) -> Result<Acknowledgement, Failure> {
        let limits = &self.options.limits;
        let turn = tokio::time::timeout(limits.turn_deadline, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(Failure::Busy)?;
        let mut link = self.link().await?;
        let frame = link.exchange(&mllp::encode(body), limits).await?;
        let answer = ack::read(&frame).map_err(|_| Failure::NoAcknowledgement)?;
        if !answer.answers(control_id, true) {
            return Err(Failure::OtherMessage);
        }
        if link.is_clean() {
            self.idle().push(link);
        }
        Ok(answer)
    }

    /// A connection that still stands, or a new one.
    async fn link(&self) -> Result<Link, Failure> {
        loop {
            let kept = self.idle().pop();
            match kept {
                None => return Link::open(&self.options).await,
                Some(mut link) => {
                    if link.is_silent().await {
                        return Ok(link);
                    }
                }
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, answer: &Acknowledgement) -> Verdict {
        let told = summary(answer);
        match answer.code {
            Code::ApplicationAccept | Code::CommitAccept => Verdict::Delivered { answer: told },
            Code::ApplicationReject | Code::CommitReject if self.options.retry_ar => {
                Verdict::Retry { reason: told, after: None }
            }
            Code::CommitError => Verdict::Retry { reason: told, after: None },
            Code::ApplicationError | Code::ApplicationReject | Code::CommitReject => Verdict::Rejected { reason: told },
        }
    }
}

#[async_trait]
impl Sink for MllpSink {
    async fn deliver(&self, parcel: &Parcel) -> Verdict {
        match parcel.format {
            Format::Hl7v2 => {}
            Format::FhirJson | Format::Json | Format::Xml | Format::Csv => {
                return rejected("only hl7 v2 can be sent by mllp");
            }
        }
        if !mllp::can_be_framed(&parcel.body) {
            return rejected("the message holds a framing byte");
        }
        let mut index = Index::new();
        let Ok(message) = index.read(&parcel.body) else {
            return rejected("the message cannot be read");
        };
        let control_id = message.header().control_id().raw().trim_ascii();
        if control_id.is_empty() {
            return rejected("the message has no control id");
        }
        match self.attempt(&parcel.body, control_id).await {
            Ok(answer) => self.judge(&answer),
            Err(failure) => Verdict::Retry { reason: failure.to_string(), after: None },
        }
    }
}

/// The code, and which errors of table 0357 were reported: no text of the far system, which may hold
/// patient data.
fn summary(answer: &Acknowledgement) -> String {
    let conditions = answer.errors.iter().map(|error| error.condition.trim());
    let known: BTreeSet<u16> = conditions.filter_map(|condition| condition.parse().ok()).collect();
    let listed: Vec<String> =
        known.iter().filter(|condition| (100..=299).contains(*condition)).map(u16::to_string).collect();
    let code = answer.code.as_str();
    if listed.is_empty() { format!("answered {code}") } else { format!("answered {code}, errors {}", listed.join(" ")) }
}

fn rejected(reason: &str) -> Verdict {
    Verdict::Rejected { reason: reason.to_owned() }
}
