//! What is done beside the journey: partitions ahead, the archive, the place below which all is routed.

use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Clock;
use sqlx::postgres::PgPool;

use super::error::reading;
use super::partitions;
use crate::store::{MessageId, StoreError};

/// How often the place below which all is routed is moved.
const PLACE_EVERY: Duration = Duration::from_secs(2);
/// How often partitions are looked at, in moves of that place.
const PARTITIONS_EVERY: u32 = 150;

/// The upkeep of one store.
pub(super) struct Upkeep {
    pub(super) pool: PgPool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keep_days: Option<u32>,
    pub(super) days_ahead: u32,
}

impl Upkeep {
    /// Today has its partitions before the first message comes.
    pub(super) async fn begin(&self) -> Result<(), StoreError> {
        self.make_ahead().await
    }

    /// Works until it is stopped.
    pub(super) async fn run(self) {
        let mut turn = 0_u32;
        loop {
            tokio::time::sleep(PLACE_EVERY).await;
            turn = turn.wrapping_add(1);
            self.told("the place of recovery could not be moved", partitions::move_low_water(&self.pool).await);
            if turn % PARTITIONS_EVERY == 1 {
                self.told("no partitions were made ahead", self.make_ahead().await);
                self.told("nothing was archived", self.archive().await);
                self.told("it is not known whether rows went astray", self.look_for_the_astray().await);
            }
        }
    }

    fn told(&self, what: &str, done: Result<(), StoreError>) {
        match done {
            Ok(()) | Err(StoreError::Closed) => {}
            Err(error) => tracing::warn!(%error, "{what}"),
        }
    }

    async fn make_ahead(&self) -> Result<(), StoreError> {
        let today = partitions::day_of(MessageId::first_at(self.clock.now()));
        let mut connection = self.pool.acquire().await.map_err(reading)?;
        let days = i32::try_from(self.days_ahead).unwrap_or(0).saturating_add(1);
        // A day at a time: each is short, and what is made stays made.
        for place in 0..days {
            partitions::make(&mut connection, today.saturating_add(place), 1).await.map_err(reading)?;
        }
        Ok(())
    }

    async fn archive(&self) -> Result<(), StoreError> {
        let Some(keep_days) = self.keep_days else { return Ok(()) };
        for day in partitions::archive(&self.pool, self.clock.now(), keep_days).await? {
            tracing::info!(day, "a day past its retention is archived");
        }
        Ok(())
    }

    async fn look_for_the_astray(&self) -> Result<(), StoreError> {
        let rows = partitions::astray(&self.pool).await?;
        if rows > 0 {
            tracing::error!(code = "HUB0221", rows, "messages lie in no partition of their day");
        }
        Ok(())
    }
}
