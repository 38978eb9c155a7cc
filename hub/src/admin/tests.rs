use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HOST, ORIGIN};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::fake::{CANARY, Fake, START, Served};
use super::openapi::OPENAPI;
use super::router::endpoints;
use super::*;
use crate::store::{DeliveryState, MessageId, RunState};

mod codes;
mod lists;
mod schema;
mod taps;

/// Longer than any answer here takes.
const WITHIN: Duration = Duration::from_secs(20);

fn client() -> Client {
    let tls = adapters::tls::trusting_nobody().unwrap();
    Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(WITHIN).build().unwrap()
}

impl Served {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        client().request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    async fn post_with(&self, path: &str, body: &Value) -> Answer {
        Answer::read(self.request(Method::POST, path).body(body.to_string()).send().await.unwrap()).await
    }

    async fn post(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::POST, path).send().await.unwrap()).await
    }
}

/// A whole answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    media: String,
    text: String,
}

impl Answer {
    async fn read(mut response: Response) -> Answer {
        let media = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        Answer { status: response.status().as_u16(), media, text: String::from_utf8(bytes).unwrap() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn is_problem(&self, status: u16, code: &str) -> bool {
        let is_document = self.media == "application/problem+json" && self.json()["status"] == status;
        self.status == status && is_document && self.json()["code"] == code
    }
}

/// A hub with one message in each state.
async fn busy() -> (std::sync::Arc<Fake>, Vec<MessageId>) {
    let fake = Fake::new().await;
    let body = format!("MSH|^~\\&|HIS|WARD||||||ORA-1|P|2.5.1\rPID|||1||{CANARY}\r");
    let mut ids = Vec::new();
    for (minute, source) in (0_u64..).zip(["ward", "ward", "ward", "clinic", "clinic", "clinic"]) {
        ids.push(fake.message(source, &format!("ORA-{minute}"), minute, body.as_bytes()).await);
    }
    fake.run(ids[1], DeliveryState::Waiting).await;
    fake.run(ids[2], DeliveryState::Delivered).await;
    fake.end_by_run(ids[3], RunState::Filtered).await;
    fake.end_by_run(ids[4], RunState::DeadLettered).await;
    fake.run(ids[5], DeliveryState::DeadLettered).await;
    let held = fake.message("clinic", "ORA-6", 6, body.as_bytes()).await;
    fake.hold(held, Some("SC")).await;
    ids.push(held);
    (fake, ids)
}

#[test]
fn the_description_has_every_address_of_the_router_and_no_other() {
    let served: BTreeSet<(String, String)> = endpoints()
        .iter()
        .map(|endpoint| (endpoint.path.to_owned(), endpoint.method.as_str().to_lowercase()))
        .collect();
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
        .collect();
    assert_eq!(served, described);
}

#[test]
fn every_code_of_the_interface_has_a_page() {
    let sources = [include_str!("problem.rs"), include_str!("server.rs"), include_str!("control.rs")];
    let codes: BTreeSet<&str> =
        sources.iter().flat_map(|text| text.match_indices("HUB08").map(|(at, _)| &text[at..at + 7])).collect();
    assert!(codes.len() > 10, "{codes:?}");
    for code in codes {
        let path = format!("{}/../docs/errors/{code}.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(page.starts_with(&format!("# {code}: ")) && page.contains("## What to do"), "{path}");
    }
}

#[actix_web::test]
async fn every_answer_is_as_the_description_says() {
    let (fake, ids) = busy().await;
    let served = fake.serve();
    let mut seen = BTreeSet::new();
    let gets = [
        ("/live", "/live"),
        ("/ready", "/ready"),
        ("/api/openapi.json", "/api/openapi.json"),
        ("/api/v1/messages", "/api/v1/messages"),
        ("/api/v1/dead-letters", "/api/v1/dead-letters"),
        ("/api/v1/codes", "/api/v1/codes"),
        ("/api/v1/routes", "/api/v1/routes"),
        ("/api/v1/sources", "/api/v1/sources"),
        ("/api/v1/destinations", "/api/v1/destinations"),
    ];
    for (path, asked) in gets {
        schema::assert_fits(path, "get", &served.get(asked).await);
        seen.insert(path);
    }
    for id in &ids {
        for query in ["", "?reveal=true"] {
            let answer = served.get(&format!("/api/v1/messages/{id}{query}")).await;
            schema::assert_fits("/api/v1/messages/{id}", "get", &answer);
        }
    }
    let letters = served.get("/api/v1/dead-letters").await.json();
    let letter = letters["dead_letters"][0]["letter"].as_str().unwrap().to_owned();
    let posts = [
        ("/api/v1/messages/{id}/replay", format!("/api/v1/messages/{}/replay", ids[2])),
        ("/api/v1/dead-letters/{letter}/replay", format!("/api/v1/dead-letters/{letter}/replay")),
        ("/api/v1/reload", "/api/v1/reload".to_owned()),
    ];
    for (path, asked) in &posts {
        schema::assert_fits(path, "post", &served.post(asked).await);
    }
    let row = json!({ "table": "routes", "code": "SC", "value": "x" });
    schema::assert_fits("/api/v1/codes", "post", &served.post_with("/api/v1/codes", &row).await);
    let which = json!({ "table": "routes", "code": "SC" });
    schema::assert_fits("/api/v1/codes/refuse", "post", &served.post_with("/api/v1/codes/refuse", &which).await);
    for path in ["/", "/metrics"] {
        let answer = served.get(path).await;
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let media = document["paths"][path]["get"]["responses"]["200"]["content"].as_object().unwrap();
        assert!(media.keys().all(|media| answer.media.starts_with(media)), "{path}: {}", answer.media);
    }
    // The tap has a test of its own.
    assert_eq!(seen.len() + 1 + posts.len() + 2 + 2 + 1, endpoints().len(), "an address is not asked here");
    served.stop().await;
}

#[actix_web::test]
async fn errors_are_problem_documents_with_their_code() {
    let (fake, ids) = busy().await;
    let served = fake.serve();
    let cases = [
        ("/api/v1/messages?limit=0", 400, "HUB0801"),
        ("/api/v1/messages?limt=5", 400, "HUB0801"),
        ("/api/v1/messages?state=lost", 400, "HUB0801"),
        ("/api/v1/messages?since=yesterday", 400, "HUB0801"),
        ("/api/v1/messages?cursor=x", 400, "HUB0801"),
        ("/api/v1/messages/00000000000", 404, "HUB0802"),
        ("/api/v1/messages/x", 404, "HUB0802"),
        ("/api/v1/nothing", 404, "HUB0802"),
        ("/api/v1/reload", 405, "HUB0803"),
    ];
    for (path, status, code) in cases {
        let answer = served.get(path).await;
        assert!(answer.is_problem(status, code), "{path}: {answer:?}");
        schema::assert_fits("/api/v1/messages", "get", &answer);
    }
    let large = served.request(Method::POST, "/api/v1/reload").body(vec![0; (1 << 20) + 1]).send().await.unwrap();
    assert!(Answer::read(large).await.is_problem(413, "HUB0804"));
    let early = served.post(&format!("/api/v1/messages/{}/replay", ids[0])).await;
    assert!(early.is_problem(409, "HUB0406"), "{early:?}");
    let unknown = served.post("/api/v1/messages/00000000000/replay").await;
    assert!(unknown.is_problem(404, "HUB0404"), "{unknown:?}");
    served.stop().await;
}

#[actix_web::test]
async fn a_body_is_shown_only_to_those_who_ask_for_it() {
    let (fake, ids) = busy().await;
    let served = fake.serve();
    for id in &ids {
        let masked = served.get(&format!("/api/v1/messages/{id}")).await;
        assert!(!masked.text.contains(CANARY), "{masked:?}");
        let shown = served.get(&format!("/api/v1/messages/{id}?reveal=true")).await.json();
        assert!(shown["body"]["text"].as_str().unwrap().contains(CANARY), "{shown}");
        assert!(shown["answer"]["body"]["text"].as_str().unwrap().contains(CANARY), "{shown}");
    }
    let shown = served.get(&format!("/api/v1/messages/{}?reveal=true", ids[2])).await.json();
    assert!(shown["runs"][0]["outputs"][0]["body"]["text"].as_str().unwrap().contains(CANARY), "{shown}");
    for path in ["/", "/metrics", "/ready", "/api/v1/messages", "/api/v1/dead-letters"] {
        assert!(!served.get(path).await.text.contains(CANARY), "{path}");
    }
    served.stop().await;
}

#[actix_web::test]
async fn a_body_in_another_character_set_is_shown_as_text_and_as_its_bytes() {
    let fake = Fake::new().await;
    let mut body = b"MSH|^~\\&|HIS|WARD||||||A-1|P|2.5.1||||||WINDOWS-1256\rPID|||1||".to_vec();
    body.extend([0xE3, 0xCD, 0xE3, 0xCF, 0x0D]);
    let id = fake.message("ward", "A-1", 0, &body).await;
    let served = fake.serve();
    let shown = served.get(&format!("/api/v1/messages/{id}?reveal=true")).await.json();
    assert_eq!(shown["body"]["charset"], "WINDOWS-1256");
    assert!(shown["body"]["text"].as_str().unwrap().contains("محمد"), "{shown}");
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(shown["body"]["base64"].as_str().unwrap());
    assert_eq!(bytes.unwrap(), body);
    served.stop().await;
}

#[actix_web::test]
async fn a_journey_tells_its_stages_in_the_order_of_time() {
    let (fake, ids) = busy().await;
    let served = fake.serve();
    let journey = served.get(&format!("/api/v1/messages/{}", ids[5])).await.json();
    let stages: Vec<(&str, &str)> = journey["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| (stage["stage"].as_str().unwrap(), stage["outcome"].as_str().unwrap()))
        .collect();
    let expected = [("receive", "accepted"), ("map", "mapped"), ("deliver", "failed"), ("deliver", "dead-lettered")];
    assert_eq!(stages, expected);
    assert_eq!(journey["received_at"], START.plus(Duration::from_secs(300)).to_rfc3339());
    assert_eq!(journey["runs"][0]["configuration"], fake.live().configuration.hash.as_str());
    served.stop().await;
}

#[actix_web::test]
async fn what_another_web_site_makes_a_browser_ask_is_refused() {
    let fake = Fake::new().await;
    let served = fake.serve();
    let own = format!("http://{}", served.address);
    let cases = [
        (Method::POST, "/api/v1/reload", ORIGIN, "http://evil.example"),
        (Method::POST, "/api/v1/reload", ORIGIN, "null"),
        (Method::POST, "/api/v1/reload", "sec-fetch-site".parse().unwrap(), "cross-site"),
        (Method::POST, "/api/v1/reload", "sec-fetch-site".parse().unwrap(), "same-site"),
        (Method::POST, "/api/v1/reload", HOST, "evil.example"),
        (Method::GET, "/api/v1/messages", HOST, "evil.example"),
        (Method::GET, "/", HOST, "evil.example:8080"),
    ];
    for (method, path, header, value) in cases {
        let response = served.request(method.clone(), path).header(&header, value).send().await.unwrap();
        let answer = Answer::read(response).await;
        assert!(answer.is_problem(403, "HUB0805"), "{method} {path} {header}: {value}: {answer:?}");
    }
    assert!(fake.done.lock().unwrap().is_empty(), "something was done all the same");
    for (header, value) in [(ORIGIN, own.as_str()), ("sec-fetch-site".parse().unwrap(), "same-origin")] {
        let response = served.request(Method::POST, "/api/v1/reload").header(header, value).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let probe = served.request(Method::GET, "/live").header(HOST, "hub.pod.cluster").send().await.unwrap();
    assert_eq!(probe.status(), 200);
    served.stop().await;
}

#[actix_web::test]
async fn what_the_database_says_is_not_told() {
    let (fake, ids) = busy().await;
    let served = fake.serve();
    let journal = rusqlite::Connection::open(fake.folder.path().join("data/journal.db")).unwrap();
    journal.execute_batch("ALTER TABLE delivery RENAME TO canary_table").unwrap();
    for path in ["/", "/api/v1/messages", &format!("/api/v1/messages/{}", ids[1]), "/api/v1/dead-letters"] {
        let answer = served.get(path).await;
        assert!(answer.is_problem(503, "HUB0205"), "{path}: {answer:?}");
        for word in ["delivery", "table", "journal.db", "/tmp", "SELECT"] {
            assert!(!answer.text.contains(word), "{path}: {answer:?}");
        }
    }
    served.stop().await;
}

#[actix_web::test]
async fn the_hub_is_ready_when_every_part_is() {
    let fake = Fake::new().await;
    let served = fake.serve();
    assert_eq!(served.get("/ready").await.status, 200);
    let trouble = Part::needed("source ward", Some("its port is taken".to_owned()));
    fake.parts.lock().unwrap().push(trouble);
    let answer = served.get("/ready").await;
    assert_eq!((answer.status, answer.json()["ready"].clone()), (503, json!(false)));
    assert_eq!(answer.json()["parts"][1]["trouble"], "its port is taken");
    schema::assert_fits("/ready", "get", &answer);
    assert_eq!(served.get("/live").await.status, 200);
    served.stop().await;
}

#[actix_web::test]
async fn replays_and_reloads_reach_the_hub_and_say_why_not() {
    let (fake, ids) = busy().await;
    let served = fake.serve();
    served.post(&format!("/api/v1/messages/{}/replay", ids[2])).await;
    let letters = served.get("/api/v1/dead-letters").await.json();
    let names: Vec<String> = letters["dead_letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| letter["letter"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, [format!("{}.1.1", ids[5]), format!("{}.1", ids[4])]);
    for name in &names {
        assert_eq!(served.post(&format!("/api/v1/dead-letters/{name}/replay")).await.status, 200);
    }
    assert!(served.post("/api/v1/dead-letters/nothing/replay").await.is_problem(404, "HUB0802"));
    let expected = [format!("message {}", ids[2]), format!("delivery {}.1.1", ids[5]), format!("run {}.1", ids[4])];
    assert_eq!(*fake.done.lock().unwrap(), expected);

    let broken = fake.folder.path().join("broken.toml");
    std::fs::write(&broken, "[[route]]\nidd = 1\n").unwrap();
    let findings = crate::routes::Configuration::load(&broken).unwrap_err();
    let count = findings.len();
    *fake.reload.lock().unwrap() = Err(ReloadError::Findings(findings));
    let answer = served.post("/api/v1/reload").await;
    assert!(answer.is_problem(422, "HUB0809"), "{answer:?}");
    assert_eq!(answer.json()["findings"].as_array().unwrap().len(), count);
    schema::assert_fits("/api/v1/reload", "post", &answer);
    served.stop().await;
}

#[actix_web::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut http = crate::config::Settings::default().http;
    http.listen = taken.local_addr().unwrap();
    let options = Options { http, limits: crate::config::Limits::default() };
    let error = Server::bind(options, Fake::new().await).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[actix_web::test]
async fn a_drained_server_lets_go_of_its_port() {
    let served = Fake::new().await.serve();
    let address = served.address;
    assert_eq!(served.get("/live").await.status, 200);
    served.stop().await;
    std::net::TcpListener::bind(address).unwrap();
}
