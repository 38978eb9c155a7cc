//! Far systems that fail: what is tried again, what is not, and who has to wait for whom (H3, H5, H8).

use std::collections::BTreeMap;
use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::far::{Far, Reply};
use hub_tests::folder::Folder;
use hub_tests::hub::{Hub, Launch};
use hub_tests::mllp::{Connection, framed};
use hub_tests::payload::{HOT_PATIENTS, Id, orders};
use hub_tests::wait::{self, PATIENCE};
use hub_tests::ward::{self, SOURCE};
use serde_json::Value;

/// A hub that passes every message on as it came.
fn launch(folder: &Folder, destinations: &[(&str, String)]) -> Fallible<Launch> {
    let mut routes = format!(
        "[source.{SOURCE}]\nadapter = \"hl7v2-mllp\"\nlisten = \"127.0.0.1:0\"\nkey = 'PID-3[.5 = \"NI\"].1'\n"
    );
    for (name, settings) in destinations {
        routes.push_str(&format!("\n[destination.{name}]\n{settings}\n"));
    }
    for (name, _) in destinations {
        routes.push_str(&format!(
            "\n[[route]]\nid = \"to-{name}\"\nwhy = \"It gets what came.\"\nfrom = [\"{SOURCE}\"]\nto = [\"{name}\"]\n"
        ));
    }
    let routes = folder.write("routes.toml", routes)?;
    folder.copy_mappings()?;
    Ok(Launch::new(folder.path().join("data"), routes))
}

fn start(folder: &Folder, destinations: &[(&str, String)]) -> Fallible<Hub> {
    launch(folder, destinations)?.start()
}

fn http(url: &str) -> String {
    format!(
        "adapter = \"http\"\nurl = \"{url}\"\ntimeout = \"500ms\"\nretry = {{ first = \"20ms\", max = \"200ms\" }}\nparallel = 8"
    )
}

fn send(hub: &Hub, ids: &[Id]) -> Fallible<()> {
    assert_eq!(ward::send(hub, ids.iter().map(|id| id.body()))?, ids.len());
    Ok(())
}

fn state(hub: &Hub, id: Id) -> Fallible<String> {
    ward::state(hub, &id.control_id())
}

#[test]
fn a_delivery_whose_answer_is_missing_or_says_later_is_repeated_with_the_same_key_until_it_is_taken() -> Fallible<()> {
    let folder = Folder::new("delivery-repeat")?;
    let far = Far::new(|_, before| match before {
        0 => Reply::Status(500),
        1 => Reply::HangUp,
        2 => Reply::Silence,
        3 => Reply::With(429, "retry-after", "1"),
        _ => Reply::Status(202),
    })?;
    let hub = start(&folder, &[("far", http(&far.url()))])?;
    let id = orders(9, 1)[0];
    send(&hub, &[id])?;
    hub.api().drained(PATIENCE)?;
    assert_eq!(state(&hub, id)?, "delivered");
    let requests = far.requests();
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| request.body == id.body()));
    let keys: Vec<Option<&str>> = requests.iter().map(|request| request.header("idempotency-key")).collect();
    assert!(keys[0].is_some_and(|key| !key.is_empty()), "{keys:?}");
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let waited = requests[4].at - requests[3].at;
    assert!(waited >= Duration::from_millis(990), "Retry-After was 1 s, and it came after {waited:?}");
    hub.stop()
}

#[test]
fn an_attempt_under_way_when_the_hub_dies_is_recorded_as_unknown_each_time_and_counts() -> Fallible<()> {
    const DEATHS: usize = 2;
    let folder = Folder::new("delivery-deaths")?;
    let far = Far::new(|_, before| if before < DEATHS { Reply::Silence } else { Reply::Status(200) })?;
    let patient = http(&far.url()).replace("500ms", "60s");
    let launch = launch(&folder, &[("far", patient)])?;
    let id = orders(9, 1)[0];
    for death in 1..=DEATHS {
        let mut hub = launch.start()?;
        if death == 1 {
            send(&hub, &[id])?;
        }
        wait::until("the far system was asked", PATIENCE, || Ok((far.requests().len() == death).then_some(())))?;
        hub.process.kill()?;
    }
    let hub = launch.start()?;
    hub.api().drained(PATIENCE)?;
    let journey = hub.api().journey(&hub.api().message(SOURCE, &id.control_id())?)?;
    let attempts = journey.pointer("/runs/0/deliveries/0/attempts").and_then(Value::as_array).ok_or("no attempts")?;
    let verdicts: Vec<&str> = attempts.iter().filter_map(|one| one.get("verdict")?.as_str()).collect();
    assert_eq!(verdicts, ["unknown", "unknown", "delivered"], "{attempts:?}");
    hub.stop()
}

#[test]
fn a_delivery_that_the_far_system_will_never_take_is_a_dead_letter_after_one_attempt() -> Fallible<()> {
    let folder = Folder::new("delivery-reject")?;
    let far = Far::new(|_, _| Reply::Status(422))?;
    let hub = start(&folder, &[("far", http(&far.url()))])?;
    let id = orders(9, 1)[0];
    send(&hub, &[id])?;
    hub.api().drained(PATIENCE)?;
    assert_eq!(state(&hub, id)?, "dead-lettered");
    assert_eq!(far.requests().len(), 1);
    hub.stop()
}

#[test]
fn a_far_system_that_is_silent_does_not_slow_another() -> Fallible<()> {
    let folder = Folder::new("delivery-silent")?;
    let silent = Far::new(|_, _| Reply::Silence)?;
    let well = Far::new(|_, _| Reply::Status(200))?;
    let hub = start(&folder, &[("silent", http(&silent.url())), ("well", http(&well.url()))])?;
    let ids = orders(9, 300);
    send(&hub, &ids)?;
    wait::until("everything arrived where somebody answers", Duration::from_secs(10), || {
        Ok((well.requests().len() >= ids.len()).then_some(()))
    })?;
    assert!(!silent.requests().is_empty());
    assert_eq!(well.requests().len(), ids.len());
    hub.stop()
}

#[test]
fn the_order_of_a_key_is_kept_over_retries_and_a_poisoned_key_parks_alone() -> Fallible<()> {
    let folder = Folder::new("delivery-order")?;
    let ids = orders(9, 200);
    let poisoned = ids.iter().copied().find(|id| id.patient() == 0).ok_or("nobody is patient 0")?;
    let poison = poisoned.body();
    // Every message fails at first now and then; one never gets through.
    let far = Far::new(move |body, before| match before {
        _ if body == poison => Reply::Status(503),
        0 if body.len().is_multiple_of(3) => Reply::Status(500),
        _ => Reply::Status(200),
    })?;
    let hub = start(&folder, &[("far", http(&far.url()))])?;
    send(&hub, &ids)?;
    let is_parked = |id: &Id| id.patient() == poisoned.patient() && *id >= poisoned;
    let mut expected: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    for id in ids.iter().filter(|id| !is_parked(id)) {
        expected.entry(id.patient()).or_default().push(id.body());
    }
    let count: usize = expected.values().map(Vec::len).sum();
    let taken = wait::until("the other keys flow", PATIENCE, || {
        let taken: Vec<Vec<u8>> = far
            .requests()
            .into_iter()
            .filter(|request| request.reply == Reply::Status(200))
            .map(|request| request.body)
            .collect();
        Ok((taken.len() >= count).then_some(taken))
    })?;
    assert_eq!(taken.len(), count, "something behind the poisoned message went before it");
    for (patient, bodies) in expected {
        let found: Vec<&Vec<u8>> = taken.iter().filter(|body| bodies.contains(body)).collect();
        assert_eq!(found, bodies.iter().collect::<Vec<_>>(), "patient {patient} of {HOT_PATIENTS} hot ones");
    }
    hub.stop()
}

#[test]
fn a_route_to_a_channel_keeps_its_rate_and_holds_up_no_other() -> Fallible<()> {
    const SLOW: usize = 8;
    const PER_SECOND: u32 = 1;
    let folder = Folder::new("route-rate")?;
    let route = |id: &str, when: &str, limit: &str| {
        format!(
            "\n[[route]]\nid = \"{id}\"\nwhy = \"It has a rate, or none.\"\nfrom = [\"{SOURCE}\"]\nwhen = '{when}'\n\
             map = \"rde_o11_to_prescription\"\nto = [\"prescription\"]\n{limit}\n"
        )
    };
    let slow = format!("limit = {{ per_second = {PER_SECOND}, burst = 1 }}");
    let routes = folder.write(
        "routes.toml",
        format!(
            "[source.{SOURCE}]\nadapter = \"hl7v2-mllp\"\nlisten = \"127.0.0.1:0\"\n{}{}",
            route("slow", "MSH-8 = \"SLOW\"", &slow),
            route("fast", "not (MSH-8 = \"SLOW\")", "")
        ),
    )?;
    folder.copy_mappings()?;
    let hub = Launch::new(folder.path().join("data"), routes).start()?;
    let ids = orders(9, 2 * SLOW);
    let (slowly, at_once) = ids.split_at(SLOW);
    let watch = wait::Stopwatch::start();
    let mut connection = Connection::open(hub.mllp(SOURCE)?)?;
    for id in slowly {
        let body = String::from_utf8(id.body())?;
        let mut fields: Vec<&str> = body.splitn(9, '|').collect();
        fields[7] = "SLOW";
        connection.write(&framed(fields.join("|").as_bytes()))?;
        assert_eq!(connection.answer(PATIENCE)?.is_positive(), Some(true));
    }
    send(&hub, at_once)?;
    let delivered = |among: &[Id]| -> Fallible<usize> {
        let states = among.iter().map(|id| state(&hub, *id)).collect::<Fallible<Vec<String>>>()?;
        Ok(states.iter().filter(|state| *state == "delivered").count())
    };
    wait::until("what has no rate goes at once", PATIENCE, || Ok((delivered(at_once)? == SLOW).then_some(())))?;
    assert!(delivered(slowly)? < SLOW, "what has a rate is still on its way");
    wait::until("what has a rate goes at last", PATIENCE, || Ok((delivered(slowly)? == SLOW).then_some(())))?;
    let fastest = Duration::from_secs(u64::try_from(SLOW - 1)?) / PER_SECOND;
    assert!(watch.elapsed() >= fastest, "{:?} for {SLOW} messages", watch.elapsed());
    hub.stop()
}
