//! `[store]`: where the journal lies.
//!
//! In come the settings of a store; out goes SQLite in the data folder, or a database of PostgreSQL. Promised: the
//! URL of a database, which has a password in it, stands in a file of its own or in a variable, and is never shown.
//! Refused: a URL that is written into the settings, and a database beyond loopback without a certificate that is
//! verified, or a reason.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::secret::{Reference, Secret, read_reference};
use crate::finding::{Finding, Findings, Section, SourceText, codes};

/// The variable that has the URL, if no file says where it is.
pub const URL_VARIABLE: &str = "HUB_STORE_URL";
const DAY: Duration = Duration::from_secs(86_400);
/// Shortest and longest time that what is at its end stays before it is archived.
const KEEP_RANGE: std::ops::RangeInclusive<Duration> = DAY..=Duration::from_secs(86_400 * 36_525);

/// Where the journal lies.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreSettings {
    /// In a file of the data folder.
    Sqlite,
    /// In a database.
    Postgres(Database),
}

/// A database of PostgreSQL.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// `postgres://user:password@host:port/name?sslmode=verify-full`.
    pub url: Secret,
    /// Whose certificates it may have; none: the system's authorities.
    pub ca: Option<PathBuf>,
    /// Days that stay before they are archived; none: all of them.
    pub keep_days: Option<u32>,
}

/// A reference with its place in the file of settings.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    reference: Reference,
    source: Arc<SourceText>,
    span: Range<usize>,
}

/// `[store]`, as a layer has it.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreLayer {
    kind: Option<&'static str>,
    url: Option<Placed>,
    ca: Option<PathBuf>,
    keep: Option<Duration>,
    insecure: Option<String>,
}

impl StoreLayer {
    /// What this layer says, and what `base` says where it says nothing.
    pub(super) fn over(self, base: StoreLayer) -> StoreLayer {
        StoreLayer {
            kind: self.kind.or(base.kind),
            url: self.url.or(base.url),
            ca: self.ca.or(base.ca),
            keep: self.keep.or(base.keep),
            insecure: self.insecure.or(base.insecure),
        }
    }

    /// The store of a hub that runs. `variable` is the value of [`URL_VARIABLE`], which goes before the file.
    pub(super) fn resolve(self, variable: Option<String>, findings: &mut Findings) -> StoreSettings {
        let named = match (variable, self.kind, self.url) {
            (Some(url), _, _) => Some((url, nowhere(URL_VARIABLE))),
            (None, Some("postgres"), Some(placed)) => read_secret(&placed, findings).map(|url| (url, placed)),
            (None, Some("postgres"), None) => {
                let finding = nowhere("store").error("a store on PostgreSQL needs its `url`");
                findings.push(finding.with_help(format!("name a file or a variable, or set {URL_VARIABLE}")));
                None
            }
            (None, _, _) => None,
        };
        let Some((url, placed)) = named else { return StoreSettings::Sqlite };
        if let Some(finding) = objection(&url, &placed, self.insecure.as_deref()) {
            findings.push(finding);
        }
        let keep_days = self.keep.and_then(|keep| u32::try_from(keep.as_secs() / DAY.as_secs()).ok());
        StoreSettings::Postgres(Database { url: Secret(url), ca: self.ca, keep_days })
    }
}

impl Placed {
    fn error(&self, message: impl Into<String>) -> Finding {
        Finding::error(codes::BAD_VALUE, &self.source, self.span.clone(), message)
    }
}

/// A place outside the file of settings.
fn nowhere(name: &str) -> Placed {
    let reference = Reference::Variable(URL_VARIABLE.to_owned());
    Placed { reference, source: Arc::new(SourceText::new(name.to_owned(), "")), span: 0..0 }
}

/// What is wrong with a URL. Findings do not show it.
fn objection(url: &str, placed: &Placed, insecure: Option<&str>) -> Option<Finding> {
    let is_known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let Some(options) = PgConnectOptions::from_str(url).ok().filter(|_| is_known) else {
        let finding = placed.error("the text that is named here is no URL of a PostgreSQL database");
        return Some(finding.with_help("write `postgres://user:password@host:5432/name?sslmode=verify-full`"));
    };
    let host = options.get_host();
    let is_near = options.get_socket().is_some()
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
    if is_near || is_verified || insecure.is_some_and(|reason| !reason.trim().is_empty()) {
        return None;
    }
    let message = "the way to the database would be open to the network, or to whoever answers there";
    let finding = Finding::error(codes::PLAIN_NETWORK, &placed.source, placed.span.clone(), message);
    Some(
        finding
            .with_help("add `?sslmode=verify-full` to the URL and name `ca`, or say why not: `insecure = \"reason\"`"),
    )
}

fn read_secret(placed: &Placed, findings: &mut Findings) -> Option<String> {
    let read = placed.reference.read();
    read.map_err(|why| findings.push(placed.error(why))).ok()
}

/// Reads `[store]`. Its relative paths start at `folder`.
pub(super) fn read_store(section: Section<'_>, folder: &Path) -> StoreLayer {
    let reader = section.reader();
    let mut layer = StoreLayer::default();
    let mut section = section;
    layer.kind = section.word("kind", &["sqlite", "postgres"]).map(|kind| kind.value);
    layer.url = section.entry("url").and_then(|url| {
        let (reference, span) = read_reference(&url, folder)?;
        Some(Placed { reference, source: Arc::clone(reader.source()), span })
    });
    layer.ca = section.text("ca").map(|path| folder.join(path.value));
    let keep = section.duration("keep");
    if let Some(time) = keep.as_ref().filter(|time| !KEEP_RANGE.contains(&time.value)) {
        reader.error(codes::BAD_VALUE, time.span.clone(), "`keep` must be from 1 day to 100 years");
    }
    layer.keep = keep.map(|time| time.value);
    let insecure = section.text("insecure");
    if let Some(reason) = insecure.as_ref().filter(|reason| reason.value.trim().is_empty()) {
        reader.error(codes::BAD_VALUE, reason.span.clone(), "`insecure` must say why");
    }
    layer.insecure = insecure.map(|reason| reason.value);
    section.finish();
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(layer: StoreLayer, variable: Option<&str>) -> Result<StoreSettings, Findings> {
        let mut findings = Findings::new();
        let store = layer.resolve(variable.map(str::to_owned), &mut findings);
        if findings.has_errors() { Err(findings) } else { Ok(store) }
    }

    #[test]
    fn a_database_beyond_loopback_needs_a_verified_certificate_or_a_reason() {
        let far = "postgres://hub:secret@db.example:5432/hub";
        let at = |url: &str| resolved(StoreLayer::default(), Some(url));
        for url in [far, &format!("{far}?sslmode=require"), &format!("{far}?sslmode=verify-ca")] {
            let findings = at(url).unwrap_err().to_string();
            assert!(findings.contains("HUB0138") && !findings.contains("secret"), "{findings}");
        }
        for near in ["127.0.0.1", "localhost", "[::1]"] {
            assert!(at(&format!("postgres://hub@{near}/hub")).is_ok(), "{near}");
        }
        assert!(at(&format!("{far}?sslmode=verify-full")).is_ok());
        let insecure = StoreLayer { insecure: Some("a sealed network".to_owned()), ..StoreLayer::default() };
        assert!(resolved(insecure, Some(far)).is_ok());
    }

    #[test]
    fn a_url_that_is_none_is_refused_and_never_shown() {
        for url in ["mysql://u:hunter2@127.0.0.1/x", "hunter2", "", "postgres://u:hunter2@127.0.0.1:x/hub"] {
            let findings = resolved(StoreLayer::default(), Some(url)).unwrap_err().to_string();
            assert!(!findings.contains("hunter2") && findings.contains("HUB0105"), "{findings}");
        }
        let store = resolved(StoreLayer::default(), Some("postgres://u:hunter2@127.0.0.1/hub")).unwrap();
        assert!(!format!("{store:?}").contains("hunter2"));
    }
}
