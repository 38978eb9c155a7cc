//! Receive: bytes -> a receipt in the journal, and the answer to the sender.
//!
//! In come arrivals of one HL7 v2 source; out go replies. The only place that may answer "accepted", and
//! only after the commit has returned (H1). A repeat gets the stored answer (H4). What cannot be read, and
//! what the source's policy does not allow, is refused with the standard's code, and kept too (H2).

mod answer;
mod later;
mod policy;
mod refuse;

use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Timestamp;
use adapters::hl7v2::ack::Code;
use adapters::hl7v2::{self, CharsetRule, Findings, batch};
use adapters::{Arrival, Breach, BreachKind, Document, Format, Intake, Reply};
use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use self::answer::{Acknowledger, Plan};
use self::policy::{Objection, check};
use super::consume::shard_of;
use super::{Accepted, Answered, Hub, Journaled, Live};
use crate::admin::TapEvent;
use crate::routes::{Charset, MllpSource, SourceAdapter, SourceSpec};
use crate::search::terms_of_document;
use crate::store::{Cause, Flags, HandOver, MessageId, NewMessage, Outcome, Row, StoreError, UnitOfWork};
use crate::telemetry::{Metrics, Of};

/// How long a message waits for room in memory before its sender is told to come again.
const ROOM_DEADLINE: Duration = Duration::from_secs(5);
/// Bodies are counted against the memory in pieces of this many bytes.
pub const PIECE_BYTES: usize = 1024;

/// What every source's intake shares.
pub struct Reception {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// A sender a shard, with the place where messages of its lanes queue for room: whoever comes first
    /// goes into the journal first (H5).
    pub shards: Vec<(Mutex<()>, mpsc::Sender<Accepted>)>,
    /// Memory for the bodies of messages that are not routed yet, in pieces.
    pub memory: Arc<Semaphore>,
    /// No message is accepted any more once this is true.
    pub closed: watch::Receiver<bool>,
}

/// The intake of one source.
pub struct Receiver {
    reception: Arc<Reception>,
    source: Arc<str>,
    acknowledger: Acknowledger,
}

/// One message with what was found out about it.
struct Candidate<'a> {
    arrival: &'a Arrival,
    document: &'a Document,
    message: hl7v2::Message<'a>,
    source: &'a SourceSpec,
    settings: &'a MllpSource,
    plan: Plan,
}

/// Room for one message between journal and outbox.
struct Room {
    shard: OwnedPermit<Accepted>,
    memory: OwnedSemaphorePermit,
}

/// The character set rule of a source.
pub fn charset_rule(source: &SourceSpec) -> CharsetRule {
    let SourceAdapter::Mllp(settings) = &source.adapter else { return CharsetRule::default() };
    let known = |charset| match charset {
        Charset::Utf8 => Some(hl7v2::Charset::Utf8),
        Charset::Windows1256 => Some(hl7v2::Charset::Windows1256),
        Charset::Iso8859_6 => Some(hl7v2::Charset::Iso8859_6),
        Charset::Auto => None,
    };
    match known(settings.charset) {
        Some(fixed) => CharsetRule::Fixed(fixed),
        None => CharsetRule::Auto { default: known(settings.charset_default).unwrap_or(hl7v2::Charset::Windows1256) },
    }
}

impl Receiver {
    /// The intake of `source`.
    pub fn new(reception: Arc<Reception>, source: Arc<str>) -> Receiver {
        let acknowledger = Acknowledger::new(Arc::clone(&reception.hub.clock));
        Receiver { reception, source, acknowledger }
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.reception.hub
    }

    fn count(&self, outcome: &'static str) {
        Metrics::count(&self.hub().metrics.received, &self.source, outcome);
    }

    /// Receives one message that stands alone.
    async fn receive_one(&self, live: &Live, arrival: &Arrival) -> Reply {
        let Some(source) = live.configuration.sources.get(&*self.source) else {
            return self.refuse_bytes(arrival, &Objection::source_gone()).await;
        };
        let SourceAdapter::Mllp(settings) = &source.adapter else {
            return self.refuse_bytes(arrival, &Objection::source_gone()).await;
        };
        let read = hl7v2::Document::read(arrival.bytes.clone(), charset_rule(source));
        let document = match read {
            Ok(document) => Document::Hl7v2(document),
            Err(unreadable) => return self.refuse_bytes(arrival, &Objection::unreadable(&unreadable)).await,
        };
        let Document::Hl7v2(hl7) = &document else { return Reply::default() };
        let message = hl7.message();
        let plan = Plan::of(&message.header(), settings);
        let candidate = Candidate { arrival, document: &document, message, source, settings, plan };
        match check(&message.header(), settings, &arrival.principal) {
            Ok(()) => self.accept(candidate).await,
            Err(objection) => self.refuse_message(&candidate, &objection).await,
        }
    }

    async fn accept(&self, candidate: Candidate<'_>) -> Reply {
        let objection = match self.try_accept(&candidate).await {
            Ok(reply) => return reply,
            Err(objection) => objection,
        };
        // Nothing is kept of it: the journal itself is in trouble, or there is no room. The sender keeps it.
        self.count("failed");
        tracing::warn!(source = %self.source, code = objection.code, "not accepted");
        self.acknowledger.negative(&candidate.message, candidate.plan, &objection)
    }

    async fn try_accept(&self, candidate: &Candidate<'_>) -> Result<Reply, Objection> {
        if *self.reception.closed.borrow() {
            return Err(Objection::closing());
        }
        let answer = self.acknowledger.positive(&candidate.message, candidate.plan);
        let new = self.new_message(candidate, None, answer);
        let room = self.room_for(&new).await.ok_or_else(Objection::overloaded)?;
        let unit = UnitOfWork::of(vec![Row::Message(Box::new(new.clone()))]);
        let (asker, answered) = candidate.plan.application_is_wanted().then(oneshot::channel).unzip();
        let now = new.answer.clone();
        match self.hub().store.commit_in_order(unit, self.hand_over(new, room, asker)).await {
            Outcome::Committed(ids) => {
                let id = ids.first().copied().ok_or_else(|| Objection::store(&StoreError::Closed))?;
                self.count("accepted");
                Ok(Reply { now, later: answered.map(|answered| self.answer_later(candidate, id, answered)) })
            }
            Outcome::Repeat { of, answer: stored } => {
                self.count("repeated");
                tracing::info!(source = %self.source, id = %of, "a repeat gets the stored answer");
                Ok(self.repeat(candidate, of, stored))
            }
            Outcome::Failed(error) => Err(Objection::store(&error)),
            Outcome::AlreadyApplied | Outcome::Conflict => Err(Objection::store(&StoreError::Closed)),
        }
    }

    /// Gives a message to its shard when it is committed, in the order of the commits: connections share lanes.
    /// From then on the journal answers for it.
    fn hand_over(&self, new: NewMessage, room: Room, asker: Option<oneshot::Sender<Answered>>) -> HandOver {
        let hub = Arc::clone(self.hub());
        Box::new(move |outcome| {
            let Outcome::Committed(ids) = outcome else { return };
            let Some(id) = ids.first().copied() else { return };
            hub.tell(|| received(&new, id, "accepted", None));
            hub.metrics.in_flight.inc();
            let message = Journaled {
                id,
                received_at: new.received_at,
                source: new.source,
                control_id: new.control_id,
                lane: new.lane,
                format: new.format,
                body: new.body,
                next_run: 1,
                only: None,
                held: None,
            };
            let Room { shard, memory } = room;
            shard.send(Accepted { message: Arc::new(message), charges: 0, suspect: false, asker, room: Some(memory) });
        })
    }

    async fn room_for(&self, new: &NewMessage) -> Option<Room> {
        let seed = MessageId(new.identity.first().copied().map_or(0, i64::from));
        let shards = &self.reception.shards;
        let (turn, shard) = shards.get(shard_of(new.lane, seed, shards.len()))?;
        let pieces = u32::try_from(new.body.len() / PIECE_BYTES + 1).ok()?;
        let memory = Arc::clone(&self.reception.memory);
        let room = async {
            let _turn = turn.lock().await;
            let held = memory.acquire_many_owned(pieces).await.ok()?;
            Some(Room { shard: shard.clone().reserve_owned().await.ok()?, memory: held })
        };
        tokio::time::timeout(ROOM_DEADLINE, room).await.ok().flatten()
    }

    fn new_message(&self, candidate: &Candidate<'_>, refusal: Option<Cause>, answer: Option<Bytes>) -> NewMessage {
        let Candidate { arrival, document, message, source, settings, .. } = candidate;
        let header = message.header();
        let sender = format!("{}|{}", header.sending_application().text(), header.sending_facility().text());
        let kind = format!("{}^{}", header.message_code().text(), header.trigger().text());
        let window = i64::try_from(settings.duplicate_window.as_micros()).unwrap_or(i64::MAX);
        let accepted = refusal.is_none();
        NewMessage {
            received_at: arrival.received_at,
            source: Arc::clone(&self.source),
            principal: Arc::clone(&arrival.principal.0),
            peer: Arc::clone(&arrival.peer),
            sender: sender.into(),
            control_id: header.control_id().text().into(),
            kind: kind.into(),
            format: Format::Hl7v2,
            lane: source.key(document).map(|key| self.hub().keys.lane(&self.source, &key)),
            identity: identity(message.without_time()),
            flags: flags_of(message),
            cause: None,
            refusal,
            body: arrival.bytes.clone(),
            answer,
            terms: terms_of_document(&self.hub().keys, &header.control_id().text(), source, document),
            repeat_since: accepted.then(|| Timestamp(arrival.received_at.0.saturating_sub(window))),
        }
    }

    /// A batch in one frame: each message on its own, the answers in one batch (HL7 v2.5.1 section 2.10.3).
    async fn receive_batch(&self, live: &Live, arrival: &Arrival) -> Reply {
        let envelope = match batch::split(&arrival.bytes) {
            Ok(envelope) => envelope,
            Err(unreadable) => return self.refuse_bytes(arrival, &Objection::unreadable(&unreadable)).await,
        };
        let mut answers = Vec::new();
        for range in envelope.messages() {
            let single = Arrival { bytes: arrival.bytes.slice(range), ..arrival.clone() };
            if let Some(answer) = self.receive_one(live, &single).await.now {
                answers.push(answer.to_vec());
            }
        }
        Reply { now: self.acknowledger.batch(&arrival.bytes, &answers), later: None }
    }
}

#[async_trait]
impl Intake for Receiver {
    async fn receive(&self, arrival: Arrival) -> Reply {
        let live = self.hub().live.load_full();
        let begun = tokio::time::Instant::now();
        let reply = if batch::is_envelope(&arrival.bytes) {
            self.receive_batch(&live, &arrival).await
        } else {
            self.receive_one(&live, &arrival).await
        };
        let of = Of { name: self.source.to_string() };
        self.hub().metrics.answer_time.get_or_create(&of).observe(begun.elapsed().as_secs_f64());
        if self.hub().store.has_ended() {
            // Whether the disk has it is not known: a refusal could be untrue. The sender hears nothing from
            // now on, and asks again with the same control id.
            return Reply::default();
        }
        fail::fail_point!("ack.before_write");
        reply
    }

    async fn refuse(&self, breach: Breach) -> Reply {
        let objection = Objection::breach(breach.kind);
        if let BreachKind::TooManyConnections { .. } = breach.kind {
            self.count("refused");
            return self.acknowledger.unreadable(&[], &objection);
        }
        self.refuse_bytes(&breach.arrival, &objection).await
    }
}

/// What somebody who looks on is told of a message.
fn received(new: &NewMessage, id: MessageId, outcome: &'static str, code: Option<&'static str>) -> TapEvent {
    TapEvent {
        at: new.received_at,
        message: id,
        source: Arc::clone(&new.source),
        kind: Arc::clone(&new.kind),
        stage: "receive",
        outcome,
        at_name: None,
        code: code.map(Arc::from),
    }
}

/// What two sendings of one message have in common: a hash of everything but MSH-7.
fn identity<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let whole: [u8; 32] = hash.finalize().into();
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(whole) {
        *to = from;
    }
    short
}

fn flags_of(message: &hl7v2::Message<'_>) -> Flags {
    let findings = message.findings();
    let mut flags = Flags::default();
    if message.charset().disagrees || findings.has(Findings::CHARSET_DISAGREES) {
        flags = flags.with(Flags::CHARSET_DISAGREES);
    }
    if !findings.is_empty() {
        flags = flags.with(Flags::TOLERATED);
    }
    flags
}

/// Which code refuses, by the plan of the acknowledgement: AE and CE for trouble that may pass or lies in
/// the content, AR and CR for what the header says.
pub(super) const fn refusing(rejects: bool, commits: bool) -> Code {
    match (rejects, commits) {
        (true, true) => Code::CommitReject,
        (true, false) => Code::ApplicationReject,
        (false, true) => Code::CommitError,
        (false, false) => Code::ApplicationError,
    }
}
