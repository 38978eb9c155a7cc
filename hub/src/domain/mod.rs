//! The domain as pure functions: what a command makes of what is held.
//!
//! In come states, commands and the time, all as values; out go new states and events, or refusals. The
//! actors are thin shells round it: they load, call, and store everything in one transaction (H3). Nothing
//! here reads a clock, a file or chance, so the same input gives the same output. What the rules do not
//! allow is refused with a code (HUB03nn), never ignored.

pub mod command;
pub mod event;
pub mod identifiers;
pub mod prescription;
pub mod refusal;
pub mod resource;
