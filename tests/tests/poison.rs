//! Messages that hurt the hub itself: they are set aside after three charges, and nobody else is (H8).

use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::hub::{Hub, Started};
use hub_tests::payload::{Id, orders};
use hub_tests::wait::{self, PATIENCE};
use hub_tests::ward::{self, launch, until_state};

/// Neighbours on each side of the poison.
const NEIGHBOURS: usize = 40;
/// Starts that a message may spoil: the one in which it was one of many, and three in which it was alone.
const DEATHS_MAX: usize = 4;
/// A part that cannot be restarted failed.
const EXIT_SOFTWARE: i32 = 70;

/// A message, by what its sender calls it.
struct Sent {
    control_id: String,
    body: Vec<u8>,
}

/// Orders with a poisoned one in the middle, of a patient who has others before and after it.
fn feed(poison: &str) -> Fallible<(Vec<Sent>, String)> {
    let mut feed = Vec::new();
    for (place, id) in orders(3, 2 * NEIGHBOURS).into_iter().enumerate() {
        feed.push(Sent { control_id: id.control_id(), body: id.body() });
        if place == NEIGHBOURS {
            let name = format!("POISON-{poison}-1");
            let twin = Id::new(4, id.number);
            let body = String::from_utf8(id.body())?;
            let body = match poison.ends_with("APPLY") {
                true => body.replace(&id.order_number(), &name).replace(&id.control_id(), &twin.control_id()),
                false => body.replace(&id.order_number(), &twin.order_number()).replace(&id.control_id(), &name),
            };
            let control_id = if poison.ends_with("APPLY") { twin.control_id() } else { name };
            feed.push(Sent { control_id, body: body.into_bytes() });
        }
    }
    let poisoned = feed.get(NEIGHBOURS + 1).map(|sent| sent.control_id.clone()).ok_or("there is no poison")?;
    Ok((feed, poisoned))
}

fn send(hub: &Hub, feed: &[Sent]) -> Fallible<usize> {
    ward::send(hub, feed.iter().map(|sent| &sent.body))
}

/// The poison is a dead letter with this code; whatever else was accepted is delivered.
fn judge(hub: &Hub, feed: &[Sent], poisoned: &str, code: &str) -> Fallible<()> {
    until_state(hub, poisoned, "dead-lettered")?;
    for sent in feed.iter().filter(|sent| sent.control_id != poisoned) {
        until_state(hub, &sent.control_id, "delivered").map_err(|error| format!("a neighbour: {error}"))?;
    }
    assert_eq!(hub.api().dead_letter_codes()?, [code]);
    Ok(())
}

#[test]
fn a_message_that_panics_is_dead_lettered_after_three_attempts_and_its_neighbours_flow_on() -> Fallible<()> {
    for (poison, stage) in [("PANIC-MAP", "route and map"), ("PANIC-APPLY", "apply")] {
        let launch = launch(&poison.to_ascii_lowercase())?;
        let hub = launch.start()?;
        let (feed, poisoned) = feed(poison)?;
        assert_eq!(send(&hub, &feed)?, feed.len(), "every message is accepted, the poisoned one too");
        judge(&hub, &feed, &poisoned, "HUB0401").map_err(|error| format!("{poison}: {error}"))?;
        let (_, metrics) = hub.api().text("/metrics")?;
        let counted = format!("hub_panics_total{{name=\"{stage}\"}} 3");
        assert!(metrics.lines().any(|line| line == counted), "{poison}: {counted} is not in the metrics");
        assert_eq!(hub.api().text("/ready")?.0, 200);
        hub.stop()?;
    }
    Ok(())
}

#[test]
fn a_message_that_takes_the_process_down_is_found_out_and_nobody_else_is_blamed() -> Fallible<()> {
    for poison in ["ABORT-MAP", "ABORT-APPLY"] {
        let launch = launch(&poison.to_ascii_lowercase())?;
        let (feed, poisoned) = feed(poison)?;
        let mut process = {
            let hub = launch.start()?;
            send(&hub, &feed)?;
            hub.process
        };
        process.wait(PATIENCE)?;
        let mut deaths = 1;
        let hub = loop {
            match launch.spawn()?.until_ready()? {
                Started::Ready(hub) => break hub,
                Started::Ended(..) => deaths += 1,
            }
            assert!(deaths <= DEATHS_MAX, "{poison}: {deaths} deaths");
        };
        // What the hub had not answered when it died, its sender sends again.
        assert_eq!(send(&hub, &feed)?, feed.len(), "{poison}");
        judge(&hub, &feed, &poisoned, "HUB0402").map_err(|error| format!("{poison}: {error}"))?;
        hub.stop()?;
    }
    Ok(())
}

#[test]
fn a_message_at_which_the_hub_sticks_is_found_out_as_one_that_takes_it_down_is() -> Fallible<()> {
    let mut launch = launch("stuck-for-good")?;
    let settings = launch.data.with_extension("toml");
    std::fs::write(&settings, "[limits]\nstuck = \"2s\"\n")?;
    launch.arguments.extend(["--config".to_owned(), settings.display().to_string()]);
    let (feed, poisoned) = feed("STUCK-MAP")?;
    let mut process = {
        let hub = launch.start()?;
        assert_eq!(send(&hub, &feed)?, feed.len(), "the journal takes every message");
        hub.process
    };
    let mut deaths = vec![process.wait(PATIENCE)?.code()];
    let hub = loop {
        match launch.spawn()?.until_ready()? {
            Started::Ready(hub) => break hub,
            Started::Ended(_, status) => deaths.push(status.code()),
        }
        assert!(deaths.len() <= DEATHS_MAX, "{deaths:?}");
    };
    assert!(deaths.iter().all(|code| *code == Some(EXIT_SOFTWARE)), "{deaths:?}");
    judge(&hub, &feed, &poisoned, "HUB0402")?;
    hub.stop()
}

#[test]
fn a_part_that_does_not_go_on_is_told_within_seconds() -> Fallible<()> {
    let launch = launch("stuck")?;
    let hub = launch.start()?;
    let (feed, _) = feed("STUCK-MAP")?;
    send(&hub, &feed)?;
    let told = wait::until("the hub is not ready", Duration::from_secs(10), || {
        let (status, text) = hub.api().text("/ready")?;
        Ok((status == 503).then_some(text))
    })?;
    assert!(told.contains("router") && told.contains("at one step for seconds"), "{told}");
    assert_eq!(hub.api().text("/live")?.0, 200);
    Ok(())
}
