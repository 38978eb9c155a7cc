//! Black-box tests: the hub as a process, seen only through its sockets, its files and its exit code.
//!
//! In comes a hub that was built with crash points; out go verdicts. Nothing here uses the hub's own code to judge
//! the hub: framing, senders, payloads and reading of the journal are written a second time, and the peers are other
//! people's libraries. Refused: a test that passes because something was missing.

pub mod api;
pub mod campaign;
pub mod database;
pub mod emitted;
pub mod far;
pub mod folder;
pub mod hub;
pub mod journal;
pub mod judge;
pub mod ledger;
pub mod load;
pub mod mllp;
pub mod oracle;
pub mod payload;
pub mod peer;
pub mod power_cut;
pub mod proxy;
pub mod random;
pub mod sender;
pub mod server;
pub mod servers;
pub mod wait;
pub mod ward;

/// What a step of a test gives, or why it could not go on.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
