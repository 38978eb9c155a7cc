//! What the mappings to FHIR make of the fixtures is what it was: a change of a mapping, of a fragment or of the language
//! is seen in what it writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use adapters::Format;
use hub_tests::Fallible;
use hub_tests::emitted::emitted;
use hub_tests::folder::{files_under, workspace};
use hub_tests::judge::Document;
use serde_json::Value;

/// Lines of a difference that are printed.
const LINES_MAX: usize = 40;
/// Files that are named when many differ.
const FILES_MAX: usize = 20;

/// `adt_to_fhir hl7v2/adt_a01.hl7 1` has its golden file in `adt_to_fhir/adt_a01.json`.
fn file_of(document: &Document) -> Option<PathBuf> {
    let mut words = document.name.split(' ');
    let (mapping, given) = (words.next()?, words.next()?);
    let (folder, name) = given.split_once('/')?;
    // Messages of others are judged; what becomes of our own is also looked at.
    let is_ours = matches!(folder, "hl7v2" | "fhir" | "events" | "csv" | "xml" | "json");
    let stem = name.split('.').next()?;
    (is_ours && document.format == Format::FhirJson).then(|| PathBuf::from(mapping).join(format!("{stem}.json")))
}

#[test]
fn what_the_mappings_to_fhir_write_is_what_they_wrote() -> Fallible<()> {
    let root = workspace().join("tests/fixtures/golden/fhir");
    let mut made: BTreeMap<PathBuf, String> = BTreeMap::new();
    for document in emitted()?.documents {
        let Some(file) = file_of(&document) else { continue };
        let json: Value = serde_json::from_str(&document.text)?;
        // A message that gives several documents has them one after another.
        let text = made.entry(root.join(file)).or_default();
        text.push_str(&serde_json::to_string_pretty(&json)?);
        text.push('\n');
    }
    if std::env::var_os("HUB_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(&root)?;
        fs::remove_dir_all(&root)?;
        for (path, text) in &made {
            fs::create_dir_all(path.parent().ok_or("a golden file without a folder")?)?;
            fs::write(path, text)?;
        }
    }
    let known: BTreeSet<PathBuf> = files_under(&root)?.into_iter().collect();
    let mut differing = Vec::new();
    for path in known.iter().chain(made.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (fs::read_to_string(path).unwrap_or_default(), made.get(path).cloned().unwrap_or_default());
        if was != is {
            differing.push(format!("{}\n{}", path.strip_prefix(&root)?.display(), difference(&was, &is)));
        }
    }
    let count = differing.len();
    differing.truncate(FILES_MAX);
    assert!(
        count == 0,
        "{count} files differ; look at the difference; HUB_WRITE_GOLDEN=1 writes them anew\n{}",
        differing.join("\n")
    );
    assert!(known.len() > 30, "only {} golden files", known.len());
    Ok(())
}

/// The lines from the first that differs.
fn difference(was: &str, is: &str) -> String {
    let same = was.lines().zip(is.lines()).take_while(|(one, other)| one == other).count();
    let rest = |text: &str, sign: char| -> String {
        text.lines().skip(same).take(LINES_MAX).map(|line| format!("{sign} {line}\n")).collect()
    };
    format!("from line {}\n{}{}", same + 1, rest(was, '-'), rest(is, '+'))
}
