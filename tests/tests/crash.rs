//! Real processes under load are killed at random moments and at named points; an oracle judges what became of every
//! message (H1, H2, H3, H5). `HUB_ROUNDS` sets the number of random rounds, `HUB_SEED` plays a run again.

use std::sync::Mutex;

use hub_tests::Fallible;
use hub_tests::campaign::{Campaign, Fault};
use hub_tests::hub::crash_points;
use hub_tests::random::{Random, seed};

/// Rounds in `make test`; `make prove` has ten times as many.
const ROUNDS: u32 = 20;
/// Rounds with one data folder.
const ROUNDS_OF_A_CAMPAIGN: usize = 20;
/// Fewer answered messages would say nothing.
const ANSWERED_MIN: usize = 1_000;
/// A hub that names fewer crash points has lost some.
const POINTS_MIN: usize = 12;
/// Each named point is crashed at when it is reached for these times.
const TIMES: [u32; 3] = [1, 2, 40];

/// Campaigns share two cores: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn every_message_that_was_answered_positively_has_one_end_and_one_effect_when_the_hub_is_killed_at_random()
-> Fallible<()> {
    let _alone = ALONE.lock();
    let seed = seed()?;
    let rounds = std::env::var("HUB_ROUNDS").map_or(Ok(ROUNDS), |text| text.parse())?;
    println!("HUB_SEED={seed} HUB_ROUNDS={rounds}");
    // Each campaign has a folder of its own: judging all that ever came costs more with every round.
    for first in (0..rounds).step_by(ROUNDS_OF_A_CAMPAIGN) {
        let mut campaign = Campaign::new("killed-at-random", Random::from_seed(seed).part(first.into()))?;
        for round in (first..rounds).take(ROUNDS_OF_A_CAMPAIGN) {
            let fault = campaign.any_fault();
            campaign.round(&fault).map_err(|error| format!("round {round}, HUB_SEED={seed}: {error}"))?;
        }
        println!("{:?}", campaign.totals());
        assert_tested(&campaign);
    }
    Ok(())
}

/// A campaign in which nothing happened says nothing.
fn assert_tested(campaign: &Campaign) {
    let totals = campaign.totals();
    assert!(totals.positive > ANSWERED_MIN, "only {} answered: {totals:?}", totals.positive);
    assert!(totals.negative > 0, "nothing was refused: {totals:?}");
    assert!(totals.resent > 0, "nothing was resent: {totals:?}");
    assert!(totals.repeated > 0, "nothing was repeated: {totals:?}");
    let hits = campaign.found_in_hand();
    assert!(hits.iter().any(|hit| hit.unrouted > 0), "no crash hit between accepting and routing: {hits:?}");
    assert!(hits.iter().any(|hit| hit.undelivered > 0), "no crash hit before a delivery: {hits:?}");
}

#[test]
fn every_message_that_was_answered_positively_has_one_end_and_one_effect_when_the_hub_crashes_at_a_named_point()
-> Fallible<()> {
    let _alone = ALONE.lock();
    let seed = seed()?;
    println!("HUB_SEED={seed}");
    let mut points = crash_points()?;
    // Nothing is held here; codes.rs crashes at these.
    points.retain(|point| !point.starts_with("codes.") && !point.starts_with("release."));
    assert!(points.len() >= POINTS_MIN, "only {} crash points: {points:?}", points.len());
    let mut campaign = Campaign::new("crashed-at-points", Random::from_seed(seed))?;
    for point in &points {
        for nth in TIMES {
            let fault = Fault::Point(point.clone(), nth);
            campaign.round(&fault).map_err(|error| format!("HUB_SEED={seed}: {error}"))?;
        }
    }
    println!("{:?}", campaign.totals());
    Ok(())
}

#[test]
fn a_disk_that_fails_or_is_full_costs_refusals_and_never_a_message_that_was_answered_positively() -> Fallible<()> {
    let _alone = ALONE.lock();
    let seed = seed()?;
    println!("HUB_SEED={seed}");
    let mut campaign = Campaign::new("failing-disk", Random::from_seed(seed))?;
    for fault in [Fault::FullDisk, Fault::FailedSync, Fault::FullDisk] {
        campaign.round(&fault).map_err(|error| format!("HUB_SEED={seed}: {error}"))?;
    }
    println!("{:?}", campaign.totals());
    Ok(())
}
