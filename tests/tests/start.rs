//! Starting, stopping and reloading: exit codes, and who keeps the data folder (sysexits: 70, 73, 74, 78).

use std::net::TcpListener;
use std::process::Output;
use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::folder::workspace;
use hub_tests::hub::{Hub, Launch, command};
use hub_tests::mllp::{Connection, framed};
use hub_tests::payload::Id;
use hub_tests::wait;
use hub_tests::ward::{SOURCE, prepare, routes};

const CANNOT_CREATE: i32 = 73;
const IO: i32 = 74;
const CONFIGURATION: i32 = 78;
const WITHIN: Duration = Duration::from_secs(20);

/// Runs a hub that must not come up.
fn run(launch: &Launch) -> Fallible<Output> {
    let (data, routes) = (launch.data.to_string_lossy(), launch.routes.to_string_lossy());
    command(&["run", "--data", &data, "--routes", &routes, "--http", "127.0.0.1:0"])
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn is_answered(hub: &Hub, number: u32) -> Fallible<bool> {
    let mut connection = Connection::open(hub.mllp(SOURCE)?)?;
    connection.write(&framed(&Id::new(8, number).body()))?;
    Ok(connection.answer(WITHIN)?.is_positive() == Some(true))
}

#[test]
fn a_second_hub_on_the_same_data_folder_is_refused_and_told_who_has_it() -> Fallible<()> {
    let (_folder, launch) = prepare("start-second", &routes("127.0.0.1:0"))?;
    let first = launch.start()?;
    let second = run(&launch)?;
    assert_eq!(second.status.code(), Some(CANNOT_CREATE), "{}", said(&second));
    assert!(said(&second).contains(&first.pid().to_string()), "{}", said(&second));
    assert!(is_answered(&first, 1)?);
    first.stop()?;
    launch.start()?.stop()
}

#[test]
fn a_port_in_use_ends_the_start_and_is_named() -> Fallible<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let (_folder, launch) = prepare("start-port", &routes(&address))?;
    let output = run(&launch)?;
    assert_eq!(output.status.code(), Some(IO), "{}", said(&output));
    assert!(said(&output).contains(&address), "{}", said(&output));
    Ok(())
}

#[test]
fn broken_routes_end_the_start_with_all_findings_and_their_places() -> Fallible<()> {
    let broken = routes("127.0.0.1:0").replace("adapter =", "adaptor =").replace("to   =", "too  =");
    let (_folder, launch) = prepare("start-broken", &broken)?;
    let output = run(&launch)?;
    assert_eq!(output.status.code(), Some(CONFIGURATION), "{}", said(&output));
    for part in ["adaptor", "too", "routes.toml"] {
        assert!(said(&output).contains(part), "{part} is not named: {}", said(&output));
    }
    Ok(())
}

#[test]
fn a_mapping_that_is_missing_ends_the_start_and_is_named() -> Fallible<()> {
    let (_folder, launch) = prepare("start-missing", &routes("127.0.0.1:0").replace("rde_o11_to", "rde_o12_to"))?;
    let output = run(&launch)?;
    assert_eq!(output.status.code(), Some(CONFIGURATION), "{}", said(&output));
    assert!(said(&output).contains("rde_o12_to_prescription"), "{}", said(&output));
    Ok(())
}

#[test]
fn broken_routes_at_a_reload_change_nothing_and_good_ones_are_used_at_once() -> Fallible<()> {
    let (folder, launch) = prepare("start-reload", &routes("127.0.0.1:0"))?;
    let hub = launch.start()?;
    let ids = || -> Fallible<String> { Ok(hub.api().json("/api/v1/routes")?.to_string()) };
    folder.write("routes.toml", routes("127.0.0.1:0").replace("why  =", "wye  ="))?;
    hub.signal("HUP")?;
    wait::until("the finding is said", WITHIN, || Ok(hub.process.log().contains("wye").then_some(())))?;
    assert!(is_answered(&hub, 1)?);
    assert!(ids()?.contains("orders"));

    let renamed = routes("127.0.0.1:0").replace(r#"id   = "orders""#, r#"id   = "renamed""#);
    folder.write("routes.toml", renamed)?;
    hub.signal("HUP")?;
    wait::until("the new routes are used", WITHIN, || Ok(ids()?.contains("renamed").then_some(())))?;
    assert!(is_answered(&hub, 2)?);
    hub.stop()
}

#[test]
fn a_source_that_a_reload_brought_can_be_sent_to_as_soon_as_the_reload_is_answered() -> Fallible<()> {
    let (folder, launch) = prepare("start-reload-source", &routes("127.0.0.1:0"))?;
    let hub = launch.start()?;
    let data = launch.data.to_string_lossy();
    let file = workspace().join("tests/fixtures/hl7v2/rde_o11_new.hl7");
    for number in 0..10 {
        let source = format!("later-{number}");
        let more = format!("\n[source.{source}]\nadapter = \"hl7v2-mllp\"\nlisten = \"127.0.0.1:0\"\n");
        folder.write("routes.toml", format!("{}{more}", routes("127.0.0.1:0")))?;
        for arguments in [&["reload"][..], &["send", "--source", &source, &file.to_string_lossy()]] {
            let output = command(&[arguments, &["--data", &data]].concat())?;
            assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        }
    }
    hub.stop()
}

#[test]
fn a_hub_that_is_ready_says_so_in_time_and_one_that_stops_lets_go_of_its_ports() -> Fallible<()> {
    let (_folder, launch) = prepare("start-ready", &routes("127.0.0.1:0"))?;
    let hub = launch.start()?;
    assert_eq!(hub.api().text("/live")?.0, 200);
    assert_eq!(hub.api().text("/ready")?.0, 200);
    let (_, metrics) = hub.api().text("/metrics")?;
    assert!(metrics.lines().any(|line| line.starts_with("# TYPE ")), "{metrics}");
    let address = hub.mllp(SOURCE)?;
    hub.stop()?;
    TcpListener::bind(address)?;
    Ok(())
}
