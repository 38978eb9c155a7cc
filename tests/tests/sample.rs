//! The sample feed: what a new user sees first, and that a second start on the same data repeats nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::folder::{Folder, workspace};
use hub_tests::hub::{Launch, command};
use hub_tests::journal::{Aggregate, Journal};
use hub_tests::mllp::{Connection, framed};
use hub_tests::payload::Id;
use hub_tests::wait;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(30);
const SOURCE: &str = "kasr-al-ainy";
/// Cases that are refused when they come, and kept each time.
const REFUSED: usize = 4;

/// A folder with the shipped configuration, on a free port and with its output inside.
struct Place {
    data: PathBuf,
    routes: PathBuf,
    out: PathBuf,
}

impl Place {
    fn new(name: &str, change: impl Fn(String) -> String) -> Fallible<Place> {
        let folder = Folder::new(name)?;
        folder.copy_mappings()?;
        let out = folder.path().join("out");
        let shipped = fs::read_to_string(workspace().join("routes.toml"))?
            .replace("127.0.0.1:2575", "127.0.0.1:0")
            .replace("data/out/prescription-events", &out.to_string_lossy());
        let routes = folder.write("routes.toml", change(shipped))?;
        Ok(Place { data: folder.path().join("data"), routes, out })
    }

    fn play(&self, more: &[&str]) -> Fallible<Output> {
        let (data, routes) = (self.data.to_string_lossy(), self.routes.to_string_lossy());
        let run = ["run", "--sample", "--once", "--data", &data, "--routes", &routes, "--http", "127.0.0.1:0"];
        command(&[&run, more].concat())
    }

    /// Plays it, and gives what is said of each message.
    fn lines(&self) -> Fallible<Vec<Value>> {
        let output = self.play(&["--json"])?;
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        lines_of(&String::from_utf8(output.stdout)?)
    }

    fn files(&self) -> Fallible<Vec<PathBuf>> {
        let mut files = fs::read_dir(&self.out)?.map(|entry| Ok(entry?.path())).collect::<Fallible<Vec<_>>>()?;
        files.sort();
        Ok(files)
    }

    fn orders(&self) -> Fallible<Vec<(String, i64, String)>> {
        let orders = Journal::open(&self.data)?.aggregates()?;
        Ok(orders.into_iter().map(|Aggregate { number, version, state, .. }| (number, version, state)).collect())
    }

    fn accepted_and_refused(&self) -> Fallible<(usize, usize)> {
        let (mut accepted, mut refused) = (0, 0);
        Journal::open(&self.data)?.received(SOURCE, |message| {
            if message.accepted {
                accepted += 1
            } else {
                refused += 1
            }
            Ok(())
        })?;
        Ok((accepted, refused))
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn lines_of(text: &str) -> Fallible<Vec<Value>> {
    text.lines().filter(|line| line.starts_with("{\"case\"")).map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn line<'a>(lines: &'a [Value], case: &str) -> Fallible<&'a Value> {
    lines.iter().find(|line| line["case"] == case).ok_or_else(|| format!("no case is called {case}").into())
}

#[test]
fn each_message_of_the_feed_becomes_what_it_has_to() -> Fallible<()> {
    let place = Place::new("sample-first", |routes| routes)?;
    let lines = place.lines()?;
    assert_eq!(lines.len(), 18);
    assert!(lines.iter().all(|line| line["as_expected"] == true), "{lines:?}");
    let names = [
        ("Arabic in UTF-8", "محمد أحمد السيد"),
        ("Arabic in windows-1256", "فاطمة حسن محمود"),
        ("Arabic in ISO-8859-6", "يوسف إبراهيم خليل"),
    ];
    for (case, name) in names {
        assert_eq!(line(&lines, case)?["orders"][0]["patient"], name, "{case}");
        let has_name = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains(name));
        assert!(place.files()?.iter().any(has_name), "no file of {}", place.out.display());
    }
    let pair = line(&lines, "two orders on one paper")?;
    assert_eq!(pair["orders"].as_array().map(Vec::len), Some(2));
    assert_eq!(pair["orders"][0]["prescription"], pair["orders"][1]["prescription"]);
    let again = line(&lines, "the first message again")?;
    assert_eq!(again["repeat"], true);
    assert_eq!(again["message"], line(&lines, "a new order")?["message"]);
    assert_eq!(line(&lines, "an order held")?["orders"][0]["status"], "on-hold");
    assert_eq!(line(&lines, "a cancel before its order")?["state"], "waiting");
    assert_eq!(line(&lines, "a training message")?["answers"], serde_json::json!(["CR"]));
    assert_eq!(line(&lines, "unknown order control")?["answers"], serde_json::json!(["CA", "AE"]));
    assert_eq!(place.accepted_and_refused()?, (lines.len() - REFUSED - 1, REFUSED));
    Ok(())
}

#[test]
fn a_second_start_on_the_same_data_loses_nothing_and_repeats_nothing() -> Fallible<()> {
    let place = Place::new("sample-second", |routes| routes)?;
    let first = place.lines()?;
    let (orders, files, (accepted, refused)) = (place.orders()?, place.files()?, place.accepted_and_refused()?);
    assert!(!orders.is_empty() && !files.is_empty());
    let second = place.lines()?;
    for (before, after) in first.iter().zip(&second) {
        assert_eq!(after["as_expected"], true, "{after}");
        assert_eq!(after["answers"], before["answers"], "{after}");
        assert_eq!(after["state"], before["state"], "{after}");
        assert_eq!(after["orders"], before["orders"], "{after}");
        let was_taken = before["answers"][0] == "AA" || before["answers"][0] == "CA";
        assert_eq!(after["repeat"], was_taken, "{after}");
        assert_eq!(after["message"] == before["message"], was_taken, "{after}");
    }
    assert_eq!(place.orders()?, orders);
    assert_eq!(place.files()?, files);
    assert_eq!(place.accepted_and_refused()?, (accepted, refused + REFUSED));
    Ok(())
}

#[test]
fn a_hub_killed_after_the_feed_loses_nothing_of_it() -> Fallible<()> {
    let place = Place::new("sample-killed", |routes| routes)?;
    let mut launch = Launch::new(&place.data, &place.routes);
    launch.arguments = ["--sample", "--json"].map(str::to_owned).to_vec();
    let mut hub = launch.start()?;
    let played = || Ok(lines_of(&hub.process.log())?).map(|lines| (lines.len() == 18).then_some(lines));
    let first = wait::until("the feed is played", WITHIN, played)?;
    let (orders, files) = (place.orders()?, place.files()?);
    hub.process.kill()?;
    drop(hub);
    let second = place.lines()?;
    for (before, after) in first.iter().zip(&second) {
        assert_eq!((&after["as_expected"], &after["state"]), (&Value::Bool(true), &before["state"]), "{after}");
        assert_eq!(after["orders"], before["orders"], "{after}");
    }
    assert_eq!(place.orders()?, orders);
    assert_eq!(place.files()?, files);
    Ok(())
}

#[test]
fn without_once_the_hub_goes_on_after_the_table_until_it_is_interrupted() -> Fallible<()> {
    let place = Place::new("sample-on", |routes| routes)?;
    let mut launch = Launch::new(&place.data, &place.routes);
    launch.arguments = vec!["--sample".to_owned()];
    let mut hub = launch.start()?;
    let told = || Ok(hub.process.log().contains("Where to look").then_some(()));
    wait::until("the table is printed", WITHIN, told)?;
    let log = hub.process.log();
    for part in ["each as it has to be", "فاطمة حسن محمود", &place.out.to_string_lossy()] {
        assert!(log.contains(part), "{part} is not told: {log}");
    }
    let mut connection = Connection::open(hub.mllp(SOURCE)?)?;
    connection.write(&framed(&Id::new(9, 1).body()))?;
    assert_eq!(connection.answer(WITHIN)?.is_positive(), Some(true));
    hub.signal("INT")?;
    assert_eq!(hub.process.wait(WITHIN)?.code(), Some(0), "{}", hub.process.log_end());
    Ok(())
}

#[test]
fn a_case_that_ends_otherwise_is_told_and_the_exit_code_says_so() -> Fallible<()> {
    let place = Place::new("sample-other", |routes| {
        routes.replace("charset = \"auto\"", "charset = \"auto\"\nprocessing = [\"P\", \"T\"]")
    })?;
    let output = place.play(&[])?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("BUT"), "{}", said(&output));
    assert!(said(&output).contains("1 not as"), "{}", said(&output));
    Ok(())
}

#[test]
fn the_feed_needs_a_source_that_it_can_speak_to() -> Fallible<()> {
    let place = Place::new("sample-none", |_| String::new())?;
    fs::remove_dir_all(mappings_of(&place.routes))?;
    let output = place.play(&[])?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("without TLS"), "{}", said(&output));
    Ok(())
}

fn mappings_of(routes: &Path) -> PathBuf {
    routes.with_file_name("mappings")
}
