//! `hub version`.

use clap::Args;
use serde_json::json;

use super::Exit;
use super::output::{Outcome, Output};

/// The named crash points of a build for tests, in the order of the journey.
#[cfg(feature = "crash-points")]
const CRASH_POINTS: &[&str] = ALL_CRASH_POINTS;
/// A release has none.
#[cfg(not(feature = "crash-points"))]
const CRASH_POINTS: &[&str] = &[];

/// Every crash point of the sources; a test compares.
#[cfg(any(test, feature = "crash-points"))]
const ALL_CRASH_POINTS: &[&str] = &[
    "journal.before_commit",
    "journal.after_commit",
    "journal.before_checkpoint",
    "ack.before_write",
    "publish.after_send",
    "publish.after_confirm",
    "consume.before_apply",
    "mark.before_commit",
    "apply.after_commit",
    "ack_broker.before",
    "deliver.after_answer",
    "reload.after_swap",
    "codes.after_write",
    "release.after_commit",
];

/// Print the version of this program
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Example:
  hub version --json
      {\"version\":\"0.1.0\",\"crash_points\":[]}")]
pub struct VersionArgs {}

/// Prints it.
pub fn run(output: &mut Output<'_>) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if output.json {
        output.value(&json!({ "version": version, "crash_points": CRASH_POINTS }))?;
    } else {
        output.line(&format!("hub {version}"))?;
        if !CRASH_POINTS.is_empty() {
            output.line(&format!("with crash points, for tests only: {}", CRASH_POINTS.join(", ")))?;
        }
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn points_in(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                points_in(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("cli/version.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let points = text.split("fail_point!(\"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(points.map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_crash_point_of_the_sources_is_named_once() {
        let mut found = BTreeSet::new();
        points_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let named: BTreeSet<String> = ALL_CRASH_POINTS.iter().map(ToString::to_string).collect();
        assert_eq!(found, named);
        assert_eq!(named.len(), ALL_CRASH_POINTS.len());
    }
}
