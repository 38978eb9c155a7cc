//! The HTTP interface for operators and for machines that watch the hub.

mod control;

pub use control::{Control, DestinationStatus, Part, SearchBy, SourceStatus, TapEvent};
