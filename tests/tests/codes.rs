//! Tables that hold: what lacks a code waits, its lane waits behind it, others flow on; and when the table has the code,
//! all of it goes once and in order, whoever adds the code and whenever the hub dies (H2, H3, H5).

use std::collections::BTreeMap;
use std::fs;

use hub_tests::Fallible;
use hub_tests::far::{Far, Reply};
use hub_tests::folder::Folder;
use hub_tests::hub::{Hub, Launch, Started, command};
use hub_tests::payload::{HOT_PATIENTS, Id, orders, orders_of_one_patient};
use hub_tests::wait::{self, PATIENCE};
use hub_tests::ward::{self, SOURCE, until_state};
use serde_json::Value;

const ORDER_CONTROL: &str = "mappings/tables/order_control.toml";
const ORDER_STATUS: &str = "mappings/tables/order_status.toml";
const OK: i32 = 0;
const EXIT_CONFIGURATION: i32 = 78;

/// Table, code and count of a line of the list.
type Line = (String, String, u64);

/// A ward whose orders go to a far system, by a mapping that holds unknown order control codes.
struct Ward {
    folder: Folder,
    launch: Launch,
    far: Far,
}

impl Ward {
    fn new(name: &str) -> Fallible<Ward> {
        let far = Far::new(|_, _| Reply::Status(200))?;
        let routes = ward::routes("127.0.0.1:0").replace(r#"["prescription"]"#, r#"["far"]"#);
        let destination = format!("\n[destination.far]\nadapter = \"http\"\nurl = \"{}\"\n", far.url());
        let (folder, launch) = ward::prepare(name, &format!("{destination}{routes}"))?;
        let ward = Ward { folder, launch, far };
        ward.edit(ORDER_CONTROL, "\"reject\"", "\"hold\"")?;
        Ok(ward)
    }

    fn text(&self, name: &str) -> Fallible<String> {
        Ok(fs::read_to_string(self.folder.path().join(name))?)
    }

    fn edit(&self, name: &str, from: &str, to: &str) -> Fallible<()> {
        let text = self.text(name)?;
        assert!(text.contains(from), "{name} has no {from}");
        self.folder.write(name, text.replace(from, to)).map(|_| ())
    }

    /// The file of the table gets a row, as by an editor.
    fn write_row(&self, name: &str, row: &str) -> Fallible<()> {
        let text = self.text(name)?;
        self.folder.write(name, format!("{text}{row}\n")).map(|_| ())
    }

    /// Runs `hub codes` against this hub; it must end with `exit`.
    fn codes(&self, arguments: &[&str], exit: i32) -> Fallible<String> {
        let data = self.launch.data.to_string_lossy();
        let line: Vec<&str> = ["codes"].iter().chain(arguments).copied().chain(["--data", &data]).collect();
        let output = command(&line)?;
        let said = format!("{}{}", String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        assert_eq!(output.status.code(), Some(exit), "hub {line:?}: {said}");
        Ok(said)
    }

    /// The numbers of the orders that the far system got, for each patient in the order in which it got them.
    /// The same document under the same key is a repeat of the same delivery.
    fn delivered(&self) -> Fallible<BTreeMap<String, Vec<String>>> {
        let (mut delivered, mut keys) = (BTreeMap::<String, Vec<String>>::new(), Vec::new());
        for request in self.far.requests() {
            let key = request.header("idempotency-key").ok_or("a delivery without a key")?.to_owned();
            if keys.contains(&key) {
                continue;
            }
            keys.push(key);
            let document: Value = serde_json::from_slice(&request.body)?;
            let text = |path: &str| document.pointer(path).and_then(Value::as_str).map(str::to_owned);
            let patient = text("/subject/identifier/value").ok_or("no patient")?;
            delivered.entry(patient).or_default().push(text("/identifier/0/value").ok_or("no order")?);
        }
        Ok(delivered)
    }
}

/// An order with this order control code.
fn order(id: Id, control: &str) -> Fallible<Vec<u8>> {
    Ok(String::from_utf8(id.body())?.replace("ORC|NW|", &format!("ORC|{control}|")).into_bytes())
}

/// An order of a patient who writes to nobody else.
fn order_of_another() -> Id {
    let all = (1..).map(|number| Id::new(9, number));
    all.filter(|id| id.is_order()).find(|id| id.patient() >= HOT_PATIENTS).unwrap_or(Id::new(9, 1))
}

fn send(hub: &Hub, bodies: &[Vec<u8>]) -> Fallible<()> {
    assert_eq!(ward::send(hub, bodies)?, bodies.len());
    Ok(())
}

fn until_all(hub: &Hub, ids: &[Id], state: &str) -> Fallible<()> {
    ids.iter().try_for_each(|id| until_state(hub, &id.control_id(), state))
}

/// Why a message stands where it does, by its code.
fn why(hub: &Hub, id: Id) -> Fallible<String> {
    let message = hub.api().message(SOURCE, &id.control_id())?;
    Ok(message.pointer("/why/code").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// The states of a message's runs.
fn runs(hub: &Hub, id: Id) -> Fallible<Vec<String>> {
    let journey = hub.api().journey(&hub.api().message(SOURCE, &id.control_id())?)?;
    let runs = journey.get("runs").and_then(Value::as_array).ok_or("a journey without runs")?;
    Ok(runs.iter().filter_map(|run| run.get("state")?.as_str().map(str::to_owned)).collect())
}

/// (table, code, messages) of each line, and how many wait behind.
fn listed(hub: &Hub) -> Fallible<(Vec<Line>, u64)> {
    let page = hub.api().json("/api/v1/codes")?;
    let lines = page.get("codes").and_then(Value::as_array).ok_or("a page without codes")?;
    let text = |line: &Value, key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = |line: &Value| {
        (text(line, "table"), text(line, "code"), line.get("messages").and_then(Value::as_u64).unwrap_or(0))
    };
    Ok((lines.iter().map(line).collect(), page.get("behind").and_then(Value::as_u64).ok_or("no count")?))
}

fn numbers(ids: &[Id]) -> Vec<String> {
    ids.iter().map(|id| id.order_number()).collect()
}

fn has_metric(hub: &Hub, line: &str) -> Fallible<bool> {
    Ok(hub.api().text("/metrics")?.1.lines().any(|found| found == line))
}

#[test]
fn what_lacks_a_code_waits_with_its_lane_and_goes_once_and_in_order_when_the_code_is_added() -> Fallible<()> {
    let ward = Ward::new("codes-add")?;
    let hub = ward.launch.start()?;
    let (lane, other) = (orders_of_one_patient(9, 4), order_of_another());
    send(&hub, &[order(lane[0], "NX")?, order(lane[1], "NW")?, order(other, "NW")?, order(lane[2], "NX")?])?;
    until_all(&hub, &lane[..3], "held")?;
    until_state(&hub, &other.control_id(), "delivered")?;
    assert_eq!([why(&hub, lane[0])?, why(&hub, lane[1])?, why(&hub, lane[2])?], ["HUB0153", "HUB0412", "HUB0153"]);
    assert!(ward.delivered()?.into_values().flatten().eq(numbers(&[other])), "{:?}", ward.delivered()?);
    assert_eq!(listed(&hub)?, (vec![("order_control".to_owned(), "NX".to_owned(), 2)], 1));
    assert!(has_metric(&hub, "hub_held_messages{name=\"orders\"} 3")?);
    let table = ward.codes(&[], OK)?;
    assert!(table.contains("order_control  NX    ward    2") && table.contains("1 more waits behind"), "{table}");

    ward.codes(&["add", "order_control", "NX", "create"], OK)?;
    until_all(&hub, &lane[..3], "delivered")?;
    let patient = ward.delivered()?.into_values().find(|orders| orders.len() > 1).ok_or("nothing was released")?;
    assert_eq!(patient, numbers(&lane[..3]));
    assert_eq!(runs(&hub, lane[0])?, ["held", "mapped"]);
    assert_eq!(listed(&hub)?, (Vec::new(), 0));
    assert!(has_metric(&hub, "hub_held_messages{name=\"orders\"} 0")?);
    let file = ward.text(ORDER_CONTROL)?;
    assert!(file.contains("# new order") && file.lines().any(|line| line == "NX = \"create\""), "{file}");

    send(&hub, &[order(lane[3], "NX")?])?;
    until_state(&hub, &lane[3].control_id(), "delivered")?;
    assert_eq!(runs(&hub, lane[3])?, ["mapped"]);
    let again = ward.codes(&["add", "order_control", "NX", "cancel"], 1)?;
    assert!(again.contains("HUB0815"), "{again}");
    hub.stop()
}

#[test]
fn a_lane_waits_on_after_the_hub_was_killed_and_is_released_by_a_reload_or_a_start() -> Fallible<()> {
    let ward = Ward::new("codes-restart")?;
    let lane = orders_of_one_patient(9, 6);
    let mut killed = ward.launch.start()?;
    send(&killed, &[order(lane[0], "NX")?, order(lane[1], "NW")?])?;
    until_all(&killed, &lane[..2], "held")?;
    killed.process.kill()?;

    let hub = ward.launch.start()?;
    send(&hub, &[order(lane[2], "NW")?])?;
    until_state(&hub, &lane[2].control_id(), "held")?;
    assert_eq!(why(&hub, lane[2])?, "HUB0412");
    assert!(has_metric(&hub, "hub_held_messages{name=\"orders\"} 3")?);
    assert_eq!(ward.delivered()?, BTreeMap::new());
    ward.write_row(ORDER_CONTROL, "NX = \"create\"")?;
    hub.signal("HUP")?;
    until_all(&hub, &lane[..3], "delivered")?;
    send(&hub, &[order(lane[3], "NY")?, order(lane[4], "NW")?])?;
    until_all(&hub, &lane[3..5], "held")?;
    hub.stop()?;

    ward.write_row(ORDER_CONTROL, "NY = \"create\"")?;
    let later = ward.launch.start()?;
    send(&later, &[order(lane[5], "NW")?])?;
    until_all(&later, &lane, "delivered")?;
    assert!(ward.delivered()?.into_values().eq([numbers(&lane)]), "{:?}", ward.delivered()?);
    later.stop()
}

/// Starts with a crash at a point, over and over, until the hub does not come to it any more.
fn crash_until_through(launch: &Launch, point: &str) -> Fallible<(Hub, usize)> {
    let crashing = launch.with("HUB_CRASH_AT", point);
    for crashes in 0..20 {
        match crashing.spawn()?.until_ready()? {
            Started::Ended(..) => {}
            Started::Ready(mut hub) => {
                let ended = wait::until("all is released, or the hub is dead", PATIENCE, || {
                    if hub.process.has_ended()? {
                        return Ok(Some(true));
                    }
                    // The hub may die while it is asked.
                    Ok(listed(&hub).ok().filter(|(codes, behind)| codes.is_empty() && *behind == 0).map(|_| false))
                })?;
                if !ended {
                    return Ok((hub, crashes));
                }
            }
        }
    }
    Err(format!("{point} is reached again and again").into())
}

#[test]
fn what_a_crash_in_the_middle_of_a_release_left_goes_after_the_start_and_nothing_goes_twice() -> Fallible<()> {
    const SENT: usize = 300;
    let ward = Ward::new("codes-crash")?;
    let sent = orders(9, SENT);
    let first = ward.launch.start()?;
    let bodies = sent.iter().map(|id| order(*id, "NX")).collect::<Fallible<Vec<_>>>()?;
    send(&first, &bodies)?;
    wait::until("all are held", PATIENCE, || {
        let (codes, _) = listed(&first)?;
        Ok(codes.first().is_some_and(|(_, _, messages)| *messages == u64::try_from(SENT).unwrap_or(0)).then_some(()))
    })?;
    first.stop()?;
    ward.write_row(ORDER_CONTROL, "NX = \"create\"")?;

    let (hub, crashes) = crash_until_through(&ward.launch, "release.after_commit:1")?;
    assert!(crashes >= 2, "the release was through after {crashes} crashes");
    wait::until("all are delivered", PATIENCE, || {
        Ok((hub.api().messages("state=delivered")?.len() == SENT).then_some(()))
    })?;
    let mut expected = BTreeMap::<u64, Vec<String>>::new();
    for id in &sent {
        expected.entry(id.patient()).or_default().push(id.order_number());
    }
    let mut expected: Vec<Vec<String>> = expected.into_values().collect();
    let mut delivered: Vec<Vec<String>> = ward.delivered()?.into_values().collect();
    expected.sort();
    delivered.sort();
    assert_eq!(delivered, expected);
    hub.stop()
}

#[test]
fn a_crash_between_the_file_and_the_reload_costs_nothing() -> Fallible<()> {
    let ward = Ward::new("codes-written")?;
    let lane = orders_of_one_patient(9, 2);
    let mut crashing = ward.launch.with("HUB_CRASH_AT", "codes.after_write:1").start()?;
    send(&crashing, &[order(lane[0], "NX")?, order(lane[1], "NW")?])?;
    until_all(&crashing, &lane, "held")?;
    ward.codes(&["add", "order_control", "NX", "create"], 74)?;
    crashing.process.wait(PATIENCE)?;
    let hub = ward.launch.start()?;
    until_all(&hub, &lane, "delivered")?;
    assert!(ward.delivered()?.into_values().eq([numbers(&lane)]), "{:?}", ward.delivered()?);
    hub.stop()
}

#[test]
fn a_message_that_lacks_another_code_is_held_for_that_and_its_lane_waits_on() -> Fallible<()> {
    let ward = Ward::new("codes-two")?;
    ward.edit(ORDER_STATUS, "\"reject\"", "\"hold\"")?;
    let lane = orders_of_one_patient(9, 2);
    let hub = ward.launch.start()?;
    let first = String::from_utf8(order(lane[0], "NX")?)?;
    let with_status = first.replace("^WARD||||||||12345", "^WARD|ZZ|||||||12345");
    assert_ne!(with_status, first);
    send(&hub, &[with_status.into_bytes(), order(lane[1], "NW")?])?;
    until_all(&hub, &lane, "held")?;
    ward.codes(&["add", "order_control", "NX", "create"], OK)?;
    wait::until("it is held for the other code", PATIENCE, || {
        Ok((listed(&hub)?.0 == [("order_status".to_owned(), "ZZ".to_owned(), 1)]).then_some(()))
    })?;
    assert_eq!(ward.delivered()?, BTreeMap::new());
    ward.codes(&["add", "order_status", "ZZ", "active"], OK)?;
    until_all(&hub, &lane, "delivered")?;
    assert_eq!(
        (runs(&hub, lane[0])?, runs(&hub, lane[1])?),
        (["held", "held", "mapped"].map(str::to_owned).to_vec(), ["held", "mapped"].map(str::to_owned).to_vec(),)
    );
    assert!(ward.delivered()?.into_values().eq([numbers(&lane)]), "{:?}", ward.delivered()?);
    hub.stop()
}

#[test]
fn a_message_that_two_routes_hold_goes_once_by_each_and_another_route_does_not_wait() -> Fallible<()> {
    let ward = Ward::new("codes-routes")?;
    let archive = ward.folder.folder("archive")?;
    let more = format!(
        "\n[destination.archive]\nadapter = \"file\"\nfolder = \"{0}\"\nextension = \"json\"\n\
         \n[destination.raw]\nadapter = \"file\"\nfolder = \"{0}\"\nextension = \"hl7\"\n\
         \n[[route]]\nid = \"archive\"\nwhy = \"A copy.\"\nfrom = [\"ward\"]\nmap = \"rde_o11_to_prescription\"\nto = [\"archive\"]\n\
         \n[[route]]\nid = \"raw\"\nwhy = \"As it came.\"\nfrom = [\"ward\"]\nto = [\"raw\"]\n",
        archive.display()
    );
    ward.write_row("routes.toml", &more)?;
    let count = |extension: &str| -> Fallible<usize> {
        let files = fs::read_dir(&archive)?.collect::<Result<Vec<_>, _>>()?;
        Ok(files.iter().filter(|file| file.path().extension().is_some_and(|found| found == extension)).count())
    };
    let hub = ward.launch.start()?;
    let id = order_of_another();
    send(&hub, &[order(id, "NX")?])?;
    wait::until("the route without mapping delivers", PATIENCE, || Ok((count("hl7")? == 1).then_some(())))?;
    until_state(&hub, &id.control_id(), "held")?;
    ward.codes(&["add", "order_control", "NX", "create"], OK)?;
    until_state(&hub, &id.control_id(), "delivered")?;
    assert_eq!((count("json")?, count("hl7")?, ward.far.requests().len()), (1, 1, 1));
    assert_eq!(runs(&hub, id)?, ["held", "held", "mapped", "mapped", "mapped"]);
    hub.stop()
}

#[test]
fn what_is_refused_is_a_dead_letter_that_can_be_replayed_and_its_lane_goes_on() -> Fallible<()> {
    let ward = Ward::new("codes-refuse")?;
    let lane = orders_of_one_patient(9, 2);
    let hub = ward.launch.start()?;
    send(&hub, &[order(lane[0], "NX")?, order(lane[1], "NW")?])?;
    until_all(&hub, &lane, "held")?;
    let id = hub.api().message(SOURCE, &lane[0].control_id())?;
    let id = id.get("id").and_then(Value::as_str).ok_or("a message without id")?;
    let data = ward.launch.data.to_string_lossy();
    let early = command(&["replay", id, "--data", &data])?;
    assert!(String::from_utf8_lossy(&early.stderr).contains("HUB0411"), "{early:?}");

    ward.codes(&["refuse", "order_control", "NX", "--source", "elsewhere"], 1)?;
    ward.codes(&["refuse", "order_control", "NX", "--source", SOURCE], OK)?;
    until_state(&hub, &lane[0].control_id(), "dead-lettered")?;
    until_state(&hub, &lane[1].control_id(), "delivered")?;
    assert_eq!(hub.api().dead_letter_codes()?, ["HUB0153"]);
    assert!(ward.delivered()?.into_values().eq([numbers(&lane[1..])]), "{:?}", ward.delivered()?);
    ward.codes(&["add", "order_control", "NX", "create"], OK)?;
    let replayed = command(&["dead-letters", "replay", &format!("{id}.2"), "--data", &data])?;
    assert!(replayed.status.success(), "{replayed:?}");
    until_state(&hub, &lane[0].control_id(), "delivered")?;
    assert_eq!(ward.far.requests().len(), 2);
    hub.stop()
}

#[test]
fn a_row_with_which_the_configuration_would_be_wrong_is_not_written() -> Fallible<()> {
    let ward = Ward::new("codes-wrong")?;
    let before = ward.text(ORDER_CONTROL)?;
    let hub = ward.launch.start()?;
    let said = ward.codes(&["add", "order_control", "NX", "nonsense"], EXIT_CONFIGURATION)?;
    assert!(said.contains("HUB0119"), "{said}");
    assert!(ward.codes(&["add", "../routes", "NX", "create"], 1)?.contains("HUB0814"));
    assert_eq!(ward.text(ORDER_CONTROL)?, before);
    let folder = ward.folder.path().join("mappings/tables");
    let left = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    assert!(left.iter().all(|file| !file.file_name().to_string_lossy().starts_with('.')), "{left:?}");
    hub.stop()
}

#[test]
fn a_code_that_is_held_is_in_the_list_of_codes_and_nowhere_else() -> Fallible<()> {
    const CANARY: &str = "CANARYCODE";
    let ward = Ward::new("codes-canary")?;
    let hub = ward.launch.with("HUB_LOG", "trace").start()?;
    let id = order_of_another();
    send(&hub, &[order(id, CANARY)?])?;
    until_state(&hub, &id.control_id(), "held")?;
    assert_eq!(listed(&hub)?.0, [("order_control".to_owned(), CANARY.to_owned(), 1)]);
    let journey = hub.api().journey(&hub.api().message(SOURCE, &id.control_id())?)?;
    ward.codes(&["refuse", "order_control", CANARY], OK)?;
    until_state(&hub, &id.control_id(), "dead-lettered")?;
    let mut places = vec![("the journey", journey.to_string()), ("the log", hub.process.log())];
    for path in ["/metrics", "/api/v1/messages", "/api/v1/dead-letters"] {
        places.push((path, hub.api().text(path)?.1));
    }
    for (place, text) in places {
        assert!(!text.contains(CANARY), "{place} has the code: {text}");
    }
    hub.stop()
}
