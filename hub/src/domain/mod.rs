//! The domain as pure functions.

pub mod identifiers;
