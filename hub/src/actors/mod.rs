//! Supervised actors: cells that survive a panic, and the policy that says when trouble goes up.

pub mod adapter;
pub mod cell;
pub mod prescription;
pub mod supervisor;
pub mod watchdog;

pub use self::cell::{Fault, Handle, Health, Plan, Work, spawn};
pub use self::supervisor::{Escalation, Intensity, Next, Policy, Root};
