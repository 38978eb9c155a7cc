//! The law of configurations: whatever files say, loading them ends in findings with places, or in routes that run
//! and write what can be read again. The seeded test in `hub/src/routes/tests/mutation.rs` judges by the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use adapters::clock::Timestamp;
use adapters::hl7v2::{self, CharsetRule};
use adapters::{Document, Format};
use hub::finding::Findings;
use hub::mapping::{Context, HmacKey};
use hub::routes::Configuration;

/// Routes that use the mapping.
pub const ROUTES: &str = r#"
[source.hospital]
adapter = "hl7v2-mllp"
listen  = "127.0.0.1:2575"

[[route]]
id   = "orders"
why  = "One."
from = "hospital"
map  = "orders"
to   = ["prescription"]
"#;

/// A mapping that the routes use.
pub const MAPPING: &str = r#"
name    = "orders"
version = 1
from    = "hl7v2 RDE^O11"
to      = "fhir MedicationRequest"
each    = "ORDER"

[set]
command = '"create"'
status  = '"active"'
intent  = '"order"'
subject = 'PID-3 | identifier | required | reference("Patient")'
medicationCodeableConcept = 'RXE-2 | codeable_concept | required'
"identifier[0]" = 'ORC-2 | identifier | required'
"#;

const MESSAGE: &[u8] = include_bytes!("../../../fixtures/hl7v2/rde_o11_two_orders.hl7");

/// A folder of this process; the file system of `TMPDIR` had better be in memory.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("hub-fuzz-{}", std::process::id()));
    fs::create_dir_all(folder.join("mappings")).expect("a folder");
    folder
});

/// Loads the two texts and, if they load, runs them.
pub fn judge(routes: &str, mapping: &str) {
    let file = FOLDER.join("routes.toml");
    fs::write(&file, routes).expect("a file");
    fs::write(FOLDER.join("mappings/orders.toml"), mapping).expect("a file");
    match Configuration::load(&file) {
        Err(findings) => judge_findings(&findings, &file),
        Ok(loaded) => run(&loaded.configuration),
    }
}

fn judge_findings(findings: &Findings, file: &Path) {
    assert!(findings.has_errors(), "refused without a reason: {}", file.display());
    assert!(findings.render(false).contains("HUB0"));
    assert!(findings.iter().all(|finding| finding.line >= 1 && finding.column >= 1));
}

fn run(configuration: &Configuration) {
    let document = hl7v2::Document::read(MESSAGE.to_vec().into(), CharsetRule::default()).expect("the fixture reads");
    let document = Document::Hl7v2(document);
    let context = Context {
        message_id: "1".to_owned(),
        source: "hospital".to_owned(),
        received_at: Timestamp(0),
        hmac_key: HmacKey::new(b"fuzz"),
    };
    for source in configuration.sources.values() {
        let _ = (source.key(&document), source.patient(&document), source.orders(&document));
    }
    for source in configuration.sources.keys() {
        for route in configuration.matches(source, &document) {
            for output in route.run(&document, &context).into_iter().flatten() {
                assert!(match output.format {
                    Format::FhirJson | Format::Json => serde_json::from_slice::<serde_json::Value>(&output.body).is_ok(),
                        Format::Xml => adapters::xml::Document::read(output.body).is_ok(),
                        Format::Csv => adapters::csv::Document::read(output.body).is_ok(),
                    Format::Hl7v2 => hl7v2::Document::read(output.body, CharsetRule::default()).is_ok(),
                });
            }
        }
    }
}
