//! Rows that rot on the disk: what needs them ends visibly, and everything else goes on (reliability F06, H8).

use hub_tests::Fallible;
use hub_tests::hub::{Hub, Launch, Started};
use hub_tests::payload::{Id, orders, orders_of_one_patient};
use hub_tests::wait::PATIENCE;
use hub_tests::ward::{self, SOURCE, launch, until_state};
use rusqlite::{Connection as Journal, params};

const COUNT: usize = 30;

/// The cancellation of an order.
fn cancel(id: Id) -> Fallible<(String, Vec<u8>)> {
    let control_id = format!("CANCEL-{}", id.control_id());
    let body = String::from_utf8(id.body())?.replace(&id.control_id(), &control_id).replace("\rORC|NW|", "\rORC|CA|");
    Ok((control_id, body.into_bytes()))
}

fn send(hub: &Hub, bodies: &[Vec<u8>]) -> Fallible<()> {
    assert_eq!(ward::send(hub, bodies)?, bodies.len());
    Ok(())
}

#[test]
fn a_command_whose_prescription_does_not_read_back_is_a_dead_letter_and_its_neighbours_are_applied() -> Fallible<()> {
    let launch = launch("rotten-prescription")?;
    let orders = orders(8, COUNT);
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
    assert_eq!(hub.api().dead_letter_codes()?, ["HUB0207"]);
    hub.stop()
}

/// More numbers than conflicts are borne: a command that meets all of them is given up.
const NUMBERS: usize = 150;

#[test]
fn a_command_that_is_in_conflict_without_end_is_a_dead_letter_and_the_one_behind_it_is_applied() -> Fallible<()> {
    let launch = launch("rotten-counter")?;
    let ids = orders_of_one_patient(8, NUMBERS + 2);
    let (numbered, new) = ids.split_at(NUMBERS);
    let before = launch.start()?;
    send(&before, &numbered.iter().map(|id| id.body()).collect::<Vec<_>>())?;
    before.api().drained(PATIENCE)?;
    before.stop()?;
    // The counter of prescription numbers begins again: whatever it gives is taken.
    let journal = Journal::open(launch.data.join("journal.db"))?;
    assert_eq!(journal.execute("UPDATE counter SET value = 0", [])?, 1);
    drop(journal);

    let hub = launch.start()?;
    for (id, end) in new.iter().zip(["dead-lettered", "delivered"]) {
        send(&hub, &[id.body()])?;
        until_state(&hub, &id.control_id(), end)?;
    }
    assert_eq!(hub.api().dead_letter_codes()?, ["HUB0214"]);
    hub.stop()
}

/// What no route has seen when the hub dies at its `nth` commit.
fn unrouted_after_death(launch: &Launch, nth: u32) -> Fallible<Vec<(i64, String)>> {
    let dying = launch.with("HUB_CRASH_AT", &format!("journal.after_commit:{nth}"));
    let Started::Ready(hub) = dying.spawn()?.until_ready()? else { return Ok(Vec::new()) };
    ward::send(&hub, orders(8, COUNT).iter().map(|id| id.body()))?;
    let mut process = hub.process;
    process.wait(PATIENCE)?;
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
    assert_eq!(hub.api().dead_letter_codes()?, ["HUB0207"]);
    hub.stop()
}
