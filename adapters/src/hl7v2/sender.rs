//! A way out for HL7 v2 over MLLP.
//!
//! In come parcels; out go frames, one in flight on each connection, and a verdict by the answer. Promised:
//! delivered means that the far system answered AA or CA to this very message; every attempt carries the
//! same MSH-10, so that a repeat can be known (H3); a connection whose answer did not come, or was not
//! understood, is closed, so that a late answer can never be taken for that of a later message. Refused: a
//! body without MSH-10, and one that holds a framing byte.

mod answer;
mod link;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rustls_pki_types::ServerName;
use tokio::sync::Semaphore;

use self::answer::Answer;
use self::link::{Failure, Link};
use super::mllp;
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
    /// Whether an AR is tried again. The standard lets a receiver send it while it is down; many send it
    /// for what they will never take.
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

    async fn attempt(&self, body: &[u8], control_id: &[u8]) -> Result<Answer, Failure> {
        let limits = &self.options.limits;
        let turn = tokio::time::timeout(limits.turn_deadline, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(Failure::Busy)?;
        let mut link = self.link().await?;
        let frame = link.exchange(&mllp::encode(body), limits).await?;
        let answer = Answer::read(&frame).ok_or(Failure::NoAcknowledgement)?;
        if !answer.is_for(control_id) {
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

    fn judge(&self, answer: &Answer) -> Verdict {
        let told = answer.summary();
        match answer.code {
            answer::Code::AA | answer::Code::CA => Verdict::Delivered { answer: told },
            answer::Code::AR if self.options.retry_ar => Verdict::Retry { reason: told, after: None },
            answer::Code::CE => Verdict::Retry { reason: told, after: None },
            answer::Code::AE | answer::Code::AR | answer::Code::CR => Verdict::Rejected { reason: told },
        }
    }
}

#[async_trait]
impl Sink for MllpSink {
    async fn deliver(&self, parcel: &Parcel) -> Verdict {
        match parcel.format {
            Format::Hl7v2 => {}
            Format::FhirJson => return rejected("only hl7 v2 can be sent by mllp"),
        }
        if !mllp::can_be_framed(&parcel.body) {
            return rejected("the message holds a framing byte");
        }
        let Some(control_id) = mllp::control_id(&parcel.body) else {
            return rejected("the message has no control id");
        };
        match self.attempt(&parcel.body, control_id).await {
            Ok(answer) => self.judge(&answer),
            Err(failure) => Verdict::Retry { reason: failure.to_string(), after: None },
        }
    }
}

fn rejected(reason: &str) -> Verdict {
    Verdict::Rejected { reason: reason.to_owned() }
}
