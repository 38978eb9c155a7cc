//! Commands that work on files: configurations and messages.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn written(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn fixtures() -> Vec<PathBuf> {
    let folder = root().join("tests/fixtures/hl7v2");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 20, "{files:?}");
    files
}

#[tokio::test]
async fn every_configuration_of_the_repository_passes_its_checks_and_tests() {
    let (config, routes) = (written(&root().join("deploy/hub.toml")), written(&root().join("routes.toml")));
    let checked = hub(&["check", "--config", &config]).await.ended(Exit::Success);
    assert!(checked.printed.ends_with("files, no findings\n"), "{checked:?}");
    let json = hub(&["check", &routes, "--json"]).await.ended(Exit::Success).json();
    assert_eq!((&json["errors"], &json["warnings"]), (&Value::from(0), &Value::from(0)));
    let tests = hub(&["test", &routes, "--json"]).await.ended(Exit::Success).json();
    assert!(tests["passed"].as_u64().unwrap() > 20 && tests["failed"] == 0, "{tests}");
    let some = hub(&["test", &routes, "--only", "a new order"]).await.ended(Exit::Success).printed;
    assert!(some.lines().count() >= 3 && some.contains("passed"), "{some}");
}

#[tokio::test]
async fn a_broken_configuration_is_shown_with_places_and_ends_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let routes = folder.path().join("routes.toml");
    std::fs::write(&routes, "[[route]]\nidd = 'a'\nwhy = 'b'\nfrom = 'x'\nto = 'y'\n").unwrap();
    let routes = written(&routes);
    for command in ["check", "test"] {
        let ran = hub(&[command, &routes]).await.ended(Exit::Configuration);
        let said = format!("{}{}", ran.printed, ran.complaint);
        assert!(said.contains("routes.toml:2:1") && said.contains("did you mean `id`?"), "{said}");
    }
    let by_folder = hub(&["check", &written(folder.path()), "--json"]).await.ended(Exit::Configuration).json();
    assert_eq!(by_folder["errors"].as_u64(), u64::try_from(by_folder["findings"].as_array().unwrap().len()).ok());
    let missing = hub(&["check", "no/such/routes.toml"]).await.ended(Exit::Configuration);
    assert!(missing.printed.contains("HUB0100"), "{missing:?}");
}

#[tokio::test]
async fn a_test_that_fails_is_shown_with_what_differed() {
    let folder = tempfile::tempdir().unwrap();
    let routes = folder.path().join("routes.toml");
    let text = "[source.ward]\nadapter = 'hl7v2-mllp'\nlisten = '127.0.0.1:0'\n\
        [destination.out]\nadapter = 'file'\nfolder = 'out'\n\
        [[route]]\nid = 'all'\nwhy = 'All.'\nfrom = 'ward'\nto = 'out'\n\
        [[route.test]]\nname = 'goes nowhere'\ngiven = \"MSH|^~\\\\&|A|B|||||ADT^A01|1|P|2.5\"\ngoes = []\n";
    std::fs::write(&routes, text).unwrap();
    let ran = hub(&["test", &written(&routes)]).await.ended(Exit::Failed);
    let expected = [
        " RESULT  TEST                                   PLACE",
        " failed  all: goes nowhere                      routes.toml:12",
        "           expected to go to [], went to [out]",
        "1 test failed, 0 passed",
    ];
    assert_eq!(ran.printed.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_message_is_explained_by_route_and_rule() {
    let routes = written(&root().join("routes.toml"));
    let order = written(&root().join("tests/fixtures/hl7v2/rde_o11_new.hl7"));
    let explained = hub(&["explain", &order, "--routes", &routes]).await.ended(Exit::Success).printed;
    for part in
        ["RDE^O11", "UNICODE UTF-8", "hospital-prescriptions", "matches", "MSH-9.1 = \"RDE\"", "PID-3", "WENT NOWHERE"]
    {
        assert!(explained.contains(part), "{part} is not in {explained}");
    }
    let json = hub(&["explain", &order, "--routes", &routes, "--json", "--source", "kasr-al-ainy"]).await.json();
    assert_eq!(json["routes"][0]["matches"], true);
    assert_eq!(json["mappings"][0]["outputs"][0]["type"], "MedicationRequest");
    let other = written(&root().join("tests/fixtures/hl7v2/adt_a04_registration.hl7"));
    let unmatched = hub(&["explain", &other, "--routes", &routes]).await.ended(Exit::Success).printed;
    assert!(unmatched.contains("its condition does not hold"), "{unmatched}");
    let forced = hub(&["explain", &other, "--routes", &routes, "--mapping", "rde_o11_to_prescription"]).await;
    assert!(forced.ended(Exit::Failed).printed.contains("makes nothing: HUB01"), "an ADT has no order");
    hub(&["explain", &order, "--routes", &routes, "--source", "nowhere"]).await.ended(Exit::Usage);
    hub(&["explain", "no/such/file", "--routes", &routes]).await.ended(Exit::Io);
}

#[tokio::test]
async fn files_of_every_format_are_explained() {
    let routes = written(&root().join("routes.toml"));
    for (file, kind, mapping, outputs) in [
        ("xml/claim_submission.xml", "Claim.Submission", "claim_submission_to_fhir", 2),
        ("csv/medicine_directory.csv", "csv", "medicine_directory_to_fhir", 3),
        ("json/insurance_claim_request.json", "", "insurance_claim_request_to_fhir", 1),
        ("fhir/claim_pharmacy.json", "Claim", "claim_to_submission_xml", 1),
    ] {
        let path = written(&root().join("tests/fixtures").join(file));
        let explained = hub(&["explain", &path, "--routes", &routes, "--json"]).await.json();
        assert_eq!(explained["message"]["type"].as_str().unwrap_or_default(), kind, "{file}");
        let known = explained["mappings"].as_array().unwrap().iter().find(|one| one["mapping"] == mapping);
        let known = known.unwrap_or_else(|| panic!("{file}: {explained}"));
        assert_eq!(known["outputs"].as_array().unwrap().len(), outputs, "{file}");
        let nowhere: Vec<&str> =
            known["nowhere"].as_array().unwrap().iter().filter_map(|one| one["path"].as_str()).collect();
        let is_whole = mapping == "medicine_directory_to_fhir" || mapping == "insurance_claim_request_to_fhir";
        assert_eq!(nowhere.is_empty(), is_whole, "{file}: {nowhere:?}");
        assert!(known["written"][0]["from"].is_array(), "{file}");
    }
    let hostile = tempfile::tempdir().unwrap();
    let laughs = hostile.path().join("laughs.xml");
    std::fs::write(&laughs, "<!DOCTYPE l [<!ENTITY a \"ha\">]><l>&a;</l>").unwrap();
    let refused = hub(&["explain", &written(&laughs), "--routes", &routes]).await.ended(Exit::Failed);
    assert!(refused.complaint.contains("document type"), "{}", refused.complaint);
}

/// Words of the fields that hold patient data.
fn words_of_patients(body: &[u8]) -> Vec<String> {
    let Ok(document) = adapters::hl7v2::Document::read(body.to_vec().into(), Default::default()) else {
        return Vec::new();
    };
    let mut words = Vec::new();
    for segment in document.message().segments() {
        let fields: &[u16] = match segment.name() {
            "PID" => &[3, 5, 7, 11, 13, 19],
            "NTE" => &[3],
            "NK1" => &[2, 4, 5],
            "IN1" => &[16, 36],
            _ => &[],
        };
        for field in fields {
            for repetition in segment.field(*field).repetitions() {
                words.extend(repetition.components().map(|component| component.text().into_owned()));
            }
        }
    }
    // Short words and codes are in the names of segments and files too.
    words.retain(|word| {
        word.chars().count() > 5 && (!word.is_ascii() || word.bytes().any(|byte| byte.is_ascii_digit()))
    });
    words
}

#[tokio::test]
async fn explaining_shows_no_value_of_a_patient_unless_it_is_asked_to() {
    let routes = written(&root().join("routes.toml"));
    let mut shown = 0;
    // Each call reads the whole configuration: one message of a kind.
    let mut kinds = BTreeSet::new();
    let kind = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().chars().take(3).collect::<String>();
    for file in fixtures().into_iter().filter(|file| kinds.insert(kind(file))) {
        let words = words_of_patients(&std::fs::read(&file).unwrap());
        let file_name = written(&file);
        for flags in [&["--json"][..], &[]] {
            let arguments = [&["explain", &file_name, "--routes", &routes][..], flags].concat();
            let masked = hub(&arguments).await;
            let revealed = hub(&[&arguments[..], &["--reveal"]].concat()).await;
            for word in &words {
                assert!(!format!("{masked:?}").contains(word), "{word} of {} in {masked:?}", file.display());
                shown += usize::from(revealed.printed.contains(word));
            }
        }
    }
    assert!(shown > 50, "--reveal shows only {shown} words, so this test says nothing");
}

#[tokio::test]
async fn what_is_no_message_is_said_without_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let routes = written(&root().join("routes.toml"));
    for (name, text) in [("a.hl7", "CANARY 29912310199876"), ("a.json", "{\"name\": CANARY}")] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let ran = hub(&["explain", &written(&path), "--routes", &routes]).await.ended(Exit::Failed);
        assert!(!format!("{ran:?}").contains("CANARY"), "{ran:?}");
    }
}

/// Answers messages with these codes, in order, then goes away.
async fn listener(codes: &'static [&'static str]) -> (String, tokio::task::JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        // The first connection only shows that somebody listens.
        drop(listener.accept().await.unwrap());
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut bodies = Vec::new();
        for code in codes {
            let mut frame = Vec::new();
            while !frame.ends_with(&[0x1c, 0x0d]) {
                frame.push(connection.read_u8().await.unwrap());
            }
            let body = frame[1..frame.len() - 2].to_vec();
            let document = adapters::hl7v2::Document::read(body.clone().into(), Default::default()).unwrap();
            let id = document.message().header().control_id().raw().to_vec();
            bodies.push(body);
            let mut answer = format!("\u{b}MSH|^~\\&|X|Y|A|B|20260101||ACK|9|P|2.5.1\rMSA|{code}|").into_bytes();
            answer.extend(id);
            answer.extend(b"|CANARY\r\x1c\r");
            connection.write_all(&answer).await.unwrap();
        }
        bodies
    });
    (address, task)
}

#[tokio::test]
async fn messages_are_sent_in_order_and_their_answers_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.hl7");
    let text = "MSH|^~\\&|A|B|X|Y|20260101||ADT^A01|ID-1|P|2.5.1\nPID|1\nMSH|^~\\&|A|B|X|Y|20260101||ADT^A01|ID-2|P|2.5.1\nPID|2\n";
    std::fs::write(&path, text).unwrap();
    let (to, heard) = listener(&["AA", "AE"]).await;
    let ran = hub(&["send", &written(&path), "--to", &to]).await.ended(Exit::Failed);
    assert!(!ran.printed.contains("CANARY"), "{ran:?}");
    let rows: Vec<Vec<&str>> = ran.printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1][1..6], ["1", "ADT^A01", "ID-1", "accepted", "answered"]);
    assert_eq!(rows[2][1..6], ["2", "ADT^A01", "ID-2", "refused", "answered"]);
    assert!(ran.printed.ends_with(&format!("2 messages to {to}: 1 accepted, 1 refused, 0 failed\n")), "{ran:?}");
    let bodies = heard.await.unwrap();
    assert!(bodies[0].ends_with(b"\rPID|1\r") && bodies[1].ends_with(b"\rPID|2\r"));
}

#[tokio::test]
async fn nobody_who_listens_and_nowhere_to_send_are_told_apart() {
    let file = written(&root().join("tests/fixtures/hl7v2/rde_o11_new.hl7"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = hub(&["send", &file, "--to", &free]).await.ended(Exit::Io);
    assert!(ran.complaint.contains(&free), "{ran:?}");
    let folder = tempfile::tempdir().unwrap();
    let data = written(folder.path());
    hub(&["send", &file, "--data", &data]).await.ended(Exit::Io);
    let ready = "{\"pid\":1,\"http\":\"127.0.0.1:1\",\"mllp\":{\"a\":\"127.0.0.1:1\",\"b\":\"127.0.0.1:2\"}}";
    std::fs::write(folder.path().join("hub.ready.json"), ready).unwrap();
    let several = hub(&["send", &file, "--data", &data]).await.ended(Exit::Usage);
    assert!(several.complaint.contains("a, b"), "{several:?}");
    let plain = hub(&["send", &file, "--to", "192.0.2.1:2575"]).await.ended(Exit::Usage);
    assert!(plain.complaint.contains("--ca") && plain.complaint.contains("--insecure"), "{plain:?}");
}

#[tokio::test]
async fn a_source_of_the_running_hub_is_found_by_the_data_folder() {
    let (to, heard) = listener(&["CA"]).await;
    let folder = tempfile::tempdir().unwrap();
    let ready = format!("{{\"pid\":1,\"http\":\"127.0.0.1:1\",\"mllp\":{{\"ward\":\"{to}\"}}}}");
    std::fs::write(folder.path().join("hub.ready.json"), ready).unwrap();
    let file = written(&root().join("tests/fixtures/hl7v2/rde_o11_new.hl7"));
    let sent = hub(&["send", &file, "--data", &written(folder.path()), "--json"]).await.ended(Exit::Success).json();
    assert_eq!((&sent["accepted"], sent["to"].as_str()), (&Value::from(1), Some(to.as_str())));
    heard.await.unwrap();
}
