//! `hub check` against a corpus of mistakes: each is seeded alone into the shipped configuration, and must be found in
//! its line; the shipped configuration itself has none.
#![allow(clippy::unwrap_used, clippy::panic, clippy::string_slice, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hub::finding::Findings;
use hub::routes::Configuration;
use serde::Deserialize;

/// Where most mistakes are made.
const MAPPING: &str = "mappings/rde_o11_to_prescription.toml";
const CLASSES_MIN: usize = 12;
const MISTAKES_MIN: usize = 120;

#[derive(Deserialize)]
struct Class {
    /// Codes that name such a mistake.
    codes: Vec<String>,
    mistakes: Vec<Mistake>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    file: Option<String>,
    find: String,
    put: String,
    #[serde(default)]
    all: bool,
    at: Option<String>,
    on: Option<String>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What is shipped, in a folder of its own.
fn shipped() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(workspace().join("routes.toml"), folder.path().join("routes.toml")).unwrap();
    copy(&workspace().join("mappings"), &folder.path().join("mappings"));
    folder
}

/// What is shipped, but for Bundles and the fragments that they are made of: nothing is seeded there, and all of it
/// would be compiled for each mistake.
fn shipped_without_bundles() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(workspace().join("routes.toml"), folder.path().join("routes.toml")).unwrap();
    for inner in ["tables", "samples"] {
        copy(&workspace().join("mappings").join(inner), &folder.path().join("mappings").join(inner));
    }
    for entry in fs::read_dir(workspace().join("mappings")).unwrap() {
        let entry = entry.unwrap();
        let writes_bundle =
            |text: &str| text.lines().any(|line| line.starts_with("to ") && line.contains("fhir Bundle"));
        if entry.path().is_file() && !writes_bundle(&fs::read_to_string(entry.path()).unwrap()) {
            fs::copy(entry.path(), folder.path().join("mappings").join(entry.file_name())).unwrap();
        }
    }
    folder
}

fn check(folder: &Path) -> Findings {
    match Configuration::load(&folder.join("routes.toml")) {
        Ok(loaded) => loaded.warnings,
        Err(findings) => findings,
    }
}

/// The number of the line in which `at` begins, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

impl Mistake {
    /// Seeds it; says where it must show.
    fn seed(&self, folder: &Path) -> (String, usize) {
        let file = self.file.as_deref().unwrap_or(MAPPING);
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let place = text.find(&self.find).unwrap_or_else(|| panic!("{file} has no {:?} any more", self.find));
        let count = if self.all { usize::MAX } else { 1 };
        let seeded = text.replacen(&self.find, &self.put, count);
        assert_ne!(seeded, text, "{:?} changes nothing", self.find);
        fs::write(&path, &seeded).unwrap();
        let on = self.on.as_deref().unwrap_or(file);
        let shown_in = if on == file { seeded } else { fs::read_to_string(folder.join(on)).unwrap() };
        let place = match &self.at {
            Some(at) => shown_in.find(at).unwrap_or_else(|| panic!("{on} has no {at:?}")),
            None => {
                let same = self.find.bytes().zip(self.put.bytes()).take_while(|(one, other)| one == other).count();
                place + same
            }
        };
        (on.to_owned(), line_of(&shown_in, place))
    }

    /// Why it counts as missed; none: it was found.
    fn missed(&self, codes: &[String]) -> Option<String> {
        let folder = shipped_without_bundles();
        let (file, line) = self.seed(folder.path());
        let findings = check(folder.path());
        let is_it = |file_of: &str, line_of: usize, code: &str| {
            file_of.ends_with(&file) && line_of == line && codes.iter().any(|known| known == code)
        };
        if findings.iter().any(|finding| is_it(&finding.file, finding.line, &finding.code.to_string())) {
            return None;
        }
        let said: Vec<String> = findings
            .iter()
            .map(|finding| format!("{}:{} {} {}", finding.file, finding.line, finding.code, finding.message))
            .collect();
        Some(format!("{file}:{line} {:?} -> {:?}: {said:?}", self.find, self.put))
    }
}

#[test]
fn every_seeded_mistake_is_found_in_its_line() {
    let text = fs::read_to_string(workspace().join("tests/fixtures/mistakes.toml")).unwrap();
    let classes: BTreeMap<String, Class> = toml::from_str(&text).unwrap();
    let count: usize = classes.values().map(|class| class.mistakes.len()).sum();
    assert!(classes.len() >= CLASSES_MIN && count >= MISTAKES_MIN, "{count} in {} classes", classes.len());
    let mut missed = Vec::new();
    for (name, class) in &classes {
        for mistake in &class.mistakes {
            missed.extend(mistake.missed(&class.codes).map(|why| format!("{name}\n    {why}")));
        }
    }
    assert!(missed.is_empty(), "{} of {count} missed:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn the_shipped_configuration_has_no_findings() {
    let findings = check(shipped().path());
    assert_eq!(findings.len(), 0, "{}", findings.render(false));
}
