//! Same question, same answer (H4): over connections, over a crash, and for two senders who use the same control id.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;

use hub_tests::Fallible;
use hub_tests::journal::Journal;
use hub_tests::mllp::{Connection, framed};
use hub_tests::payload::Id;
use hub_tests::wait::PATIENCE;
use hub_tests::ward::{SOURCE, launch};

const CONNECTIONS: usize = 10;
const REPEATS: usize = 100;

fn order() -> Fallible<String> {
    Ok(String::from_utf8(Id::new(6, 1).body())?)
}

fn ask(hub: SocketAddr, bodies: &[String]) -> Fallible<Vec<String>> {
    let mut connection = Connection::open(hub)?;
    let mut answers = Vec::new();
    for body in bodies {
        connection.write(&framed(body.as_bytes()))?;
        let answer = connection.answer(PATIENCE)?;
        if answer.is_positive() != Some(true) {
            return Err(format!("refused: {}", answer.text).into());
        }
        answers.push(answer.text);
    }
    Ok(answers)
}

/// Asks on several connections at once; gives the different answers.
fn ask_everywhere(hub: SocketAddr, bodies: &[String]) -> Fallible<BTreeSet<String>> {
    thread::scope(|scope| {
        let asking: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(|| ask(hub, bodies))).collect();
        let mut answers = BTreeSet::new();
        for asked in asking {
            answers.extend(asked.join().map_err(|_| "an asker panicked")??);
        }
        Ok(answers)
    })
}

#[test]
fn a_thousand_repeats_on_ten_connections_and_after_a_crash_have_one_answer_and_one_effect() -> Fallible<()> {
    let launch = launch("repeats-same")?;
    // MSH-7 is the time of sending, and is no part of the question.
    let bodies: Vec<String> = (0..REPEATS)
        .map(|at| Ok(order()?.replace("20261105093015+0200", &format!("202611050930{:02}+0200", at % 60))))
        .collect::<Fallible<_>>()?;
    let mut hub = launch.start()?;
    let answers = ask_everywhere(hub.mllp(SOURCE)?, &bodies)?;
    assert_eq!(answers.len(), 1, "{answers:?}");
    hub.process.kill()?;
    drop(hub);
    let again = launch.start()?;
    assert_eq!(ask_everywhere(again.mllp(SOURCE)?, &bodies)?, answers, "after a crash");
    again.api().drained(PATIENCE)?;
    assert_eq!(again.api().messages(&format!("source={SOURCE}"))?.len(), 1);
    again.stop()?;
    let orders = Journal::open(&launch.data)?.aggregates()?;
    assert_eq!(orders.iter().map(|order| order.version).collect::<Vec<_>>(), [1]);
    Ok(())
}

#[test]
fn the_same_control_id_with_another_body_or_from_another_sender_is_a_new_message() -> Fallible<()> {
    let launch = launch("repeats-other")?;
    let hub = launch.start()?;
    let bodies = [
        order()?,
        order()?.replace("OR6-0000001", "OR6-7777777"),
        order()?.replace("|WARD|ORACLE_6|", "|WARD|ORACLE_7|").replace("OR6-0000001", "OR6-8888888"),
    ];
    let answers: BTreeSet<String> = ask(hub.mllp(SOURCE)?, &bodies)?.into_iter().collect();
    assert_eq!(answers.len(), bodies.len(), "{answers:?}");
    assert_eq!(ask(hub.mllp(SOURCE)?, &bodies)?.into_iter().collect::<BTreeSet<_>>(), answers, "repeated");
    hub.api().drained(PATIENCE)?;
    assert_eq!(hub.api().messages(&format!("source={SOURCE}"))?.len(), bodies.len());
    hub.stop()?;
    assert_eq!(Journal::open(&launch.data)?.aggregates()?.len(), bodies.len());
    Ok(())
}
