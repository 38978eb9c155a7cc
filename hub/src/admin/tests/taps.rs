//! The tap: what it tells, whom, and when it ends.

use super::*;

/// Events that the hub of these tests keeps for a slow watcher.
const KEPT: usize = 4;

/// A stream of events.
struct Tap {
    response: Response,
    text: String,
}

impl Tap {
    async fn open(served: &Served, query: &str) -> Tap {
        let response = served.request(Method::GET, &format!("/api/v1/tap{query}")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        let mut tap = Tap { response, text: String::new() };
        tap.until(": watching").await;
        tap
    }

    /// Reads until the text so far has `word`.
    async fn until(&mut self, word: &str) -> &str {
        while !self.text.contains(word) {
            let chunk = tokio::time::timeout(WITHIN, self.response.chunk()).await.expect("it comes in time").unwrap();
            let Some(chunk) = chunk else { panic!("the stream ended without {word}: {}", self.text) };
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        &self.text
    }
}

#[actix_web::test]
async fn a_watcher_sees_what_happens_to_messages_of_its_source() {
    let fake = Fake::new().await;
    let served = fake.serve();
    let mut tap = Tap::open(&served, "?source=ward").await;
    fake.happens("clinic", "refused");
    fake.happens("ward", "accepted");
    let text = tap.until("accepted").await;
    assert!(!text.contains("clinic"), "{text}");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    let keys: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["at", "message", "source", "type", "stage", "outcome", "name", "code"]);
    assert_eq!((event["source"].as_str(), event["message"].as_str()), (Some("ward"), Some("00000000007")));
    served.stop().await;
}

#[actix_web::test]
async fn a_watcher_that_is_too_slow_is_told_how_many_events_it_missed() {
    let fake = Fake::new().await;
    let served = fake.serve();
    let mut tap = Tap::open(&served, "").await;
    let mut said = 0_usize;
    // A burst that is larger than what is kept, until the watcher was overtaken once.
    while !tap.text.contains("event: missed") {
        for _ in 0..200 * KEPT {
            fake.happens("ward", "accepted");
        }
        said += 1;
        assert!(said < 1000, "the watcher was never overtaken");
        fake.happens("ward", if said.is_multiple_of(2) { "even" } else { "odd" });
        tap.text.clear();
        tap.until(if said.is_multiple_of(2) { "even" } else { "odd" }).await;
    }
    served.stop().await;
}

#[actix_web::test]
async fn only_so_many_may_watch_and_a_place_is_given_back() {
    let fake = Fake::new().await;
    let served = fake.serve();
    let first = Tap::open(&served, "").await;
    let refused = served.get("/api/v1/tap").await;
    assert!(refused.is_problem(503, "HUB0806"), "{refused:?}");
    drop(first);
    let deadline = tokio::time::Instant::now() + WITHIN;
    loop {
        // The server notices that the watcher is gone when it has something to tell.
        fake.happens_if_watched("ward");
        let response = served.request(Method::GET, "/api/v1/tap").send().await.unwrap();
        if response.status() == 200 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the place was not given back");
        tokio::task::yield_now().await;
    }
    served.stop().await;
}

#[actix_web::test]
async fn a_watcher_is_told_when_the_hub_goes_down_and_does_not_hold_it_up() {
    let fake = Fake::new().await;
    let served = fake.serve();
    let mut tap = Tap::open(&served, "").await;
    let (text, ()) = tokio::join!(tap.until("event: end"), served.stop());
    assert!(text.contains("going down"), "{text}");
}
