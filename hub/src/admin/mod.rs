//! The HTTP interface for operators and for machines that watch the hub.
//!
//! In come requests; out go JSON, metrics and events about messages, never a body unless it is asked for,
//! which is logged (H10). Promised: everything has a bound (H6); errors are problem documents with a code,
//! without text of a database or a path; what is served is exactly what `/api/openapi.json` describes.
//! Refused: requests that another web site makes through somebody's browser. The interface asks nobody who
//! he is beyond his certificate, so it listens on loopback, or with TLS, or for a stated reason.

mod bodies;
mod caller;
mod codes;
mod configuration;
mod control;
mod dead_letters;
mod guard;
mod health;
mod home;
mod journeys;
mod json;
mod messages;
mod openapi;
mod operate;
mod problem;
mod query;
mod router;
mod server;
mod tap;

pub use control::{
    CodeError, Control, DestinationStatus, NewCode, Part, ReloadError, SearchBy, SourceStatus, TapEvent,
};
pub use server::{Error, Options, Server};

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
