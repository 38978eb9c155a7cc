//! What an error of the database means for the hub.
//!
//! In comes what sqlx says; out goes a [`StoreError`]. The server's message is kept without its details: those
//! hold values of rows (H10). An error that may pass is `Away` or `Busy`; the server keeps its own promises about
//! its disk, and ends itself when it cannot.

use sqlx::error::DatabaseError;

use crate::store::StoreError;

/// How far an error reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// One statement, and its transaction.
    Statement,
    /// The connection: nothing more can be asked on it.
    Connection,
}

/// The error as the hub knows it, and how far it reaches.
pub(super) fn classify(error: &sqlx::Error) -> (StoreError, Reach) {
    match error {
        sqlx::Error::Database(said) => by_state(said.as_ref()),
        sqlx::Error::PoolClosed => (StoreError::Closed, Reach::Connection),
        sqlx::Error::PoolTimedOut => (StoreError::Away("no connection was free in time".into()), Reach::Connection),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (StoreError::Corrupt("a column is not what it should be".into()), Reach::Statement)
        }
        sqlx::Error::RowNotFound | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Encode(_) => {
            (StoreError::Statement(error.to_string().into()), Reach::Statement)
        }
        other => (StoreError::Away(other.to_string().into()), Reach::Connection),
    }
}

/// By the SQLSTATE (PostgreSQL, appendix A).
fn by_state(error: &dyn DatabaseError) -> (StoreError, Reach) {
    let state = error.code().unwrap_or_default();
    let said = || error.message().into();
    match (state.get(..2).unwrap_or_default(), &*state) {
        (_, "53100") => (StoreError::NoSpace, Reach::Statement),
        // Locks, deadlocks, and statements that took too long.
        ("40", _) | (_, "55P03" | "57014") => (StoreError::Busy, Reach::Statement),
        // Lost connections, a server on its way down or up, one that only reads, no more connections.
        ("08" | "53" | "57" | "28", _) | (_, "25006" | "25P03") => (StoreError::Away(said()), Reach::Connection),
        // The server's disk, and files that it misses.
        ("58", _) => (StoreError::Away(said()), Reach::Connection),
        (_, "XX001" | "XX002") => (StoreError::Corrupt(said()), Reach::Statement),
        _ => (StoreError::Statement(said()), Reach::Statement),
    }
}

/// An error while reading.
pub(super) fn reading(error: sqlx::Error) -> StoreError {
    classify(&error).0
}
