//! What the hub counts, and how it writes its log. No label and no field holds patient data (H10).

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;

/// Bounds of the answer-time histogram, in seconds.
const ANSWER_BOUNDS: [f64; 12] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// A part of the hub and what happened there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct At {
    /// The source, route, channel or destination, by its name in the configuration.
    pub name: String,
    /// The state or verdict.
    pub outcome: &'static str,
}

/// A part of the hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Of {
    /// Its name in the configuration.
    pub name: String,
}

/// Everything the hub counts.
pub struct Metrics {
    registry: Registry,
    /// Messages by source: accepted, repeated, refused, failed.
    pub received: Family<At, Counter>,
    /// From the last byte to the answer, by source.
    pub answer_time: Family<Of, Histogram>,
    /// Runs by route: mapped, filtered, refused, dead-lettered, held.
    pub runs: Family<At, Counter>,
    /// Ended deliveries by destination.
    pub ended: Family<At, Counter>,
    /// Attempts by destination.
    pub attempts: Family<At, Counter>,
    /// Deliveries in memory that are not ended, by destination.
    pub open: Family<Of, Gauge>,
    /// Runs that are held, by route.
    pub held: Family<Of, Gauge>,
    /// Whether a broker can be used: 1, or 0.
    pub broker_usable: Family<Of, Gauge>,
    /// Whether a broker asks publishers to wait: 1, or 0.
    pub broker_blocked: Family<Of, Gauge>,
    /// Records that wait in a broker, by channel: the depth of queues, the lag of consumers.
    pub broker_waiting: Family<Of, Gauge>,
    /// Panics with a message in hand, by stage.
    pub panics: Family<Of, Counter>,
    /// Reloads: done, refused.
    pub reloads: Family<At, Counter>,
    /// Messages on their way between journal and outbox.
    pub in_flight: Gauge,
    /// Seconds since 1970 when the hub started.
    pub started: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(ANSWER_BOUNDS);
        let answer_time = Family::new_with_constructor(histogram);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("hub"),
            received: Family::default(),
            answer_time,
            runs: Family::default(),
            ended: Family::default(),
            attempts: Family::default(),
            open: Family::default(),
            held: Family::default(),
            broker_usable: Family::default(),
            broker_blocked: Family::default(),
            broker_waiting: Family::default(),
            panics: Family::default(),
            reloads: Family::default(),
            in_flight: Gauge::default(),
            started: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let all = &mut self.registry;
        all.register("messages_received", "Messages by source and outcome", self.received.clone());
        all.register_with_unit(
            "answer_time",
            "From the last byte of a message to its answer",
            Unit::Seconds,
            self.answer_time.clone(),
        );
        all.register("runs", "Passes of a route by state", self.runs.clone());
        all.register("deliveries_ended", "Deliveries that reached an end", self.ended.clone());
        all.register("attempts", "Attempts to deliver by verdict", self.attempts.clone());
        all.register("deliveries_open", "Deliveries in memory that have not ended", self.open.clone());
        let held = "Runs that wait for a code, or behind one that does";
        all.register("held_messages", held, self.held.clone());
        all.register("broker_usable", "Whether the broker can be used", self.broker_usable.clone());
        let blocked = "Whether the broker asks publishers to wait";
        all.register("broker_blocked", blocked, self.broker_blocked.clone());
        all.register("broker_waiting", "Records that wait in the broker, by channel", self.broker_waiting.clone());
        all.register("panics", "Panics with a message in hand", self.panics.clone());
        all.register("reloads", "Reloads of the configuration", self.reloads.clone());
        all.register("messages_in_flight", "Messages between journal and outbox", self.in_flight.clone());
        all.register("start_time_unix", "When the hub started", self.started.clone());
    }

    /// Counts one event of `family`.
    pub fn count(family: &Family<At, Counter>, name: &str, outcome: &'static str) {
        family.get_or_create(&At { name: name.to_owned(), outcome }).inc();
    }

    /// All of it, in the OpenMetrics text format.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged where `HUB_LOG` says nothing: the HTTP server tells of its workers only when something is wrong.
const LOGGED: &str = "info,actix_server=warn";

/// Starts the log on standard error. `HUB_LOG` says what is written: `info`, `hub=debug`.
pub fn start_log(format: LogFormat, colour: bool) {
    let filter = EnvFilter::try_from_env("HUB_LOG").unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(colour).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
}
