//! For each promise a run that keeps it, and runs that break it in each way it can be broken.

use super::*;

fn count(found: &[Violation], promise: &str) -> usize {
    assert!(found.iter().all(|one| one.promise == promise), "{found:?}");
    found.len()
}

fn answered(message: &str, accepted: bool, moment: u64) -> Answered<&str> {
    Answered { message, accepted, moment }
}

#[test]
fn h1_what_was_accepted_is_in_the_journal_and_was_there_before() {
    let journal = [Journaled { message: "a", moment: 5 }, Journaled { message: "b", moment: 9 }];
    let kept = [answered("a", true, 5), answered("b", true, 10), answered("c", false, 1)];
    assert_eq!(accepted_means_durable(&kept, &journal), []);
    let lost = [answered("c", true, 99)];
    assert_eq!(count(&accepted_means_durable(&lost, &journal), "H1"), 1);
    let early = [answered("b", true, 8)];
    assert_eq!(count(&accepted_means_durable(&early, &journal), "H1"), 1);
    let again = [Journaled { message: "b", moment: 7 }, Journaled { message: "b", moment: 9 }];
    assert_eq!(accepted_means_durable(&early, &again), []);
}

fn story<'a>(message: &'a str, ends: &[End], deliveries: &[&[End]]) -> Story<&'a str> {
    Story { message, ends: ends.to_vec(), deliveries: deliveries.iter().map(|one| one.to_vec()).collect() }
}

#[test]
fn h2_every_accepted_message_has_exactly_its_ends() {
    use End::{DeadLettered, Delivered, Filtered, Refused};
    let kept = [
        story("a", &[], &[&[Delivered]]),
        story("b", &[], &[&[Delivered], &[DeadLettered], &[Filtered]]),
        story("c", &[Filtered], &[]),
        story("d", &[Refused], &[]),
        story("e", &[], &[]),
    ];
    assert_eq!(nothing_vanishes(&["a", "b", "c", "d"], &kept), []);
    assert_eq!(count(&nothing_vanishes(&["a", "e", "z"], &kept), "H2"), 2);
    let broken = [
        story("a", &[], &[&[Delivered], &[]]),
        story("a", &[], &[&[Delivered, DeadLettered]]),
        story("a", &[Filtered], &[&[Delivered]]),
        story("a", &[Delivered], &[]),
        story("a", &[Filtered, Refused], &[]),
    ];
    for one in broken {
        assert_eq!(count(&nothing_vanishes(&["a"], std::slice::from_ref(&one)), "H2"), 1, "{one:?}");
    }
    let twice = [story("a", &[Filtered], &[]), story("a", &[Filtered], &[])];
    assert_eq!(count(&nothing_vanishes(&["a"], &twice), "H2"), 1);
}

#[test]
fn h3_no_key_takes_effect_twice() {
    assert_eq!(effects_once(&["a", "b", "c"]), []);
    assert_eq!(count(&effects_once(&["a", "b", "a", "b", "a"]), "H3"), 2);
}

#[test]
fn h3_what_was_refused_has_no_effect_unless_it_was_accepted_another_time() {
    let answers = [answered("a", true, 0), answered("b", false, 0), answered("c", false, 0), answered("c", true, 0)];
    assert_eq!(refused_means_no_effect(&answers, &["a", "c", "unanswered"]), []);
    assert_eq!(count(&refused_means_no_effect(&answers, &["a", "b"]), "H3"), 1);
}

#[test]
fn h3_what_arrives_was_sent_as_it_is() {
    let sent = [("a", 1), ("b", 2)];
    assert_eq!(arrived_was_sent(&sent, &[("a", 1), ("a", 1)]), []);
    assert_eq!(count(&arrived_was_sent(&sent, &[("b", 1), ("c", 1), ("a", 1)]), "H3"), 2);
}

#[test]
fn h3_repeats_keep_their_key_and_are_recorded() {
    let attempt = |delivery, key: &str, recorded| Attempt { delivery, idempotency_key: key.to_owned(), recorded };
    let kept = [attempt(1, "k1", true), attempt(2, "k2", true), attempt(1, "k1", true)];
    assert_eq!(repeats_keep_their_key(&kept), []);
    let other_key = [attempt(1, "k1", true), attempt(1, "k9", true)];
    assert_eq!(count(&repeats_keep_their_key(&other_key), "H3"), 1);
    let shared = [attempt(1, "k1", true), attempt(2, "k1", true)];
    assert_eq!(count(&repeats_keep_their_key(&shared), "H3"), 1);
    let silent = [attempt(1, "k1", true), attempt(1, "k1", false)];
    assert_eq!(count(&repeats_keep_their_key(&silent), "H3"), 1);
}

#[test]
fn h4_the_same_question_gets_the_same_answer_and_no_second_effect() {
    let asked = |question, answer, effects| Exchange { question, answer, effects };
    let kept = [asked("q", "AA", 1), asked("q", "AA", 0), asked("r", "AE", 0), asked("q", "AA", 0)];
    assert_eq!(same_question_same_answer(&kept), []);
    let other = [asked("q", "AA", 1), asked("q", "AE", 0)];
    assert_eq!(count(&same_question_same_answer(&other), "H4"), 1);
    let twice = [asked("q", "AA", 1), asked("q", "AA", 1)];
    assert_eq!(count(&same_question_same_answer(&twice), "H4"), 1);
    let late = [asked("q", "AA", 0), asked("q", "AA", 1)];
    assert_eq!(count(&same_question_same_answer(&late), "H4"), 1);
}

#[test]
fn h5_each_key_keeps_its_order_at_each_destination() {
    let delivered = |destination: &str, key, number, excused| Delivered {
        destination: destination.to_owned(),
        key,
        number,
        excused,
    };
    let kept = [
        delivered("eda", "p", 1, false),
        delivered("eda", "q", 7, false),
        delivered("eda", "p", 1, false),
        delivered("eda", "p", 3, false),
        delivered("insurer", "p", 1, false),
        delivered("eda", "p", 2, true),
        delivered("eda", "p", 4, false),
    ];
    assert_eq!(order_per_key(&kept), []);
    let crossed = [delivered("eda", "p", 2, false), delivered("eda", "p", 1, false), delivered("eda", "p", 3, false)];
    assert_eq!(count(&order_per_key(&crossed), "H5"), 1);
    let late_repeat =
        [delivered("eda", "p", 1, false), delivered("eda", "p", 2, false), delivered("eda", "p", 1, false)];
    assert_eq!(count(&order_per_key(&late_repeat), "H5"), 1);
    let excused_does_not_move_the_line =
        [delivered("eda", "p", 9, true), delivered("eda", "p", 1, false), delivered("eda", "p", 2, false)];
    assert_eq!(order_per_key(&excused_does_not_move_the_line), []);
}

#[test]
fn h6_no_limit_is_passed_and_who_meets_one_is_told() {
    let measure = |highest, met, told| Measure { name: "connections".to_owned(), limit: 100, highest, met, told };
    assert_eq!(everything_has_a_limit(&[measure(99, 0, 0), measure(100, 5, 5)]), []);
    assert_eq!(count(&everything_has_a_limit(&[measure(101, 0, 0), measure(100, 5, 4)]), "H6"), 2);
}

#[test]
fn h7_a_run_uses_one_configuration_that_is_named_and_stored() {
    let stage = |run, configuration: Option<&str>| Stage { run, configuration: configuration.map(str::to_owned) };
    let stored = HashSet::from(["c1".to_owned(), "c2".to_owned()]);
    let kept = [stage(1, Some("c1")), stage(2, Some("c2")), stage(1, Some("c1"))];
    assert_eq!(one_configuration_per_run(&kept, &stored), []);
    assert_eq!(count(&one_configuration_per_run(&[stage(1, Some("c1")), stage(1, Some("c2"))], &stored), "H7"), 1);
    assert_eq!(count(&one_configuration_per_run(&[stage(1, None)], &stored), "H7"), 1);
    assert_eq!(count(&one_configuration_per_run(&[stage(1, Some("c3"))], &stored), "H7"), 1);
}

#[test]
fn h8_a_panic_costs_one_retry_of_what_was_in_hand() {
    let panic = |in_hand, retried: &[&'static str]| Panic { in_hand, retried: retried.to_vec() };
    let kept = [panic(Some("a"), &["a"]), panic(Some("a"), &[]), panic(None, &[])];
    assert_eq!(panics_cost_one_retry(&kept), []);
    let broken = [panic(Some("a"), &["b"]), panic(None, &["b"]), panic(Some("a"), &["a", "a"])];
    assert_eq!(count(&panics_cost_one_retry(&broken), "H8"), 3);
}

#[test]
fn h8_ready_is_wrong_for_five_seconds_at_most() {
    let looks = |seen: &[(u64, bool, bool)]| -> Vec<Look> {
        seen.iter().map(|(at_ms, able, ready)| Look { at_ms: *at_ms, able: *able, ready: *ready }).collect()
    };
    let kept = looks(&[
        (0, true, true),
        (1_000, false, true),
        (6_000, false, true),
        (6_100, false, false),
        (9_000, true, false),
        (13_000, true, true),
    ]);
    assert_eq!(ready_tells_the_truth(&kept), []);
    let slow = looks(&[(1_000, false, true), (6_001, false, true), (7_000, false, false)]);
    assert_eq!(count(&ready_tells_the_truth(&slow), "H8"), 1);
    let turned = looks(&[(0, false, true), (4_000, true, false), (8_000, true, false), (9_000, true, true)]);
    assert_eq!(ready_tells_the_truth(&turned), []);
}

#[test]
fn h8_a_dead_destination_does_not_slow_another() {
    let pace =
        |beside_trouble_ms| Pace { destination: "eda".to_owned(), alone_ms: 20, beside_trouble_ms, noise_ms: 30 };
    assert_eq!(others_keep_their_pace(&[pace(5), pace(50)]), []);
    assert_eq!(count(&others_keep_their_pace(&[pace(51), pace(9_000)]), "H8"), 2);
}

#[test]
fn h9_a_chain_is_whole_or_says_where_it_is_not() {
    let first = Head::EMPTY.append(b"a".to_vec());
    let second = first.head().append(b"b".to_vec());
    let mut links = vec![first, second];
    let kept = links[1].head();
    assert_eq!(audit_chain_is_whole(Head::EMPTY, &links, kept), []);
    links[0].entry = b"A".to_vec();
    let found = audit_chain_is_whole(Head::EMPTY, &links, kept);
    assert_eq!(count(&found, "H9"), 1);
    assert_eq!(found[0].what, "entry 1 is not the one that was chained");
}

#[test]
fn h10_a_canary_is_found_wherever_it_flew_and_is_not_told_again() {
    let outputs: [(&str, &[u8]); 3] =
        [("log", b"accepted id=7"), ("metrics", "hub_total{x=\"كناري\"} 1".as_bytes()), ("error", b"\xFFCANARY7\xFF")];
    assert_eq!(patient_data_stays(&outputs, &["CANARY8", ""]), []);
    let found = patient_data_stays(&outputs, &["CANARY7", "كناري"]);
    assert_eq!(count(&found, "H10"), 2);
    assert_eq!(found[1].what, "canary 0 is in error");
}
