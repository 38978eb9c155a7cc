//! Rows that rot on the disk: what needs them ends visibly, and everything else goes on (reliability F06, H8).

use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::folder::Folder;
use hub_tests::hub::{Hub, Launch, Started};
use hub_tests::mllp::{Connection, framed};
use hub_tests::payload::{Id, Kind};
use hub_tests::wait;
use rusqlite::{Connection as Journal, params};
use serde_json::Value;

const SOURCE: &str = "ward";
const WITHIN: Duration = Duration::from_secs(60);
const COUNT: usize = 30;

const ROUTES: &str = r#"
[source.ward]
adapter = "hl7v2-mllp"
listen  = "127.0.0.1:0"
key     = 'PID-3[.5 = "NI"].1'

[[route]]
id   = "orders"
why  = "An order becomes a prescription."
from = ["ward"]
map  = "rde_o11_to_prescription"
to   = ["prescription"]
"#;

fn launch(name: &str) -> Fallible<Launch> {
    let folder = Folder::new(name)?;
    folder.copy_mappings()?;
    let routes = folder.write("routes.toml", ROUTES)?;
    Ok(Launch::new(folder.path().join("data"), routes))
}

fn orders() -> Vec<Id> {
    (1..).map(|number| Id::new(8, number)).filter(|id| id.kind() == Kind::Order).take(COUNT).collect()
}

/// The cancellation of an order.
fn cancel(id: Id) -> Fallible<(String, Vec<u8>)> {
    let control_id = format!("CANCEL-{}", id.control_id());
    let body = String::from_utf8(id.body())?.replace(&id.control_id(), &control_id).replace("\rORC|NW|", "\rORC|CA|");
    Ok((control_id, body.into_bytes()))
}

fn send(hub: &Hub, bodies: &[Vec<u8>]) -> Fallible<()> {
    let mut connection = Connection::open(hub.mllp(SOURCE)?)?;
    for body in bodies {
        connection.write(&framed(body))?;
    }
    for _ in bodies {
        let answer = connection.answer(WITHIN)?;
        assert_eq!(answer.is_positive(), Some(true), "{}", answer.text);
    }
    Ok(())
}

fn until_state(hub: &Hub, control_id: &str, wanted: &str) -> Fallible<()> {
    wait::until(&format!("{control_id} is {wanted}"), WITHIN, || {
        let message = hub.api().message(SOURCE, control_id)?;
        Ok((message.get("state").and_then(Value::as_str) == Some(wanted)).then_some(()))
    })
}

fn codes_of_dead_letters(hub: &Hub) -> Fallible<Vec<String>> {
    let dead = hub.api().json("/api/v1/dead-letters")?;
    let dead = dead.get("dead_letters").and_then(Value::as_array).ok_or("no list of dead letters")?;
    Ok(dead.iter().filter_map(|one| one.pointer("/why/code")?.as_str().map(str::to_owned)).collect())
}

#[test]
fn a_command_whose_prescription_does_not_read_back_is_a_dead_letter_and_its_neighbours_are_applied() -> Fallible<()> {
    let launch = launch("rotten-prescription")?;
    let orders = orders();
    let before = launch.start()?;
    send(&before, &orders.iter().map(|id| id.body()).collect::<Vec<_>>())?;
    for id in &orders {
        until_state(&before, &id.control_id(), "delivered")?;
    }
    before.stop()?;
    let rotten = *orders.get(COUNT / 2).ok_or("there are orders")?;
    let journal = Journal::open(launch.data.join("journal.db"))?;
    let changed = journal.execute(
        "UPDATE aggregate SET body = replace(body, 'active', 'actvie') WHERE number = ?1",
        params![rotten.order_number()],
    )?;
    assert_eq!(changed, 1);
    drop(journal);

    let hub = launch.start()?;
    let cancels = orders.iter().map(|id| cancel(*id)).collect::<Fallible<Vec<_>>>()?;
    send(&hub, &cancels.iter().map(|(_, body)| body.clone()).collect::<Vec<_>>())?;
    for (id, (control_id, _)) in orders.iter().zip(&cancels) {
        until_state(&hub, control_id, if *id == rotten { "dead-lettered" } else { "delivered" })?;
    }
    assert_eq!(codes_of_dead_letters(&hub)?, ["HUB0207"]);
    hub.stop()
}

/// What no route has seen when the hub dies at its `nth` commit.
fn unrouted_after_death(launch: &Launch, nth: u32) -> Fallible<Vec<(i64, String)>> {
    let dying = launch.with("HUB_CRASH_AT", &format!("journal.after_commit:{nth}"));
    let Started::Ready(hub) = dying.spawn()?.until_ready()? else { return Ok(Vec::new()) };
    let mut connection = Connection::open(hub.mllp(SOURCE)?)?;
    for id in orders() {
        if connection.write(&framed(&id.body())).is_err() {
            break;
        }
    }
    let mut process = hub.process;
    process.wait(WITHIN)?;
    let journal = Journal::open(launch.data.join("journal.db"))?;
    let mut statement = journal.prepare(
        "SELECT id, control_id FROM message m WHERE code IS NULL AND source = ?1 \
         AND NOT EXISTS (SELECT 1 FROM run r WHERE r.message_id = m.id) ORDER BY id",
    )?;
    let rows = statement.query_map(params![SOURCE], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[test]
fn a_message_that_does_not_read_back_is_a_dead_letter_and_the_others_are_routed_after_the_start() -> Fallible<()> {
    // At one of its first commits the hub has messages in the journal that no route has seen.
    let mut found = None;
    for nth in 2..40 {
        let launch = launch(&format!("rotten-message-{nth}"))?;
        let unrouted = unrouted_after_death(&launch, nth)?;
        if !unrouted.is_empty() {
            found = Some((launch, unrouted));
            break;
        }
    }
    let (launch, unrouted) = found.ok_or("the hub never died with a message that no route had seen")?;
    let journal = Journal::open(launch.data.join("journal.db"))?;
    let (rotten, rotten_id) = unrouted.first().ok_or("there is one")?;
    journal.execute("UPDATE message SET body = zeroblob(length(body)) WHERE id = ?1", params![rotten])?;
    drop(journal);

    let hub = launch.start()?;
    until_state(&hub, rotten_id, "dead-lettered")?;
    for (_, control_id) in unrouted.iter().skip(1) {
        until_state(&hub, control_id, "delivered")?;
    }
    assert_eq!(codes_of_dead_letters(&hub)?, ["HUB0207"]);
    hub.stop()
}
