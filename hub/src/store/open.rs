//! Why a store cannot be opened: each reason with its page in `docs/errors`.

use std::path::PathBuf;

use super::StoreError;

/// Why a hub has no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another hub has the folder.
    #[error("HUB0208 the data folder {folder} is taken by another hub, process {pid}")]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// The other hub's process id.
        pid: String,
    },
    /// The folder or the journal file cannot be used.
    #[error("HUB0209 the data folder {folder} cannot be used: {source}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The journal was written by a newer hub, or a migration failed.
    #[error("HUB0210 the journal cannot be brought to this version: {0}")]
    Migration(String),
    /// Nothing answers where the database should be.
    #[error("HUB0216 the database {place} is not reached: {said}")]
    Unreached {
        /// Host, port and name.
        place: String,
        /// What the system said.
        said: String,
    },
    /// The role or its password is wrong.
    #[error("HUB0217 the database {place} does not let the hub in: {said}")]
    NotLetIn {
        /// Host, port and name.
        place: String,
        /// What the server said.
        said: String,
    },
    /// The server has no database of that name.
    #[error("HUB0218 there is no database {place}")]
    NoDatabase {
        /// Host, port and name.
        place: String,
    },
    /// The server is older than the hub needs.
    #[error("HUB0219 the database {place} runs on PostgreSQL {version}; the hub needs {needed} or later")]
    TooOld {
        /// Host, port and name.
        place: String,
        /// Its version.
        version: String,
        /// The oldest that will do.
        needed: u32,
    },
    /// Another hub has the database.
    #[error("HUB0220 the database {place} is taken by another hub")]
    DatabaseTaken {
        /// Host, port and name.
        place: String,
    },
    /// There is no connection that can be trusted.
    #[error("HUB0222 no safe connection to the database {place}: {said}")]
    Unsafe {
        /// Host, port and name.
        place: String,
        /// What is wrong with it.
        said: String,
    },
    /// A migration that ran is not the one that this hub has.
    #[error("HUB0223 the database was made by another hub: its migration {version} is not the one of this hub")]
    OtherMigration {
        /// Which one.
        version: i64,
    },
    /// The text that names the database cannot be read.
    #[error("HUB0224 the URL of the database cannot be used: {0}")]
    Url(String),
    /// The store itself refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}
