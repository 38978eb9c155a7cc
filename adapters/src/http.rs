//! A way out by HTTP.
//!
//! In come parcels; out go requests, one an attempt, and a verdict by the status of the answer. Promised:
//! delivered means a 2xx; every attempt carries the same `Idempotency-Key` (H3); nothing of an answer but its
//! status and its `Retry-After` is looked at, and no more of it is read than the limit (H6, H10). Refused:
//! redirects, which would send patient data to a place that nobody configured.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use crate::clock::{Clock, Timestamp};
use crate::limits::HttpLimits;
use crate::{Format, Parcel, Sink, Verdict, tls};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How a parcel is handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
}

/// What a destination is built from.
pub struct Options {
    /// Where to.
    pub url: String,
    /// How.
    pub method: Method,
    /// More headers, such as `Authorization`. A `Content-Type` here goes before that of the format.
    pub headers: Vec<(String, String)>,
    /// Its bounds.
    pub limits: HttpLimits,
    /// Whom to trust, for `https`. Without it, the system's authorities.
    pub tls: Option<Arc<tls::Client>>,
    /// Says how far away a `Retry-After` date is.
    pub clock: Arc<dyn Clock>,
}

/// Why a destination cannot be built. Holds no header value: it may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none, or of another scheme.
    #[error("{url} is no http or https url")]
    Url {
        /// The URL.
        url: String,
    },
    /// A header cannot be sent.
    #[error("the header {name} has a name or value that cannot be sent")]
    Header {
        /// Its name.
        name: String,
    },
    /// The certificates cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] tls::Error),
    /// The client cannot be built.
    #[error("cannot build an http client: {0}")]
    Client(String),
}

/// Sends to one URL.
pub struct HttpSink {
    client: Client,
    url: Url,
    method: reqwest::Method,
    headers: HeaderMap,
    limits: HttpLimits,
    clock: Arc<dyn Clock>,
}

impl HttpSink {
    /// A destination that is not connected yet. Reads the system's authorities if it needs them.
    pub fn new(options: Options) -> Result<HttpSink, Error> {
        let url = Url::parse(&options.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or(Error::Url { url: options.url })?;
        let tls = match options.tls {
            Some(client) => (*client.config()).clone(),
            None if url.scheme() == "https" => (*tls::Client::load(tls::ClientFiles::default())?.config()).clone(),
            None => tls::trusting_nobody()?,
        };
        let limits = options.limits;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(limits.connect_deadline)
            .timeout(limits.exchange_deadline)
            .pool_max_idle_per_host(limits.idle_connections_max)
            .build()
            .map_err(|error| Error::Client(innermost(&error)))?;
        let method = match options.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        Ok(HttpSink { client, url, method, headers: header_map(options.headers)?, limits, clock: options.clock })
    }

    fn request_headers(&self, parcel: &Parcel) -> Option<HeaderMap> {
        let mut headers = self.headers.clone();
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(match parcel.format {
            Format::Hl7v2 => "x-application/hl7-v2+er7",
            Format::FhirJson => "application/fhir+json",
            Format::Json => "application/json",
            Format::Xml => "application/xml",
            Format::Csv => "text/csv; charset=utf-8",
        }));
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(&parcel.idempotency_key).ok()?);
        Some(headers)
    }

    fn judge(&self, response: &Response) -> Verdict {
        let status = response.status();
        let told = format!("answered {}", status.as_u16());
        if status.is_success() {
            return Verdict::Delivered { answer: told };
        }
        if is_final(status) {
            return Verdict::Rejected { reason: told };
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, self.clock.now()));
        Verdict::Retry { reason: told, after: after.map(|after| after.min(self.limits.retry_after_max)) }
    }

    /// Reads the rest of an answer, up to the limit, so that its connection can be used again.
    async fn drop_body(&self, mut response: Response) {
        let mut left = self.limits.answer_bytes_max;
        while let Ok(Some(chunk)) = response.chunk().await {
            match left.checked_sub(chunk.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    }
}

#[async_trait]
impl Sink for HttpSink {
    async fn deliver(&self, parcel: &Parcel) -> Verdict {
        let Some(headers) = self.request_headers(parcel) else {
            return Verdict::Rejected { reason: "the idempotency key cannot be sent in a header".to_owned() };
        };
        let request = self.client.request(self.method.clone(), self.url.clone());
        match request.headers(headers).body(parcel.body.clone()).send().await {
            Ok(response) => {
                let verdict = self.judge(&response);
                self.drop_body(response).await;
                verdict
            }
            Err(error) => Verdict::Retry { reason: reason(&error), after: None },
        }
    }
}

/// Whether `url` is on this machine, so that it may be `http`.
pub fn is_loopback(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(tls::is_loopback_host))
}

fn header_map(headers: Vec<(String, String)>) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
            (Ok(header), Ok(mut content)) => {
                content.set_sensitive(true);
                map.append(header, content);
            }
            _ => return Err(Error::Header { name }),
        }
    }
    Ok(map)
}

/// A status that a repeat would get again: the request itself is wrong. A redirect is not: it may be a page
/// of maintenance, and nobody said that the message will never be taken.
fn is_final(status: StatusCode) -> bool {
    let may_pass =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    status.is_client_error() && !may_pass
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let wait = u64::try_from(at.as_microsecond().saturating_sub(now.0)).unwrap_or(0);
    Some(Duration::from_micros(wait))
}

/// Why no answer came, without the URL.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer came in time".to_owned();
    }
    if error.is_connect() {
        return format!("cannot connect: {}", innermost(error));
    }
    "the connection was lost".to_owned()
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const THEN: Timestamp = Timestamp(784_111_777_000_000);

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ];
        for (text, seconds) in cases {
            let value = HeaderValue::from_static(text);
            assert_eq!(retry_after(&value, THEN), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let here = [
            "http://127.0.0.1:8080/x",
            "http://127.9.9.9/",
            "http://localhost/",
            "http://[::1]:80/",
            "http://LOCALHOST",
        ];
        let away = [
            "http://10.0.0.1/",
            "http://example.org/",
            "http://localhost.example.org/",
            "http://127.0.0.1.example.org/",
            "http://127.0.0.1@example.org/",
            "nonsense",
            "",
        ];
        assert!(here.iter().all(|url| is_loopback(url)), "{here:?}");
        assert!(!away.iter().any(|url| is_loopback(url)), "{away:?}");
    }

    #[test]
    fn every_status_has_its_class() {
        for code in 200..600 {
            let status = StatusCode::from_u16(code).expect("a status");
            let expected = (400..500).contains(&code) && ![408, 425, 429].contains(&code);
            assert_eq!(is_final(status), expected, "{code}");
        }
    }
}
