//! A hospital that does not give up: one connection, several messages in flight, everything resent until answered.
//!
//! It is written against the standard (HL7 v2.5.1 section 2.9), not against the hub: an answer belongs to the oldest
//! message in flight and must name its control id. Now and then it repeats a message that was answered long ago, and
//! now and then it gives up on one whose answer was lost.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Fallible;
use crate::ledger::{Event, Ledger};
use crate::mllp::{Answer, Connection, Polled, framed};
use crate::payload::{Id, Kind};
use crate::random::Random;
use crate::wait::{self, Deadline};

/// Messages in flight on one connection, by sender: from one that waits for each answer to one that sends more at once
/// than the hub takes in hand, where it has to keep the order while everything goes on side by side.
const WINDOWS: [usize; 4] = [1, 8, 8, BURST];
/// A sender of bursts waits for all answers, and a moment longer: a hub that is only full shows little.
const BURST: usize = 80;
const PAUSE_AFTER_BURST: Duration = Duration::from_millis(50);
/// A healthy hub answers in milliseconds; a restarted one within its start-up time.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const RECONNECT_AFTER: Duration = Duration::from_millis(10);
/// How many of 100 messages are repeated after they were answered.
const REPEAT_PERCENT: u64 = 2;
/// How many of 100 messages whose answer was lost are not sent again.
const ABANDON_PERCENT: u64 = 10;

/// Where the hub listens now; nowhere while it is down.
#[derive(Debug, Default)]
pub struct Address(Mutex<Option<SocketAddr>>);

impl Address {
    /// Tells the senders where the hub is.
    pub fn set(&self, address: Option<SocketAddr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn get(&self) -> Option<SocketAddr> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the senders share.
#[derive(Debug)]
pub struct Shared {
    /// Where the hub is.
    pub address: Address,
    /// What they know.
    pub ledger: Ledger,
    /// True once no new message shall be sent; what is in flight is still brought to its end.
    pub stop: AtomicBool,
}

/// One sender.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    random: Random,
    sender: u16,
    next: u32,
    in_flight: VecDeque<Id>,
    /// Lost their answer, in order: sent again before anything new.
    to_resend: VecDeque<Id>,
    answered: Vec<Id>,
}

impl Sender {
    /// A sender that has sent nothing.
    pub fn new(sender: u16, random: Random, shared: Arc<Shared>) -> Sender {
        Sender {
            shared,
            random,
            sender,
            next: 1,
            in_flight: VecDeque::new(),
            to_resend: VecDeque::new(),
            answered: Vec::new(),
        }
    }

    /// Sends until told to stop and nothing is open. Fails if the hub breaks the rules of acknowledgement, or is silent.
    pub fn run(&mut self) -> Fallible<()> {
        let mut silence = Deadline::within(ANSWER_WITHIN);
        while !self.is_done() {
            if silence.has_passed() {
                return Err(format!("sender {} had no answer within {ANSWER_WITHIN:?}", self.sender).into());
            }
            let opened = self.shared.address.get().and_then(|address| Connection::open(address).ok());
            let Some(mut connection) = opened else {
                wait::pause(RECONNECT_AFTER);
                continue;
            };
            let answered_before = self.answered.len();
            self.talk(&mut connection)?;
            if self.answered.len() > answered_before {
                silence = Deadline::within(ANSWER_WITHIN);
            }
        }
        Ok(())
    }

    /// Sends on one connection until that dies.
    pub fn talk_once(&mut self, address: SocketAddr) -> Fallible<()> {
        self.talk(&mut Connection::open(address)?)
    }

    fn is_done(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst) && self.in_flight.is_empty() && self.to_resend.is_empty()
    }

    /// Uses one connection until it dies or all is done.
    fn talk(&mut self, connection: &mut Connection) -> Fallible<()> {
        let mut silence = Deadline::within(ANSWER_WITHIN);
        while !self.is_done() {
            let window = self.window();
            let is_burst = window == BURST;
            if is_burst && self.in_flight.is_empty() {
                wait::pause(PAUSE_AFTER_BURST);
            }
            let may_begin = !is_burst || self.in_flight.is_empty();
            while may_begin && self.in_flight.len() < window {
                let Some(id) = self.choose() else { break };
                self.in_flight.push_back(id);
                self.shared.ledger.record(id, Event::Sent)?;
                if connection.write(&framed(&id.body())).is_err() {
                    return self.lose();
                }
            }
            match connection.poll()? {
                Polled::Answer(answer) => {
                    self.take(&answer)?;
                    silence = Deadline::within(ANSWER_WITHIN);
                }
                Polled::Closed => return self.lose(),
                Polled::Nothing if silence.has_passed() => {
                    return Err(format!("sender {} waits for an answer since {ANSWER_WITHIN:?}", self.sender).into());
                }
                Polled::Nothing => {}
            }
        }
        Ok(())
    }

    fn window(&self) -> usize {
        WINDOWS.iter().cycle().nth(usize::from(self.sender)).copied().unwrap_or(1)
    }

    /// The next message to write, if any.
    fn choose(&mut self) -> Option<Id> {
        if let Some(id) = self.to_resend.pop_front() {
            return Some(id);
        }
        if self.shared.stop.load(Ordering::SeqCst) {
            return None;
        }
        if self.random.percent(REPEAT_PERCENT) {
            let at = usize::try_from(self.random.number()).unwrap_or(0).checked_rem(self.answered.len());
            if let Some(id) = at.and_then(|at| self.answered.get(at)) {
                return Some(*id);
            }
        }
        let id = Id::new(self.sender, self.next);
        self.next += 1;
        Some(id)
    }

    /// Takes the answer to the oldest message in flight.
    fn take(&mut self, answer: &Answer) -> Fallible<()> {
        let id = self.in_flight.pop_front().ok_or_else(|| format!("an answer to nothing: {}", answer.control_id))?;
        if answer.control_id != id.control_id() {
            return Err(format!("expected the answer to {}, got {}", id.control_id(), answer.control_id).into());
        }
        let positive = answer.is_positive().ok_or_else(|| format!("MSA-1 is {}", answer.code))?;
        let enhanced = answer.code.starts_with('C');
        if enhanced != id.is_enhanced() {
            return Err(format!("{} was answered {} in the wrong mode", answer.control_id, answer.code).into());
        }
        if positive && id.kind() == Kind::Training {
            return Err(format!("{} is for training and was taken", answer.control_id).into());
        }
        self.shared.ledger.record(id, if positive { Event::Positive } else { Event::Negative })?;
        if positive {
            self.answered.push(id);
        }
        Ok(())
    }

    /// The connection died: what was in flight is unknown. Some are given up, the others are sent again in order.
    fn lose(&mut self) -> Fallible<()> {
        let lost: Vec<Id> = self.in_flight.drain(..).collect();
        for id in lost.into_iter().rev() {
            self.shared.ledger.record(id, Event::Unknown)?;
            if !self.random.percent(ABANDON_PERCENT) {
                self.to_resend.push_front(id);
            }
        }
        Ok(())
    }
}
