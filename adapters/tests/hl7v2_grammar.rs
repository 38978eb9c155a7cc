//! The grammar of HL7 v2 against what there is: the mappings, and the messages of other people.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says so by failing")]

mod corpus;

use std::collections::BTreeSet;

use adapters::hl7v2::grammar::{Version, message_structure, resolve};
use adapters::hl7v2::{Index, Path};

const MAPPINGS: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../mappings"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/bench/mappings"),
];

#[test]
fn every_path_of_the_mappings_is_known() {
    let mut known = 0;
    for Written { file, structure, path: text } in written() {
        let path = Path::parse(&text).unwrap_or_else(|error| panic!("{file}: {text}: {error}"));
        resolve(Version::USUAL, structure, &path).unwrap_or_else(|error| panic!("{file}: {text}: {error}"));
        known += 1;
    }
    assert!(known > 200, "only {known} paths were found");
}

#[test]
fn a_slip_in_a_path_of_a_mapping_is_unknown() {
    for Written { structure, path: text, .. } in written() {
        let segment = text.get(..3).unwrap();
        for slip in [text.replacen(segment, "QQQ", 1), text.replacen('-', "-90", 1)] {
            let path = Path::parse(&slip).unwrap();
            assert!(resolve(Version::USUAL, structure, &path).is_err(), "{slip}, written for {text}");
        }
    }
}

/// A path that stands in a mapping.
struct Written {
    file: String,
    structure: &'static str,
    path: String,
}

fn written() -> Vec<Written> {
    let mut found = Vec::new();
    for (file, mapping) in MAPPINGS.into_iter().flat_map(mappings) {
        let Some((code, trigger)) = message_type(&mapping) else { continue };
        let structure = message_structure(Version::USUAL, code, trigger, "").unwrap().name();
        let paths = paths(&mapping).into_iter();
        found.extend(paths.map(|path| Written { file: file.clone(), structure, path: path.to_owned() }));
    }
    found
}

/// Names and texts of the mappings that are in a folder.
fn mappings(folder: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let files = entries.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// RDE and O11 of `from = "hl7v2 RDE^O11"`. Mappings of several types and to Bundles read what other versions have too;
/// their paths are held against all of them by `hub check`.
fn message_type(mapping: &str) -> Option<(&str, &str)> {
    let (_, after) = mapping.split_once("\"hl7v2 ")?;
    let one = after.split_once('"')?.0.split_once('^').filter(|(_, trigger)| trigger.len() == 3);
    one.filter(|_| !mapping.contains("\"fhir Bundle\""))
}

/// Whatever looks like a path before the mapping's tests: a segment, then a field or a repetition.
fn paths(mapping: &str) -> Vec<&str> {
    let rules = mapping.split("[[test]]").next().unwrap();
    let code = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    code.flat_map(|line| {
        let starts = line.char_indices().filter(move |(at, _)| starts_a_path(line, *at)).map(|(at, _)| at);
        starts.map(move |at| path_at(&line[at..]))
    })
    .collect()
}

fn starts_a_path(line: &str, at: usize) -> bool {
    let is_name = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit();
    let before = line[..at].chars().next_back();
    let Some((name, after)) = line[at..].split_at_checked(3) else { return false };
    let is_field =
        after.strip_prefix('-').is_some_and(|after| after.starts_with(|letter: char| letter.is_ascii_digit()));
    name.chars().all(is_name)
        && name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && before.is_none_or(|letter| !is_name(letter) && letter != '_')
        && (is_field || after.starts_with("[*]-"))
}

/// Up to the end of the path: a blank, a bracket or a quote that is not inside its own square brackets.
fn path_at(text: &str) -> &str {
    let mut inside = false;
    let end = text.find(|letter: char| {
        inside = (inside || letter == '[') && letter != ']';
        !(inside || letter.is_ascii_alphanumeric() || ".-[]*".contains(letter))
    });
    &text[..end.unwrap_or(text.len())]
}

/// Segments that senders put where the structure of their version has none, and messages of no known type.
const SURPRISES: [(&str, &str); 17] = [
    // An order of 2.5.1 with participants, which 2.7 allows.
    ("MDHHS-OML-O21-1.hl7", "PRT"),
    // A result of 2.5.1 with participants and the header of a document.
    ("ORU-R01-01.hl7", "PRT"),
    ("ORU-R01-01.hl7", "TXA"),
    // An appointment that calls itself an admission.
    ("SIU_12.hl7", "AIG"),
    ("SIU_12.hl7", "AIL"),
    ("SIU_12.hl7", "AIP"),
    ("SIU_12.hl7", "AIS"),
    ("SIU_12.hl7", "DG1"),
    ("SIU_12.hl7", "OBX"),
    ("SIU_12.hl7", "PD1"),
    ("SIU_12.hl7", "RGS"),
    ("SIU_12.hl7", "SCH"),
    ("header_only.hl7", NO_STRUCTURE),
    ("malformed_msh_cut.hl7", NO_STRUCTURE),
    // Orders of a pharmacy with a route, which ORM has no place for.
    ("orm_o01_2_3.hl7", "RXR"),
    ("orm_o01_pharmacy.hl7", "RXR"),
    ("unknown_type.hl7", NO_STRUCTURE),
];
const NO_STRUCTURE: &str = "no structure";

#[test]
fn every_message_has_only_segments_of_its_structure_or_listed_surprises() {
    let mut surprises = BTreeSet::new();
    let mut judged = 0;
    for (path, bytes) in corpus::all() {
        let mut index = Index::new();
        let message = index.read(&bytes).unwrap();
        let header = message.header();
        let version = Version::for_message(&header.version().text());
        let (code, trigger, named) = (header.message_code(), header.trigger(), header.structure());
        let Some(structure) = message_structure(version, &code.text(), &trigger.text(), &named.text()) else {
            surprises.insert((file_name(&path), NO_STRUCTURE.to_owned()));
            continue;
        };
        judged += 1;
        for segment in message.segments() {
            let name = segment.name();
            if !name.starts_with('Z') && !structure.segment_names().any(|known| known == name) {
                surprises.insert((file_name(&path), name.to_owned()));
            }
        }
    }
    assert!(judged > 100, "only {judged} messages were judged");
    let surprises: Vec<(&str, &str)> = surprises.iter().map(|(file, name)| (file.as_str(), name.as_str())).collect();
    assert_eq!(surprises, SURPRISES);
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
