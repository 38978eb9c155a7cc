//! `hub.toml`, read: what it says, and what it leaves open.
//!
//! In comes the file's text; out go the settings of the file and of each `[profile.NAME]` in it, and
//! findings. Promised: every key is read or reported, those of profiles that are not used too. Refused:
//! values out of their range.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use adapters::tls::{ClientFiles, IdentityFiles};
use indexmap::IndexMap;

use super::brokers::{Binding, Brokers, read_brokers, read_channels};
use super::store::{StoreLayer, read_store};
use super::{Listen, parse_listen};
use crate::finding::{Findings, Reader, Section, SourceText, codes};
use crate::routes::{Channel, ServerTls};
use crate::telemetry::LogFormat;

/// Least memory for bodies: one message of the largest frame that a source can have.
const MEMORY_BYTES_MIN: usize = 16 << 20;
/// Most memory for bodies.
const MEMORY_BYTES_MAX: usize = 64 << 30;
/// Shortest and longest time for a drain.
const DRAIN_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// Shortest and longest time until an actor counts as stuck.
const STUCK_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// A file of settings.
pub(super) struct Root {
    pub base: Layer,
    pub profiles: IndexMap<String, Layer>,
}

/// Settings that somebody made.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub data: Option<PathBuf>,
    pub routes: Option<PathBuf>,
    pub log: Option<LogFormat>,
    pub store: StoreLayer,
    pub http: HttpLayer,
    pub client: Option<ClientFiles>,
    pub brokers: Brokers,
    pub channels: IndexMap<Channel, Binding>,
    pub limits: LimitsLayer,
}

/// `[http]`.
#[derive(Clone, Debug, Default)]
pub(super) struct HttpLayer {
    pub listen: Option<Listen>,
    pub names: Option<Vec<String>>,
    pub tls: Option<ServerTls>,
    pub insecure: Option<String>,
}

/// `[limits]`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LimitsLayer {
    pub memory_for_bodies: Option<usize>,
    pub http_connections: Option<usize>,
    pub taps: Option<usize>,
    pub drain: Option<Duration>,
    pub stuck: Option<Duration>,
}

impl Layer {
    /// What this layer says, and what `base` says where it says nothing.
    pub fn over(self, base: Layer) -> Layer {
        let mut channels = base.channels;
        channels.extend(self.channels);
        Layer {
            data: self.data.or(base.data),
            routes: self.routes.or(base.routes),
            log: self.log.or(base.log),
            store: self.store.over(base.store),
            http: HttpLayer {
                listen: self.http.listen.or(base.http.listen),
                names: self.http.names.or(base.http.names),
                tls: self.http.tls.or(base.http.tls),
                insecure: self.http.insecure.or(base.http.insecure),
            },
            client: self.client.or(base.client),
            brokers: self.brokers.over(base.brokers),
            channels,
            limits: LimitsLayer {
                memory_for_bodies: self.limits.memory_for_bodies.or(base.limits.memory_for_bodies),
                http_connections: self.limits.http_connections.or(base.limits.http_connections),
                taps: self.limits.taps.or(base.limits.taps),
                drain: self.limits.drain.or(base.limits.drain),
                stuck: self.limits.stuck.or(base.limits.stuck),
            },
        }
    }
}

/// Reads the whole file. Its relative paths start at `folder`, where it stands.
pub(super) fn read(source: &Arc<SourceText>, folder: &Path) -> (Option<Root>, Findings) {
    Reader::read(source, |_, mut section| {
        let mut profiles = IndexMap::new();
        if let Some(tables) = section.section("profile", "profiles") {
            for entry in tables.entries() {
                match entry.as_section(format!("profile `{}`", entry.key.value)) {
                    Some(profile) => {
                        profiles.insert(entry.key.value, read_layer(profile, folder));
                    }
                    None => entry.wrong("a table"),
                }
            }
        }
        Root { base: read_layer(section, folder), profiles }
    })
}

fn read_layer(mut section: Section<'_>, folder: &Path) -> Layer {
    let data = section.text("data").map(|path| folder.join(path.value));
    let routes = section.text("routes").map(|path| folder.join(path.value));
    let log = section.word("log", &["text", "json"]);
    let store = section.section("store", "`store`").map(|store| read_store(store, folder)).unwrap_or_default();
    let http = section.section("http", "`http`").map(|http| read_http(http, folder)).unwrap_or_default();
    let client = section.section("client", "`client`").map(|client| read_client(client, folder));
    let brokers = section.section("broker", "`broker`").map(|table| read_brokers(table, folder)).unwrap_or_default();
    let channels = section.section("channels", "channels").map(read_channels).unwrap_or_default();
    let limits = section.section("limits", "`limits`").map(read_limits).unwrap_or_default();
    section.finish();
    let log = log.map(|word| if word.value == "json" { LogFormat::Json } else { LogFormat::Text });
    Layer { data, routes, log, store, http, client, brokers, channels, limits }
}

fn read_http(mut section: Section<'_>, folder: &Path) -> HttpLayer {
    let reader = section.reader();
    let listen = section.text("listen").and_then(|text| match parse_listen(reader.source(), &text) {
        Ok(listen) => Some(listen),
        Err(finding) => {
            reader.report(*finding);
            None
        }
    });
    let names = section.texts("names").map(|names| names.into_iter().map(|name| name.value).collect());
    let tls = section.section("tls", "`tls`").and_then(|tls| read_tls(tls, folder));
    let insecure = section.text("insecure");
    if let Some(reason) = insecure.as_ref().filter(|reason| reason.value.trim().is_empty()) {
        reader.error(codes::BAD_VALUE, reason.span.clone(), "`insecure` must say why");
    }
    section.finish();
    HttpLayer { listen, names, tls, insecure: insecure.map(|reason| reason.value) }
}

fn read_tls(mut section: Section<'_>, folder: &Path) -> Option<ServerTls> {
    let certificate = section.required_text("certificate").map(|path| folder.join(path.value));
    let key = section.required_text("key").map(|path| folder.join(path.value));
    let client_ca = section.text("client_ca").map(|path| folder.join(path.value));
    section.finish();
    Some(ServerTls { certificate: certificate?, key: key?, client_ca })
}

fn read_client(mut section: Section<'_>, folder: &Path) -> ClientFiles {
    let ca = section.text("ca").map(|path| folder.join(path.value));
    if section.has("certificate") != section.has("key") {
        section.missing(if section.has("key") { "certificate" } else { "key" });
    }
    let certificate = section.text("certificate").map(|path| folder.join(path.value));
    let key = section.text("key").map(|path| folder.join(path.value));
    section.finish();
    let identity = certificate.zip(key).map(|(certificate, key)| IdentityFiles { certificate, key });
    ClientFiles { ca, identity }
}

fn read_limits(mut section: Section<'_>) -> LimitsLayer {
    let reader = section.reader();
    let memory = section.bytes("memory_for_bodies");
    if let Some(size) = memory.as_ref().filter(|size| !(MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX).contains(&size.value)) {
        reader.error(codes::BAD_VALUE, size.span.clone(), "`memory_for_bodies` must be from 16 MiB to 64 GiB");
    }
    let http_connections = section.integer("http_connections", 8..=10_000);
    let taps = section.integer("taps", 1..=100);
    let drain = section.duration("drain");
    if let Some(time) = drain.as_ref().filter(|time| !DRAIN_RANGE.contains(&time.value)) {
        reader.error(codes::BAD_VALUE, time.span.clone(), "`drain` must be from 1 second to 10 minutes");
    }
    let stuck = section.duration("stuck");
    if let Some(time) = stuck.as_ref().filter(|time| !STUCK_RANGE.contains(&time.value)) {
        reader.error(codes::BAD_VALUE, time.span.clone(), "`stuck` must be from 1 second to 1 hour");
    }
    section.finish();
    LimitsLayer {
        memory_for_bodies: memory.map(|size| size.value),
        http_connections: http_connections.and_then(|count| usize::try_from(count.value).ok()),
        taps: taps.and_then(|count| usize::try_from(count.value).ok()),
        drain: drain.map(|time| time.value),
        stuck: stuck.map(|time| time.value),
    }
}
