//! `hub check`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output::{Outcome, Output};
use super::{Exit, Global, RunArgs};
use crate::config::Settings;
use crate::finding::{Findings, Severity};
use crate::routes::Configuration;

/// Check the configuration, and show all that is wrong with it at once
///
/// Reads the settings (with --config), the routes, and the folder `mappings` beside them. Starts nothing.
/// Ends with 78 if there are errors; warnings alone end with 0.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hub check
      the routes.toml here
  hub check hospitals/routes.toml --json
      another one, for a machine
  hub check --config deploy/hub.toml
      the settings too, and the routes that they name")]
pub struct CheckArgs {
    /// The routes, or the folder that has routes.toml
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
}

/// What was looked at.
struct Checked {
    /// Files, if all could be read.
    files: Option<usize>,
    findings: Findings,
}

/// Checks, and prints the findings.
pub fn run(global: &Global, args: &CheckArgs, output: &mut Output<'_>) -> Outcome {
    let checked = check(global, args);
    let count = |severity| checked.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if output.json {
        output.value(&json!({
            "files": checked.files,
            "errors": errors,
            "warnings": warnings,
            "findings": checked.findings.to_json(),
        }))?;
    } else {
        output.text(&checked.findings.render(output.colour))?;
        output.line(&summary(checked.files, errors, warnings))?;
    }
    Ok(if errors > 0 { Exit::Configuration } else { Exit::Success })
}

fn check(global: &Global, args: &CheckArgs) -> Checked {
    let mut findings = Findings::new();
    let settings = match Settings::load_for_run(global, &RunArgs::default()) {
        Ok(settings) => settings,
        Err(found) => {
            findings.extend(found);
            Settings { routes: global.routes.clone().unwrap_or(Settings::default().routes), ..Settings::default() }
        }
    };
    let routes = routes_file(args.path.clone().unwrap_or(settings.routes));
    let files = match Configuration::load(&routes) {
        Ok(loaded) => {
            findings.extend(loaded.warnings);
            Some(loaded.configuration.files.len().saturating_add(usize::from(global.config.is_some())))
        }
        Err(found) => {
            findings.extend(found);
            None
        }
    };
    Checked { files, findings }
}

fn summary(files: Option<usize>, errors: usize, warnings: usize) -> String {
    let found = match (errors, warnings) {
        (0, 0) => "no findings".to_owned(),
        (errors, 0) => counted(errors, "error"),
        (0, warnings) => counted(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    files.map_or_else(|| found.clone(), |files| format!("{}, {found}", counted(files, "file")))
}

/// The routes that a path means: the file, or the one in the folder.
pub(super) fn routes_file(mut path: PathBuf) -> PathBuf {
    if path.is_dir() {
        path.push("routes.toml");
    }
    path
}

/// `1 file`, `2 files`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}
