//! Files of configuration, mutated by a seeded generator: whatever they say, loading them ends in findings
//! with places or in a configuration that runs; never in a panic.

use std::sync::Arc;

use adapters::hl7v2::{self, CharsetRule};
use adapters::{Document, Format};

use super::workspace;
use crate::finding::{Findings, SourceText};
use crate::mapping::test_context;
use crate::routes::load::Files;
use crate::routes::table::Configuration;

const ROUNDS: u64 = 20_000;

/// Small files, so that many rounds are quick, with every construct of the language.
const ROUTES: &str = r#"
[source.kasr-al-ainy]
adapter = "hl7v2-mllp"
listen  = "127.0.0.1:2575"
senders = ["HIS|KASR_ALAINY", "*|X"]
max_frame = "1 MiB"
idle = "5m"
key = 'PID-3[.5 = "NI"].1 ?? PID-3.1'

[destination.out]
adapter = "file"
folder  = "data/out"
limit   = { per_second = 5, burst = 9 }

[destination.web]
adapter = "http"
url     = "https://example.eg/x"
headers = { "X-Api-Key" = { env = "KEY" }, Accept = "a/b" }

[[route]]
id    = "orders"
why   = "One."
from  = "kasr-al-ainy"
when  = 'MSH-9.1 = "RDE" and not (MSH-9.2 in ("O12", "O13")) or ORC-1 like "N*"'
map   = "orders"
to    = ["prescription", "out"]
retry = { first = "250ms", max = "5m", give_up = "24h" }

[[route]]
id   = "events"
why  = "Two."
from = "prescription.events"
when = 'data.status = "active" or type like "*Issued"'
map  = "answers"
to   = ["web"]
"#;

const ORDERS: &str = r#"
name    = "orders"
version = 1
from    = "hl7v2 RDE^O11"
to      = "fhir MedicationRequest"
each    = "ORDER"
when    = 'not ($.ORC[*]-1 = "RO" and ORC-1 = "RP")'

[set]
command = 'ORC-1 | upper | table("order_control")'
status  = '"cancelled" if ORC-1 = "CA" else "active"'
"identifier[0]" = 'ORC-2 ?? ORC-3 | identifier | required'
"identifier[0].use" = '"usual"'
intent  = '"order"'
subject.display = 'PID-5.2 + " " + PID-5.1 | trim | required'
medicationCodeableConcept = 'RXE-2 | codeable_concept("order_control") | required'
"dispenseRequest.quantity" = 'quantity(RXE-10, RXE-11) if RXE-10 > 0'
reasonCode = 'RXE-27[*] | codeable_concept'

[[for]]
each = "NTE"
to   = "note"
when = 'NTE-3'
set  = { text = 'NTE-3[*] | join("\n")', authorString = 'NTE-2' }

[[for]]
each = "RXE-7"
to   = "dosageInstruction"
when = '. exists'
set  = { text = '.2 ?? .1' }
"#;

const ANSWERS: &str = r#"
name    = "answers"
version = 1
from    = "event"
to      = "hl7v2 RRE^O12"

[set]
"MSA-1"   = '"AA"'
"MSA-2"   = 'id | required'
"ORC-1"   = '"OK"'
"ORC-2.1" = 'data.identifier[0].value | required'
"ORC-9"   = 'time | hl7_datetime'
"ORC-16.2" = 'data.dosageInstruction[0].text'

[[for]]
each = "data.subject.identifier"
to   = "PID-3"
set  = { "PID-3.1" = 'value', "PID-3.4.2" = 'system' }

[[for]]
each = "data.subject"
to   = "PID-5"
set  = { "PID-5.1" = 'display', "PID-5.7" = '"D"' }

[[for]]
each  = "data.dosageInstruction[*]"
to    = "TQ1"
after = "ORC"
set   = { "TQ1-1" = 'sequence ?? 1', "TQ1-7" = 'timing.repeat.boundsPeriod.start | hl7_datetime' }
"#;

const TABLE: &str = r#"
name    = "order_control"
unknown = "hold"
[codes]
NW = "create"
CA = "cancel"
RP = { system = "http://snomed.info/sct", code = "26643006" }
"#;

/// Words that mean something somewhere.
const WORDS: [&str; 40] = [
    "'",
    "\"",
    "\"\"\"",
    "'''",
    "[",
    "]",
    "[[for]]",
    "[set]",
    "{",
    "}",
    "=",
    "==",
    "|",
    "??",
    "+",
    "(",
    ")",
    ",",
    ".",
    "-",
    "$",
    "$.",
    "*",
    "if",
    "else",
    "not ",
    " and ",
    " or ",
    " in ",
    "exists",
    "like",
    "table(\"",
    "identifier",
    "ORC-2",
    "PID-3[*]",
    "[.5 = \"NI\"]",
    "\\u0627",
    "ص",
    "\n",
    "99999999999999999999",
];

/// xorshift64*: the same numbers on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// One to four changes at any place.
fn mutate(text: &str, chance: &mut Chance) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=chance.below(4) {
        let at = chance.below(letters.len());
        let length = chance.below(12).min(letters.len() - at);
        match chance.below(5) {
            0 => drop(letters.drain(at..at + length)),
            1 => {
                let copied: Vec<char> = letters[at..at + length].to_vec();
                let to = chance.below(letters.len());
                letters.splice(to..to, copied);
            }
            2 if !letters.is_empty() => letters[at] = char::from(u8::try_from(32 + chance.below(95)).unwrap()),
            3 => letters.truncate(at),
            _ => drop(letters.splice(at..at, WORDS[chance.below(WORDS.len())].chars())),
        }
    }
    letters.into_iter().collect()
}

fn load(texts: &[String; 4]) -> (Option<Configuration>, Findings) {
    let source = |name: &str, text: &str| Arc::new(SourceText::new(name, text));
    let files = Files {
        routes: source("routes.toml", &texts[0]),
        mappings: vec![source("mappings/orders.toml", &texts[1]), source("mappings/answers.toml", &texts[2])],
        fragments: Vec::new(),
        tables: vec![source("mappings/tables/order_control.toml", &texts[3])],
        samples: Vec::new(),
        root: workspace(),
    };
    let mut findings = Findings::new();
    (Configuration::of(files, &mut findings), findings)
}

fn documents() -> [(&'static str, Document); 2] {
    let read = |name: &str| std::fs::read(workspace().join("tests/fixtures").join(name)).unwrap();
    let message = read("hl7v2/rde_o11_two_orders.hl7");
    let event = read("events/prescription_issued.json");
    [
        ("kasr-al-ainy", Document::Hl7v2(hl7v2::Document::read(message.into(), CharsetRule::default()).unwrap())),
        ("prescription.events", Document::Json(serde_json::from_slice(&event).unwrap())),
    ]
}

#[test]
fn twenty_thousand_mutated_configurations_end_in_findings_or_in_routes_that_run() {
    let originals = [ROUTES, ORDERS, ANSWERS, TABLE].map(str::to_owned);
    let (unchanged, no_findings) = load(&originals);
    assert!(unchanged.is_some() && no_findings.is_empty(), "{no_findings}");
    let documents = documents();
    let mut chance = Chance(0x5EED);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let mut texts = originals.clone();
        let which = chance.below(texts.len());
        texts[which] = mutate(&texts[which], &mut chance);
        let (configuration, findings) = load(&texts);
        let Some(configuration) = configuration else {
            assert!(findings.has_errors(), "round {round}: refused without a reason");
            check_places(&findings, &texts, round);
            refused += 1;
            continue;
        };
        taken += 1;
        for (source, document) in &documents {
            for spec in configuration.sources.values() {
                let _ = (spec.key(document), spec.patient(document), spec.orders(document));
            }
            for route in configuration.matches(source, document) {
                // A rule may refuse the message; what comes out otherwise can be read again.
                for output in route.run(document, &test_context(source)).into_iter().flatten() {
                    let is_readable = match output.format {
                        Format::FhirJson | Format::Json => {
                            serde_json::from_slice::<serde_json::Value>(&output.body).is_ok()
                        }
                        Format::Xml => adapters::xml::Document::read(output.body).is_ok(),
                        Format::Csv => adapters::csv::Document::read(output.body).is_ok(),
                        Format::Hl7v2 => hl7v2::Document::read(output.body, CharsetRule::default()).is_ok(),
                    };
                    assert!(is_readable, "round {round}");
                }
            }
        }
    }
    assert!(taken > 500 && refused > 1_000, "{taken} taken, {refused} refused: both must be met");
}

fn check_places(findings: &Findings, texts: &[String; 4], round: u64) {
    let names = ["routes.toml", "mappings/orders.toml", "mappings/answers.toml", "mappings/tables/order_control.toml"];
    for finding in findings.iter() {
        let file = names.iter().position(|name| *name == finding.file).unwrap();
        let lines = texts[file].split('\n').count();
        assert!(finding.line >= 1 && finding.line <= lines && finding.column >= 1, "round {round}: {finding:?}");
    }
    if round.is_multiple_of(40) {
        assert!(findings.render(false).contains("HUB0"), "round {round}");
    }
}
