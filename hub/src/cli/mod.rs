//! The command line.
pub mod exit;
pub mod output;
pub mod run;
