//! The contract suite of [`Store`]: every promise of the trait and of its rows, as a named check.
//!
//! In comes a [`Ground`], the place where a store of one kind lives; a check opens stores there, stops
//! them and judges what they say. Every implementation passes all checks, and for every check there is
//! a store that is wrong on purpose ([`wrong`]) and that the check finds out.

mod conditions;
mod holds;
mod life;
mod outbox;
mod pages;
mod people;
mod recovery;
mod repeats;
pub(crate) mod samples;
mod units;
mod wrong;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use adapters::clock::{Clock, Timestamp};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::Store;

/// Where a store lives: what stays when the store goes.
#[async_trait]
pub(crate) trait Ground: Send + Sync {
    /// Opens the store that lives here; makes it the first time.
    async fn open(&self) -> Arc<dyn Store>;

    /// The store stops where it stands, as by `kill -9`. What it reported as committed is there at the
    /// next [`open`](Self::open). Nothing is under way when this is called.
    async fn crash(&self, store: Arc<dyn Store>);

    /// The clock of every store that is opened here.
    fn clock(&self) -> &SetClock;

    /// An empty place of the same kind.
    fn another(&self) -> Box<dyn Ground>;
}

/// How a store stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Close,
    Crash,
}

impl Stop {
    const BOTH: [Stop; 2] = [Stop::Close, Stop::Crash];

    /// Stops the store, and opens it again.
    async fn and_open(self, ground: &dyn Ground, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match self {
            Stop::Close => store.close().await,
            Stop::Crash => ground.crash(store).await,
        }
        ground.open().await
    }
}

/// A clock that a check sets.
#[derive(Clone, Debug)]
pub(crate) struct SetClock(Arc<AtomicI64>);

impl SetClock {
    /// Shows the time at which checks begin.
    pub(crate) fn new() -> SetClock {
        SetClock(Arc::new(AtomicI64::new(samples::START.0)))
    }

    pub(crate) fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// One promise.
pub(crate) type Check = for<'g> fn(&'g dyn Ground) -> BoxFuture<'g, ()>;

/// Gives the list of all checks to another macro, with what that macro needs.
macro_rules! with_all_checks {
    ($use:path { $($with:tt)* }) => {
        $use! {
            $($with)*
            units: units_commit_in_order,
            units: a_unit_is_all_or_nothing,
            units: a_bad_unit_fails_alone,
            units: a_wrong_reference_fails_its_unit,
            units: a_number_is_given_once_in_its_message,
            units: many_tasks_each_see_their_own_outcome,
            units: hand_overs_come_in_the_order_of_the_commits,
            units: an_empty_unit_is_committed,
            conditions: an_inbox_key_is_taken_once,
            conditions: an_aggregate_changes_only_from_the_expected_version,
            conditions: a_group_and_a_number_have_one_partner,
            conditions: a_delivery_that_ended_does_not_change,
            conditions: an_attempt_counts_once,
            conditions: a_failed_condition_undoes_the_rows_before_it,
            conditions: conditions_see_what_was_written_before_them,
            conditions: one_of_many_tasks_gets_the_inbox_key,
            repeats: a_repeat_gets_the_stored_answer,
            repeats: another_body_is_new_and_flagged,
            repeats: another_sender_or_source_does_not_repeat,
            repeats: outside_the_window_nothing_repeats,
            repeats: a_thousand_repeats_get_one_answer,
            repeats: a_thousand_other_bodies_are_all_kept,
            repeats: of_ten_tasks_at_once_one_is_first,
            repeats: a_repeat_is_known_after_a_stop,
            repeats: a_refusal_is_repeated_too,
            repeats: where_no_repeat_is_looked_for_none_is_found,
            life: ids_grow_over_stops_and_steps_of_the_clock,
            life: a_number_is_never_taken_twice,
            life: a_configuration_keeps_its_number,
            life: a_fact_is_the_last_one_written,
            life: what_was_reported_survives_a_crash,
            life: close_finishes_what_is_queued,
            life: a_closed_store_says_so,
            recovery: refused_messages_are_kept_and_not_fed_again,
            recovery: unrouted_comes_in_order_with_charges,
            recovery: who_was_alone_in_hand_is_known_after_a_stop,
            recovery: the_oldest_unrouted_is_never_hidden,
            recovery: unrouted_is_exact_after_any_interleaving,
            recovery: terms_are_read_in_the_order_of_the_journal,
            outbox: open_deliveries_are_the_oldest_first,
            outbox: a_delivery_is_open_until_it_ends,
            outbox: a_delivery_says_where_it_stands,
            outbox: an_output_reads_back,
            holds: held_runs_read_back_in_the_order_of_the_journal,
            holds: a_held_run_is_let_go_once,
            holds: what_is_held_is_there_after_a_stop,
            holds: codes_are_counted_by_table_code_and_source,
            holds: pages_of_codes_are_complete_and_do_not_overlap,
            people: a_message_reads_back_whole,
            people: a_journey_is_complete,
            people: a_message_stands_where_its_worst_part_stands,
            people: a_replay_takes_the_place_of_what_it_repeats,
            people: a_line_says_what_came_of_the_message,
            people: dead_letters_come_newest_first,
            pages: every_filter_holds,
            pages: a_filter_by_time_goes_by_arrival,
            pages: pages_are_complete_and_do_not_overlap,
            pages: a_page_holds_at_most_its_limit,
        }
    };
}
pub(crate) use with_all_checks;

/// A table of checks with their names.
macro_rules! table_of_checks {
    ($($module:ident: $name:ident,)+) => {
        /// Every check, by name.
        pub(crate) const CHECKS: &[(&str, Check)] = &[$((stringify!($name), |ground| $module::$name(ground).boxed()),)+];
    };
}
with_all_checks!(table_of_checks {});

/// Makes a test of every check, on the ground that the first expression gives.
macro_rules! tests_of_a_store {
    ($ground:expr; $($module:ident: $name:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let ground = $ground;
                crate::store::contract::check(stringify!($name), &ground).await;
            }
        )+
    };
}
pub(crate) use tests_of_a_store;

/// Runs one check by its name.
pub(crate) async fn check(name: &str, ground: &dyn Ground) {
    let (_, run) = CHECKS.iter().find(|(known, _)| *known == name).expect("a check of the suite");
    within_two_minutes(run(ground)).await;
}

/// No check waits for ever.
async fn within_two_minutes<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(120), work).await.expect("the check ends within two minutes")
}
