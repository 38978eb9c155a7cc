//! What is read back from PostgreSQL, through a pool of connections.
//!
//! A reader that meets a database on its way down or up asks again for a while ([`Patience`]): nothing was
//! changed by asking.

use std::time::Duration;

use adapters::clock::Timestamp;
use sqlx::postgres::PgPool;
use sqlx::query;
use tokio::time::Instant;

use super::columns::{
    delivery_now, get, message, number, open_delivery, output, output_columns, stored_aggregate, whole_message_columns,
};
use super::error::reading;
use super::known::i32_of;
use crate::store::{
    AggregateKey, Charge, DeliveryId, DeliveryNow, MessageId, OpenDelivery, StoreError, StoredAggregate, StoredMessage,
    StoredOutput, Term,
};

/// How long a reader goes on asking a database that is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads from the journal.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) pool: PgPool,
}

/// How long a question to a database that is away is asked again.
pub(super) struct Patience {
    end: Instant,
}

impl Patience {
    pub(super) fn begin() -> Patience {
        Patience { end: Instant::now() + PATIENCE }
    }

    /// Pauses; false when the time is over.
    pub(super) async fn lasts(&self) -> bool {
        if Instant::now() >= self.end {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
        true
    }
}

pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Reader {
    /// The next `count` values of a counter. A commit whose answer is lost leaves a gap.
    pub(super) async fn take_numbers(&self, counter: &str, count: u32) -> Result<u32, StoreError> {
        let row = query(
            "INSERT INTO counter (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = counter.value + $2 RETURNING value - $2 AS first",
        )
        .bind(counter)
        .bind(i64::from(count))
        .fetch_one(&self.pool)
        .await
        .map_err(reading)?;
        let first: i64 = get(&row, "first")?;
        u32::try_from(first).map_err(|_| StoreError::Corrupt("a counter is no count".into()))
    }

    /// The number of a configuration; it is written if it is new. Written twice is written once.
    pub(super) async fn configuration(&self, hash: &str, files: &str, now: Timestamp) -> Result<i64, StoreError> {
        query("INSERT INTO configuration (hash, stored_at, files) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING")
            .bind(hash)
            .bind(now.0)
            .bind(files)
            .execute(&self.pool)
            .await
            .map_err(reading)?;
        let row = query("SELECT id FROM configuration WHERE hash = $1").bind(hash).fetch_one(&self.pool);
        get(&row.await.map_err(reading)?, "id")
    }

    pub(super) async fn unrouted(&self, limit: usize) -> Result<Vec<(StoredMessage, u32)>, StoreError> {
        let low_water = self.fact("low_water").await?.and_then(|value| value.parse::<i64>().ok()).unwrap_or(0);
        let rows = query(concat!(
            "SELECT ",
            whole_message_columns!(),
            ", coalesce((SELECT charges FROM charge c WHERE c.message_id = m.id), 0) AS charges \
             FROM message m WHERE m.id >= $1 AND m.code IS NULL AND NOT EXISTS \
             (SELECT FROM run r WHERE r.message_id = m.id AND r.message_id >= $1) ORDER BY m.id LIMIT $2"
        ))
        .bind(low_water)
        .bind(limit_of(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(|row| Ok((message(row)?, number(row, "charges")?))).collect()
    }

    pub(super) async fn deliveries_now(&self, ids: &[DeliveryId]) -> Result<Vec<Option<DeliveryNow>>, StoreError> {
        let messages: Vec<i64> = ids.iter().map(|id| id.message.0).collect();
        let runs: Vec<i32> = ids.iter().map(|id| i32_of(id.run_no)).collect();
        let places: Vec<i32> = ids.iter().map(|id| i32_of(id.delivery_no)).collect();
        let rows = query(
            "SELECT d.state, d.attempts, \
             coalesce((SELECT charges FROM charge c WHERE c.message_id = d.message_id), 0) AS charges \
             FROM unnest($1::bigint[], $2::int[], $3::int[]) WITH ORDINALITY k (message_id, run_no, delivery_no, place) \
             LEFT JOIN delivery d USING (message_id, run_no, delivery_no) ORDER BY k.place",
        )
        .bind(messages)
        .bind(runs)
        .bind(places)
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(delivery_now).collect()
    }

    pub(super) async fn open_deliveries(&self, to: &str, limit: usize) -> Result<Vec<OpenDelivery>, StoreError> {
        let rows = query(
            "SELECT d.message_id, d.run_no, d.delivery_no, d.destination, d.lane, d.state, d.attempts, d.created_at, \
             d.next_at, coalesce(r.route, '') AS route, m.source, \
             coalesce((SELECT charges FROM charge c WHERE c.message_id = d.message_id), 0) AS charges FROM delivery d \
             JOIN run r ON r.message_id = d.message_id AND r.run_no = d.run_no JOIN message m ON m.id = d.message_id \
             WHERE d.destination = $1 AND d.state < 10 ORDER BY d.message_id, d.run_no, d.delivery_no LIMIT $2",
        )
        .bind(to)
        .bind(limit_of(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(open_delivery).collect()
    }

    pub(super) async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        let row = query(concat!("SELECT ", whole_message_columns!(), " FROM message m WHERE m.id = $1"))
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await
            .map_err(reading)?;
        row.as_ref().map(message).transpose()
    }

    pub(super) async fn output(&self, id: DeliveryId) -> Result<Option<StoredOutput>, StoreError> {
        let row = query(concat!(
            "SELECT ",
            output_columns!(),
            " FROM delivery d JOIN output o ON o.message_id = d.message_id AND o.run_no = d.run_no \
             AND o.output_no = d.output_no WHERE d.message_id = $1 AND d.run_no = $2 AND d.delivery_no = $3"
        ))
        .bind(id.message.0)
        .bind(i32_of(id.run_no))
        .bind(i32_of(id.delivery_no))
        .fetch_optional(&self.pool)
        .await
        .map_err(reading)?;
        let Some(row) = row else { return Ok(None) };
        let (_, mut found, is_passed_through) = output(&row)?;
        if is_passed_through {
            let message = self.message(id.message).await?;
            found.body = message.ok_or(StoreError::CorruptMessage(id.message))?.body;
        }
        Ok(Some(found))
    }

    pub(super) async fn aggregates(&self, keys: &[AggregateKey]) -> Result<Vec<Option<StoredAggregate>>, StoreError> {
        let rows = query(
            "SELECT a.kind, a.authority, a.number, a.version, a.state, a.body, a.changed_by, a.checksum \
             FROM UNNEST($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (kind, authority, number, place) \
             LEFT JOIN aggregate a ON a.kind = k.kind AND a.authority = k.authority AND a.number = k.number \
             ORDER BY k.place",
        )
        .bind(keys.iter().map(|key| key.kind).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.authority.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.number.as_str()).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(stored_aggregate).collect()
    }

    pub(super) async fn assigned_numbers(
        &self,
        groups: &[(String, String)],
    ) -> Result<Vec<Option<String>>, StoreError> {
        let rows = query(
            "SELECT n.assigned FROM UNNEST($1::text[], $2::text[]) WITH ORDINALITY AS k (authority, number, place) \
             LEFT JOIN assigned_number n ON n.authority = k.authority AND n.number = k.number ORDER BY k.place",
        )
        .bind(groups.iter().map(|(authority, _)| authority.as_str()).collect::<Vec<_>>())
        .bind(groups.iter().map(|(_, number)| number.as_str()).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(|row| get(row, "assigned")).collect()
    }

    pub(super) async fn terms_after(
        &self,
        after: MessageId,
        limit: usize,
    ) -> Result<Vec<(MessageId, Vec<Term>)>, StoreError> {
        let rows = query("SELECT id, terms FROM message WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after.0)
            .bind(limit_of(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        let terms_of = |row| {
            let (terms, _) = get::<&[u8]>(row, "terms")?.as_chunks();
            Ok((MessageId(get(row, "id")?), terms.to_vec()))
        };
        rows.iter().map(terms_of).collect()
    }

    pub(super) async fn in_hand(&self) -> Result<Vec<Charge>, StoreError> {
        let rows = query("SELECT message_id, charges FROM charge WHERE in_hand ORDER BY message_id")
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        let charge = |row| {
            Ok(Charge { message: MessageId(get(row, "message_id")?), charges: number(row, "charges")?, in_hand: true })
        };
        rows.iter().map(charge).collect()
    }

    pub(super) async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = query("SELECT value FROM fact WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(reading)?;
        row.as_ref().map(|row| get(row, "value")).transpose()
    }
}
