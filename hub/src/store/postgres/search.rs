//! The search index in PostgreSQL: terms with their messages, in partitions beside the journal's.
//!
//! Written in batches, without waiting for the disk: what a crash of the server takes is read from the journal
//! again, since the place that was reached goes in the same transaction.

use async_trait::async_trait;
use sqlx::postgres::PgPool;
use sqlx::{Connection, Executor, query, query_scalar};

use super::error::reading;
use super::read::limit_of;
use crate::search::Index;
use crate::store::{MessageId, StoreError, Term};

/// The terms of messages.
#[derive(Clone)]
pub struct Terms {
    pool: PgPool,
}

impl Terms {
    pub(super) fn new(pool: PgPool) -> Terms {
        Terms { pool }
    }
}

#[async_trait]
impl Index for Terms {
    async fn reached(&self) -> Result<MessageId, StoreError> {
        let place = query_scalar::<_, i64>("SELECT value::bigint FROM fact WHERE name = 'search_reached'");
        Ok(MessageId(place.fetch_optional(&self.pool).await.map_err(reading)?.unwrap_or(0)))
    }

    async fn take_in(&self, terms: Vec<(Term, MessageId)>, last: MessageId) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await.map_err(reading)?;
        let mut transaction = connection.begin().await.map_err(reading)?;
        transaction.execute("SET LOCAL synchronous_commit = off").await.map_err(reading)?;
        query(
            "INSERT INTO term (hash, message_id) SELECT * FROM UNNEST($1::bytea[], $2::bigint[]) \
             ON CONFLICT DO NOTHING",
        )
        .bind(terms.iter().map(|(term, _)| term.as_slice()).collect::<Vec<_>>())
        .bind(terms.iter().map(|(_, id)| id.0).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await
        .map_err(reading)?;
        query(
            "INSERT INTO fact (name, value) VALUES ('search_reached', $1) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(last.0.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(reading)?;
        transaction.commit().await.map_err(reading)
    }

    async fn find(&self, term: Term, limit: usize) -> Result<Vec<MessageId>, StoreError> {
        let found =
            query_scalar::<_, i64>("SELECT message_id FROM term WHERE hash = $1 ORDER BY message_id DESC LIMIT $2");
        let ids = found.bind(term.as_slice()).bind(limit_of(limit)).fetch_all(&self.pool).await.map_err(reading)?;
        Ok(ids.into_iter().map(MessageId).collect())
    }
}
