//! Every address of the interface, in one table: the router is made from it, and a test compares it with
//! `openapi.json`.

use actix_web::http::Method;
use actix_web::{Route, web};

use super::{codes, configuration, dead_letters, health, home, journeys, messages, openapi, operate, tap};

/// One method of one address.
pub(super) struct Endpoint {
    pub method: Method,
    pub path: &'static str,
    route: Route,
}

/// The table.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let get = |path, route| Endpoint { method: Method::GET, path, route };
    let post = |path, route| Endpoint { method: Method::POST, path, route };
    vec![
        get("/", web::route().to(home::page)),
        get("/live", web::route().to(health::live)),
        get("/ready", web::route().to(health::ready)),
        get("/metrics", web::route().to(health::metrics)),
        get("/api/openapi.json", web::route().to(openapi::document)),
        get("/api/v1/messages", web::route().to(messages::list)),
        get("/api/v1/messages/{id}", web::route().to(journeys::show)),
        post("/api/v1/messages/{id}/replay", web::route().to(operate::replay)),
        get("/api/v1/dead-letters", web::route().to(dead_letters::list)),
        post("/api/v1/dead-letters/{letter}/replay", web::route().to(dead_letters::replay)),
        get("/api/v1/codes", web::route().to(codes::list)),
        post("/api/v1/codes", web::route().to(codes::add)),
        post("/api/v1/codes/refuse", web::route().to(codes::refuse)),
        get("/api/v1/routes", web::route().to(configuration::routes)),
        get("/api/v1/sources", web::route().to(configuration::sources)),
        get("/api/v1/destinations", web::route().to(configuration::destinations)),
        post("/api/v1/reload", web::route().to(operate::reload)),
        post("/api/v1/reconcile", web::route().to(operate::reconcile)),
        get("/api/v1/tap", web::route().to(tap::watch)),
    ]
}

/// Puts the table into an application. Methods of one address stand one after the other there.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let mut endpoints = endpoints().into_iter().peekable();
    while let Some(endpoint) = endpoints.next() {
        let mut resource = web::resource(endpoint.path).route(endpoint.route.method(endpoint.method));
        while let Some(other) = endpoints.next_if(|other| other.path == endpoint.path) {
            resource = resource.route(other.route.method(other.method));
        }
        config.service(resource);
    }
}
