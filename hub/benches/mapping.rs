//! How long a message is in the hands of a mapping: prints one JSON object.
//!
//! In comes the bench message of the corpus; out go microseconds of processor time, the median of several
//! rounds. Nothing is
//! compared here: who runs it holds the numbers against the goal (25 us for 40 rules).

use std::hint::black_box;
use std::path::PathBuf;

use adapters::Document;
use adapters::clock::Timestamp;
use adapters::hl7v2::{self, CharsetRule};
use hub::mapping::{Context, HmacKey};
use hub::routes::Configuration;

const ROUNDS: usize = 11;
const MESSAGES: u32 = 10_000;

#[allow(clippy::print_stdout, reason = "a bench prints what it measured")]
fn main() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text = std::fs::read_to_string(root.join("../shared/corpus/bench/rde_o11.hl7")).expect("the corpus is there");
    let bytes = text.replace("@SEQ@", "000000001").replace("@NID@", "28001010100013").into_bytes();
    let loaded = Configuration::load(&root.join("routes.toml")).unwrap_or_else(|findings| panic!("{findings}"));
    let configuration = loaded.configuration;
    let source = configuration.sources.get("kasr-al-ainy").expect("the shipped source");
    let context = Context {
        message_id: "01J0000000000000000000000A".to_owned(),
        source: source.name.clone(),
        received_at: Timestamp(1_793_863_815_000_000),
        hmac_key: HmacKey::new(b"bench"),
    };
    let read = || {
        let document =
            hl7v2::Document::read(bytes.clone().into(), CharsetRule::default()).expect("the message is read");
        Document::Hl7v2(document)
    };
    let document = read();
    let route = configuration.matches(&source.name, &document).first().copied().expect("a route matches");
    let plan = route.plan().expect("the route maps");
    let output = route.run(&document, &context).expect("the message maps");
    let results = [
        ("parse_us", median(|| drop(black_box(read())))),
        ("route_us", median(|| drop(black_box(configuration.matches(&source.name, black_box(&document)))))),
        (
            "keys_us",
            median(|| drop(black_box((source.key(&document), source.patient(&document), source.orders(&document))))),
        ),
        ("map_us", median(|| drop(black_box(route.run(black_box(&document), &context))))),
        ("explain_us", median(|| drop(black_box(plan.explain(black_box(&document), &context))))),
        (
            "parse_route_map_us",
            median(|| {
                let document = read();
                for route in configuration.matches(&source.name, &document) {
                    drop(black_box(route.run(&document, &context)));
                }
            }),
        ),
    ];
    let mut report: serde_json::Map<String, serde_json::Value> =
        results.into_iter().map(|(name, microseconds)| (name.to_owned(), microseconds.into())).collect();
    report.insert("rules".to_owned(), plan.rule_count().into());
    report.insert("output_bytes".to_owned(), output.iter().map(|one| one.body.len()).sum::<usize>().into());
    println!("{}", serde_json::Value::Object(report));
}

/// Microseconds of one call on the processor: the median of the rounds' means.
fn median(mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = processor_nanoseconds();
            for _ in 0..MESSAGES {
                work();
            }
            (processor_nanoseconds() - start) / 1e3 / f64::from(MESSAGES)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    (rounds[ROUNDS / 2] * 100.0).round() / 100.0
}

/// Time that this thread was on a processor, so that a busy machine does not count.
fn processor_nanoseconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts the time of a thread");
    text.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number of nanoseconds")
}
