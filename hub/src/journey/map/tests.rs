//! What waits, what waits behind it, and what a release makes of it.

use super::*;
use crate::journey::hold::Held;
use crate::journey::{Only, WasHeld};
use crate::routes::Configuration;
use crate::store::MessageId;

const NOW: Timestamp = Timestamp(1_793_863_800_000_000);
const LANE: [u8; 16] = [1; 16];

const ROUTES: &str = r#"
[source.ward]
adapter = "hl7v2-mllp"
listen  = "127.0.0.1:0"

[destination.far]
adapter = "file"
folder  = "far"

[[route]]
id   = "patients"
why  = "It may be held."
from = ["ward"]
when = 'MSH-9.1 = "ADT"'
map  = "patient"
to   = ["far"]

[[route]]
id    = "in-any-order"
why   = "It may be held, and nothing behind it."
from  = ["ward"]
when  = 'MSH-9.1 = "ADT"'
map   = "patient"
to    = ["far"]
order = "none"

[[route]]
id   = "copies"
why  = "It is never held."
from = ["ward"]
to   = ["far"]
"#;

const MAPPING: &str = r#"
name    = "patient"
version = 1
from    = "hl7v2 ADT^A01"
to      = "fhir Patient"

[set]
gender          = 'PID-8 | table("sex")'
maritalStatus   = 'PID-16 | codeable_concept("status")'
"name[0].text"  = 'PID-5.1 | required'
"#;

/// A configuration whose tables have these rows.
fn live(number: i64, sex: &str, status: &str) -> Live {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("routes.toml", ROUTES);
    write("mappings/patient.toml", MAPPING);
    write("mappings/tables/sex.toml", &format!("name = 'sex'\nunknown = 'hold'\n[codes]\nF = 'female'\n{sex}\n"));
    let row = "{ system = 'urn:x', code = 'M' }";
    write("mappings/tables/status.toml", &format!("name = 'status'\nunknown = 'hold'\n[codes]\nM = {row}\n{status}\n"));
    let loaded = Configuration::load(&folder.path().join("routes.toml"));
    Live { configuration: loaded.unwrap_or_else(|findings| panic!("{findings}")).configuration, number }
}

fn of(number: i64, pid: &str) -> Journaled {
    Journaled {
        id: MessageId(number),
        received_at: NOW,
        source: "ward".into(),
        control_id: format!("A-{number}").into(),
        lane: Some(LANE),
        format: Format::Hl7v2,
        body: format!("MSH|^~\\&|HIS|WARD|||20261105||ADT^A01|A-{number}|P|2.5.1\rPID|{pid}\r").into(),
        next_run: 1,
        only: None,
        held: None,
    }
}

/// A patient of sex X, whom the table does not know.
fn unknown(number: i64) -> Journaled {
    of(number, "1||||حسن|||X")
}

fn known(number: i64) -> Journaled {
    of(number, "1||||حسن|||F")
}

/// The message as the release of its first run on the route `patients` finds it.
fn released(message: Journaled, code: Option<(&str, &str)>) -> Journaled {
    let code = code.map(|(table, code)| AwaitedCode { table: table.into(), code: code.into() });
    Journaled {
        next_run: 4,
        only: Some(Only { route: "patients".into(), destination: None }),
        held: Some(WasHeld { run_no: 1, lane: Some(LANE), code }),
        ..message
    }
}

fn run(live: &Live, message: &Journaled, held: &mut View) -> Mapped {
    map(live, &Keys::from_secret([0; 32]), message, NOW, held)
}

fn nothing() -> View {
    View::of(Arc::default())
}

/// The lane of the messages is held on the route `patients`.
fn something() -> View {
    let mut held = Held::default();
    held.add(&Place { route: "patients".into(), lane: Some(LANE) });
    View::of(Arc::new(held))
}

/// Route and state of each run.
fn runs(mapped: &Mapped) -> Vec<(&str, RunState)> {
    mapped.runs.iter().map(|(route, state)| (&**route, *state)).collect()
}

/// Code of the cause of each run that has one.
fn causes(mapped: &Mapped) -> Vec<String> {
    let cause = |row: &Row| if let Row::Run(run) = row { run.cause.clone() } else { None };
    mapped.rows.iter().filter_map(cause).map(|cause| cause.code.to_string()).collect()
}

fn holds(mapped: &Mapped) -> Vec<&NewHeld> {
    mapped.rows.iter().filter_map(|row| if let Row::Hold(held) = row { Some(held) } else { None }).collect()
}

#[test]
fn a_message_that_lacks_a_code_is_held_on_the_routes_that_need_it_and_keeps_its_lane_there() {
    let live = live(1, "", "");
    let mut held = nothing();
    let mapped = run(&live, &unknown(1), &mut held);
    use RunState::{Held, Mapped};
    assert_eq!(runs(&mapped), [("patients", Held), ("in-any-order", Held), ("copies", Mapped)]);
    assert_eq!(causes(&mapped), ["HUB0153", "HUB0153"]);
    assert_eq!(mapped.answered(), Answered::Taken, "its sender is told nothing else than before");
    let [first, second] = holds(&mapped)[..] else { panic!("two are held") };
    assert_eq!((first.lane, second.lane), (Some(LANE), None));
    assert_eq!(first.code, Some(AwaitedCode { table: "sex".into(), code: "X".into() }));

    let behind = run(&live, &known(2), &mut held);
    assert_eq!(runs(&behind), [("patients", Held), ("in-any-order", Mapped), ("copies", Mapped)]);
    assert_eq!((causes(&behind), &holds(&behind)[0].code), (vec!["HUB0412".to_owned()], &None));
    let elsewhere = run(&live, &Journaled { lane: Some([2; 16]), ..known(3) }, &mut held);
    assert!(holds(&elsewhere).is_empty());
    assert!(holds(&run(&live, &Journaled { lane: None, ..known(4) }, &mut held)).is_empty());
}

#[test]
fn what_waits_behind_and_lacks_a_code_itself_is_listed_with_it() {
    let mapped = run(&live(1, "", ""), &unknown(2), &mut something());
    assert_eq!(holds(&mapped)[0].code.as_ref().map(|awaited| &*awaited.code), Some("X"));
}

#[test]
fn a_release_takes_the_place_of_the_held_run_on_its_route_alone() {
    let message = released(unknown(1), Some(("sex", "X")));
    let mapped = run(&live(2, "X = 'other'", ""), &message, &mut something());
    assert!(matches!(mapped.rows[0], Row::LetGo(RunId { message: MessageId(1), run_no: 1 })), "{:?}", mapped.rows);
    assert_eq!(runs(&mapped), [("patients", RunState::Mapped)]);
    assert_eq!(mapped.launches[0].id, DeliveryId { message: MessageId(1), run_no: 4, delivery_no: 1 });
    assert_eq!(mapped.lets_go, Some(Place { route: "patients".into(), lane: Some(LANE) }));
    assert_eq!(mapped.sticks, None);
}

#[test]
fn what_lacks_the_same_code_still_changes_nothing_and_its_lane_waits_on() {
    let live = live(2, "Y = 'other'", "");
    let mut held = something();
    let mapped = run(&live, &released(unknown(1), Some(("sex", "X"))), &mut held);
    assert!(mapped.rows.is_empty() && mapped.lets_go.is_none() && mapped.holds.is_empty());
    assert!(mapped.sticks.is_some());
    let next = run(&live, &released(known(2), None), &mut held);
    assert!(next.rows.is_empty() && next.sticks.is_some(), "it would overtake the first");
}

#[test]
fn what_lacks_another_code_is_held_for_that_by_a_new_run() {
    let two = of(1, "1||||حسن|||X||||||||W");
    let mut held = something();
    let mapped = run(&live(2, "X = 'other'", ""), &released(two, Some(("sex", "X"))), &mut held);
    assert!(matches!(mapped.rows[0], Row::LetGo(_)));
    assert_eq!(runs(&mapped), [("patients", RunState::Held)]);
    let again = holds(&mapped)[0];
    assert_eq!((again.id.run_no, again.code.as_ref().map(|awaited| &*awaited.table)), (4, Some("status")));
    assert!(mapped.sticks.is_some() && held.is_stuck("patients", Some(LANE)));
}

#[test]
fn a_release_that_fails_otherwise_ends_and_its_lane_goes_on() {
    let nameless = released(of(1, "1|||||||X"), Some(("sex", "X")));
    let mut held = something();
    let mapped = run(&live(2, "X = 'other'", ""), &nameless, &mut held);
    assert_eq!((runs(&mapped), causes(&mapped)), (vec![("patients", RunState::Refused)], vec!["HUB0150".to_owned()]));
    assert!(mapped.lets_go.is_some() && mapped.sticks.is_none());
    let cause = Cause::new("HUB0401", "charged");
    let buried = bury(&live(2, "", ""), &released(unknown(1), None), cause, NOW);
    assert_eq!(runs(&buried), [("patients", RunState::DeadLettered)]);
    assert!(matches!(buried.rows[..], [Row::LetGo(_), Row::Run(_)]));
}

#[test]
fn what_is_held_on_a_route_that_is_gone_waits_for_it_and_what_its_route_takes_no_more_is_filtered() {
    let live = live(2, "X = 'other'", "");
    let mut gone = released(unknown(1), None);
    gone.only = Some(Only { route: "gone".into(), destination: None });
    assert!(run(&live, &gone, &mut nothing()).rows.is_empty());
    let mut other = released(unknown(1), None);
    other.body = String::from_utf8(other.body.to_vec()).unwrap().replace("ADT^A01", "ORU^R01").into();
    let filtered = run(&live, &other, &mut something());
    assert_eq!(runs(&filtered), [("patients", RunState::Filtered)]);
    assert!(matches!(filtered.rows[0], Row::LetGo(_)));
}

#[test]
fn what_cannot_wait_is_a_dead_letter() {
    let live = live(1, "", "");
    let long = of(1, &format!("1||||حسن|||{}", "X".repeat(CODE_CHARS_MAX + 1)));
    assert_eq!(runs(&run(&live, &long, &mut nothing()))[0], ("patients", RunState::DeadLettered));
    let mut full = View::of(Arc::new(Held::full()));
    let mapped = run(&live, &unknown(2), &mut full);
    assert_eq!((runs(&mapped)[0], &*causes(&mapped)[0]), (("patients", RunState::DeadLettered), "HUB0153"));
    assert!(holds(&mapped).is_empty() && !full.keeps("patients", Some(LANE)));
}
