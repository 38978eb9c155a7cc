//! Load over real MLLP connections: each message new, an answer awaited before the next one on its connection.
//!
//! In comes an address and a plan; out goes a [`Report`]. It shares the machine with the hub, so a message costs it as
//! little as possible: one thread, the frame built once and changed in place, nothing allocated on the way.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use memchr::memmem;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Fallible;
use crate::mllp::framed;

/// Longer than a healthy hub takes for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// More than an answer needs.
const ANSWER_BYTES_MAX: usize = 8 * 1024;
/// Width of a class of delays.
const CLASS_US: u128 = 10;
/// Delays from here on are in one class.
const CLASSES: usize = 200_000;
const CONTROL_ID_DIGITS: usize = 12;

/// What to send, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Connections, each with one message in flight.
    pub connections: usize,
    /// For how long.
    pub duration: Duration,
    /// Messages a second over all connections; as fast as answers come if there is none.
    pub rate: Option<u32>,
    /// Number of the first message. Numbers must not be used twice on the same data.
    pub first: u64,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Messages that were answered.
    pub messages: u64,
    /// Of these, answered negatively.
    pub refused: u64,
    /// From the first byte to the last answer.
    pub took: Duration,
    /// Half of the answers came within this time.
    pub p50: Duration,
    /// 99 of 100 answers came within this time.
    pub p99: Duration,
    /// The slowest answer, up to two seconds.
    pub slowest: Duration,
}

impl Report {
    /// Answered messages a second.
    pub fn per_second(&self) -> f64 {
        per_second(self.messages, self.took)
    }

    /// For machines.
    pub fn json(&self) -> Value {
        json!({
            "messages": self.messages,
            "refused": self.refused,
            "seconds": self.took.as_secs_f64(),
            "per_second": self.per_second().round(),
            "ack_p50_ms": milliseconds(self.p50),
            "ack_p99_ms": milliseconds(self.p99),
            "ack_max_ms": milliseconds(self.slowest),
        })
    }

    /// For people.
    pub fn lines(&self) -> String {
        format!(
            "messages answered   {:>10}\nof these refused    {:>10}\nmessages a second   {:>10.0}\nACK p50             {:>10.2} ms\nACK p99             {:>10.2} ms\nACK slowest         {:>10.2} ms\n",
            self.messages,
            self.refused,
            self.per_second(),
            milliseconds(self.p50),
            milliseconds(self.p99),
            milliseconds(self.slowest)
        )
    }
}

/// A count over a time.
pub fn per_second(messages: u64, took: Duration) -> f64 {
    let count = u32::try_from(messages).map_or(f64::MAX, f64::from);
    count / took.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// A duration in milliseconds, to two places.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

/// Runs a plan against one MLLP port with the message of a file, in which `MSGID`, `@SEQ@` and `@NID@` are replaced.
pub fn run(to: SocketAddr, message: &Path, plan: Plan) -> Fallible<Report> {
    let template = Template::new(&std::fs::read(message)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, drive(to, template, plan))
}

async fn drive(to: SocketAddr, template: Template, plan: Plan) -> Fallible<Report> {
    let delays = Rc::new(RefCell::new(Delays::new()));
    let mut streams = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let started = Instant::now();
    let mut tasks = Vec::with_capacity(plan.connections);
    for (number, stream) in streams.into_iter().enumerate() {
        let sender = Sender {
            stream,
            template: template.clone(),
            delays: Rc::clone(&delays),
            number: u64::try_from(number)?,
            started,
            plan,
        };
        tasks.push(tokio::task::spawn_local(sender.run()));
    }
    for task in tasks {
        task.await??;
    }
    let took = started.elapsed();
    let delays = delays.borrow();
    Ok(Report {
        messages: delays.count,
        refused: delays.refused,
        took,
        p50: delays.quantile(500),
        p99: delays.quantile(990),
        slowest: delays.quantile(1000),
    })
}

/// One connection.
struct Sender {
    stream: TcpStream,
    template: Template,
    delays: Rc<RefCell<Delays>>,
    number: u64,
    started: Instant,
    plan: Plan,
}

impl Sender {
    async fn run(mut self) -> Fallible<()> {
        let connections = u64::try_from(self.plan.connections)?;
        let end = self.started + self.plan.duration;
        let mut buffer = vec![0u8; ANSWER_BYTES_MAX];
        for turn in 0.. {
            let place = turn * connections + self.number;
            let Some(begun) = self.wait_for_turn(place).await.filter(|begun| *begun < end) else { break };
            self.template.number(self.plan.first + place);
            self.stream.write_all(&self.template.frame).await?;
            let positive = timeout(ANSWER_WITHIN, self.answer(&mut buffer)).await??;
            self.delays.borrow_mut().add(begun.elapsed(), positive);
        }
        Ok(())
    }

    /// When the message in this place counts as begun. With a rate that is its turn, even if the connection was still
    /// busy then: a slow answer must not hide the delay of what waits behind it.
    async fn wait_for_turn(&self, place: u64) -> Option<Instant> {
        let Some(rate) = self.plan.rate else { return Some(Instant::now()) };
        let due = self.started + Duration::from_nanos(place.checked_mul(1_000_000_000)?.checked_div(u64::from(rate))?);
        if due <= Instant::now() {
            return Some(due);
        }
        sleep_until(due).await;
        Some(Instant::now())
    }

    /// Reads one answer; says whether it is positive.
    async fn answer(&mut self, buffer: &mut [u8]) -> Fallible<bool> {
        let mut length = 0;
        loop {
            let rest = buffer.get_mut(length..).filter(|rest| !rest.is_empty()).ok_or("an answer without end")?;
            let read = self.stream.read(rest).await?;
            if read == 0 {
                return Err("the hub closed a connection under load".into());
            }
            length += read;
            let frame = buffer.get(..length).unwrap_or_default();
            if frame.ends_with(b"\x1c\x0d") {
                return self.template.is_answered_by(frame);
            }
        }
    }
}

/// A frame with places that change from message to message, all of fixed width.
#[derive(Clone)]
struct Template {
    frame: Vec<u8>,
    /// Where the digits of MSH-10 stand.
    control_id: usize,
    sequences: Vec<usize>,
    national_ids: Vec<usize>,
}

impl Template {
    fn new(message: &[u8]) -> Fallible<Template> {
        let text = String::from_utf8(message.to_vec())?;
        let digits = "0".repeat(CONTROL_ID_DIGITS);
        // Letters that occur nowhere else mark the places until they are found.
        let marked = text
            .trim_end_matches(['\r', '\n'])
            .replace('\n', "")
            .replace("|MSGID|", &format!("|{digits}|"))
            .replace("@SEQ@", "@SEQ@@@@@")
            .replace("@NID@", "@NID@@@@@@@@@@");
        let frame = framed(format!("{marked}\r").as_bytes());
        let find_all = |needle: &str| memmem::find_iter(&frame, needle.as_bytes()).collect::<Vec<usize>>();
        let [control_id] = *find_all(&format!("|{digits}|")) else {
            return Err("the message has not one place for MSH-10".into());
        };
        let (sequences, national_ids) = (find_all("@SEQ@@@@@"), find_all("@NID@@@@@@@@@@"));
        Ok(Template { sequences, national_ids, control_id: control_id + 1, frame })
    }

    /// Makes it message `number`.
    fn number(&mut self, number: u64) {
        write_digits(&mut self.frame, self.control_id, CONTROL_ID_DIGITS, number);
        for at in &self.sequences {
            write_digits(&mut self.frame, *at, 9, number);
        }
        for at in &self.national_ids {
            write_digits(&mut self.frame, *at, 14, national_id(number));
        }
    }

    /// Whether an answer is positive. It must name the message.
    fn is_answered_by(&self, answer: &[u8]) -> Fallible<bool> {
        let msa = memmem::find(answer, b"\rMSA|").ok_or("an answer without MSA")?;
        let mut fields = answer.get(msa + 5..).unwrap_or_default().split(|byte| matches!(byte, b'|' | b'\r'));
        let (code, id) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if Some(id) != self.frame.get(self.control_id..self.control_id + CONTROL_ID_DIGITS) {
            return Err("an answer to another message".into());
        }
        Ok(matches!(code, b"AA" | b"CA"))
    }
}

/// A well-formed national id that follows from a number: 18,000 birth dates, 9,998 serials, 10 governorates.
fn national_id(number: u64) -> u64 {
    let date = number % 18_000;
    let (year, month, day) = (40 + date / 360 % 50, 1 + date / 30 % 12, 1 + date % 28);
    let governorate = [1, 2, 3, 4, 11, 12, 13, 14, 21, 88].get(usize::try_from(number % 10).unwrap_or(0)).unwrap_or(&1);
    let serial = 1 + number / 10 % 9_998;
    let head = (((2 * 100 + year) * 100 + month) * 100 + day) * 100 + governorate;
    (head * 10_000 + serial) * 10 + number % 9 + 1
}

/// Writes `number` at `at`, in `width` digits.
fn write_digits(frame: &mut [u8], at: usize, width: usize, number: u64) {
    let mut rest = number;
    for digit in frame.iter_mut().skip(at).take(width).rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
}

/// How many answers took how long.
struct Delays {
    classes: Vec<u32>,
    count: u64,
    refused: u64,
}

impl Delays {
    fn new() -> Delays {
        Delays { classes: vec![0; CLASSES], count: 0, refused: 0 }
    }

    fn add(&mut self, delay: Duration, positive: bool) {
        self.count += 1;
        self.refused += u64::from(!positive);
        let class = usize::try_from(delay.as_micros() / CLASS_US).unwrap_or(CLASSES).min(CLASSES - 1);
        if let Some(count) = self.classes.get_mut(class) {
            *count += 1;
        }
    }

    /// The delay within which `per_mille` of a thousand answers came.
    fn quantile(&self, per_mille: u64) -> Duration {
        let wanted = (self.count * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (upper, count) in (1u64..).zip(&self.classes) {
            seen += u64::from(*count);
            if seen >= wanted {
                return Duration::from_micros(upper * 10);
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] =
        b"MSH|^~\\&|HIS||||20260101||RDE^O11|MSGID|P|2.5.1\rPID|||@NID@^^^A^NI~@SEQ@\rORC|NW|ORD@SEQ@\r";

    #[test]
    fn each_message_has_its_own_control_id_order_and_patient_and_the_same_length() {
        let mut template = Template::new(MESSAGE).unwrap();
        template.number(7);
        let first = String::from_utf8(template.frame.clone()).unwrap();
        template.number(123_456_789);
        let second = String::from_utf8(template.frame.clone()).unwrap();
        assert!(first.contains("|000000000007|P") && first.contains("ORD000000007\r"), "{first:?}");
        assert!(second.contains("|000123456789|P") && second.contains("~123456789\r"), "{second:?}");
        assert_eq!(first.len(), second.len());
        assert!(!second.contains('@'));
    }

    #[test]
    fn an_answer_to_another_message_is_an_error() {
        let mut template = Template::new(MESSAGE).unwrap();
        template.number(7);
        assert!(template.is_answered_by(b"\x0bMSH|^~\\&\rMSA|CA|000000000007\r\x1c\x0d").unwrap());
        assert!(!template.is_answered_by(b"\x0bMSH|^~\\&\rMSA|CE|000000000007|full\r\x1c\x0d").unwrap());
        template.is_answered_by(b"\x0bMSH|^~\\&\rMSA|CA|000000000008\r\x1c\x0d").unwrap_err();
    }

    #[test]
    fn a_quantile_is_the_upper_edge_of_its_class() {
        let mut delays = Delays::new();
        for ms in 1..=100 {
            delays.add(Duration::from_millis(ms), true);
        }
        assert_eq!(delays.quantile(500), Duration::from_micros(50_010));
        assert_eq!(delays.quantile(990), Duration::from_micros(99_010));
        assert_eq!(delays.quantile(1000), Duration::from_micros(100_010));
    }
}
