//! The middle of the hub: read `journey` as a message travels.

pub mod actors;
pub mod admin;
mod arabic;
pub mod assembly;
pub mod audit;
pub mod broker;
pub mod cli;
pub mod config;
pub mod domain;
pub mod finding;
pub mod invariants;
pub mod journey;
pub mod keys;
pub mod limit;
pub mod mapping;
pub mod retry;
pub mod routes;
pub mod search;
pub mod store;
pub mod telemetry;
