//! The middle of the hub: read `journey` as a message travels.

pub mod actors;
pub mod broker;
pub mod domain;
pub mod finding;
pub mod keys;
pub mod mapping;
pub mod routes;
pub mod store;
