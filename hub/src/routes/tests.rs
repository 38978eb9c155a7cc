use std::path::PathBuf;

use super::*;

fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn the_shipped_configuration_has_no_findings_and_passes_its_tests() {
    let loaded = Configuration::load(&workspace().join("routes.toml")).unwrap_or_else(|findings| panic!("{findings}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let report = loaded.configuration.test();
    let failed: Vec<_> = report.results.iter().filter(|result| !result.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(report.results.len() > 20, "{}", report.results.len());
}
