//! Which answer a sender gets, and its bytes.
//!
//! The accept answer is written before the commit and stored with the message, so that a repeat gets the
//! same bytes. The application answer follows from the message and what became of it: its control id is
//! the message's own id, so that it is the same whenever it is asked for (H4).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use adapters::Reply;
use adapters::clock::{Clock, Timestamp};
use adapters::hl7v2::ack::{self, AckMode, AckRule, Answer, Code, Condition, Problem, Severity};
use adapters::hl7v2::{self, CharsetRule, Header, Index, Message, batch};
use bytes::Bytes;

use super::policy::Objection;
use super::refusing;
use crate::journey::Answered;
use crate::routes::{self, MllpSource};
use crate::store::{Cause, MessageId};

/// The zone of the times that the hub writes into HL7 v2.
static ZONE: jiff::tz::TimeZone = jiff::tz::get!("Africa/Cairo");

/// How one message wants to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    mode: AckMode,
    application: bool,
}

impl Plan {
    /// By MSH-15 and MSH-16, unless the source says otherwise (HL7 v2.5.1 section 2.9.2).
    pub fn of(header: &Header<'_>, settings: &MllpSource) -> Plan {
        let rule = match settings.ack {
            routes::AckMode::Auto => AckRule::AsAsked,
            routes::AckMode::Original => AckRule::Original,
        };
        Plan { mode: AckMode::of(header, rule), application: settings.application_ack }
    }

    /// Whether an application answer may follow an accepted message.
    pub fn application_is_wanted(self) -> bool {
        let enhanced = matches!(self.mode, AckMode::Enhanced { .. });
        enhanced && self.application && (self.mode.application_due(true) || self.mode.application_due(false))
    }
}

/// A message that asked for an application answer.
pub struct Asked {
    /// Its bytes.
    pub body: Bytes,
    /// How they are read.
    pub rule: CharsetRule,
    /// Its place in the journal.
    pub id: MessageId,
}

/// Writes answers.
#[derive(Clone)]
pub struct Acknowledger {
    clock: Arc<dyn Clock>,
    last: Arc<AtomicI64>,
}

impl Acknowledger {
    /// Answers with times of `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Acknowledger {
        Acknowledger { clock, last: Arc::default() }
    }

    /// What says that the message is in the journal; none if it asked for none.
    pub fn positive(&self, message: &Message<'_>, plan: Plan) -> Option<Bytes> {
        let code = match plan.mode {
            AckMode::Original => Code::ApplicationAccept,
            AckMode::Enhanced { .. } => Code::CommitAccept,
        };
        let due = matches!(plan.mode, AckMode::Original) || plan.mode.accept_due(true);
        due.then(|| self.write(message, code, &[]))
    }

    /// What says that it is not.
    pub fn negative(&self, message: &Message<'_>, plan: Plan, objection: &Objection) -> Reply {
        let commits = plan.mode.accept_due(false);
        let due = commits || plan.mode.application_due(false);
        let code = refusing(objection.rejects, commits);
        Reply { now: due.then(|| self.write(message, code, &[problem_of(objection)])), later: None }
    }

    /// The answer to bytes that are no message.
    pub fn unreadable(&self, bytes: &[u8], objection: &Objection) -> Reply {
        let (id, time) = (self.next_id(), stamp(self.clock.now()));
        let problems = [problem_of(objection)];
        let answer =
            Answer { problems: &problems, text: &objection.text, ..Answer::new(refusing(true, false), &id, &time) };
        Reply { now: Some(ack::write_unreadable(bytes, &answer).into()), later: None }
    }

    /// The application answer of a message that was routed.
    pub fn application(&self, asked: Asked, plan: Plan, answered: &Answered) -> Option<Bytes> {
        let (success, code, problems) = match answered {
            Answered::Taken => (true, Code::ApplicationAccept, Vec::new()),
            Answered::Refused(cause) => (false, Code::ApplicationError, vec![problem_from(cause)]),
        };
        if !plan.mode.application_due(success) {
            return None;
        }
        let document = hl7v2::Document::read(asked.body, asked.rule).ok()?;
        let (control_id, time) = (asked.id.to_string(), stamp(self.clock.now()));
        let answer = Answer { problems: &problems, ..Answer::new(code, &control_id, &time) };
        Some(ack::write(&document.message(), &answer).into())
    }

    /// The answers to a batch, as a batch.
    pub fn batch(&self, request: &[u8], answers: &[Vec<u8>]) -> Option<Bytes> {
        if answers.is_empty() {
            return None;
        }
        let mut index = Index::new();
        let header = index.read(request).ok();
        Some(batch::wrap(header.as_ref(), answers, &self.next_id(), &stamp(self.clock.now())).into())
    }

    fn write(&self, message: &Message<'_>, code: Code, problems: &[Problem]) -> Bytes {
        let (id, time) = (self.next_id(), stamp(self.clock.now()));
        let text = problems.first().map_or("", |problem| problem.text.as_str());
        ack::write(message, &Answer { problems, text, ..Answer::new(code, &id, &time) }).into()
    }

    /// A control id that this hub has not used: time and a counter.
    fn next_id(&self) -> String {
        let now = self.clock.now();
        let next = |last| Some(MessageId::after(MessageId(last), now).0);
        let last = self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).unwrap_or_default();
        format!("H{}", MessageId::after(MessageId(last), now))
    }
}

/// A time as MSH-7 has it: `20261105093015+0200`.
fn stamp(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.0)
        .map(|at| at.to_zoned_datetime(ZONE.clone()).strftime("%Y%m%d%H%M%S%z").to_string())
        .unwrap_or_default()
}

fn problem_of(objection: &Objection) -> Problem {
    Problem {
        location: objection.location.clone(),
        condition: objection.condition,
        severity: Severity::Error,
        code: objection.code.to_owned(),
        text: objection.text.clone(),
        diagnostic: String::new(),
        user_text: String::new(),
    }
}

fn problem_from(cause: &Cause) -> Problem {
    Problem {
        location: None,
        condition: Condition::ApplicationError,
        severity: Severity::Error,
        code: cause.code.to_string(),
        text: cause.reason.to_string(),
        diagnostic: String::new(),
        user_text: String::new(),
    }
}
