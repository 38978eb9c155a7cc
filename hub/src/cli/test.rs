//! `hub test`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::check::{counted, routes_file};
use super::client::configuration;
use super::output::{Outcome, Output};
use super::progress::with_spinner;
use super::{Exit, Global};
use crate::config::Settings;
use crate::mapping::TestResult;
use crate::routes::Configuration;

/// Run the tests that stand in the routes and mappings
///
/// Differences show values of the fixtures that the tests name, never of messages. Ends with 1 if a test
/// fails, with 78 if the configuration has errors.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hub test
      all tests of the routes.toml here and of its mappings
  hub test --only rde_o11
      those whose name has this in it
  hub test hospitals/routes.toml --json
      another configuration, for a machine")]
pub struct TestArgs {
    /// The routes, or the folder that has routes.toml
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// Only tests whose name has this in it
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
}

/// Runs them, and prints what they gave.
pub fn run(global: &Global, args: &TestArgs, output: &mut Output<'_>) -> Outcome {
    let routes = routes_file(match &args.path {
        Some(path) => path.clone(),
        None => Settings::load(global).map_err(configuration)?.routes,
    });
    let loaded = Configuration::load(&routes).map_err(configuration)?;
    let report = with_spinner("running the tests", || loaded.configuration.test());
    let wanted = |result: &&TestResult| args.only.as_ref().is_none_or(|part| result.name.contains(part.as_str()));
    let results: Vec<&TestResult> = report.results.iter().filter(wanted).collect();
    let failed = results.iter().filter(|result| !result.passed()).count();
    if output.json {
        output.value(&as_json(&results, failed))?;
    } else {
        print(&results, failed, output)?;
    }
    Ok(if failed > 0 { Exit::Failed } else { Exit::Success })
}

fn as_json(results: &[&TestResult], failed: usize) -> serde_json::Value {
    let tests: Vec<_> = results
        .iter()
        .map(|result| {
            json!({
                "name": result.name,
                "file": &*result.place.file,
                "line": result.place.line,
                "passed": result.passed(),
                "differences": result.differences,
            })
        })
        .collect();
    json!({ "passed": results.len().saturating_sub(failed), "failed": failed, "tests": tests })
}

fn print(results: &[&TestResult], failed: usize, output: &mut Output<'_>) -> std::io::Result<()> {
    let mut rows = Vec::new();
    for result in results {
        let word = if result.passed() { "passed" } else { "failed" };
        rows.push(vec![word.to_owned(), result.name.clone(), result.place.to_string()]);
        for difference in &result.differences {
            rows.push(vec![String::new(), format!("  {difference}"), String::new()]);
        }
    }
    if !rows.is_empty() {
        output.table(&["RESULT", "TEST", "PLACE"], &rows)?;
    }
    let passed = results.len().saturating_sub(failed);
    output.line(&match (passed, failed) {
        (0, 0) => "there are no tests".to_owned(),
        (passed, 0) => format!("{} passed", counted(passed, "test")),
        (passed, failed) => format!("{} failed, {passed} passed", counted(failed, "test")),
    })
}
