//! The mappings to one resource that the hub ships with, held against the grammar of what they write: every target is
//! an element, and nothing that is required there is missing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says so by failing")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use adapters::fhir::grammar::{Structure, resource};
use toml::{Table, Value};

const MAPPINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../mappings");

/// The command of an output stands beside its resource.
const COMMAND: &str = "command";

/// Every mapping that writes one resource by rules of its own: its file, the resource, and what it says. Bundles and
/// what fragments write are held against FHIR by the hub itself and by the judges that others wrote.
fn mappings() -> Vec<(PathBuf, &'static Structure, Table)> {
    let files = std::fs::read_dir(MAPPINGS).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let read = files.filter_map(|path| {
        let table: Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let name = table["to"].as_str().unwrap().strip_prefix("fhir ").filter(|name| *name != "Bundle")?;
        let resource = resource(name).unwrap_or_else(|| panic!("{}: {name}", path.display()));
        Some((path, resource, table))
    });
    read.collect()
}

/// What a table of rules writes: targets, and the types of the resources inside by their place.
struct Rules<'t> {
    targets: Vec<&'t str>,
    types: BTreeMap<&'t str, &'static Structure>,
}

impl<'t> Rules<'t> {
    /// The rules of a mapping or a block, and as wholes what its blocks add.
    fn of(table: &'t Table) -> Rules<'t> {
        let set = table.get("set").and_then(Value::as_table);
        let rules = || set.into_iter().flatten().filter(|(target, _)| *target != COMMAND);
        let types = rules().filter_map(|(target, expression)| {
            let place = target.strip_suffix(".resourceType")?;
            Some((place, resource(expression.as_str()?.split('"').nth(1)?)?))
        });
        let lists = blocks(table).map(|block| block["to"].as_str().unwrap());
        Rules { targets: rules().map(|(target, _)| target.as_str()).chain(lists).collect(), types: types.collect() }
    }

    fn type_at(&self, place: &str) -> Option<&'static Structure> {
        self.types.get(place).copied()
    }
}

fn blocks(table: &Table) -> impl Iterator<Item = &Table> {
    let blocks = table.get("for").and_then(Value::as_array);
    blocks.into_iter().flatten().map(|block| block.as_table().unwrap())
}

/// Everything that is wrong with the targets of a table and of its blocks.
fn wrong(within: &'static Structure, table: &Table, found: &mut Vec<String>) -> usize {
    let rules = Rules::of(table);
    let resources = |place: &str| rules.type_at(place);
    for target in &rules.targets {
        if let Err(unknown) = within.resolve_with(target, &resources) {
            found.push(format!("{target}: {unknown}"));
        }
    }
    let missing = within.missing(&rules.targets, &resources);
    found.extend(missing.iter().map(|missing| format!("{}: no {}", missing.parent, missing.element.name)));
    let mut count = rules.targets.len();
    for block in blocks(table) {
        let list = block["to"].as_str().unwrap();
        let Ok(place) = within.resolve_with(list, &resources) else { continue };
        if !place.is_list() {
            found.push(format!("{list}: no list"));
        }
        count += wrong(place.structure().unwrap(), block, found);
    }
    count
}

#[test]
fn every_target_of_the_shipped_mappings_is_an_element_and_none_that_is_required_is_missing() {
    let mappings = mappings();
    assert!(mappings.len() >= 2, "the mappings are not where this test looks for them");
    for (path, resource, table) in mappings {
        let mut found = Vec::new();
        let count = wrong(resource, &table, &mut found);
        assert!(count > 20, "{}: {count} targets", path.display());
        assert_eq!(found, Vec::<String>::new(), "{}", path.display());
    }
}
