//! Laws that hold for every run of commands, tried on random ones.

use proptest::prelude::*;

use super::*;

/// What a store would hold.
type Store = HashMap<OrderIdentity, Prescription>;

fn held_by<'a>(store: &'a Store, command: &Command) -> Held<'a> {
    let prior = command.replaces.as_ref().and_then(|prior| store.get(prior));
    Held { order: store.get(&command.order), prior }
}

fn keep(store: &mut Store, effects: Effects) {
    for line in effects.states {
        store.insert(line.order.clone(), line);
    }
}

/// The event that tells a change from one state to another.
fn fitting_event(before: Option<Status>, after: Status) -> Vec<EventKind> {
    match (before, after) {
        (None, Status::Draft) => vec![EventKind::Received],
        (None | Some(Status::Draft), Status::Active) => vec![EventKind::Issued],
        (Some(Status::Suspended), Status::Active) => vec![EventKind::Resumed],
        (Some(Status::Active), Status::Suspended) => vec![EventKind::Suspended],
        (Some(one), two) if one == two && !one.is_final() => vec![EventKind::Amended],
        (Some(Status::Draft | Status::Active | Status::Suspended), Status::Cancelled) => vec![EventKind::Cancelled],
        (Some(Status::Active | Status::Suspended), Status::Stopped) => vec![EventKind::Stopped],
        (None | Some(Status::Draft | Status::Active | Status::Suspended), Status::Expired) => vec![EventKind::Expired],
        _ => vec![],
    }
}

fn check_effects(store: &Store, effects: &Effects) {
    assert_eq!(effects.states.len(), effects.events.len());
    for (after, event) in effects.states.iter().zip(&effects.events) {
        let before = store.get(&after.order);
        assert!(before.is_none_or(|line| !line.status.is_final()), "{before:?} was left");
        assert_eq!(after.version, before.map_or(0, |line| line.version) + 1);
        assert_eq!(event.sequence, after.version);
        assert!(fitting_event(before.map(|line| line.status), after.status).contains(&event.kind), "{effects:?}");
        assert_eq!(event.subject, after.number.number().as_str());
        assert_eq!(resource(after)["status"], after.status.fhir());
        assert!(before.is_none_or(|line| line.number == after.number));
    }
    let mut ids: Vec<&str> = effects.events.iter().map(|event| event.id.as_str()).collect();
    ids.dedup();
    assert_eq!(ids.len(), effects.events.len());
}

/// One command as a test draws it: kind, order, the order it replaces, content, whether a draft, and how
/// many days after the first it comes.
#[derive(Clone, Debug)]
struct Drawn {
    kind: CommandKind,
    order: u8,
    replaces: Option<u8>,
    content: u8,
    draft: bool,
    days_later: i64,
}

impl Drawn {
    fn command(&self) -> Command {
        let status = if self.draft { "draft" } else { "active" };
        let mut sent = with(
            order(&format!("ORD{}", self.order)),
            json!({ "status": status, "note": [{ "text": format!("content {}", self.content) }] }),
        );
        if let Some(prior) = self.replaces {
            sent["priorPrescription"] = json!({ "identifier": { "system": "HIS", "value": format!("ORD{prior}") } });
        }
        command(self.kind, &sent)
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let kind = proptest::sample::select(CommandKind::ALL.to_vec());
    (kind, 0..3_u8, proptest::option::weighted(0.5, 0..3_u8), 0..3_u8, proptest::bool::weighted(0.3), 0..3_i64)
        .prop_map(|(kind, order, replaces, content, draft, days_later)| Drawn {
            kind,
            order,
            replaces,
            content,
            draft,
            days_later,
        })
}

/// A run of one order as its sender meant it: begun, perhaps signed, held and released in turns, perhaps
/// changed once, perhaps cancelled.
fn meant() -> impl Strategy<Value = Vec<Command>> {
    (any::<bool>(), 0..6_usize, any::<bool>(), any::<bool>()).prop_map(|(draft, turns, changed, cancelled)| {
        let mut kinds = vec![CommandKind::Create];
        kinds.extend(draft.then_some(CommandKind::Sign));
        let turn = |n| if n % 2 == 0 { CommandKind::Hold } else { CommandKind::Release };
        kinds.extend((0..turns).map(turn));
        kinds.extend(changed.then_some(CommandKind::Replace));
        kinds.extend(cancelled.then_some(CommandKind::Cancel));
        let status = if draft { "draft" } else { "active" };
        kinds
            .into_iter()
            .enumerate()
            .map(|(n, kind)| {
                let distinct = json!({ "status": status, "note": [{ "text": format!("command {n}") }] });
                command(kind, &with(order("ORD1"), distinct))
            })
            .collect()
    })
}

/// Applies commands in this order; what waits is tried again after each effect. Returns what still waits.
fn run(commands: &[Command], store: &mut Store) -> Vec<Command> {
    let rules = Rules::default();
    let mut parked: Vec<Command> = Vec::new();
    for arrived in commands {
        parked.push(arrived.clone());
        let mut moved = true;
        while moved {
            moved = false;
            for place in 0..parked.len() {
                let outcome = apply(held_by(store, &parked[place]), &parked[place], &context(&rules, WRITTEN));
                if outcome.as_ref().is_err_and(|refusal| refusal.class() == Class::Wait) {
                    continue;
                }
                if let Ok(effects) = outcome {
                    keep(store, effects);
                }
                parked.remove(place);
                moved = true;
                break;
            }
        }
    }
    parked
}

proptest! {
    #[test]
    fn in_any_run_final_states_are_kept_versions_have_no_gap_and_a_repeat_changes_nothing(
        run in proptest::collection::vec(drawn(), 1..25)
    ) {
        let rules = Rules::default();
        let mut store = Store::new();
        let mut day = 0;
        for drawn in run {
            day += drawn.days_later;
            let sent = drawn.command();
            let now = Timestamp(at(WRITTEN).0 + day * 86_400_000_000);
            let context = Context { now, ..context(&rules, WRITTEN) };
            let outcome = apply(held_by(&store, &sent), &sent, &context);
            let first = told(&outcome);
            match outcome {
                Ok(effects) => {
                    check_effects(&store, &effects);
                    keep(&mut store, effects);
                    prop_assert_eq!(told(&apply(held_by(&store, &sent), &sent, &context)), "unchanged");
                }
                Err(refusal) => {
                    if let Some(noticed) = refusal.noticed {
                        check_effects(&store, &noticed);
                        keep(&mut store, *noticed);
                    }
                    prop_assert_eq!(told(&apply(held_by(&store, &sent), &sent, &context)), first);
                }
            }
        }
    }

    #[test]
    fn commands_that_arrive_in_any_order_end_in_the_state_of_the_ordered_run(
        (meant, shuffled) in meant().prop_flat_map(|meant| (Just(meant.clone()), Just(meant).prop_shuffle()))
    ) {
        let mut ordered = Store::new();
        let mut mixed = Store::new();
        prop_assert!(run(&meant, &mut ordered).is_empty());
        prop_assert!(run(&shuffled, &mut mixed).is_empty());
        let id = &meant[0].order;
        let (one, two) = (&ordered[id], &mixed[id]);
        prop_assert_eq!(one.status, two.status);
        if one.status != Status::Cancelled {
            prop_assert_eq!(resource(one), resource(two));
            prop_assert_eq!(one.version, two.version);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_output(drawn in drawn()) {
        let rules = Rules::default();
        let prior = created(WRITTEN);
        let both = Held { order: None, prior: Some(&prior) };
        let sent = drawn.command();
        let bytes = || match apply(both, &sent, &context(&rules, WRITTEN)) {
            Ok(effects) => {
                let events: Vec<String> = effects.events.iter().map(|event| event.to_json().unwrap()).collect();
                let states: Vec<String> = effects.states.iter().map(|line| line.to_json().unwrap()).collect();
                format!("{events:?}{states:?}{:?}", effects.assigned)
            }
            Err(refusal) => refusal.to_string(),
        };
        prop_assert_eq!(bytes(), bytes());
    }
}
