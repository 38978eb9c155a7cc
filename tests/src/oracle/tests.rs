//! The judge is judged: a whole journal has no findings, and each way of breaking one is found and named.

use std::path::PathBuf;

use rusqlite::{Connection, params};

use super::*;
use crate::folder::Folder;
use crate::ledger::Event;

const SCHEMA: &str = include_str!("../../../migrations/sqlite/0001_journal.sql");
const SENT: u32 = 60;

/// A data folder as a hub without fault leaves it.
struct Scene {
    data: PathBuf,
    archive: PathBuf,
    ledger: Ledger,
    journal: Connection,
}

impl Scene {
    fn new(name: &str) -> Scene {
        let folder = Folder::new(&format!("oracle-{name}")).unwrap();
        let (data, archive) = (folder.folder("data").unwrap(), folder.folder("archive").unwrap());
        let ledger = Ledger::new(&folder.path().join("ledger.log")).unwrap();
        let journal = Connection::open(data.join("journal.db")).unwrap();
        journal.pragma_update(None, "synchronous", "OFF").unwrap();
        journal.execute_batch(SCHEMA).unwrap();
        // Scenes are about what the oracle sees, and leave out rows that it does not look at.
        journal.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        let scene = Scene { data, archive, ledger, journal };
        for number in 1..=SENT {
            scene.send(Id::new(1, number));
        }
        scene
    }

    fn send(&self, id: Id) {
        self.ledger.record(id, Event::Sent).unwrap();
        let refused = id.kind() == Kind::Training;
        self.ledger.record(id, if refused { Event::Negative } else { Event::Positive }).unwrap();
        self.message(id, i64::from(id.number) * 10, refused);
        if !refused {
            self.effects(id, i64::from(id.number) * 10);
        }
    }

    fn message(&self, id: Id, place: i64, refused: bool) {
        let lane = id.patient().to_be_bytes();
        let code = refused.then_some("HUB0101");
        let sql = "INSERT INTO message (id, received_at, source, principal, peer, sender, control_id, type, format, lane, identity, flags, cause, code, body, terms, checksum)
                   VALUES (?1, 0, 'oracle', '', '', '', ?2, '', 1, ?3, x'', 0, NULL, ?4, ?5, x'', 0)";
        self.journal.execute(sql, params![place, id.control_id(), lane, code, id.body()]).unwrap();
    }

    fn effects(&self, id: Id, place: i64) {
        for (run, destination) in [(1, CHANNEL), (2, ARCHIVE)] {
            self.delivery(id, place, run, destination);
        }
        self.journal.execute("INSERT INTO inbox VALUES ('prescription', ?1, 0)", [id.control_id()]).unwrap();
        self.event(place);
        std::fs::write(self.archive.join(id.control_id()), id.body()).unwrap();
        let sql = match id.kind() {
            Kind::Cancel(order) => format!(
                "UPDATE aggregate SET version = version + 1, state = 'cancelled' WHERE number = '{}'",
                order.order_number()
            ),
            Kind::Order | Kind::Training => format!(
                "INSERT INTO aggregate (kind, authority, number, version, state, changed_at, changed_by, body, checksum)
                 VALUES ('prescription', 'WARD', '{}', 1, 'active', 0, {place}, '{{}}', 0)",
                id.order_number()
            ),
        };
        self.journal.execute(&sql, []).unwrap();
    }

    fn delivery(&self, id: Id, place: i64, run: i64, destination: &str) {
        let sql = "INSERT INTO delivery (message_id, run_no, delivery_no, output_no, destination, lane, state, attempts, created_at, ended_at)
                   VALUES (?1, ?2, 1, 1, ?3, ?4, 10, 1, 0, ?1)";
        self.journal.execute(sql, params![place, run, destination, id.patient().to_be_bytes()]).unwrap();
    }

    fn event(&self, cause: i64) {
        let sql = "INSERT INTO message (received_at, source, principal, peer, sender, control_id, type, format, identity, flags, cause, body, terms, checksum)
                   VALUES (0, 'prescription.events', '', '', '', '', '', 2, x'', 0, ?1, x'', x'', 0)";
        self.journal.execute(sql, [cause]).unwrap();
    }

    fn change(&self, sql: &str) {
        assert!(self.journal.execute(sql, []).unwrap() > 0, "{sql} changed nothing");
    }

    fn judge(&self) -> Findings {
        Oracle::judge(&self.ledger, &Journal::open(&self.data).unwrap(), &self.archive).unwrap()
    }
}

/// Kinds of findings that are not empty.
fn kinds(findings: &Findings) -> Vec<&'static str> {
    let all = [
        ("lost", &findings.lost),
        ("doubled", &findings.doubled),
        ("reordered", &findings.reordered),
        ("wrong", &findings.wrong),
        ("phantom", &findings.phantom),
    ];
    all.into_iter().filter(|(_, list)| !list.is_empty()).map(|(name, _)| name).collect()
}

#[test]
fn a_hub_that_kept_the_law_has_no_findings() {
    let scene = Scene::new("whole");
    assert!(scene.judge().into_result().is_ok(), "{}", scene.judge());
}

#[test]
fn each_way_of_breaking_the_law_is_found_by_its_name() {
    let cases = [
        ("a message vanished", "DELETE FROM message WHERE control_id = 'ORA1-0000007'", "lost"),
        ("a delivery was never made", "DELETE FROM delivery WHERE message_id = 70 AND run_no = 2", "lost"),
        ("a delivery has no end", "UPDATE delivery SET state = 1, ended_at = NULL WHERE message_id = 70", "lost"),
        ("an effect is missing", "DELETE FROM aggregate WHERE number = 'OR1-0000007'", "lost"),
        ("an event is missing", "DELETE FROM message WHERE cause = 70", "lost"),
        ("an effect was made twice", "UPDATE aggregate SET version = 2 WHERE number = 'OR1-0000007'", "doubled"),
        ("an applied command left no key", "DELETE FROM inbox WHERE key = 'ORA1-0000007'", "wrong"),
        ("bytes were changed", "UPDATE message SET body = x'4d5348' WHERE id = 70", "wrong"),
        ("a good message died", "UPDATE delivery SET state = 13 WHERE message_id = 70 AND run_no = 1", "wrong"),
        ("a patient has two lanes", "UPDATE message SET lane = x'ff' WHERE id = 70", "wrong"),
        ("a refused message was taken", "UPDATE message SET code = NULL WHERE control_id = 'ORA1-0000005'", "phantom"),
        (
            "a message that nobody sent",
            "UPDATE message SET control_id = 'ORA9-0000001' WHERE control_id = 'ORA1-0000005'",
            "phantom",
        ),
    ];
    for (name, sql, kind) in cases {
        let scene = Scene::new("broken");
        scene.change(sql);
        let findings = scene.judge();
        assert!(kinds(&findings).contains(&kind), "{name}: {findings}");
    }
}

#[test]
fn a_message_that_was_taken_or_archived_twice_is_doubled() {
    let scene = Scene::new("twice");
    let id = Id::new(1, 7);
    scene.message(id, 1_000, false);
    assert!(kinds(&scene.judge()).contains(&"doubled"));

    let copied = Scene::new("copied");
    std::fs::write(copied.archive.join("again"), id.body()).unwrap();
    assert_eq!(kinds(&copied.judge()), ["doubled"]);
    std::fs::remove_file(copied.archive.join("again")).unwrap();
    std::fs::remove_file(copied.archive.join(id.control_id())).unwrap();
    assert_eq!(kinds(&copied.judge()), ["lost"]);
}

#[test]
fn a_later_message_of_a_lane_that_was_delivered_first_is_reordered() {
    let scene = Scene::new("reordered");
    let first = Id::new(1, 1);
    let mut later = (2..=SENT).map(|number| Id::new(1, number));
    let later = later.find(|id| id.patient() == first.patient() && id.kind() != Kind::Training).unwrap();
    let place = i64::from(later.number) * 10;
    scene.change(&format!("UPDATE delivery SET ended_at = {} WHERE message_id = 10", place + 1));
    assert_eq!(kinds(&scene.judge()), ["reordered"]);
}

#[test]
fn an_answer_that_was_lost_allows_none_or_one_effect_and_a_refusal_allows_none() {
    let scene = Scene::new("unknown");
    let id = Id::new(2, 1);
    scene.ledger.record(id, Event::Sent).unwrap();
    scene.ledger.record(id, Event::Unknown).unwrap();
    assert!(scene.judge().into_result().is_ok());
    scene.message(id, 2_000, false);
    assert_eq!(kinds(&scene.judge()), ["lost"], "taken, and without end");
    scene.effects(id, 2_000);
    assert!(scene.judge().into_result().is_ok(), "{}", scene.judge());

    let refused = Id::new(2, 2);
    scene.ledger.record(refused, Event::Sent).unwrap();
    scene.ledger.record(refused, Event::Negative).unwrap();
    scene.message(refused, 2_010, false);
    scene.effects(refused, 2_010);
    assert_eq!(kinds(&scene.judge()), ["phantom"]);
}
