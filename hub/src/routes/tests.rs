use std::path::PathBuf;

use super::*;

mod mutation;

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

/// Loads a set of `tests/fixtures/broken`, which must not load, and compares what is said about it.
fn check_broken(name: &str) {
    let folder = workspace().join("tests/fixtures/broken").join(name);
    let Err(findings) = Configuration::load(&folder.join("routes.toml")) else { panic!("{name} was taken") };
    let rendered = findings.render(false);
    let golden = folder.join("expected.txt");
    if std::env::var_os("HUB_WRITE_GOLDEN").is_some() {
        std::fs::write(&golden, &rendered).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert_eq!(rendered, expected, "{name}: look at the difference; HUB_WRITE_GOLDEN=1 writes the file anew");
    for finding in findings.iter() {
        let source = std::fs::read_to_string(folder.join(&finding.file)).unwrap();
        let line = source.lines().nth(finding.line - 1).unwrap_or_default();
        assert!(finding.column <= line.chars().count() + 1, "{name}: {finding:?} is outside its line");
    }
}

macro_rules! broken {
    ($($test:ident: $name:literal;)+) => {
        $(#[test]
        fn $test() {
            check_broken($name);
        })+

        #[test]
        fn every_broken_configuration_has_its_test() {
            let mut folders: Vec<String> = std::fs::read_dir(workspace().join("tests/fixtures/broken"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            folders.sort();
            assert_eq!(folders, [$($name),+]);
        }
    };
}

broken! {
    a_file_that_is_not_toml_is_shown_at_its_place: "01-not-toml";
    slips_of_the_pen_are_shown_with_what_was_meant: "02-slips-of-the-pen";
    wrong_types_and_missing_keys_are_all_shown: "03-types-and-gaps";
    names_that_lead_nowhere_are_shown_with_what_was_meant: "04-unknown-names";
    mistakes_in_expressions_are_shown_inside_the_expression: "05-expressions";
    mistakes_in_paths_are_shown_inside_the_path: "06-paths";
    targets_that_clash_are_shown: "07-targets";
    mistakes_in_tables_are_shown: "08-tables";
    what_cannot_run_together_is_shown: "09-conflicts";
    what_does_not_fit_together_is_shown: "10-what-does-not-fit";
    places_in_long_and_escaped_strings_are_true: "11-long-strings";
    elements_that_cannot_be_written_are_shown: "12-elements";
    elements_that_must_be_there_are_shown: "13-missing-elements";
    segments_and_fields_that_cannot_be_written_are_shown: "14-segments";
}

#[test]
fn a_file_that_is_not_there_is_a_finding() {
    let findings = Configuration::load(&workspace().join("no/routes.toml")).unwrap_err();
    assert_eq!(findings.iter().map(|finding| finding.code.number()).collect::<Vec<_>>(), [100]);
    assert!(findings.render(false).contains("HUB0100"), "{findings}");
}

#[test]
fn every_key_of_routes_toml_is_documented() {
    let text = std::fs::read_to_string(workspace().join("docs/routes.md")).unwrap();
    for file in ["routes/parse.rs", "routes/parse/source.rs", "routes/parse/destination.rs"] {
        let source = std::fs::read_to_string(workspace().join("hub/src").join(file)).unwrap();
        let keys = source.split("section.").skip(1).filter_map(|call| {
            let (method, rest) = call.split_once("(\"")?;
            let is_read =
                ["text", "texts", "boolean", "integer", "duration", "bytes", "word", "required_text", "section"];
            is_read.contains(&method).then(|| rest.split('"').next().unwrap_or_default())
        });
        for key in keys {
            assert!(text.contains(key), "{file}: `{key}` is not in docs/routes.md");
        }
    }
}
