//! HL7 v2, ER7 encoding: reading, writing, acknowledging, and MLLP.

pub mod ack;
pub mod batch;
pub mod charset;
pub mod edit;
pub mod escape;
pub mod grammar;
pub mod listener;
pub mod mllp;
pub mod sender;

mod delimiters;
mod find;
mod findings;
mod groups;
mod index;
mod message;
mod path;
mod value;

pub use charset::{Charset, CharsetReport, CharsetRule};
pub use delimiters::Delimiters;
pub use find::{Scope, UnknownGroup};
pub use findings::Findings;
pub use index::{Index, Limits};
pub use message::{Document, Header, Message, Segment};
pub use path::{Path, PathError};
pub use value::Value;
