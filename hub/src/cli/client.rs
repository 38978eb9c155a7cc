//! Asks a running hub over its HTTP interface.
//!
//! In come the settings of the command line; out go JSON answers, or a failure that says what to do.
//! Promised: an answer is read up to a bound, in a bounded time, and redirects are not followed. Refused:
//! answers that are no JSON.

use std::sync::Arc;
use std::time::Duration;

use adapters::tls;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde_json::Value;

use super::output::{Failure, clean, list_of};
use super::{Exit, Global, ready_file};
use crate::config::Settings;

/// For a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// For a whole answer: longer than the hub itself takes at most.
const ANSWER_DEADLINE: Duration = Duration::from_secs(40);
/// The largest answer in bytes: the journey of a message of the largest frame, with its bodies.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A hub to ask.
pub struct Hub {
    client: Client,
    base: Url,
}

impl Hub {
    /// The hub that the command line means: that of `--http`, else the one that runs on the data folder,
    /// else that of the settings.
    pub fn of(global: &Global) -> Result<Hub, Failure> {
        let settings = Settings::load(global).map_err(configuration)?;
        let address = match &global.http {
            Some(address) if address.contains("://") => address.clone(),
            Some(address) => format!("{}://{address}", scheme(&settings)),
            None => {
                match ready_file::read(&settings.data).and_then(|ready| Some(ready.get("http")?.as_str()?.to_owned())) {
                    Some(address) => format!("{}://{address}", scheme(&settings)),
                    None => format!("{}://{}", scheme(&settings), settings.http.listen),
                }
            }
        };
        let base = Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| {
            Failure::new(Exit::Usage, "--http must be an address such as 127.0.0.1:8080 or https://hub.example:8443")
        })?;
        let tls = trusted(&settings, &base).map_err(|error| Failure::new(Exit::Io, error.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_DEADLINE)
            .build()
            .map_err(|_| Failure::new(Exit::Io, "cannot build an HTTP client"))?;
        Ok(Hub { client, base })
    }

    /// Asks for a document.
    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        let response = self.ask(self.request(Method::GET, path, query).timeout(ANSWER_DEADLINE)).await?;
        self.read(response).await
    }

    /// Asks for something to be done.
    pub async fn post(&self, path: &[&str]) -> Result<Value, Failure> {
        let response = self.ask(self.request(Method::POST, path, &[]).timeout(ANSWER_DEADLINE)).await?;
        self.read(response).await
    }

    /// Asks for something to be done with what `body` says.
    pub async fn post_with(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        let request = self.request(Method::POST, path, &[]).timeout(ANSWER_DEADLINE);
        let response = self.ask(request.header(CONTENT_TYPE, "application/json").body(body.to_string())).await?;
        self.read(response).await
    }

    /// Opens a stream that lasts as long as the hub wants.
    pub async fn stream(&self, path: &[&str], query: &[(&str, String)]) -> Result<Response, Failure> {
        let response = self.ask(self.request(Method::GET, path, query)).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        self.read(response).await.and(Err(Failure::new(Exit::Failed, "the hub did not answer with a stream")))
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client.request(method, url)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().await.map_err(|error| self.unreached(&error))
    }

    fn unreached(&self, error: &reqwest::Error) -> Failure {
        let base = self.base.as_str().trim_end_matches('/');
        let message = if error.is_timeout() {
            format!("the hub at {base} does not answer in time")
        } else {
            format!("no hub answers at {base}: start one with `hub run`, or say with --http or --data which is meant")
        };
        Failure::new(Exit::Io, message)
    }

    async fn read(&self, mut response: Response) -> Result<Value, Failure> {
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreached(&error))? {
            if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(Failure::new(Exit::Failed, format!("the answer is over {ANSWER_BYTES_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        let answer: Value = serde_json::from_slice(&bytes).map_err(|_| {
            let message = format!("what answers at {} is no hub: status {}, and no JSON", self.base, status.as_u16());
            Failure::new(Exit::Failed, message)
        })?;
        if status.is_success() { Ok(answer) } else { Err(refused(&answer)) }
    }
}

/// A problem document as a failure.
fn refused(problem: &Value) -> Failure {
    let text = |key: &str| problem.get(key).and_then(Value::as_str).map(clean).unwrap_or_default();
    let mut message = format!("{} {}", text("code"), text("title"));
    if let Some(detail) = problem.get("detail").and_then(Value::as_str) {
        message.push_str(&format!(": {}", clean(detail)));
    }
    for finding in list_of(problem, "findings") {
        let part = |key: &str| finding.get(key).and_then(Value::as_str).map(clean).unwrap_or_default();
        let number = |key: &str| finding.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (line, column) = (number("line"), number("column"));
        message.push_str(&format!("\n{}:{line}:{column} {} {}", part("file"), part("code"), part("message")));
        if let Some(help) = finding.get("help").and_then(Value::as_str) {
            message.push_str(&format!(" ({})", clean(help)));
        }
    }
    let exit = match problem.get("status").and_then(Value::as_u64) {
        Some(422) => Exit::Configuration,
        Some(503) => Exit::Io,
        Some(_) | None => Exit::Failed,
    };
    Failure::new(exit, message)
}

/// The failure of a configuration with findings.
pub fn configuration(findings: crate::finding::Findings) -> Failure {
    Failure::new(Exit::Configuration, findings.to_string())
}

fn scheme(settings: &Settings) -> &'static str {
    if settings.http.tls.is_some() { "https" } else { "http" }
}

/// Whom to trust, and who we are.
fn trusted(settings: &Settings, base: &Url) -> Result<rustls::ClientConfig, tls::Error> {
    if base.scheme() != "https" {
        return tls::trusting_nobody();
    }
    let client: Arc<_> = tls::Client::load(settings.client.clone().unwrap_or_default())?.config();
    Ok((*client).clone())
}
