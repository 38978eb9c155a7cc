//! How fast the grammar of HL7 v2 is read and asked. Prints one line of JSON; judges nothing.
//!
//! `cargo bench -p adapters --bench hl7v2_grammar`

#![expect(clippy::print_stdout, reason = "the numbers are what this program is for")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![expect(clippy::expect_used, clippy::as_conversions, reason = "a measurement that cannot be made ends at once")]

use std::hint::black_box;
use std::time::Instant;

use adapters::hl7v2::Path;
use adapters::hl7v2::grammar::{Grammar, Version, resolve, table};

const ROUNDS: u32 = 100_000;

fn main() {
    let usual = microseconds(|| {
        black_box(Grammar::of(Version::USUAL));
    });
    let others = microseconds(|| {
        Version::ALL.into_iter().for_each(|version| {
            black_box(Grammar::of(version));
        });
    });
    let trees = microseconds(|| {
        let grammar = Grammar::of(Version::USUAL);
        assert!(grammar.structure_names().all(|name| grammar.structure(name).is_some()));
    });
    let tables = microseconds(|| {
        black_box(table("0119"));
    });
    let path = Path::parse("ORDER.RXE-2.1").expect("a path");
    let paths = microseconds(|| {
        for _ in 0..ROUNDS {
            black_box(resolve(Version::USUAL, "RDE_O11", black_box(&path)).is_ok());
        }
    });
    let wrong = Path::parse("PID-99").expect("a path");
    let unknown = microseconds(|| {
        black_box(resolve(Version::USUAL, "RDE_O11", &wrong).is_err());
    });
    let resolve_ns = paths * 1_000.0 / f64::from(ROUNDS);
    println!(
        "{{\"read_2_5_1_us\":{usual:.0},\"read_7_others_us\":{others:.0},\"read_all_trees_us\":{trees:.0},\"read_tables_us\":{tables:.0},\"resolve_ns\":{resolve_ns:.0},\"unknown_us\":{unknown:.0}}}"
    );
}

/// One call, for what is done once.
fn microseconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_nanos() as f64 / 1_000.0
}
