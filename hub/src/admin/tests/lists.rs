//! Lists of messages: filters and pages.

use super::*;

fn ids(answer: &Answer) -> Vec<String> {
    let page = answer.json();
    let messages = page["messages"].as_array().unwrap_or_else(|| panic!("{page}"));
    messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

fn named(ids: &[MessageId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[actix_web::test]
async fn every_state_has_its_message_and_the_list_is_newest_first() {
    let (fake, all) = busy().await;
    let served = fake.serve();
    let newest_first: Vec<MessageId> = all.iter().rev().copied().collect();
    assert_eq!(ids(&served.get("/api/v1/messages").await), named(&newest_first));
    for (state, expected) in [
        ("accepted", &all[..1]),
        ("waiting", &all[1..2]),
        ("delivered", &all[2..3]),
        ("filtered", &all[3..4]),
        ("held", &all[6..]),
    ] {
        assert_eq!(ids(&served.get(&format!("/api/v1/messages?state={state}")).await), named(expected), "{state}");
    }
    let dead = served.get("/api/v1/messages?state=dead-lettered&source=clinic").await;
    assert_eq!(ids(&dead), named(&[all[5], all[4]]));
    assert_eq!(dead.json()["messages"][0]["why"]["code"], "HUB0501");
    assert!(ids(&served.get("/api/v1/messages?state=dead-lettered&source=ward").await).is_empty());
    served.stop().await;
}

#[actix_web::test]
async fn pages_have_every_message_once() {
    let (fake, all) = busy().await;
    let served = fake.serve();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..=all.len() {
        let page = served.get(&format!("/api/v1/messages?limit=4{cursor}")).await;
        seen.extend(ids(&page));
        match page.json()["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let newest_first: Vec<MessageId> = all.iter().rev().copied().collect();
    assert_eq!(seen, named(&newest_first));
    served.stop().await;
}

#[actix_web::test]
async fn a_message_is_found_by_patient_order_and_control_id_and_all_must_hold() {
    let (fake, all) = busy().await;
    {
        let mut index = fake.index.lock().unwrap();
        index.insert((SearchBy::Patient, "29912310199876".to_owned()), vec![all[0], all[2], all[4]]);
        index.insert((SearchBy::Order, "RX 88/1".to_owned()), vec![all[2]]);
        index.insert((SearchBy::ControlId, "ORA-4".to_owned()), vec![all[4]]);
    }
    let served = fake.serve();
    let patient = "patient=29912310199876";
    let cases = [
        (patient.to_owned(), vec![all[4], all[2], all[0]]),
        (format!("{patient}&order=RX%2088/1"), vec![all[2]]),
        (format!("{patient}&control_id=ORA-4"), vec![all[4]]),
        (format!("{patient}&control_id=ORA-4&order=RX%2088/1"), vec![]),
        (format!("{patient}&state=dead-lettered"), vec![all[4]]),
        (format!("{patient}&limit=1"), vec![all[4]]),
        ("patient=1".to_owned(), vec![]),
    ];
    for (query, expected) in cases {
        assert_eq!(ids(&served.get(&format!("/api/v1/messages?{query}")).await), named(&expected), "{query}");
    }
    let long = served.get(&format!("/api/v1/messages?order={}", "9".repeat(300))).await;
    assert!(long.is_problem(400, "HUB0801"), "{long:?}");
    served.stop().await;
}

#[actix_web::test]
async fn a_hostile_control_id_stays_inside_its_string() {
    let fake = Fake::new().await;
    let hostile = "A\r\nB\u{1b}[31m\"}],\"next\":\"<script>";
    let id = fake.message("ward", hostile, 0, b"MSH|").await;
    let served = fake.serve();
    let page = served.get("/api/v1/messages").await;
    assert_eq!(page.json()["messages"][0]["control_id"], hostile);
    assert_eq!(page.json()["messages"][0]["id"], id.to_string());
    assert_eq!(page.text.lines().count(), 1, "{page:?}");
    served.stop().await;
}
