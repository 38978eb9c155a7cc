//! Stores that are wrong on purpose, each in one way, round a store that is right. For every check of
//! the suite there is one that the check finds out; a check that nothing can fail would prove nothing.

mod store;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt;

use self::store::WrongStore;
use super::{CHECKS, Ground, SetClock, Store, check};

/// Declares the ways to be wrong, each with the checks that find it out.
macro_rules! ways_to_be_wrong {
    ($($(#[$doc:meta])* $wrong:ident: $($check:ident),+;)+) => {
        /// In which way a store is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Wrong { $($(#[$doc])* $wrong,)+ }

        const FOUND_OUT_BY: &[(Wrong, &[&str])] = &[$((Wrong::$wrong, &[$(stringify!($check)),+]),)+];
    };
}

ways_to_be_wrong! {
    /// Writes the last unit first.
    WritesBackwards: units_commit_in_order;
    /// Writes row by row, and leaves what was written when one fails.
    LeavesHalfAUnit: a_unit_is_all_or_nothing, a_failed_condition_undoes_the_rows_before_it;
    /// One bad unit fails the whole commit.
    FailsTogether: a_bad_unit_fails_alone;
    /// Leaves out rows that refer to nothing.
    LeavesOutBadRows: a_wrong_reference_fails_its_unit;
    /// Says that a failed unit is committed.
    CallsFailureSuccess: a_number_is_given_once_in_its_message, a_bad_unit_fails_alone;
    /// Gives each unit the outcome of another.
    SwapsOutcomes: many_tasks_each_see_their_own_outcome;
    /// Hands over what is committed when its caller is woken.
    HandsOverWhenWoken: hand_overs_come_in_the_order_of_the_commits;
    /// Gives no outcome for an empty unit.
    SkipsEmptyUnits: an_empty_unit_is_committed;
    /// Does not look into the inbox.
    DropsTheInbox: an_inbox_key_is_taken_once, one_of_many_tasks_gets_the_inbox_key;
    /// Looks into the inbox first, and writes later.
    ChecksThenActs: one_of_many_tasks_gets_the_inbox_key;
    /// Changes an aggregate from any version.
    IgnoresVersions: an_aggregate_changes_only_from_the_expected_version;
    /// Does not keep which number a group has.
    ForgetsNumbers: a_group_and_a_number_have_one_partner;
    /// Says that a conflict is committed.
    CallsConflictSuccess: a_delivery_that_ended_does_not_change;
    /// Judges conditions by what was there when the commit began.
    JudgesByTheStart: conditions_see_what_was_written_before_them;
    /// Answers a repeat with the answer that it brought.
    AnswersAnew: a_repeat_gets_the_stored_answer, a_refusal_is_repeated_too;
    /// Does not show that a control id was used for another body.
    HidesReuse: another_body_is_new_and_flagged;
    /// Takes all senders for one.
    IgnoresSenders: another_sender_or_source_does_not_repeat;
    /// Knows repeats for ever.
    IgnoresTheWindow: outside_the_window_nothing_repeats;
    /// Knows only the first few repeats.
    TiresOfRepeats: a_thousand_repeats_get_one_answer;
    /// Looks at a part of the identity.
    ConfusesBodies: a_thousand_other_bodies_are_all_kept;
    /// Knows no repeats.
    KnowsNoRepeats: of_ten_tasks_at_once_one_is_first, a_repeat_gets_the_stored_answer;
    /// Knows the repeats of its own life only.
    ForgetsRepeatsAtAStop: a_repeat_is_known_after_a_stop;
    /// Looks for repeats that nobody asked for.
    AlwaysLooksForRepeats: where_no_repeat_is_looked_for_none_is_found;
    /// Gives the same id to all.
    GivesOneId: ids_grow_over_stops_and_steps_of_the_clock, units_commit_in_order;
    /// Counts in memory.
    CountsInMemory: a_number_is_never_taken_twice;
    /// Stores a configuration again at each start.
    NumbersConfigurationsAnew: a_configuration_keeps_its_number;
    /// Keeps the first value of a fact.
    KeepsTheFirstFact: a_fact_is_the_last_one_written;
    /// Reports a commit, and makes it with the next one.
    ReportsBeforeItCommits: what_was_reported_survives_a_crash;
    /// Drops what is queued when it closes.
    DropsTheQueue: close_finishes_what_is_queued;
    /// Says for ever that all is well.
    HealthyForEver: a_closed_store_says_so;
    /// Accepts what was refused.
    AcceptsTheRefused: refused_messages_are_kept_and_not_fed_again, unrouted_is_exact_after_any_interleaving;
    /// Does not keep charges.
    ForgetsCharges: unrouted_comes_in_order_with_charges, who_was_alone_in_hand_is_known_after_a_stop;
    /// Does not see that a run repeats one before it.
    RoutesAnew: a_replay_takes_the_place_of_what_it_repeats;
    /// Feeds only what it accepted in this life.
    ForgetsAtAStop: the_oldest_unrouted_is_never_hidden, unrouted_is_exact_after_any_interleaving;
    /// Reads on after the next one.
    SkipsOne: terms_are_read_in_the_order_of_the_journal;
    /// Gives the newest delivery first.
    TurnsTheOutboxRound: open_deliveries_are_the_oldest_first;
    /// Lets what ended wait.
    KeepsTheEndedOpen: a_delivery_is_open_until_it_ends, a_message_stands_where_its_worst_part_stands;
    /// Tells where deliveries stand in another order than it was asked.
    TurnsDeliveriesRound: a_delivery_says_where_it_stands;
    /// Gives the document of the first delivery for each.
    GivesTheFirstOutput: an_output_reads_back;
    /// Gives the newest held run first.
    TurnsTheHeldRound: held_runs_read_back_in_the_order_of_the_journal, what_is_held_is_there_after_a_stop;
    /// Lets a run go that is not held.
    LetsGoTwice: a_held_run_is_let_go_once;
    /// Keeps what is held in memory.
    ForgetsWhatIsHeld: what_is_held_is_there_after_a_stop;
    /// Counts messages of all sources as those of the first.
    MixesSources: codes_are_counted_by_table_code_and_source;
    /// Goes on with the next table where a page ended inside one.
    SkipsTheRestOfATable: pages_of_codes_are_complete_and_do_not_overlap;
    /// Cuts long bodies.
    CutsBodies: a_message_reads_back_whole;
    /// Does not keep attempts.
    LosesAttempts: a_journey_is_complete, an_attempt_counts_once;
    /// Lists messages without what is wrong with them.
    HidesCauses: a_line_says_what_came_of_the_message;
    /// Gives the oldest dead letter first.
    TurnsDeadLettersRound: dead_letters_come_newest_first;
    /// Lists the messages of all sources.
    IgnoresTheSource: every_filter_holds;
    /// Filters by the time of the commit.
    FiltersByCommit: a_filter_by_time_goes_by_arrival;
    /// Begins a page with the last of the page before.
    OverlapsPages: pages_are_complete_and_do_not_overlap;
    /// Gives one more than was asked for.
    GivesOneMore: a_page_holds_at_most_its_limit;
}

/// The place of a store that is wrong in one way; none: it is right.
struct WrongGround {
    wrong: Option<Wrong>,
    inner: Box<dyn Ground>,
    opened: Mutex<Option<Arc<dyn Store>>>,
}

impl WrongGround {
    fn new(wrong: Option<Wrong>, inner: Box<dyn Ground>) -> WrongGround {
        WrongGround { wrong, inner, opened: Mutex::new(None) }
    }
}

#[async_trait]
impl Ground for WrongGround {
    async fn open(&self) -> Arc<dyn Store> {
        let inner = self.inner.open().await;
        *self.opened.lock().unwrap() = Some(Arc::clone(&inner));
        match self.wrong {
            Some(wrong) => Arc::new(WrongStore::new(wrong, inner)),
            None => inner,
        }
    }

    async fn crash(&self, store: Arc<dyn Store>) {
        let inner = self.opened.lock().unwrap().take().expect("a store was opened");
        drop(store);
        self.inner.crash(inner).await;
    }

    fn clock(&self) -> &SetClock {
        self.inner.clock()
    }

    fn another(&self) -> Box<dyn Ground> {
        Box::new(WrongGround::new(self.wrong, self.inner.another()))
    }
}

fn right() -> Box<dyn Ground> {
    Box::new(crate::store::sqlite::tests::Folder::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_turns_red_for_every_store_that_is_wrong() {
    let mut missed = Vec::new();
    for (wrong, checks) in FOUND_OUT_BY {
        for name in *checks {
            let ground = WrongGround::new(Some(*wrong), right());
            if AssertUnwindSafe(check(name, &ground)).catch_unwind().await.is_ok() {
                missed.push(format!("{wrong:?} passes {name}"));
            }
        }
    }
    assert_eq!(missed, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_wrong_stores_out_lets_the_right_one_pass() {
    for (name, _) in CHECKS {
        check(name, &WrongGround::new(None, right())).await;
    }
}

#[test]
fn every_check_finds_some_store_out() {
    let idle = CHECKS.iter().map(|(name, _)| name).filter(|name| {
        let finds_out = |(_, checks): &(Wrong, &[&str])| checks.contains(name);
        !FOUND_OUT_BY.iter().any(finds_out)
    });
    assert_eq!(idle.collect::<Vec<_>>(), [&""; 0]);
}
