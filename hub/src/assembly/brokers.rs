//! The brokers of the settings, each with the channels that it carries.

use std::sync::Arc;

use super::stages::Bound;
use crate::broker::embedded::Embedded;
use crate::config::Settings;
use crate::routes::Channel;

/// Partitions of a channel.
const PARTITIONS: usize = 2;

/// The brokers of the settings.
pub(super) fn bind(_settings: &Settings) -> Vec<Bound> {
    let channels = Channel::ALL.to_vec();
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    vec![Bound { name: "embedded", broker: Arc::new(Embedded::new(&names, PARTITIONS)), channels }]
}
