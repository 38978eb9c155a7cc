//! `GET /`: where things are, for somebody with a browser.

use std::fmt::Write as _;

use actix_web::{HttpResponse, web};

use super::problem::Problem;
use super::server::Api;

/// Dead letters that are counted.
const COUNTED_MAX: usize = 1_000;

/// Answers the page. It holds numbers and links, and nothing that a sender wrote.
pub(super) async fn page(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let live = api.control.live();
    let configuration = &live.configuration;
    let parts = api.control.ready();
    let troubled = parts.iter().filter(|part| part.trouble.is_some()).count();
    let dead = api.control.store().dead_letters(COUNTED_MAX).await?.len();
    let dead = if dead == COUNTED_MAX { format!("{dead} or more") } else { dead.to_string() };
    let ready = match troubled {
        0 => format!("ready, {} parts", parts.len()),
        troubled => format!("not ready: {troubled} of {} parts", parts.len()),
    };
    let rows = [
        ("/ready", "Ready", ready),
        ("/api/v1/messages", "Messages", "newest first".to_owned()),
        ("/api/v1/dead-letters", "Dead letters", dead),
        ("/api/v1/codes", "Codes", "that messages are held for".to_owned()),
        ("/api/v1/routes", "Routes", configuration.routes.len().to_string()),
        ("/api/v1/sources", "Sources", configuration.sources.len().to_string()),
        ("/api/v1/destinations", "Destinations", configuration.destinations.len().to_string()),
        ("/api/v1/tap", "Tap", "what happens, as it happens".to_owned()),
        ("/metrics", "Metrics", "for Prometheus".to_owned()),
        ("/api/openapi.json", "OpenAPI", "every address, described".to_owned()),
    ];
    let mut page = String::from(HEAD);
    for (link, name, text) in rows {
        let _ = writeln!(page, "<tr><td><a href=\"{link}\">{name}</a></td><td>{text}</td></tr>");
    }
    let _ = writeln!(page, "</table><p>Configuration <code>{}</code></p></html>", configuration.hash);
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page))
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Hub</title>\n\
    <style>body{font:16px sans-serif;margin:3em}td{padding:.2em 2em .2em 0}</style>\n\
    <h1>Integration hub</h1><p>These are the addresses of the HTTP interface; \
    <code>hub --help</code> has the same on the command line.</p><table>\n";
