//! Value sets: which codes a required or extensible binding takes.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use super::read::sections;

const TABLE: &str = include_str!("value_sets.txt");

static ENTRIES: LazyLock<BTreeMap<&'static str, Entry>> = LazyLock::new(|| sections(TABLE).filter_map(entry).collect());

/// Codes of one or more code systems.
#[derive(Debug)]
pub struct ValueSet {
    /// Last part of its URL: `medicationrequest-status`.
    pub name: &'static str,
    /// `http://hl7.org/fhir/ValueSet/medicationrequest-status`
    pub url: &'static str,
    /// Where its codes come from.
    pub systems: Vec<System>,
}

/// The codes that a value set takes from one code system.
#[derive(Debug)]
pub struct System {
    /// `http://hl7.org/fhir/CodeSystem/medicationrequest-status`; none where even that is not listed.
    pub url: Option<&'static str>,
    /// None where others publish them, or where there are too many: mime types, currencies, UCUM.
    pub codes: Option<Vec<&'static str>>,
}

/// A value set, read or not.
struct Entry {
    url: &'static str,
    lines: &'static str,
    value_set: OnceLock<ValueSet>,
}

/// A value set by its name.
pub fn value_set(name: &str) -> Option<&'static ValueSet> {
    let (name, entry) = ENTRIES.get_key_value(name)?;
    Some(entry.value_set.get_or_init(|| {
        let systems = entry.lines.lines().filter_map(system).collect();
        ValueSet { name, url: entry.url, systems }
    }))
}

/// `account-status http://hl7.org/fhir/ValueSet/account-status`, then a line a code system.
fn entry(section: &'static str) -> Option<(&'static str, Entry)> {
    let (head, lines) = section.split_once('\n').unwrap_or((section, ""));
    let (name, url) = head.split_once(' ')?;
    Some((name, Entry { url, lines, value_set: OnceLock::new() }))
}

fn system(line: &'static str) -> Option<System> {
    let (url, codes) = line.split_once(' ')?;
    let codes = (codes != "*").then(|| codes.split(' ').collect());
    Some(System { url: (url != "-").then_some(url), codes })
}

impl ValueSet {
    /// Whether all its codes are listed here.
    pub fn is_listed(&self) -> bool {
        self.systems.iter().all(|system| system.codes.is_some())
    }

    /// The codes that are listed, of all systems.
    pub fn codes(&self) -> impl Iterator<Item = &'static str> {
        self.systems.iter().flat_map(|system| system.codes.iter().flatten().copied())
    }

    /// Whether it may have the code: it has it, or not all its codes are listed. An element of type `code`
    /// names no system: any of them counts.
    pub fn may_have(&self, system: Option<&str>, code: &str) -> bool {
        self.systems.iter().any(|own| {
            let is_system = match (system, own.url) {
                (Some(system), Some(url)) => system == url,
                (None, _) | (_, None) => true,
            };
            is_system && own.codes.as_ref().is_none_or(|codes| codes.contains(&code))
        })
    }
}
