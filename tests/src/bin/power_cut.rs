//! Cuts the power of a hub's disk again and again, and proves with a negative control that the cut would show a loss.

use std::io::Write;

use clap::Parser;
use hub_tests::Fallible;
use hub_tests::folder::Folder;
use hub_tests::power_cut::cut;
use hub_tests::random::{Random, seed};

/// Cuts that the negative control may take until it loses something.
const CONTROL_CUTS_MAX: u32 = 20;

/// Starts hubs on a loop device (needs root), copies what the disk holds at a random moment, and judges the copy.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often the power is cut.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
}

fn main() -> Fallible<()> {
    let arguments = Arguments::parse();
    let seed = seed()?;
    let mut random = Random::from_seed(seed);
    let mut out = std::io::stdout();
    writeln!(out, "HUB_SEED={seed}")?;
    let folder = Folder::new("power-cut")?;
    let mut answered = 0;
    for round in 1..=arguments.rounds {
        let cut = cut(&folder, &mut random, None)?;
        cut.findings.into_result().map_err(|error| format!("cut {round}: {error}"))?;
        answered += cut.answered;
        writeln!(out, "cut {round}: {} answered, 0 lost", cut.answered)?;
    }
    writeln!(out, "{} cuts, {answered} answered, 0 lost", arguments.rounds)?;
    for _ in 0..CONTROL_CUTS_MAX {
        let control = cut(&folder, &mut random, Some("NORMAL"))?;
        let lost = control.findings.lost.len();
        writeln!(out, "control, synchronous=NORMAL: {} answered, {lost} lost", control.answered)?;
        if lost > 0 {
            return Ok(());
        }
    }
    Err(format!("the negative control lost nothing in {CONTROL_CUTS_MAX} cuts: this test would not see a loss").into())
}
