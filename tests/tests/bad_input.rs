//! What is not a good message has its answer, is kept, and disturbs nobody (H6; HL7 v2.5.1 section 2.9, table 0357).

use std::fmt::Write as _;
use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::hub::Hub;
use hub_tests::mllp::{Answer, Connection, framed};
use hub_tests::payload::Id;
use hub_tests::ward::{SOURCE, prepare, state};

const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const APPLIED_WITHIN: Duration = Duration::from_secs(30);
/// Largest frame that the source takes.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// A frame that is never ended may cost this much memory besides its own limit.
const MEMORY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Frames over the limit, of which each is kept up to the limit: twice the memory, if they stayed in it.
const FRAMES: usize = 32;

const ROUTES: &str = r#"
[source.ward]
adapter    = "hl7v2-mllp"
listen     = "127.0.0.1:0"
key        = 'PID-3[.5 = "NI"].1'
versions   = ["2.3", "2.5", "2.5.1"]
max_frame  = "1 MiB"
frame_time = "2s"

[[route]]
id   = "orders"
why  = "An order becomes a prescription."
from = ["ward"]
when = 'MSH-9.1 = "RDE"'
map  = "rde_o11_to_prescription"
to   = ["prescription"]
"#;

fn start(name: &str) -> Fallible<Hub> {
    prepare(name, ROUTES)?.1.start()
}

fn ask(hub: &Hub, body: &[u8]) -> Fallible<Answer> {
    let mut connection = Connection::open(hub.mllp(SOURCE)?)?;
    connection.write(&framed(body))?;
    connection.answer(ANSWER_WITHIN)
}

/// The n-th order of this test, as text.
fn order(number: u32) -> Fallible<String> {
    Ok(String::from_utf8(Id::new(7, number).body())?.replace("|AL|NE|", "||||"))
}

/// An order goes through: nothing that came before did harm.
fn assert_others_are_served(hub: &Hub, number: u32) -> Fallible<()> {
    let id = Id::new(7, number).control_id();
    let answer = ask(hub, order(number)?.as_bytes())?;
    assert_eq!((answer.code.as_str(), answer.control_id.as_str()), ("AA", id.as_str()), "{}", answer.text);
    hub.api().drained(APPLIED_WITHIN)?;
    assert_eq!(state(hub, &id)?, "delivered");
    Ok(())
}

fn refused(hub: &Hub) -> Fallible<usize> {
    Ok(hub.api().messages("state=refused")?.len())
}

#[test]
fn what_may_not_be_taken_is_answered_with_its_code_and_kept() -> Fallible<()> {
    let hub = start("bad-input")?;
    let good = order(1)?;
    let cases = [
        ("another version", good.replace("|2.5.1|", "|9.9|"), "AR", Some("203")),
        ("for training", good.replace("|P|2.5.1|", "|T|2.5.1|"), "AR", Some("202")),
        ("no control id", good.replace("|ORA7-0000001|", "||"), "AR", Some("101")),
        ("not HL7", "hello, hub".to_owned(), "AR", None),
        ("XML", "<RDE_O11 xmlns=\"urn:hl7-org:v2xml\"/>".to_owned(), "AR", None),
        ("a header that is cut in its separators", "MSH|^".to_owned(), "AR", None),
        ("a header that is cut after its separators", "MSH|^~\\&\r".to_owned(), "AR", None),
    ];
    for (number, (name, body, code, condition)) in cases.into_iter().enumerate() {
        let answer = ask(&hub, body.as_bytes()).map_err(|error| format!("{name}: {error}"))?;
        assert_eq!(answer.code, code, "{name}: {}", answer.text);
        let found = answer.text.split('\r').find(|line| line.starts_with("ERR|"));
        let found = found.and_then(|line| line.split('|').nth(3)).and_then(|field| field.split('^').next());
        assert!(found.is_some(), "{name} has no ERR: {}", answer.text);
        assert!(condition.is_none() || found == condition, "{name}: {}", answer.text);
        assert_eq!(refused(&hub)?, number + 1, "{name} is not kept");
    }
    assert_others_are_served(&hub, 2)?;
    hub.stop()
}

#[test]
fn a_message_of_a_type_that_no_route_takes_is_taken_and_filtered() -> Fallible<()> {
    let hub = start("bad-type")?;
    let answer = ask(&hub, order(1)?.replace("RDE^O11^RDE_O11", "ZZZ^Z99").as_bytes())?;
    assert_eq!(answer.code, "AA", "{}", answer.text);
    hub.api().drained(APPLIED_WITHIN)?;
    assert_eq!(state(&hub, "ORA7-0000001")?, "filtered");
    hub.stop()
}

fn assert_too_large_is_refused(hub: &Hub) -> Fallible<()> {
    let large = format!("{}NTE|1||{}\r", order(2)?, "x".repeat(2 * FRAME_BYTES_MAX));
    let mut connection = Connection::open(hub.mllp(SOURCE)?)?;
    // The hub may stop reading before all of it is written.
    let _ = connection.write(&framed(large.as_bytes()));
    let too_large = connection.answer(ANSWER_WITHIN)?;
    assert_eq!(too_large.is_positive(), Some(false), "{}", too_large.text);
    Ok(())
}

#[test]
fn a_frame_over_the_limit_is_answered_negatively_and_costs_no_more_memory_than_the_limit() -> Fallible<()> {
    let hub = start("bad-frame")?;
    assert_others_are_served(&hub, 1)?;
    // What the first ones cost for good (threads, the journal's cache) is not what a frame costs.
    for _ in 0..FRAMES / 2 {
        assert_too_large_is_refused(&hub)?;
    }
    let before = hub.memory()?;
    for _ in 0..FRAMES {
        assert_too_large_is_refused(&hub)?;
    }

    let mut endless = Connection::open(hub.mllp(SOURCE)?)?;
    endless.write(b"\x0bMSH|^~\\&|HIS|WARD\r")?;
    for _ in 0..64 {
        if endless.write(&[b'x'; 64 * 1024]).is_err() {
            break;
        }
    }
    let answers = endless.until_closed(ANSWER_WITHIN)?;
    assert!(answers.iter().all(|answer| answer.is_positive() == Some(false)), "{answers:?}");
    let after = hub.memory()?;
    assert!(after < before + MEMORY_BYTES_MAX, "from {before} to {after} bytes");
    assert_others_are_served(&hub, 3)?;
    hub.stop()
}

#[test]
fn a_frame_that_is_begun_and_not_ended_in_time_is_closed() -> Fallible<()> {
    let hub = start("bad-slow")?;
    let mut connection = Connection::open(hub.mllp(SOURCE)?)?;
    connection.write(b"\x0bMSH|^~\\&|HIS|WARD")?;
    let answers = connection.until_closed(ANSWER_WITHIN)?;
    assert!(answers.iter().all(|answer| answer.is_positive() == Some(false)), "{answers:?}");
    assert_others_are_served(&hub, 1)?;
    hub.stop()
}

#[test]
fn ten_thousand_fields_and_five_thousand_repetitions_are_read() -> Fallible<()> {
    let hub = start("bad-fields")?;
    let mut body = order(1)?;
    writeln!(body, "ZFF{}\rZRR|{}\r", "|x".repeat(10_000), "y~".repeat(5_000))?;
    assert_eq!(ask(&hub, body.replace('\n', "").as_bytes())?.code, "AA");
    hub.api().drained(APPLIED_WITHIN)?;
    assert_eq!(state(&hub, "ORA7-0000001")?, "delivered");
    hub.stop()
}

#[test]
fn a_cancel_that_came_before_its_order_ends_with_the_order_cancelled() -> Fallible<()> {
    let (_folder, launch) = prepare("bad-early", ROUTES)?;
    let hub = launch.start()?;
    let cancel = order(1)?.replace("ORA7-0000001", "EARLY-1").replace("ORC|NW|", "ORC|CA|");
    assert_eq!(ask(&hub, cancel.as_bytes())?.code, "AA");
    assert_eq!(ask(&hub, order(1)?.as_bytes())?.code, "AA");
    hub.api().drained(APPLIED_WITHIN)?;
    hub.stop()?;
    let orders = hub_tests::journal::Journal::open(&launch.data)?.aggregates()?;
    let states: Vec<(&str, &str)> = orders.iter().map(|order| (order.number.as_str(), order.state.as_str())).collect();
    assert_eq!(states, [("OR7-0000001", "cancelled")]);
    Ok(())
}
