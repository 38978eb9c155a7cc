//! What stands around every request: who may ask, how long it may take, and how errors look.
//!
//! Promised: a web page of another site cannot make somebody's browser read or change anything here, be it
//! by a form, by a script, or by a name of its own that points to this machine.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};

use super::problem::{PROBLEM_JSON, Problem};
use super::server::Api;

/// For an answer to begin. Replays and reloads wait for the parts of the hub.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Addresses that say nothing about anybody: machines ask them under any name.
const OPEN: [&str; 3] = ["/live", "/ready", "/metrics"];
/// What a browser says about where a request was begun.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The middleware.
pub(super) async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let names = request.app_data::<web::Data<Api>>().map(|api| api.names.as_slice()).unwrap_or_default();
    if !OPEN.contains(&request.path()) {
        objection(request.method(), request.headers(), names).map_or(Ok(()), Err)?;
    }
    let answered = tokio::time::timeout(ANSWER_DEADLINE, next.call(request)).await;
    let mut response = answered.map_err(|_| Problem::too_slow())??.map_into_boxed_body();
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE) == Some(&PROBLEM_JSON);
    if (status.is_client_error() || status.is_server_error()) && !is_problem && !is_unready(&response) {
        response = response.map_body(|head, _| {
            head.headers.insert(CONTENT_TYPE, PROBLEM_JSON);
            BoxBody::new(Problem::of_status(status).to_json())
        });
    }
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    Ok(response)
}

/// `/ready` says 503 with a document of its own.
fn is_unready(response: &ServiceResponse<BoxBody>) -> bool {
    response.status() == StatusCode::SERVICE_UNAVAILABLE && response.request().path() == "/ready"
}

/// Why a request is not taken.
fn objection(method: &Method, headers: &HeaderMap, names: &[String]) -> Option<Problem> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST);
    if host.is_some_and(|host| !is_own_name(host, names)) {
        return Some(Problem::foreign("ask by address, as localhost, or by a name that `http.names` has"));
    }
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    if text(FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none") {
        return Some(Problem::foreign("a browser says that another site began it"));
    }
    let is_own = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some() && authority == host
    };
    match text(ORIGIN) {
        Some(origin) if !is_own(origin) => Some(Problem::foreign("its origin is not this hub")),
        Some(_) | None => None,
    }
}

/// An address, `localhost`, or a configured name. Only a name can lead a browser here unawares.
fn is_own_name(host: &str, names: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let bare = name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok()
        || bare.eq_ignore_ascii_case("localhost")
        || names.iter().any(|own| own.eq_ignore_ascii_case(bare))
}

/// JSON with a status.
pub(super) fn json(status: StatusCode, body: &impl serde::Serialize) -> Result<HttpResponse, Problem> {
    let text = serde_json::to_string(body).map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok(HttpResponse::build(status).content_type("application/json").body(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_asked_by_address_as_localhost_or_by_its_own_name() {
        let names = ["hub.example.eg".to_owned()];
        for host in ["127.0.0.1:8080", "[::1]:8080", "192.0.2.7", "localhost", "LOCALHOST:1", "hub.example.eg:443"] {
            assert!(is_own_name(host, &names), "{host}");
        }
        for host in
            ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "", ":8080", "hub.example.eg."]
        {
            assert!(!is_own_name(host, &names), "{host}");
        }
    }
}
