//! The messages that tests read: those that others wrote, and the fixtures.

#![allow(dead_code, reason = "each test reads its part")]

use std::path::{Path, PathBuf};

/// The sample messages that others wrote.
pub const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/corpus");
/// Our own messages.
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hl7v2");
/// The messages of the tests of routes and mappings.
pub const HUB_FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/hl7v2");
/// Our own batches and files.
pub const ENVELOPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/envelopes");
/// The message for measurements.
pub const BENCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/bench");

/// A file and its bytes.
pub type Sample = (PathBuf, Vec<u8>);

/// Every `.hl7` file of a folder, in order of its name.
pub fn samples(folder: &str) -> Vec<Sample> {
    let entries = std::fs::read_dir(Path::new(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "hl7"))
        .collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

/// What is no message, by name: refused, and tested as such.
const NO_MESSAGES: [&str; 1] = ["malformed_not_hl7.hl7"];

/// Corpus, all fixtures and the message for measurements.
pub fn all() -> Vec<Sample> {
    let folders = [CORPUS, FIXTURES, HUB_FIXTURES, BENCH];
    let is_message = |(path, _): &Sample| !NO_MESSAGES.iter().any(|name| path.ends_with(name));
    let all: Vec<Sample> = folders.into_iter().flat_map(samples).filter(is_message).collect();
    assert!(all.len() > 59 + 31 + 20, "only {} messages were found", all.len());
    all
}
