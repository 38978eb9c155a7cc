//! What runs: routes, sources and destinations of the configuration of now, and how they stand.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::control::{DestinationStatus, SourceStatus};
use super::guard::json;
use super::problem::Problem;
use super::server::Api;
use crate::routes::{Channel, DestinationAdapter, DestinationSpec, Order, Route, SourceAdapter, SourceSpec, Target};

/// `GET /api/v1/routes`: in the file's order.
pub(super) async fn routes(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let live = api.control.live();
    let routes: Vec<Value> = live.configuration.routes.iter().map(route).collect();
    json(StatusCode::OK, &json!({ "configuration": live.configuration.hash.as_str(), "routes": routes }))
}

/// `GET /api/v1/sources`.
pub(super) async fn sources(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let (live, statuses) = (api.control.live(), api.control.sources());
    let sources: Vec<Value> = live
        .configuration
        .sources
        .values()
        .map(|spec| source(spec, statuses.iter().find(|status| status.name == spec.name)))
        .collect();
    json(StatusCode::OK, &json!({ "configuration": live.configuration.hash.as_str(), "sources": sources }))
}

/// `GET /api/v1/destinations`: far systems, then the channels to the domain actors.
pub(super) async fn destinations(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let (live, statuses) = (api.control.live(), api.control.destinations());
    let status_of = |name: &str| statuses.iter().find(|status| status.name == name);
    let far = live.configuration.destinations.values().map(|spec| {
        let (adapter, to) = far_system(spec);
        destination(&spec.name, adapter, to, status_of(&spec.name))
    });
    let channels =
        Channel::ALL.into_iter().map(|channel| destination(channel.name(), "channel", None, status_of(channel.name())));
    let destinations: Vec<Value> = far.chain(channels).collect();
    json(StatusCode::OK, &json!({ "configuration": live.configuration.hash.as_str(), "destinations": destinations }))
}

fn route(route: &Route) -> Value {
    json!({
        "id": route.id,
        "why": route.why,
        "from": route.from,
        "mapping": route.mapping().map(|(name, version)| json!({ "name": name, "version": version })),
        "to": route.to.iter().map(Target::name).collect::<Vec<_>>(),
        "order": match route.order { Order::Key => "key", Order::None => "none" },
        "stop": route.stop,
        "file": route.place.file,
        "line": route.place.line,
    })
}

fn source(spec: &SourceSpec, status: Option<&SourceStatus>) -> Value {
    let (adapter, listen, tls) = match &spec.adapter {
        SourceAdapter::Mllp(mllp) => ("hl7v2-mllp", Some(mllp.listen.to_string()), mllp.tls.is_some()),
        SourceAdapter::Events(_) => ("events", None, false),
    };
    json!({
        "name": spec.name,
        "adapter": adapter,
        "listen": listen,
        "tls": tls,
        "address": status.and_then(|status| status.address).map(|address| address.to_string()),
        "state": status.map(|status| status.state),
        "trouble": status.and_then(|status| status.trouble.as_deref()),
    })
}

fn destination(name: &str, adapter: &str, to: Option<String>, status: Option<&DestinationStatus>) -> Value {
    json!({
        "name": name,
        "adapter": adapter,
        "to": to,
        "state": status.map(|status| status.state),
        "open": status.map(|status| status.open),
        "trouble": status.and_then(|status| status.trouble.as_deref()),
    })
}

/// The adapter, and where it delivers; of a URL only scheme, host and path, for the rest may be a secret.
fn far_system(spec: &DestinationSpec) -> (&'static str, Option<String>) {
    match &spec.adapter {
        DestinationAdapter::File(file) => ("file", Some(file.folder.to_string_lossy().into_owned())),
        DestinationAdapter::Http(http) => ("http", public_url(&http.url)),
        DestinationAdapter::Mllp(mllp) => ("hl7v2-mllp", Some(mllp.connect.clone())),
    }
}

fn public_url(url: &str) -> Option<String> {
    let mut url = reqwest::Url::parse(url).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_a_url_is_not_shown() {
        let shown = public_url("https://user:CANARY@far.example:8443/in?token=CANARY#CANARY");
        assert_eq!(shown.as_deref(), Some("https://far.example:8443/in"));
        assert_eq!(public_url("CANARY"), None);
    }
}
