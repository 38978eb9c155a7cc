//! The ten promises (H1 to H10) as pure functions over plain data.
//!
//! In comes what was seen: answers, journal rows, ends, effects, deliveries, in the order in which they
//! were seen; out come the violations, empty if the promise was kept. The black-box oracle judges runs
//! with them, production counts what they return. The data is generic in its ids, so that the oracle can
//! use control ids and the hub its own. Nothing is refused: what was not seen is a violation where the
//! promise says that it must be seen. A violation names ids and never content (H10).

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;

use crate::audit::{Head, Link, verify};

/// How long `/ready` may be wrong (H8), in milliseconds.
pub const READY_WRONG_MAX_MS: u64 = 5_000;

/// One breach of one promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise: `H1` to `H10`.
    pub promise: &'static str,
    /// What was seen, with ids only.
    pub what: String,
}

fn violation(promise: &'static str, what: String) -> Violation {
    Violation { promise, what }
}

/// What can name a message, a delivery or a key.
pub trait Id: Clone + Eq + Hash + Debug {}
impl<T: Clone + Eq + Hash + Debug> Id for T {}

/// An answer that left the hub.
#[derive(Clone, Debug)]
pub struct Answered<M> {
    /// To which message.
    pub message: M,
    /// Whether it said accepted: AA, CA, 200, 201, 202.
    pub accepted: bool,
    /// When, on any clock that journal rows share; 0 for all where there is none.
    pub moment: u64,
}

/// A message whose journal commit returned from fsync.
#[derive(Clone, Debug)]
pub struct Journaled<M> {
    /// Which message.
    pub message: M,
    /// When the commit returned, on the clock of the answers.
    pub moment: u64,
}

/// H1: what was answered as accepted is in the journal, and was there before.
pub fn accepted_means_durable<M: Id>(answered: &[Answered<M>], journal: &[Journaled<M>]) -> Vec<Violation> {
    let mut durable: HashMap<&M, u64> = HashMap::new();
    for row in journal {
        let first = durable.entry(&row.message).or_insert(row.moment);
        *first = row.moment.min(*first);
    }
    let accepted = answered.iter().filter(|answer| answer.accepted);
    let judged = accepted.filter_map(|answer| match durable.get(&answer.message) {
        None => Some(format!("{:?} was accepted and is not in the journal", answer.message)),
        Some(moment) if *moment > answer.moment => {
            Some(format!("{:?} was accepted before it was in the journal", answer.message))
        }
        Some(_) => None,
    });
    judged.map(|what| violation("H1", what)).collect()
}

/// How a message or a delivery can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Delivered,
    Filtered,
    Refused,
    DeadLettered,
}

/// What became of one message.
#[derive(Clone, Debug)]
pub struct Story<M> {
    /// Which message.
    pub message: M,
    /// The ends of the message itself.
    pub ends: Vec<End>,
    /// The ends of each of its deliveries.
    pub deliveries: Vec<Vec<End>>,
}

/// H2: once all work is done, every accepted message has deliveries that each reached exactly one end, or
/// none and was filtered or refused itself.
pub fn nothing_vanishes<M: Id>(accepted: &[M], stories: &[Story<M>]) -> Vec<Violation> {
    let mut told: HashMap<&M, Vec<&Story<M>>> = HashMap::new();
    for story in stories {
        told.entry(&story.message).or_default().push(story);
    }
    let judged = accepted.iter().filter_map(|message| match told.get(message).map(Vec::as_slice) {
        None | Some([]) => Some(format!("{message:?} vanished")),
        Some([story]) => judge_story(story),
        Some(many) => Some(format!("{message:?} has {} stories", many.len())),
    });
    judged.map(|what| violation("H2", what)).collect()
}

fn judge_story<M: Id>(story: &Story<M>) -> Option<String> {
    let message = &story.message;
    if story.deliveries.is_empty() {
        return match story.ends.as_slice() {
            [End::Filtered | End::Refused] => None,
            [] => Some(format!("{message:?} has neither a delivery nor an end")),
            ends => Some(format!("{message:?} has no delivery and ended as {ends:?}")),
        };
    }
    if !story.ends.is_empty() {
        return Some(format!("{message:?} has deliveries and an end of its own: {:?}", story.ends));
    }
    let wrong = story.deliveries.iter().position(|ends| ends.len() != 1)?;
    let ends = story.deliveries.get(wrong)?;
    Some(format!("delivery {wrong} of {message:?} has the ends {ends:?}"))
}

/// H3: no inbox key had its effect twice.
pub fn effects_once<K: Id>(effects: &[K]) -> Vec<Violation> {
    let mut counts: HashMap<&K, u64> = HashMap::new();
    for key in effects {
        *counts.entry(key).or_default() += 1;
    }
    let repeated = counts.into_iter().filter(|(_, count)| *count > 1);
    repeated.map(|(key, count)| violation("H3", format!("{key:?} took effect {count} times"))).collect()
}

/// H3: what was refused had no effect.
pub fn refused_means_no_effect<M: Id>(answered: &[Answered<M>], effects: &[M]) -> Vec<Violation> {
    let effective: HashSet<&M> = effects.iter().collect();
    let accepted: HashSet<&M> = answered.iter().filter(|one| one.accepted).map(|one| &one.message).collect();
    let refused: HashSet<&M> = answered.iter().filter(|one| !one.accepted).map(|one| &one.message).collect();
    let wrong = refused.iter().filter(|message| effective.contains(*message) && !accepted.contains(*message));
    wrong.map(|message| violation("H3", format!("{message:?} was refused and took effect"))).collect()
}

/// H3: nothing arrives that was not sent, or with other content. `C` is the content or its hash.
pub fn arrived_was_sent<M: Id, C: Eq>(sent: &[(M, C)], arrived: &[(M, C)]) -> Vec<Violation> {
    let known: HashMap<&M, &C> = sent.iter().map(|(message, content)| (message, content)).collect();
    let judged = arrived.iter().filter_map(|(message, content)| match known.get(message) {
        None => Some(format!("{message:?} arrived and was never sent")),
        Some(original) if *original != content => Some(format!("{message:?} arrived with other content")),
        Some(_) => None,
    });
    judged.map(|what| violation("H3", what)).collect()
}

/// One attempt as the far system saw it.
#[derive(Clone, Debug)]
pub struct Attempt<D> {
    /// Of which delivery.
    pub delivery: D,
    /// Its control id or idempotency key.
    pub idempotency_key: String,
    /// Whether the hub has a record of it.
    pub recorded: bool,
}

/// H3: a repeat towards a far system carries the same key, no two deliveries share one, and every attempt
/// is recorded.
pub fn repeats_keep_their_key<D: Id>(attempts: &[Attempt<D>]) -> Vec<Violation> {
    let mut key_of: HashMap<&D, &str> = HashMap::new();
    let mut owner_of: HashMap<&str, &D> = HashMap::new();
    let mut found = Vec::new();
    for attempt in attempts {
        let (delivery, key) = (&attempt.delivery, attempt.idempotency_key.as_str());
        if *key_of.entry(delivery).or_insert(key) != key {
            found.push(violation("H3", format!("{delivery:?} was repeated with another key")));
        }
        let owner = *owner_of.entry(key).or_insert(delivery);
        if owner != delivery {
            found.push(violation("H3", format!("{delivery:?} has the key of {owner:?}")));
        }
        if !attempt.recorded {
            found.push(violation("H3", format!("an attempt of {delivery:?} is not recorded")));
        }
    }
    found
}

/// One question and its answer, as the sender saw them.
#[derive(Clone, Debug)]
pub struct Exchange<Q, A> {
    /// Source, sender, control id, and hash of the body without the time.
    pub question: Q,
    /// The answer without the time and the hub's own control id.
    pub answer: A,
    /// How many effects it had.
    pub effects: u64,
}

/// H4: the same question gets the same answer, and only the first one has effects.
pub fn same_question_same_answer<Q: Id, A: Eq>(exchanges: &[Exchange<Q, A>]) -> Vec<Violation> {
    let mut first: HashMap<&Q, &A> = HashMap::new();
    let mut found = Vec::new();
    for exchange in exchanges {
        let Some(answer) = first.get(&exchange.question) else {
            first.insert(&exchange.question, &exchange.answer);
            continue;
        };
        if **answer != exchange.answer {
            found.push(violation("H4", format!("{:?} got another answer", exchange.question)));
        }
        if exchange.effects > 0 {
            found.push(violation("H4", format!("a repeat of {:?} had an effect", exchange.question)));
        }
    }
    found
}

/// One delivery, in the order in which the far system saw them.
#[derive(Clone, Debug)]
pub struct Delivered<K> {
    /// Where to, and by which route.
    pub destination: String,
    /// The key whose order is kept.
    pub key: K,
    /// Its place in the lane, as accepted.
    pub number: u64,
    /// It was parked, released or replayed: its place was given up.
    pub excused: bool,
}

/// H5: to each destination and for each key, deliveries come in the order accepted. A number may come
/// again while no later one has come.
pub fn order_per_key<K: Id>(deliveries: &[Delivered<K>]) -> Vec<Violation> {
    let mut last: HashMap<(&str, &K), u64> = HashMap::new();
    let mut found = Vec::new();
    for delivery in deliveries.iter().filter(|delivery| !delivery.excused) {
        let latest = last.entry((delivery.destination.as_str(), &delivery.key)).or_insert(delivery.number);
        if delivery.number < *latest {
            let what = format!(
                "{:?}: number {} came after {latest} at {}",
                delivery.key, delivery.number, delivery.destination
            );
            found.push(violation("H5", what));
        }
        *latest = delivery.number.max(*latest);
    }
    found
}

/// How near one limited thing came to its limit.
#[derive(Clone, Debug)]
pub struct Measure {
    /// What is limited.
    pub name: String,
    /// The limit.
    pub limit: u64,
    /// The most that was seen.
    pub highest: u64,
    /// How often the limit was met.
    pub met: u64,
    /// How often a sender was told or slowed because of it.
    pub told: u64,
}

/// H6: no limit is passed, and who meets one is told or slowed.
pub fn everything_has_a_limit(measures: &[Measure]) -> Vec<Violation> {
    let judged = measures.iter().filter_map(|one| {
        if one.highest > one.limit {
            return Some(format!("{} reached {} and may not pass {}", one.name, one.highest, one.limit));
        }
        (one.told < one.met).then(|| format!("{}: {} of {} were told", one.name, one.told, one.met))
    });
    judged.map(|what| violation("H6", what)).collect()
}

/// One stage of one run, and the hash of the configuration that it used.
#[derive(Clone, Debug)]
pub struct Stage<R> {
    /// Which run.
    pub run: R,
    /// The configuration's hash, if the run names one.
    pub configuration: Option<String>,
}

/// H7: every stage of a run used the same configuration, which is named and stored.
pub fn one_configuration_per_run<R: Id>(stages: &[Stage<R>], stored: &HashSet<String>) -> Vec<Violation> {
    let mut used: HashMap<&R, &str> = HashMap::new();
    let mut found = Vec::new();
    for stage in stages {
        let Some(configuration) = stage.configuration.as_deref() else {
            found.push(violation("H7", format!("{:?} names no configuration", stage.run)));
            continue;
        };
        if !stored.contains(configuration) {
            found.push(violation("H7", format!("the configuration of {:?} is not stored", stage.run)));
        }
        if *used.entry(&stage.run).or_insert(configuration) != configuration {
            found.push(violation("H7", format!("{:?} used two configurations", stage.run)));
        }
    }
    found
}

/// A panic, the message that was in hand, and the messages that were tried again because of it.
#[derive(Clone, Debug)]
pub struct Panic<M> {
    /// What was in hand. None: nothing.
    pub in_hand: Option<M>,
    /// What was tried again.
    pub retried: Vec<M>,
}

/// H8: a panic costs at most one retry, of the message in hand.
pub fn panics_cost_one_retry<M: Id>(panics: &[Panic<M>]) -> Vec<Violation> {
    let wrong = |panic: &&Panic<M>| match panic.retried.as_slice() {
        [] => false,
        [message] => panic.in_hand.as_ref() != Some(message),
        _ => true,
    };
    let told = |panic: &Panic<M>| {
        violation("H8", format!("a panic with {:?} in hand cost retries of {:?}", panic.in_hand, panic.retried))
    };
    panics.iter().filter(wrong).map(told).collect()
}

/// One look at `/ready`, in order of time.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// When, in milliseconds on any clock.
    pub at_ms: u64,
    /// Whether the hub could work.
    pub able: bool,
    /// What `/ready` said.
    pub ready: bool,
}

/// H8: `/ready` is not wrong for longer than [`READY_WRONG_MAX_MS`].
pub fn ready_tells_the_truth(looks: &[Look]) -> Vec<Violation> {
    let mut wrong_since: Option<(u64, bool)> = None;
    let mut found = Vec::new();
    for look in looks {
        wrong_since = match wrong_since {
            _ if look.able == look.ready => None,
            Some((since, able)) if able == look.able => Some((since, able)),
            Some(_) | None => Some((look.at_ms, look.able)),
        };
        let Some((since, _)) = wrong_since else { continue };
        let lasted = look.at_ms.saturating_sub(since);
        if lasted > READY_WRONG_MAX_MS {
            found.push(violation("H8", format!("/ready said {} for {lasted} ms and was wrong", look.ready)));
        }
    }
    found
}

/// How long a healthy destination took with all well, and beside one that was dead.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The healthy destination.
    pub destination: String,
    /// With all well, in milliseconds.
    pub alone_ms: u64,
    /// Beside a dead one, in milliseconds.
    pub beside_trouble_ms: u64,
    /// What the machine's noise may add, in milliseconds.
    pub noise_ms: u64,
}

/// H8: a dead destination does not slow another.
pub fn others_keep_their_pace(paces: &[Pace]) -> Vec<Violation> {
    let slowed = paces.iter().filter(|pace| pace.beside_trouble_ms > pace.alone_ms.saturating_add(pace.noise_ms));
    let told = |pace: &Pace| {
        let what = format!("{} took {} ms, alone {} ms", pace.destination, pace.beside_trouble_ms, pace.alone_ms);
        violation("H8", what)
    };
    slowed.map(told).collect()
}

/// H9: the chain after `from` is whole and has the head that was kept elsewhere.
pub fn audit_chain_is_whole(from: Head, links: &[Link], kept: Head) -> Vec<Violation> {
    verify(from, links, kept).err().map(|broken| violation("H9", broken.to_string())).into_iter().collect()
}

/// H10: none of the canary words, which stand for patient data, is in any of the outputs (name and bytes).
/// The words themselves are not told.
pub fn patient_data_stays(outputs: &[(&str, &[u8])], canaries: &[&str]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (place, bytes) in outputs {
        for (number, canary) in canaries.iter().enumerate().filter(|(_, canary)| !canary.is_empty()) {
            if memchr::memmem::find(bytes, canary.as_bytes()).is_some() {
                found.push(violation("H10", format!("canary {number} is in {place}")));
            }
        }
    }
    found
}
