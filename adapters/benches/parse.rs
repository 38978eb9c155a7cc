//! How fast messages are read. Prints one line of JSON; judges nothing.
//!
//! `cargo bench -p adapters --bench parse`

#![expect(clippy::print_stdout, reason = "the numbers are what this program is for")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![expect(
    clippy::expect_used,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made ends at once, and its numbers are small"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use adapters::hl7v2::{Index, Path};

const MESSAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/bench/rde_o11.hl7");
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(150);

const PATHS: [&str; 40] = [
    "MSH-3",
    "MSH-4.1",
    "MSH-7",
    "MSH-9.1",
    "MSH-9.2",
    "MSH-10",
    "MSH-11",
    "MSH-12",
    "PID-3[.5 = \"NI\"].1",
    "PID-3[2].1",
    "PID-3[2].4.2",
    "PID-5.1",
    "PID-5.2",
    "PID-5[2].1",
    "PID-7",
    "PID-8",
    "PID-11.1",
    "PID-11.3",
    "PID-13[1].7",
    "PV1-2",
    "PV1-3.1",
    "PV1-7.1",
    "PV1-7.9.2",
    "IN1-3.1",
    "IN1-36",
    "AL1-3.1",
    "AL1[2]-3.2",
    "ORC-1",
    "ORC-2.1",
    "ORC-4.1",
    "ORC-9",
    "ORC-12.1",
    "RXE-2.1",
    "RXE-2.2",
    "RXE-3",
    "RXE-5.1",
    "RXE-7.2",
    "RXE-10",
    "NTE-3",
    "RXR-1.1",
];

fn main() {
    let text = std::fs::read_to_string(MESSAGE).expect("the bench message is beside the workspace");
    let message = text.replace("@SEQ@", "000012345").replace("@NID@", "28001010100013").into_bytes();
    let paths: Vec<Path> = PATHS.iter().map(|path| Path::parse(path).expect("a path of the list")).collect();
    let mut index = Index::new();
    let parse = median_ns(|| {
        black_box(index.read(black_box(&message)).expect("the bench message is read"));
    });
    let parse_and_paths = median_ns(|| {
        let message = index.read(black_box(&message)).expect("the bench message is read");
        let whole = message.whole();
        for path in &paths {
            black_box(message.find(&whole, path).text());
        }
    });
    let groups = median_ns(|| {
        let message = index.read(black_box(&message)).expect("the bench message is read");
        black_box(message.groups(&message.whole(), "ORDER"));
    });
    let megabytes_per_s = message.len() as f64 * 1_000.0 / parse;
    println!(
        "{{\"message_bytes\":{},\"parse_ns\":{parse:.0},\"parse_mb_per_s\":{megabytes_per_s:.0},\"parse_and_40_paths_ns\":{parse_and_paths:.0},\"parse_and_groups_ns\":{groups:.0}}}",
        message.len(),
    );
}

/// The median over the rounds of the time for one call.
fn median_ns(mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            let mut calls = 0_u32;
            while started.elapsed() < ROUND {
                for _ in 0..64 {
                    work();
                }
                calls += 64;
            }
            started.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
