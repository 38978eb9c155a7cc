//! HL7 v2, ER7 encoding: reading, writing, acknowledging, and MLLP.

pub mod listener;
pub mod mllp;
pub mod sender;

mod message;

pub use message::Document;
