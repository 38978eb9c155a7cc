//! The grammar of one version, read when it is first asked for.
//!
//! The tables beside this file come from data/generate.mjs. Names of segments, types and structures are
//! written as the standard writes them.

use std::sync::LazyLock;

use super::definitions::{self, Definition};
use super::messages::{MessageStructure, Messages};
use super::structure_of;
use super::version::Version;

pub(super) const MESSAGES: &str = include_str!("data/messages.txt");
pub(super) const SEGMENTS: &str = include_str!("data/segments.txt");
pub(super) const TYPES: &str = include_str!("data/types.txt");

/// What one version of HL7 v2 says of messages, segments and data types.
#[derive(Debug)]
pub struct Grammar {
    version: Version,
    messages: Messages,
    segments: Vec<Definition>,
    types: Vec<Definition>,
}

impl Grammar {
    /// The grammar of a version. The first call for a version reads its tables.
    pub fn of(version: Version) -> &'static Grammar {
        static V2_3: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(Version::V2_3));
        static V2_3_1: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(Version::V2_3_1));
        static V2_4: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(Version::V2_4));
        static V2_5: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(Version::V2_5));
        static V2_5_1: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(Version::V2_5_1));
        static V2_6: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(Version::V2_6));
        static V2_7: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(Version::V2_7));
        static V2_8: LazyLock<Grammar> = LazyLock::new(|| Grammar::read(Version::V2_8));
        match version {
            Version::V2_3 => &V2_3,
            Version::V2_3_1 => &V2_3_1,
            Version::V2_4 => &V2_4,
            Version::V2_5 => &V2_5,
            Version::V2_5_1 => &V2_5_1,
            Version::V2_6 => &V2_6,
            Version::V2_7 => &V2_7,
            Version::V2_8 => &V2_8,
        }
    }

    fn read(version: Version) -> Grammar {
        Grammar {
            version,
            messages: Messages::read(MESSAGES, version),
            segments: definitions::read(SEGMENTS, version),
            types: definitions::read(TYPES, version),
        }
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The structure of this name, `RDE_O11`, or of the event of this name, `RDE_O25`.
    pub fn structure(&'static self, name: &str) -> Option<MessageStructure> {
        Some(MessageStructure { version: self.version, tree: self.messages.tree(name)? })
    }

    /// The names of all structures, sorted.
    pub fn structure_names(&self) -> impl Iterator<Item = &'static str> {
        self.messages.names()
    }

    /// Events that have the structure of another, each with its name, sorted: `ADT_A04` and `ADT_A01`.
    pub fn events(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.messages.events()
    }

    /// A segment. None of the local ones, whose names begin with Z, is known.
    pub fn segment(&self, name: &str) -> Option<&Definition> {
        named(&self.segments, name)
    }

    /// All segments, sorted by name.
    pub fn segments(&self) -> &[Definition] {
        &self.segments
    }

    /// A data type.
    pub fn data_type(&self, name: &str) -> Option<&Definition> {
        named(&self.types, name)
    }

    /// All data types, sorted by name.
    pub fn data_types(&self) -> &[Definition] {
        &self.types
    }

    /// The structure of a message of this version by the components of its MSH-9 (HL7 v2.5.1 section 2.15.9.9).
    /// What is named in MSH-9.3 counts, then the event, then what older and newer versions call the same.
    fn structure_for(&'static self, code: &str, trigger: &str, named: &str) -> Option<MessageStructure> {
        let event = format!("{}_{}", code.trim(), trigger.trim());
        let known = structure_of(code, trigger, named).unwrap_or_default();
        [named.trim(), &event, known, code.trim()].into_iter().find_map(|name| self.structure(name))
    }
}

/// The structure of a message by the components of its MSH-9: that of `version`, or of the nearest version
/// that has one. A 2.3 feed that sends `RDE^O11` is read by the structure of 2.4.
pub fn message_structure(version: Version, code: &str, trigger: &str, named: &str) -> Option<MessageStructure> {
    version.by_nearness().find_map(|nearest| Grammar::of(nearest).structure_for(code, trigger, named))
}

fn named<'d>(sorted: &'d [Definition], name: &str) -> Option<&'d Definition> {
    let place = sorted.binary_search_by(|definition| definition.name.cmp(name)).ok()?;
    sorted.get(place)
}

#[cfg(test)]
mod tests;
