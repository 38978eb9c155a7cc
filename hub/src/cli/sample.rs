//! The sample feed of `hub run --sample`: messages as hospitals send them, good ones and bad ones, and what
//! became of each.
//!
//! In comes a running hub; out goes a [`Report`]. Each message is sent to the hub's own port, as any sender
//! would; what became of it is read from the journal. Promised: on the same data the feed has the same bytes
//! for [`EDITION_DAYS_MAX`] days, so that a second play is answered from the journal and changes nothing
//! (H4); after that it is a new edition, with new control ids, order numbers and dates. Refused is a
//! configuration without a source that the feed can speak to.

mod client;
mod feed;
mod outcome;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use adapters::clock::Timestamp;
use adapters::hl7v2::Index;
use adapters::hl7v2::ack::{self, Code};
use bytes::Bytes;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::time::Instant;

use self::feed::{CASES, Case, Fate};
use self::outcome::{Outcome, code_of};
use crate::actors::adapter::mllp_settings;
use crate::assembly::Assembly;
use crate::routes::DestinationAdapter;
use crate::store::{MessageId, MessageState, Outcome as Committed, Row, Store, StoreError, UnitOfWork};

/// Days for which an edition is played again: less than the days for which a source knows a repeat, if its
/// `duplicate_window` is not made shorter.
const EDITION_DAYS_MAX: i32 = 20;
/// The fact that says which edition was played on this data.
const EDITION: &str = "sample_edition";
/// How long the messages are given, all together, to come to their ends.
const SETTLE_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The zone of the feed's times.
static ZONE: TimeZone = jiff::tz::get!("Africa/Cairo");

/// Why the feed could not be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// Nobody listens whom the feed can speak to.
    #[error("no source in routes.toml takes HL7 v2 over MLLP without TLS")]
    NoSource,
    /// The hub's own port does not answer.
    #[error("{address} does not take a connection: {error}")]
    Unreachable {
        /// The port.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of the feed.
#[derive(Debug)]
pub struct Report {
    /// The source it was sent to.
    source: String,
    /// Where that listens.
    address: SocketAddr,
    /// When it was played.
    at: Timestamp,
    /// The day in its messages.
    edition: Date,
    /// Folders in which the output is.
    folders: Vec<PathBuf>,
    lines: Vec<Line>,
}

/// One message of the feed, and what became of it.
#[derive(Debug)]
struct Line {
    title: &'static str,
    control_id: String,
    answers: Vec<String>,
    /// It was answered from the journal.
    is_repeat: bool,
    /// None: it is not in the journal.
    outcome: Option<Outcome>,
    /// What is not as it has to be.
    difference: Option<String>,
}

/// One message that was sent.
struct Sent<'a> {
    case: &'a Case,
    control_id: String,
    answers: Vec<Bytes>,
    id: Option<MessageId>,
    is_repeat: bool,
}

impl Report {
    /// Whether everything became of the messages that has to.
    pub fn is_as_expected(&self) -> bool {
        self.lines.iter().all(|line| line.difference.is_none())
    }
}

/// Plays the feed through the hub's own port, and waits until each message is at its end or waits.
pub async fn play(assembly: &Assembly) -> Result<Report, PlayError> {
    let store = assembly.hub.store.as_ref();
    let at = assembly.hub.clock.now();
    let (source, address) = find_source(assembly).await?;
    let edition = edition(store, day_of(at)).await?;
    let mut sent = Vec::with_capacity(CASES.len());
    for case in &CASES {
        sent.push(send(store, &source, address, case, edition).await?);
    }
    let deadline = Instant::now() + SETTLE_DEADLINE;
    let mut lines = Vec::with_capacity(sent.len());
    for one in sent {
        let outcome = match one.id {
            Some(id) => settle(store, id, one.case, deadline).await?,
            None => None,
        };
        lines.push(line_of(one, outcome));
    }
    let folders = folders(assembly);
    Ok(Report { source, address, at, edition, folders, lines })
}

/// The first source of the file that takes MLLP in plain.
async fn find_source(assembly: &Assembly) -> Result<(String, SocketAddr), PlayError> {
    let addresses = assembly.addresses();
    let live = assembly.hub.live.load_full();
    let plain = live.configuration.sources.values().filter(|spec| mllp_settings(spec).is_some_and(|s| s.tls.is_none()));
    let listening = |name: &String| addresses.iter().find(|(listening, _)| listening == name).cloned();
    plain.map(|spec| &spec.name).find_map(listening).ok_or(PlayError::NoSource)
}

/// The day that the feed bears on this data: that of its first play, unless that is too long ago.
async fn edition(store: &dyn Store, today: Date) -> Result<Date, StoreError> {
    let known = store.fact(EDITION).await?.and_then(|day| day.parse::<Date>().ok());
    if let Some(day) = known.filter(|day| (today - *day).get_days() <= EDITION_DAYS_MAX) {
        return Ok(day);
    }
    let unit = UnitOfWork::of(vec![Row::Fact(EDITION, today.to_string())]);
    match store.commit(vec![unit]).await.pop() {
        Some(Committed::Committed(_)) => Ok(today),
        Some(Committed::Failed(error)) => Err(error),
        Some(Committed::Repeat { .. } | Committed::AlreadyApplied | Committed::Conflict) | None => {
            Err(StoreError::Closed)
        }
    }
}

async fn send<'a>(
    store: &dyn Store,
    source: &str,
    address: SocketAddr,
    case: &'a Case,
    edition: Date,
) -> Result<Sent<'a>, PlayError> {
    let message = case.message(edition);
    let control_id = control_id_of(&message);
    let before = outcome::find(store, source, &control_id, &message).await?;
    let answers = client::ask(address, &message, case.expected.answers.len())
        .await
        .map_err(|error| PlayError::Unreachable { address, error })?;
    let id = outcome::find(store, source, &control_id, &message).await?;
    Ok(Sent { case, control_id, answers, id, is_repeat: before.is_some() && before == id })
}

fn control_id_of(message: &[u8]) -> String {
    let mut index = Index::new();
    index.read(message).map(|message| message.header().control_id().text().into_owned()).unwrap_or_default()
}

/// Waits until a message stands where it has to, or at an end, or the time is over.
async fn settle(
    store: &dyn Store,
    id: MessageId,
    case: &Case,
    deadline: Instant,
) -> Result<Option<Outcome>, StoreError> {
    loop {
        let outcome = outcome::read(store, id).await?;
        let Some(known) = outcome else { return Ok(None) };
        let may_wait = matches!(case.expected.fate, Fate::Waits(_));
        let is_done = known.is_settled && (may_wait || known.state != MessageState::Waiting);
        if is_done || Instant::now() >= deadline {
            return Ok(Some(known));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn line_of(sent: Sent<'_>, outcome: Option<Outcome>) -> Line {
    let codes: Vec<Option<Code>> =
        sent.answers.iter().map(|answer| ack::read(answer).ok().map(|answer| answer.code)).collect();
    let difference = difference(&sent, &codes, outcome.as_ref());
    Line {
        title: sent.case.title,
        control_id: sent.control_id,
        answers: codes.into_iter().map(|code| code.map_or("unreadable", Code::as_str).to_owned()).collect(),
        is_repeat: sent.is_repeat,
        outcome,
        difference,
    }
}

/// What is not as it has to be, the first of it.
fn difference(sent: &Sent<'_>, codes: &[Option<Code>], outcome: Option<&Outcome>) -> Option<String> {
    let expected = &sent.case.expected;
    if !codes.iter().copied().eq(expected.answers.iter().copied().map(Some)) {
        let wanted: Vec<&str> = expected.answers.iter().map(|code| code.as_str()).collect();
        return Some(format!("the answer has to be {}", wanted.join(", then ")));
    }
    let Some(outcome) = outcome else { return Some("it has to be in the journal".to_owned()) };
    if sent.is_repeat && sent.answers.first() != outcome.answer.as_ref() {
        return Some("a repeat has to get the stored answer".to_owned());
    }
    if expected.is_repeat && !sent.is_repeat {
        return Some("it has to be known as a repeat".to_owned());
    }
    if expected.reuses_control_id && !outcome.reuses_control_id {
        return Some("its control id has to be known as used before".to_owned());
    }
    difference_of_fate(expected.fate, outcome)
}

fn difference_of_fate(fate: Fate, outcome: &Outcome) -> Option<String> {
    let code = code_of(outcome.cause.as_ref());
    let is = |state, wanted: &str| outcome.state == state && code.as_deref() == Some(wanted);
    match fate {
        Fate::Taken { orders, patient } => {
            let states = outcome.orders.iter().map(|order| order.status.as_str());
            let is_read = outcome.orders.iter().all(|order| patient.is_none() || order.patient.as_deref() == patient);
            if outcome.state != MessageState::Delivered || !states.eq(orders.iter().copied()) {
                return Some(format!("its orders have to become {}", orders.join(", ")));
            }
            (!is_read).then(|| "the patient's name has to be read right".to_owned())
        }
        Fate::Filtered => {
            (outcome.state != MessageState::Filtered).then(|| "it has to be taken by no route".to_owned())
        }
        Fate::Refused(wanted) => {
            (!is(MessageState::Refused, wanted)).then(|| format!("it has to be refused with {wanted}"))
        }
        Fate::Waits(wanted) => {
            let waits = is(MessageState::Waiting, wanted) || is(MessageState::DeadLettered, wanted);
            (!waits).then(|| format!("it has to wait with {wanted}"))
        }
    }
}

/// The folders of the file destinations.
fn folders(assembly: &Assembly) -> Vec<PathBuf> {
    let live = assembly.hub.live.load_full();
    let folder = |adapter: &DestinationAdapter| match adapter {
        DestinationAdapter::File(file) => Some(file.folder.clone()),
        DestinationAdapter::Http(_) | DestinationAdapter::Mllp(_) => None,
    };
    live.configuration.destinations.values().filter_map(|spec| folder(&spec.adapter)).collect()
}

/// The civil day in Egypt.
fn day_of(at: Timestamp) -> Date {
    let at = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
    ZONE.to_datetime(at).date()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use adapters::clock::SystemClock;
    use jiff::civil::date;

    use super::*;
    use crate::store::sqlite::SqliteStore;

    #[tokio::test]
    async fn an_edition_is_played_again_until_repeats_could_be_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
        let first = date(2026, 11, 24);
        assert_eq!(edition(&store, first).await, Ok(first));
        assert_eq!(edition(&store, date(2026, 11, 23)).await, Ok(first), "a clock that went back");
        assert_eq!(edition(&store, date(2026, 12, 14)).await, Ok(first));
        let second = date(2026, 12, 15);
        assert_eq!(edition(&store, second).await, Ok(second));
        assert_eq!(edition(&store, date(2026, 12, 20)).await, Ok(second));
        store.close().await;
    }

    fn outcome(state: MessageState, code: Option<&str>, statuses: &[&str]) -> Outcome {
        let order = |status: &&str| outcome::Order {
            number: "RX-1".to_owned(),
            status: (*status).to_owned(),
            patient: Some("KARIM".to_owned()),
        };
        Outcome {
            id: MessageId(1),
            state,
            answer: None,
            routes: Vec::new(),
            commands: Vec::new(),
            orders: statuses.iter().map(order).collect(),
            delivered_to: Vec::new(),
            cause: code.map(|code| crate::store::Cause::new(code, "")),
            next_at: None,
            reuses_control_id: false,
            is_settled: true,
        }
    }

    #[test]
    fn a_fate_is_met_by_its_own_state_code_and_orders_alone() {
        let active = Fate::Taken { orders: &["active"], patient: None };
        let of_ali = Fate::Taken { orders: &["active"], patient: Some("ALI") };
        let cases = [
            (active, outcome(MessageState::Delivered, None, &["active"]), true),
            (active, outcome(MessageState::Delivered, None, &["on-hold"]), false),
            (active, outcome(MessageState::Delivered, None, &[]), false),
            (active, outcome(MessageState::Refused, Some("HUB0307"), &[]), false),
            (of_ali, outcome(MessageState::Delivered, None, &["active"]), false),
            (Fate::Filtered, outcome(MessageState::Filtered, None, &[]), true),
            (Fate::Filtered, outcome(MessageState::Delivered, None, &[]), false),
            (Fate::Refused("HUB0704"), outcome(MessageState::Refused, Some("HUB0704"), &[]), true),
            (Fate::Refused("HUB0704"), outcome(MessageState::Refused, Some("HUB0705"), &[]), false),
            (Fate::Waits("HUB0306"), outcome(MessageState::Waiting, Some("HUB0306"), &[]), true),
            (Fate::Waits("HUB0306"), outcome(MessageState::DeadLettered, Some("HUB0306"), &[]), true),
            (Fate::Waits("HUB0306"), outcome(MessageState::Waiting, Some("HUB0602"), &[]), false),
            (Fate::Waits("HUB0306"), outcome(MessageState::Delivered, None, &[]), false),
        ];
        for (fate, outcome, is_met) in cases {
            assert_eq!(difference_of_fate(fate, &outcome).is_none(), is_met, "{fate:?} {outcome:?}");
        }
    }
}
