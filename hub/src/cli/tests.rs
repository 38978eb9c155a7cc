use std::path::{Path, PathBuf};

use clap::CommandFactory;
use serde_json::Value;

use super::*;
use crate::admin::fake::Fake;

mod asked;
mod files_and_messages;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a command line printed, and how it ended.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    printed: String,
    complaint: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.printed).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn ended(self, exit: Exit) -> Ran {
        assert_eq!(self.exit, exit, "{self:?}");
        self
    }
}

/// Runs a command line, as the program would.
async fn hub(arguments: &[&str]) -> Ran {
    let cli = Cli::try_parse_from(["hub"].iter().chain(arguments)).unwrap_or_else(|error| panic!("{error}"));
    let mut bytes = Vec::new();
    let mut output = Output::plain(&mut bytes, cli.global.json);
    let outcome = execute(&cli.global, &cli.command, &mut output).await;
    drop(output);
    let (exit, complaint) = match outcome {
        Ok(exit) => (exit, String::new()),
        Err(failure) => (failure.exit, failure.message),
    };
    Ran { exit, printed: String::from_utf8(bytes).unwrap(), complaint }
}

fn every_command(command: &clap::Command, found: &mut Vec<clap::Command>) {
    for sub in command.get_subcommands() {
        found.push(sub.clone());
        every_command(sub, found);
    }
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does_and_has_an_example_with_its_name() {
    let mut commands = Vec::new();
    every_command(&Cli::command(), &mut commands);
    assert!(commands.len() >= 15, "{}", commands.len());
    for command in commands {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 15, "`{name}` does not say what it does");
        let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(example.starts_with("Example"), "`{name}` has no example");
        let is_named = example.lines().any(|line| line.trim_start().starts_with("hub ") && line.contains(name));
        assert!(is_named, "the example of `{name}` does not use it: {example}");
    }
}

#[test]
fn every_example_is_a_command_line_that_can_be_read() {
    let mut commands = vec![Cli::command()];
    every_command(&Cli::command(), &mut commands);
    let mut read = 0;
    for command in commands {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with("hub ")) {
            // A description follows after two blanks; `&&` joins two command lines.
            let written = line.split("  ").next().unwrap_or_default();
            for one in written.split("&&") {
                let parsed = Cli::try_parse_from(one.split_whitespace());
                assert!(parsed.is_ok(), "{one}: {}", parsed.unwrap_err());
                read += 1;
            }
        }
    }
    assert!(read > 25, "{read}");
}

#[test]
fn the_help_names_every_exit_code() {
    let help = Cli::command().get_after_help().map(ToString::to_string).unwrap_or_default();
    for exit in Exit::ALL {
        assert!(help.contains(&format!("{}: ", exit.code())), "{exit:?} is not in {help}");
    }
}

#[test]
fn command_lines_that_do_not_fit_are_refused_with_the_code_for_usage() {
    for line in [
        "",
        "fly",
        "run --once",
        "run --log xml",
        "messages --limit 0",
        "messages --limit 1001",
        "message",
        "replay",
        "dead-letters",
        "dead-letters replay",
        "dead-letters replay 1 --all",
        "codes add",
        "codes add routes SC",
        "codes add routes SC x --coding http://snomed.info/sct 1",
        "codes add routes SC --coding http://snomed.info/sct",
        "codes refuse routes",
        "codes --table routes refuse routes SC",
        "send",
        "send a.hl7 --to 127.0.0.1:1 --source ward",
        "send a.hl7 --certificate a.pem",
        "explain",
        "check a b",
    ] {
        let parsed = Cli::try_parse_from(["hub"].into_iter().chain(line.split_whitespace()));
        let error = parsed.map(|_| ()).expect_err(line);
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line}");
    }
}

#[test]
fn flags_stand_before_or_after_the_command() {
    for line in ["hub --data d --json messages", "hub messages --json --data d"] {
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        assert_eq!((cli.global.data.as_deref(), cli.global.json), (Some(Path::new("d")), true), "{line}");
    }
}

#[tokio::test]
async fn the_version_is_printed_for_people_and_for_machines() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(hub(&["version"]).await.ended(Exit::Success).printed.starts_with(&format!("hub {version}\n")));
    let json = hub(&["version", "--json"]).await.ended(Exit::Success).json();
    assert_eq!(json["version"], version);
    assert_eq!(json["crash_points"].as_array().unwrap().is_empty(), !cfg!(feature = "crash-points"));
}
