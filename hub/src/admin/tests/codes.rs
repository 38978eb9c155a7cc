//! Codes that messages are held for: the list and its pages, and what is done with one.

use super::*;

/// A hub with messages of two sources that are held for three codes.
async fn holding() -> std::sync::Arc<Fake> {
    let fake = Fake::new().await;
    let codes = [Some("SC"), Some("SC"), Some("IM"), Some("SC"), None, Some("قناري")];
    for (minute, (source, code)) in
        (0_u64..).zip(["ward", "ward", "ward", "clinic", "ward", "clinic"].iter().zip(codes))
    {
        let id = fake.message(source, &format!("H-{minute}"), minute, b"MSH|").await;
        fake.hold(id, code).await;
    }
    fake
}

fn lines(answer: &Answer) -> Vec<(String, String, u64)> {
    let page = answer.json();
    let codes = page["codes"].as_array().unwrap_or_else(|| panic!("{page}"));
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    codes.iter().map(|line| (text(line, "code"), text(line, "source"), line["messages"].as_u64().unwrap())).collect()
}

fn line(code: &str, source: &str, messages: u64) -> (String, String, u64) {
    (code.to_owned(), source.to_owned(), messages)
}

#[actix_web::test]
async fn codes_are_grouped_and_counted_with_the_times_of_their_messages() {
    let served = holding().await.serve();
    let answer = served.get("/api/v1/codes").await;
    let expected = [line("IM", "ward", 1), line("SC", "clinic", 1), line("SC", "ward", 2), line("قناري", "clinic", 1)];
    assert_eq!(lines(&answer), expected);
    let page = answer.json();
    assert_eq!((&page["behind"], &page["next"]), (&json!(1), &Value::Null));
    assert_eq!(page["codes"][2]["oldest"], START.to_rfc3339());
    assert_eq!(page["codes"][2]["newest"], START.plus(Duration::from_secs(60)).to_rfc3339());
    assert_eq!(
        lines(&served.get("/api/v1/codes?source=clinic&table=routes").await),
        [expected[1].clone(), expected[3].clone()]
    );
    assert!(lines(&served.get("/api/v1/codes?table=units").await).is_empty());
    served.stop().await;
}

#[actix_web::test]
async fn pages_have_every_code_once() {
    let served = holding().await.serve();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..4 {
        let page = served.get(&format!("/api/v1/codes?limit=1{cursor}")).await;
        seen.extend(lines(&page));
        match page.json()["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, lines(&served.get("/api/v1/codes").await));
    for query in ["limit=0", "cursor=x", "code=SC"] {
        assert!(served.get(&format!("/api/v1/codes?{query}")).await.is_problem(400, "HUB0801"), "{query}");
    }
    served.stop().await;
}

#[actix_web::test]
async fn a_row_reaches_the_hub_whole_and_what_is_no_row_does_not() {
    let fake = Fake::new().await;
    let served = fake.serve();
    let coding = json!({ "system": "http://snomed.info/sct", "code": "34206005", "display": "Subcutaneous" });
    for row in [
        json!({ "table": "routes", "code": "SC", "value": "sc" }),
        json!({ "table": "routes", "code": "SC", "coding": coding }),
    ] {
        assert_eq!(served.post_with("/api/v1/codes", &row).await.status, 200, "{row}");
    }
    let done = std::mem::take(&mut *fake.done.lock().unwrap());
    assert_eq!(done[0], "add routes SC Value(\"sc\")");
    assert!(done[1].starts_with("add routes SC Coding") && done[1].contains("34206005"), "{done:?}");
    for wrong in [
        json!({}),
        json!({ "table": "routes", "code": "SC" }),
        json!({ "table": "routes", "code": "SC", "value": "x", "coding": coding }),
        json!({ "table": "routes", "code": "SC", "value": 1 }),
        json!({ "table": "routes", "code": "SC", "value": "x", "more": 1 }),
        json!({ "table": "routes", "code": "x".repeat(257), "value": "x" }),
        json!({ "table": "routes", "code": "SC", "value": "x".repeat(257) }),
    ] {
        let answer = served.post_with("/api/v1/codes", &wrong).await;
        assert!(answer.is_problem(400, "HUB0801"), "{wrong}: {answer:?}");
    }
    assert!(fake.done.lock().unwrap().is_empty());
    let elsewhere = json!({ "table": "../routes", "code": "SC", "value": "x" });
    assert!(served.post_with("/api/v1/codes", &elsewhere).await.is_problem(404, "HUB0814"));
    served.stop().await;
}

#[actix_web::test]
async fn what_is_refused_is_named_to_the_hub() {
    let fake = Fake::new().await;
    let served = fake.serve();
    let answer = served.post_with("/api/v1/codes/refuse", &json!({ "table": "routes", "code": "SC" })).await;
    assert_eq!(answer.json(), json!({ "refused": 1 }));
    let of_ward = json!({ "table": "routes", "code": "IM", "source": "ward" });
    assert_eq!(served.post_with("/api/v1/codes/refuse", &of_ward).await.json(), json!({ "refused": 0 }));
    assert_eq!(*fake.done.lock().unwrap(), ["refuse routes SC all", "refuse routes IM ward"]);
    assert!(served.post("/api/v1/codes/refuse").await.is_problem(400, "HUB0801"));
    served.stop().await;
}

#[actix_web::test]
async fn another_site_can_neither_add_nor_refuse() {
    let fake = Fake::new().await;
    let served = fake.serve();
    for path in ["/api/v1/codes", "/api/v1/codes/refuse"] {
        let body = json!({ "table": "routes", "code": "SC", "value": "x" }).to_string();
        let request = served.request(Method::POST, path).header(ORIGIN, "http://evil.example").body(body);
        assert!(Answer::read(request.send().await.unwrap()).await.is_problem(403, "HUB0805"), "{path}");
    }
    assert!(fake.done.lock().unwrap().is_empty());
    served.stop().await;
}

#[actix_web::test]
async fn what_is_to_be_published_again_is_named_to_the_hub() {
    let fake = Fake::new().await;
    let served = fake.serve();
    let answer = served.post_with("/api/v1/reconcile", &json!({ "older_than_seconds": 90 })).await;
    assert_eq!(answer.json(), json!({ "published": 3 }));
    schema::assert_fits("/api/v1/reconcile", "post", &answer);
    assert_eq!(*fake.done.lock().unwrap(), ["reconcile 90"]);
    assert!(served.post("/api/v1/reconcile").await.is_problem(400, "HUB0801"));
    served.stop().await;
}
