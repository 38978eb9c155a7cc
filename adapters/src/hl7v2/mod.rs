//! HL7 v2, ER7 encoding: reading, writing, acknowledging, and MLLP.

mod message;

pub use message::Document;
