//! The middle of the hub: read `journey` as a message travels.

pub mod actors;
pub mod broker;
pub mod store;
