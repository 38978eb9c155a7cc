//! Programs that other people wrote send to the hub, take from it and judge what it says (HL7 v2.5.1 section 2.9).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::folder::Folder;
use hub_tests::hub::{Hub, Launch};
use hub_tests::peer::{Answered, PEERS, Peer, SCENARIOS};
use hub_tests::ward::{ORDERS, SOURCE};

/// MSH-15 and MSH-16, and the answers to a message that is taken and applied.
const MODES: [(&str, &str, &[&str]); 12] = [
    ("", "", &["AA"]),
    ("NE", "NE", &[]),
    ("AL", "NE", &["CA"]),
    ("SU", "NE", &["CA"]),
    ("ER", "NE", &[]),
    ("NE", "AL", &["AA"]),
    ("", "AL", &["AA"]),
    ("AL", "AL", &["CA", "AA"]),
    ("AL", "ER", &["CA"]),
    ("ER", "AL", &["AA"]),
    ("SU", "SU", &["CA", "AA"]),
    ("ER", "ER", &[]),
];
/// The same for a message that may not be taken.
const MODES_OF_REFUSALS: [(&str, &str, &[&str]); 5] =
    [("", "", &["AR"]), ("NE", "NE", &[]), ("AL", "NE", &["CR"]), ("SU", "NE", &[]), ("ER", "NE", &["CR"])];
const APPLIED_WITHIN: Duration = Duration::from_secs(30);

/// An order of one patient. Everything but the given fields is the same each time.
#[derive(Clone, Copy)]
struct Order<'a> {
    control_id: &'a str,
    modes: (&'a str, &'a str),
    processing: &'a str,
}

impl<'a> Order<'a> {
    fn new(control_id: &'a str) -> Order<'a> {
        Order { control_id, modes: ("", ""), processing: "P" }
    }

    fn body(&self) -> String {
        let Order { control_id, modes: (accept, application), processing } = self;
        [
            &format!("MSH|^~\\&|HIS|WARD^1.2.818.1.1^ISO|NDPHUB|HEALTHFLOW|20261105093015+0200||RDE^O11^RDE_O11|{control_id}|{processing}|2.5.1|||{accept}|{application}|EGY|UNICODE UTF-8"),
            "PID|1||28001010100013^^^EGNID^NI||السيد^محمد",
            &format!("ORC|NW|{control_id}^HIS||||||||||12345^حسن^علي"),
            "RXE||6221234567891^AUGMENTIN 1G TAB^GTIN|1||TAB^Tablet^HL70292",
            "NTE|1|P|بعد الأكل\\.br\\قرص كل ١٢ ساعة",
            "TQ1|||BID",
            "RXR|PO^Oral^HL70162",
            "",
        ]
        .join("\r")
    }

    fn write(&self, folder: &Folder) -> Fallible<PathBuf> {
        folder.write(&format!("sent/{}.hl7", self.control_id), self.body())
    }
}

/// Starts a hub that takes orders and forwards each to the given destinations as it came.
fn start(folder: &Folder, destinations: &BTreeMap<&str, String>) -> Fallible<Hub> {
    let mut routes = format!(
        r#"
[source.{SOURCE}]
adapter         = "hl7v2-mllp"
listen          = "127.0.0.1:0"
key             = 'PID-3[.5 = "NI"].1'
application_ack = true
{ORDERS}"#
    );
    for (name, settings) in destinations {
        routes.push_str(&format!(
            r#"
[destination.{name}]
{settings}

[[route]]
id   = "to-{name}"
why  = "A foreign system gets what came."
from = ["{SOURCE}"]
to   = ["{name}"]
"#
        ));
    }
    let routes = folder.write("routes.toml", routes)?;
    folder.copy_mappings()?;
    Launch::new(folder.path().join("data"), routes).start()
}

fn archive(folder: &Folder) -> Fallible<(PathBuf, String)> {
    let path = folder.folder("archive")?;
    let settings = format!("adapter = \"file\"\nfolder = \"{}\"\nextension = \"hl7\"", path.display());
    Ok((path, settings))
}

fn mllp(port: u16) -> String {
    format!("adapter = \"hl7v2-mllp\"\nconnect = \"127.0.0.1:{port}\"\nretry = {{ first = \"50ms\", max = \"1s\" }}")
}

/// The state of a message once nothing more happens to it.
fn end_state(hub: &Hub, control_id: &str) -> Fallible<String> {
    hub.api().drained(APPLIED_WITHIN)?;
    hub.api().state(SOURCE, control_id)
}

/// The codes that answered each message, in the order in which they came.
fn codes(answers: &[Answered]) -> BTreeMap<&str, Vec<&str>> {
    let mut codes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for answer in answers {
        let (code, control_id) = answer.pair();
        codes.entry(control_id).or_default().push(code);
    }
    codes
}

/// What a peer makes of a body before it leaves: the client of `node-hl7-client` drops the last segment's end.
fn as_sent(peer: Peer, scenario: &str, body: String) -> String {
    match (peer, scenario) {
        (_, "lf") => body.replace('\r', "\n"),
        (Peer::Node, "clean") => body.trim_end_matches('\r').to_owned(),
        _ => body,
    }
}

fn contents(folder: &Path) -> Fallible<Vec<Vec<u8>>> {
    std::fs::read_dir(folder)?.map(|file| Ok(std::fs::read(file?.path())?)).collect()
}

#[test]
fn every_peer_is_answered_in_every_scenario_and_its_bytes_arrive_as_they_were() -> Fallible<()> {
    let folder = Folder::new("peers-send")?;
    let (archived, settings) = archive(&folder)?;
    let hub = start(&folder, &BTreeMap::from([("archive", settings)]))?;
    let mut sent_as_they_are = Vec::new();
    for peer in PEERS {
        for scenario in SCENARIOS {
            let ids = [1, 2, 3].map(|number| format!("{peer:?}-{scenario}-{number}"));
            let mut files = Vec::new();
            for id in &ids {
                files.push(Order::new(id).write(&folder)?);
            }
            let answers = peer.send(hub.mllp(SOURCE)?, scenario, ids.len(), &files)?;
            let expected: Vec<(&str, &str)> = ids.iter().map(|id| ("AA", id.as_str())).collect();
            let found: Vec<(&str, &str)> = answers.iter().map(Answered::pair).collect();
            assert_eq!(found, expected, "{peer:?} {scenario}");
            assert!(answers.iter().all(|answer| answer.version == "2.5.1"), "{answers:?}");
            for id in &ids {
                assert_eq!(end_state(&hub, id)?, "delivered", "{peer:?} {scenario} {id}");
                let body = Order::new(id).body();
                sent_as_they_are.push(as_sent(peer, scenario, body).into_bytes());
            }
        }
    }
    let mut arrived = contents(&archived)?;
    arrived.sort();
    sent_as_they_are.sort();
    assert_eq!(arrived, sent_as_they_are);
    hub.stop()
}

#[test]
fn each_acknowledgement_mode_is_answered_as_its_table_says() -> Fallible<()> {
    let folder = Folder::new("peers-modes")?;
    let hub = start(&folder, &BTreeMap::new())?;
    for peer in PEERS {
        let mut files = Vec::new();
        let mut expected = BTreeMap::new();
        let tables = [(MODES.as_slice(), "P"), (MODES_OF_REFUSALS.as_slice(), "T")];
        for (modes, processing) in tables {
            for (accept, application, answers) in modes {
                let id = format!("{peer:?}-{processing}-{accept}-{application}");
                files.push(Order { modes: (accept, application), processing, ..Order::new(&id) }.write(&folder)?);
                if !answers.is_empty() {
                    expected.insert(id, answers.to_vec());
                }
            }
        }
        // The last one is in the lane of all others: when it has been applied, nothing more comes for them.
        let last = format!("{peer:?}-last");
        files.push(Order { modes: ("AL", "AL"), ..Order::new(&last) }.write(&folder)?);
        expected.insert(last, vec!["CA", "AA"]);
        let count = expected.values().map(Vec::len).sum();
        let answers = peer.send(hub.mllp(SOURCE)?, "pipelined", count, &files)?;
        let expected: BTreeMap<&str, Vec<&str>> =
            expected.iter().map(|(id, codes)| (id.as_str(), codes.clone())).collect();
        assert_eq!(codes(&answers), expected, "{peer:?}");
    }
    hub.stop()
}

#[test]
fn every_answer_passes_the_strict_validation_of_other_libraries() -> Fallible<()> {
    let folder = Folder::new("peers-judge")?;
    let hub = start(&folder, &BTreeMap::new())?;
    let good = Order::new("JUDGE-1").write(&folder)?;
    let training = Order { processing: "T", ..Order::new("JUDGE-2") }.write(&folder)?;
    let unnamed = folder.write("sent/unnamed.hl7", Order::new("").body())?;
    let version = folder.write("sent/version.hl7", Order::new("JUDGE-4").body().replace("|2.5.1|", "|9.9|"))?;
    let enhanced = Order { modes: ("AL", "AL"), ..Order::new("JUDGE-5") }.write(&folder)?;
    let answers =
        Peer::Python.send(hub.mllp(SOURCE)?, "pipelined", 6, &[good, training, unnamed, version, enhanced])?;
    let found: Vec<(&str, &str)> = answers.iter().map(Answered::pair).collect();
    let expected =
        [("AA", "JUDGE-1"), ("AR", "JUDGE-2"), ("AR", ""), ("AR", "JUDGE-4"), ("CA", "JUDGE-5"), ("AA", "JUDGE-5")];
    assert_eq!(found, expected);
    let errors: Vec<Vec<&str>> =
        answers.iter().map(|answer| answer.errors.iter().map(String::as_str).collect()).collect();
    assert_eq!(errors[..5], [vec![], vec!["202"], vec!["101"], vec!["203"], vec![]], "{answers:?}");

    let mut files = Vec::new();
    for (number, answer) in answers.iter().enumerate() {
        files.push(folder.write(&format!("answers/{number}.hl7"), &answer.answer.text)?);
    }
    // MSA-2 is required, and cannot be there when MSH-10 was not.
    files.remove(2);
    for judge in [Peer::Python, Peer::Java] {
        assert_eq!(judge.judge(&files)?, Vec::<String>::new(), "{judge:?}");
    }
    hub.stop()
}

#[test]
fn an_order_that_another_library_assembled_becomes_a_prescription() -> Fallible<()> {
    let folder = Folder::new("peers-build")?;
    let hub = start(&folder, &BTreeMap::new())?;
    for peer in PEERS {
        let id = format!("{peer:?}-BUILT");
        let file = folder.write(&format!("sent/{id}.hl7"), "")?;
        peer.build(&file, &id, &format!("ORD-{id}"))?;
        let answers = peer.send(hub.mllp(SOURCE)?, "clean", 1, &[file])?;
        assert_eq!(answers.iter().map(Answered::pair).collect::<Vec<_>>(), [("AA", id.as_str())]);
        assert_eq!(end_state(&hub, &id)?, "delivered", "{peer:?}");
    }
    hub.stop()
}

#[test]
fn every_peer_takes_what_the_hub_delivers_byte_for_byte() -> Fallible<()> {
    let folder = Folder::new("peers-take")?;
    let mut listeners = Vec::new();
    let mut destinations = BTreeMap::new();
    for (peer, name) in PEERS.into_iter().zip(["python", "node", "java"]) {
        let listener = peer.listen(&folder.folder(&format!("taken-by-{name}"))?, "AA")?;
        destinations.insert(name, mllp(listener.port()));
        listeners.push((peer, listener));
    }
    let hub = start(&folder, &destinations)?;
    let ids = ["TAKE-1", "TAKE-2", "TAKE-3"];
    let mut files = Vec::new();
    for id in ids {
        files.push(Order::new(id).write(&folder)?);
    }
    Peer::Python.send(hub.mllp(SOURCE)?, "clean", ids.len(), &files)?;
    for id in ids {
        assert_eq!(end_state(&hub, id)?, "delivered");
    }
    for (peer, listener) in &listeners {
        let mut taken: Vec<String> = Vec::new();
        while taken.len() < ids.len() {
            let (id, file) = listener.message()?;
            // A library may drop the end of the last segment; nothing else may differ.
            let body = String::from_utf8(std::fs::read(file)?)?;
            assert_eq!(body.trim_end_matches('\r'), Order::new(&id).body().trim_end_matches('\r'), "{peer:?}");
            // The server of node answers a connection's second message wrongly; the hub asks again, with the same id.
            if *peer != Peer::Node || !taken.contains(&id) {
                taken.push(id);
            }
        }
        assert_eq!(taken, ids, "{peer:?}");
    }
    hub.stop()
}

#[test]
fn what_a_peer_refuses_is_a_dead_letter_after_one_attempt() -> Fallible<()> {
    for (peer, code) in [(Peer::Python, "AR"), (Peer::Java, "AE"), (Peer::Node, "AR")] {
        let folder = Folder::new(&format!("peers-refuse-{code}"))?;
        let taken = folder.folder("taken")?;
        let listener = peer.listen(&taken, code)?;
        let hub = start(&folder, &BTreeMap::from([("far", mllp(listener.port()))]))?;
        let file = Order::new("REFUSED-1").write(&folder)?;
        Peer::Python.send(hub.mllp(SOURCE)?, "clean", 1, &[file])?;
        assert_eq!(end_state(&hub, "REFUSED-1")?, "dead-lettered", "{peer:?} answered {code}");
        assert_eq!(contents(&taken)?.len(), 1, "{peer:?} answered {code}");
        hub.stop()?;
    }
    Ok(())
}
