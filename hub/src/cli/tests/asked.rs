//! Commands that ask a running hub.

use super::*;
use crate::admin::fake::CANARY;
use crate::admin::{ReloadError, SearchBy};
use crate::store::{DeliveryState, MessageId, RunState};

/// A hub with one message delivered, one waiting, one dead; and the flags that lead there.
async fn busy() -> (std::sync::Arc<Fake>, crate::admin::fake::Served, Vec<MessageId>, String) {
    let fake = Fake::new().await;
    let body = format!("MSH|^~\\&|HIS|WARD||||||ORA-1|P|2.5.1\rPID|||1||{CANARY}\r");
    let mut ids = Vec::new();
    for (minute, state) in (0..).zip([DeliveryState::Delivered, DeliveryState::Waiting, DeliveryState::DeadLettered]) {
        let id = fake.message("ward", &format!("ORA-{minute}"), minute, body.as_bytes()).await;
        fake.run(id, state).await;
        ids.push(id);
    }
    let served = fake.serve();
    let http = served.address.to_string();
    (fake, served, ids, http)
}

#[actix_web::test]
async fn messages_are_listed_newest_first() {
    let (_fake, served, ids, http) = busy().await;
    let ran = hub(&["messages", "--http", &http]).await.ended(Exit::Success);
    let expected = format!(
        " ID           RECEIVED                       SOURCE  TYPE     CONTROL ID  STATE          ROUTES  WHY\n \
        {}  2026-11-05 07:32:00.000+00:00  ward    RDE^O11  ORA-2       dead-lettered  keep    HUB0501 the far system is silent\n \
        {}  2026-11-05 07:31:00.000+00:00  ward    RDE^O11  ORA-1       waiting        keep    HUB0501 the far system is silent\n \
        {}  2026-11-05 07:30:00.000+00:00  ward    RDE^O11  ORA-0       delivered      keep\n",
        ids[2], ids[1], ids[0]
    );
    assert_eq!(ran.printed, expected);
    let page = hub(&["messages", "--http", &http, "--limit", "1"]).await.ended(Exit::Success).printed;
    assert!(page.contains(&format!("--cursor {}", ids[2])), "{page}");
    let next = hub(&["messages", "--http", &http, "--cursor", &ids[2].to_string(), "--json"]).await.json();
    assert_eq!(next["messages"].as_array().unwrap().len(), 2);
    let none = hub(&["messages", "--http", &http, "--state", "refused"]).await.ended(Exit::Success);
    assert_eq!(none.printed, "no message is like this\n");
    let wrong = hub(&["messages", "--http", &http, "--state", "lost"]).await.ended(Exit::Failed);
    assert!(wrong.complaint.contains("HUB0801") && wrong.complaint.contains("dead-lettered"), "{wrong:?}");
    served.stop().await;
}

#[actix_web::test]
async fn a_patient_is_found_and_not_printed() {
    let (fake, served, ids, http) = busy().await;
    fake.index.lock().unwrap().insert((SearchBy::Patient, "29912310199876".to_owned()), vec![ids[0]]);
    let ran = hub(&["messages", "--http", &http, "--patient", "29912310199876"]).await.ended(Exit::Success);
    assert!(ran.printed.contains(&ids[0].to_string()) && !ran.printed.contains("29912310199876"), "{ran:?}");
    served.stop().await;
}

#[actix_web::test]
async fn a_message_is_shown_with_its_stages_and_its_bodies_only_if_asked_for() {
    let (_fake, served, ids, http) = busy().await;
    let id = ids[2].to_string();
    let ran = hub(&["message", &id, "--http", &http]).await.ended(Exit::Success);
    assert!(!ran.printed.contains(CANARY), "{ran:?}");
    let stages = " AT                             STAGE    NAME     OUTCOME        TOOK      WHY\n \
        2026-11-05 07:32:00.000+00:00  receive  ward     accepted\n \
        2026-11-05 07:32:00.000+00:00  map      keep     mapped\n \
        2026-11-05 07:32:01.000+00:00  deliver  archive  failed         1.500 ms  a few words\n \
        2026-11-05 07:32:01.000+00:00  deliver  archive  dead-lettered            HUB0501 the far system is silent\n";
    assert!(ran.printed.contains(stages), "{}", ran.printed);
    let delivery = format!(" {id}.1.1  MedicationRequest  create   21    archive  dead-lettered  1         HUB0501");
    assert!(ran.printed.contains(&delivery), "{}", ran.printed);
    let revealed = hub(&["message", &id, "--http", &http, "--reveal"]).await.ended(Exit::Success).printed;
    assert_eq!(revealed.matches(CANARY).count(), 3, "message, answer and output: {revealed}");
    assert!(revealed.contains("Body of the message:\n  MSH|^~\\&|HIS|WARD"), "{revealed}");
    let unknown = hub(&["message", "00000000000", "--http", &http]).await.ended(Exit::Failed);
    assert_eq!(unknown.complaint, "HUB0802 there is no such thing: there is no such message");
    served.stop().await;
}

#[actix_web::test]
async fn dead_letters_are_listed_shown_and_replayed() {
    let (fake, served, ids, http) = busy().await;
    let poisoned = fake.message("ward", "ORA-3", 3, b"MSH|").await;
    fake.end_by_run(poisoned, RunState::DeadLettered).await;
    let list = hub(&["dead-letters", "list", "--http", &http]).await.ended(Exit::Success).printed;
    assert_eq!(list.lines().count(), 3, "{list}");
    let (delivery, run) = (format!("{}.1.1", ids[2]), format!("{poisoned}.1"));
    assert!(list.contains(&delivery) && list.contains(&run), "{list}");
    let shown = hub(&["dead-letters", "show", &delivery, "--http", &http]).await.ended(Exit::Success).printed;
    assert!(shown.contains("dead-lettered") && !shown.contains(CANARY), "{shown}");
    let replayed = hub(&["dead-letters", "replay", "--all", "--http", &http]).await.ended(Exit::Success).printed;
    assert_eq!(replayed.matches("replayed").count(), 2, "{replayed}");
    assert_eq!(*fake.done.lock().unwrap(), [format!("run {poisoned}.1"), format!("delivery {delivery}")]);
    let mixed = hub(&["dead-letters", "replay", "nothing", &delivery, "--http", &http, "--json"]).await;
    let results = mixed.ended(Exit::Failed).json();
    assert_eq!(results["letters"][0]["replayed"], false);
    assert_eq!(results["letters"][1]["replayed"], true);
    served.stop().await;
}

#[actix_web::test]
async fn replay_and_reload_reach_the_hub_and_a_broken_configuration_ends_with_its_findings() {
    let (fake, served, ids, http) = busy().await;
    let id = ids[0].to_string();
    let ran = hub(&["replay", &id, "--http", &http]).await.ended(Exit::Success);
    assert!(ran.printed.starts_with(&format!("{id} has a new run")), "{ran:?}");
    hub(&["replay", "00000000000", "--http", &http]).await.ended(Exit::Failed);
    let reloaded = hub(&["reload", "--http", &http]).await.ended(Exit::Success).printed;
    assert!(reloaded.contains(&"0".repeat(64)), "{reloaded}");
    let broken = fake.folder.path().join("routes.toml");
    std::fs::write(&broken, "[[route]]\nidd = 1\n").unwrap();
    let findings = crate::routes::Configuration::load(&broken).unwrap_err();
    *fake.reload.lock().unwrap() = Err(ReloadError::Findings(findings));
    let refused = hub(&["reload", "--http", &http]).await.ended(Exit::Configuration);
    assert!(refused.complaint.contains("routes.toml:2:1"), "{refused:?}");
    assert!(refused.complaint.contains("did you mean `id`?"), "{refused:?}");
    served.stop().await;
}

#[actix_web::test]
async fn the_tap_prints_what_happens_until_it_has_enough() {
    let (fake, served, _, http) = busy().await;
    let tell = async {
        loop {
            fake.happens_if_watched("clinic");
            fake.happens_if_watched("ward");
            tokio::task::yield_now().await;
        }
    };
    let line = ["tap", "--http", &http, "--source", "ward", "--count", "2", "--json"];
    let watch = hub(&line);
    let ran = tokio::select! { ran = watch => ran, () = tell => panic!("the tap has not enough") };
    let journeys = ran.ended(Exit::Success).printed;
    let events: Vec<Value> = journeys.lines().map(|told| serde_json::from_str(told).unwrap()).collect();
    let told: Vec<&Value> = events.iter().filter(|event| event.get("stage").is_some()).collect();
    assert_eq!(told.len(), 2, "{journeys}");
    assert!(told.iter().all(|event| event["source"] == "ward"), "{journeys}");
    served.stop().await;
}

#[actix_web::test]
async fn the_hub_that_runs_on_the_data_folder_is_found_by_it() {
    let (fake, served, _, http) = busy().await;
    let data = fake.folder.path().to_string_lossy().into_owned();
    std::fs::write(
        fake.folder.path().join("hub.ready.json"),
        format!("{{\"pid\":1,\"http\":\"{http}\",\"mllp\":{{}}}}"),
    )
    .unwrap();
    hub(&["messages", "--data", &data]).await.ended(Exit::Success);
    served.stop().await;
    let gone = hub(&["messages", "--data", &data]).await.ended(Exit::Io);
    assert!(gone.complaint.contains(&http) && gone.complaint.contains("hub run"), "{gone:?}");
}

#[actix_web::test]
async fn what_is_no_hub_is_told_from_one() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await;
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        connection.write_all(answer.as_bytes()).await.unwrap();
    });
    let ran = hub(&["messages", "--http", &address]).await.ended(Exit::Failed);
    assert!(ran.complaint.contains("is no hub"), "{ran:?}");
    other.await.unwrap();
    let wrong = hub(&["messages", "--http", "not an address"]).await.ended(Exit::Usage);
    assert!(wrong.complaint.contains("127.0.0.1:8080"), "{wrong:?}");
}

/// Certificates of an authority, a hub, an operator, and somebody that no authority knows.
fn write_certificates(folder: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    write("authority.pem", authority.pem());
    for (file, name) in [("hub", "127.0.0.1"), ("operator", "operator.example")] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        write(&format!("{file}.pem"), params.signed_by(&key, &authority).unwrap().pem());
        write(&format!("{file}.key"), key.serialize_pem());
    }
    let key = KeyPair::generate().unwrap();
    let stranger = CertificateParams::new(vec!["stranger.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    write("stranger.pem", stranger.pem());
    write("stranger.key", key.serialize_pem());
}

#[actix_web::test]
async fn over_tls_only_holders_of_a_certificate_get_an_answer() {
    let fake = Fake::new().await;
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path());
    let server = "[http]\nlisten = '127.0.0.1:0'\n\
        tls = { certificate = 'hub.pem', key = 'hub.key', client_ca = 'authority.pem' }\n";
    let config_of = |name: &str, client: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{server}{client}")).unwrap();
        path.to_string_lossy().into_owned()
    };
    let config = config_of("hub.toml", "");
    let global = Global { config: Some(config.clone().into()), ..Global::default() };
    let settings = crate::config::Settings::load_for_run(&global, &RunArgs::default()).unwrap();
    let served = fake.serve_with(crate::admin::Options { http: settings.http, limits: settings.limits });
    let http = served.address.to_string();
    let ca = "[client]\nca = 'authority.pem'\n";
    let known = config_of("known.toml", &format!("{ca}certificate = 'operator.pem'\nkey = 'operator.key'\n"));
    hub(&["messages", "--config", &known, "--http", &http]).await.ended(Exit::Success);
    let stranger = config_of("stranger.toml", &format!("{ca}certificate = 'stranger.pem'\nkey = 'stranger.key'\n"));
    for refused in [config_of("nobody.toml", ca), stranger] {
        hub(&["messages", "--config", &refused, "--http", &http]).await.ended(Exit::Io);
    }
    hub(&["messages", "--http", &http]).await.ended(Exit::Io);
    served.stop().await;
}

#[actix_web::test]
async fn codes_are_listed_added_and_refused() {
    let (fake, served, _, http) = busy().await;
    assert_eq!(hub(&["codes", "--http", &http]).await.ended(Exit::Success).printed, "no message is held for a code\n");
    for (minute, code) in [(3, Some("SC")), (4, Some("SC")), (5, None)] {
        let id = fake.message("ward", &format!("H-{minute}"), minute, b"MSH|").await;
        fake.hold(id, code).await;
    }
    let listed = " TABLE   CODE  SOURCE  MESSAGES  OLDEST                         NEWEST\n \
        routes  SC    ward    2         2026-11-05 07:33:00.000+00:00  2026-11-05 07:34:00.000+00:00\n\
        1 more waits behind them\n";
    assert_eq!(hub(&["codes", "--http", &http]).await.ended(Exit::Success).printed, listed);
    assert_eq!(hub(&["codes", "list", "--table", "routes", "--http", &http]).await.printed, listed);
    let none = hub(&["codes", "--source", "clinic", "--http", &http, "--json"]).await.ended(Exit::Success).json();
    assert_eq!(none["codes"], serde_json::json!([]));
    let added = hub(&["codes", "add", "routes", "SC", "x", "--http", &http]).await.ended(Exit::Success).printed;
    assert!(added.starts_with("the table routes has the code; ") && added.contains(&"0".repeat(64)), "{added}");
    let coding = ["codes", "add", "routes", "IM", "--http", &http, "--coding", "urn:x", "1", "Into the muscle"];
    hub(&coding).await.ended(Exit::Success);
    let unknown = hub(&["codes", "add", "rooms", "SC", "x", "--http", &http]).await.ended(Exit::Failed);
    assert_eq!(unknown.complaint, "HUB0814 there is no such table");
    let refused = hub(&["codes", "refuse", "routes", "SC", "--http", &http]).await.ended(Exit::Success).printed;
    assert!(refused.starts_with("1 is a dead letter now"), "{refused}");
    hub(&["codes", "refuse", "routes", "ZZ", "--source", "ward", "--http", &http]).await.ended(Exit::Failed);
    served.stop().await;
    let done = fake.done.lock().unwrap();
    assert_eq!(done[0], "add routes SC Value(\"x\")");
    assert!(done[1].contains("display: Some(\"Into the muscle\")"), "{done:?}");
    assert_eq!(done[3..], ["refuse routes SC all", "refuse routes ZZ ward"]);
}
