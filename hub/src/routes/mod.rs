//! Routes: which message goes where, by which mapping.
//!
//! In come `routes.toml` and the folder `mappings/` beside it; out goes one immutable [`Configuration`]
//! that every run names by its hash (H7). Promised: a configuration is checked whole before anything
//! uses it, and all that is wrong with it is said at once. Refused: a configuration with an error.

mod check;
mod load;
mod parse;
mod spec;
mod table;

pub use spec::{
    AckMode, Channel, Charset, ClientTls, Delivery, DestinationAdapter, DestinationSpec, FileDestination, HeaderValue,
    HttpDestination, Limit, MllpDestination, MllpSource, Order, PrincipalRule, Retry, Sender, ServerTls, SourceAdapter,
    Target,
};
pub use table::{ConfigHash, Configuration, Loaded, Route, SourceSpec, TestReport};

pub use crate::mapping::TestResult;

#[cfg(test)]
mod tests;
