//! How long a message is in the hands of routes and mappings: prints one JSON object.
//!
//! In comes the bench message of the corpus; out go microseconds of processor time, the median of several
//! rounds: of the shipped mapping, and of its first forty rules, which is the size that goals are given
//! for. Nothing is compared here: who runs it holds the numbers against the goals.

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use adapters::Document;
use adapters::clock::Timestamp;
use adapters::hl7v2::{self, CharsetRule};
use hub::mapping::{Context, HmacKey};
use hub::routes::{Configuration, Route};
use serde_json::{Map, Value};

const ROUNDS: usize = 11;
const CALLS: u32 = 10_000;

/// Rules of the smaller mapping, the command with them.
const RULES: usize = 40;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
fn main() -> Outcome<()> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text = std::fs::read_to_string(root.join("tests/bench/rde_o11.hl7"))?;
    let bytes = text.replace("@SEQ@", "000000001").replace("@NID@", "28001010100013").into_bytes();
    let shipped = load(&root)?;
    let small_folder = tempfile::tempdir()?;
    write_small(&root, small_folder.path())?;
    let small = load(small_folder.path())?;

    let document = read(&bytes)?;
    let context = context();
    let mut report = Map::new();
    report.insert("parse_us".to_owned(), median(|| drop(black_box(read(&bytes))))?);
    measure(&shipped, &document, &context, "", &mut report)?;
    measure(&small, &document, &context, "forty_", &mut report)?;
    let whole = median(|| {
        if let Ok(message) = read(&bytes) {
            for matching in shipped.matches("kasr-al-ainy", &message) {
                drop(black_box(matching.run(&message, &context)));
            }
        }
    })?;
    report.insert("parse_route_map_us".to_owned(), whole);
    println!("{}", Value::Object(report));
    Ok(())
}

fn load(folder: &Path) -> Outcome<Configuration> {
    Ok(Configuration::load(&folder.join("routes.toml"))?.configuration)
}

fn read(bytes: &[u8]) -> Outcome<Document> {
    Ok(Document::Hl7v2(hl7v2::Document::read(bytes.to_vec().into(), CharsetRule::default())?))
}

fn context() -> Context {
    Context {
        message_id: "01J0000000000000000000000A".to_owned(),
        source: "kasr-al-ainy".to_owned(),
        received_at: Timestamp(1_793_863_815_000_000),
        hmac_key: HmacKey::new(b"bench"),
    }
}

/// A configuration with the first rules of the shipped mapping, blocks left out.
fn write_small(root: &Path, folder: &Path) -> Outcome<()> {
    std::fs::create_dir_all(folder.join("mappings/tables"))?;
    for entry in std::fs::read_dir(root.join("mappings/tables"))? {
        let path = entry?.path();
        std::fs::copy(&path, folder.join("mappings/tables").join(path.file_name().unwrap_or_default()))?;
    }
    let name = "mappings/rde_o11_to_prescription.toml";
    let text = std::fs::read_to_string(root.join(name))?;
    let (head, rules) = text.split_once("[set]\n").ok_or("the mapping has a set")?;
    let rules = rules.split("\n[[").next().unwrap_or_default();
    let mut small = format!("{head}[set]\n");
    let mut open = false;
    let mut count = 0;
    for line in rules.lines() {
        let begins = !open && line.contains(" = '");
        if begins && count == RULES {
            break;
        }
        count += usize::from(begins);
        open ^= line.matches("'''").count() % 2 == 1;
        small.push_str(line);
        small.push('\n');
    }
    std::fs::write(folder.join(name), small)?;
    let routes = "[source.kasr-al-ainy]\nadapter = \"hl7v2-mllp\"\nlisten = \"127.0.0.1:2575\"\n\n[[route]]\nid = \"small\"\n\
                  why = \"Forty rules.\"\nfrom = \"kasr-al-ainy\"\nwhen = 'MSH-9.1 = \"RDE\"'\nmap = \"rde_o11_to_prescription\"\n\
                  to = [\"prescription\"]\n";
    std::fs::write(folder.join("routes.toml"), routes)?;
    Ok(())
}

fn measure(
    configuration: &Configuration,
    document: &Document,
    context: &Context,
    prefix: &str,
    report: &mut Map<String, Value>,
) -> Outcome<()> {
    let source = configuration.sources.get("kasr-al-ainy").ok_or("the source is declared")?;
    let route: &Route = configuration.matches(&source.name, document).first().copied().ok_or("a route matches")?;
    let plan = route.plan().ok_or("the route maps")?;
    let outputs = route.run(document, context)?;
    let mut add = |name: &str, value: Value| report.insert(format!("{prefix}{name}"), value);
    add("rules", plan.rule_count().into());
    add("output_bytes", outputs.iter().map(|output| output.body.len()).sum::<usize>().into());
    add("map_us", median(|| drop(black_box(route.run(black_box(document), context))))?);
    add("explain_us", median(|| drop(black_box(plan.explain(black_box(document), context))))?);
    add("route_us", median(|| drop(black_box(configuration.matches(&source.name, black_box(document)))))?);
    add(
        "keys_us",
        median(|| drop(black_box((source.key(document), source.patient(document), source.orders(document)))))?,
    );
    Ok(())
}

/// Microseconds of one call on the processor: the median of the rounds' means, to the hundredth.
fn median(mut work: impl FnMut()) -> Outcome<Value> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = processor_nanoseconds()?;
        for _ in 0..CALLS {
            work();
        }
        rounds.push((processor_nanoseconds()? - start) / 1e3 / f64::from(CALLS));
    }
    rounds.sort_by(f64::total_cmp);
    let middle = rounds.get(ROUNDS / 2).copied().unwrap_or_default();
    Ok(((middle * 100.0).round() / 100.0).into())
}

/// Time that this thread was on a processor, so that a busy machine does not count.
fn processor_nanoseconds() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("a number of nanoseconds")?.parse()?)
}
