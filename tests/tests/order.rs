//! What comes on one connection is taken in the order in which it came, and applied in that order (H5).

use hub_tests::Fallible;
use hub_tests::journal::Journal;
use hub_tests::payload::orders_of_one_patient;
use hub_tests::wait::PATIENCE;
use hub_tests::ward::{self, SOURCE, launch};

/// More than one connection may have in hand, several times over.
const COUNT: usize = 1_000;

#[test]
fn a_flood_on_one_connection_is_taken_and_applied_in_the_order_in_which_it_was_sent() -> Fallible<()> {
    let launch = launch("order-flood")?;
    let hub = launch.start()?;
    let sent = orders_of_one_patient(5, COUNT);
    assert_eq!(ward::send(&hub, sent.iter().map(|id| id.body()))?, COUNT);
    hub.api().drained(PATIENCE)?;
    hub.stop()?;
    let journal = Journal::open(&launch.data)?;
    let mut taken = Vec::new();
    journal.received(SOURCE, |received| {
        taken.push((received.id, received.control_id));
        Ok(())
    })?;
    let control_ids: Vec<&str> = taken.iter().map(|(_, control_id)| control_id.as_str()).collect();
    assert_eq!(control_ids, sent.iter().map(|id| id.control_id()).collect::<Vec<_>>());
    let applied: Vec<i64> = journal.deliveries()?.iter().map(|delivery| delivery.message).collect();
    assert_eq!(applied, taken.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    Ok(())
}
