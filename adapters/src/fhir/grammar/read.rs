//! Reads the tables: where each structure stands at the first question, its elements when it is asked for.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use super::{Binding, Element, ElementType, Kind, Strength, Structure};

const RESOURCES: &str = include_str!("resources.txt");
const TYPES: &str = include_str!("types.txt");

/// What a property beside a primitive value is: an element without a value.
pub(super) static BESIDE: ElementType = ElementType { name: "Element", profile: None, targets: Vec::new() };

static ENTRIES: LazyLock<BTreeMap<&'static str, Entry>> =
    LazyLock::new(|| sections(RESOURCES).chain(sections(TYPES)).filter_map(entry).collect());

/// The types of `*`.
static OPEN_TYPES: LazyLock<Vec<ElementType>> =
    LazyLock::new(|| TYPES.lines().find_map(|line| line.strip_prefix("* ")).map(element_types).unwrap_or_default());

/// A structure, read or not.
struct Entry {
    kind: Kind,
    base: Option<&'static str>,
    lines: &'static str,
    structure: OnceLock<Structure>,
}

/// The texts behind each `= `, up to the next.
pub(super) fn sections(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.split("\n= ").skip(1)
}

/// `Claim.item part BackboneElement`, then a line an element.
fn entry(section: &'static str) -> Option<(&'static str, Entry)> {
    let (head, lines) = section.split_once('\n').unwrap_or((section, ""));
    let mut words = head.split(' ');
    let (name, kind, base) = (words.next()?, words.next()?, words.next()?);
    let kind = match kind {
        "resource" => Kind::Resource,
        "type" => Kind::DataType,
        "profile" => Kind::Profile,
        "part" => Kind::Part,
        "abstract" => Kind::Abstract,
        _ => return None,
    };
    let base = (base != "-").then_some(base);
    Some((name, Entry { kind, base, lines, structure: OnceLock::new() }))
}

pub(super) fn structure(name: &str) -> Option<&'static Structure> {
    let (name, entry) = ENTRIES.get_key_value(name)?;
    Some(entry.structure.get_or_init(|| {
        let elements = entry.lines.lines().filter_map(element).collect();
        Structure { name, kind: entry.kind, base: entry.base, elements }
    }))
}

pub(super) fn names(kind: Kind) -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().filter(move |(_, entry)| entry.kind == kind).map(|(name, _)| *name)
}

/// `medication[x] 1..1 CodeableConcept|Reference(Medication)`, with `!value-set` or `+value-set` behind it.
fn element(line: &'static str) -> Option<Element> {
    let mut words = line.split(' ');
    let (written, cardinality, types) = (words.next()?, words.next()?, words.next()?);
    let (min, max) = cardinality.split_once("..")?;
    let choice = written.strip_suffix("[x]");
    Some(Element {
        name: choice.unwrap_or(written),
        is_choice: choice.is_some(),
        is_required: min != "0",
        repeats: max == "*",
        is_forbidden: max == "0",
        types: if types == "*" { OPEN_TYPES.clone() } else { element_types(types) },
        binding: words.next().and_then(binding),
    })
}

fn element_types(text: &'static str) -> Vec<ElementType> {
    text.split('|').map(element_type).collect()
}

/// `Reference(Patient,Group)`
fn element_type(text: &'static str) -> ElementType {
    let (name, targets) = match text.split_once('(') {
        Some((name, targets)) => (name, targets.trim_end_matches(')').split(',').collect()),
        None => (text, Vec::new()),
    };
    match ENTRIES.get(name) {
        Some(Entry { kind: Kind::Profile, base: Some(base), .. }) => {
            ElementType { name: base, profile: Some(name), targets }
        }
        Some(_) | None => ElementType { name, profile: None, targets },
    }
}

fn binding(text: &'static str) -> Option<Binding> {
    let (mark, value_set) = text.split_at_checked(1)?;
    let strength = match mark {
        "!" => Strength::Required,
        "+" => Strength::Extensible,
        _ => return None,
    };
    Some(Binding { strength, value_set })
}
