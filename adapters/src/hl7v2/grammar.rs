//! What HL7 v2 says of its messages: structures, groups, segments, fields, data types, tables.
//!
//! There are two tables of structures, for two questions. structures.txt answers the reader: which group does
//! a segment of a real message belong to? It is one for all versions, of 2.5.1 with what others put in the
//! same places beside it, for senders mix versions and say so wrongly. The tables in data/ answer those who
//! write mappings: what does a version of the standard say? They know every structure, field and code of
//! 2.3 to 2.8, and are read a version at a time, when first asked for.
//!
//! In comes MSH-9 or a path; out go names, places, definitions. Promised: a local (Z) segment is never
//! unknown, and what is unknown is said with what could stand there.

use std::sync::LazyLock;

mod definitions;
mod facts;
mod messages;
mod read;
mod resolve;
mod tables;
mod triggers;
mod version;

pub use definitions::{Definition, Element, Usage, VARIES, WITHDRAWN};
pub use facts::{Grammar, message_structure};
pub use messages::{Child, Content, Group, MessageStructure, Place, Step};
pub use resolve::{Part, Possible, Resolved, Unknown, resolve};
pub use tables::{Code, Table, table, tables};
pub use version::Version;

/// One table row a structure.
const TABLE: &str = include_str!("grammar/structures.txt");

static STRUCTURES: LazyLock<Vec<Structure>> = LazyLock::new(|| read::table(TABLE));

/// A message structure as a tree of groups. Node 0 is the message.
#[derive(Debug)]
pub(super) struct Structure {
    pub(super) name: &'static str,
    pub(super) nodes: Vec<Node>,
}

/// A group, or the message itself.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) parent: Option<usize>,
    pub(super) members: Vec<Member>,
    /// The segments that may come first.
    pub(super) first: Vec<[u8; 3]>,
    /// All segments, those of inner groups too.
    pub(super) all: Vec<[u8; 3]>,
}

/// A segment or a group inside a group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) repeats: bool,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of several segments; nearly always of one.
    Segment(Vec<[u8; 3]>),
    /// A group, by its place among the nodes.
    Group(usize),
}

impl Structure {
    pub(super) fn node(&self, place: usize) -> Option<&Node> {
        self.nodes.get(place)
    }

    /// The member may begin with this segment.
    pub(super) fn begins(&self, member: &Member, segment: [u8; 3]) -> bool {
        match &member.kind {
            Kind::Segment(names) => names.contains(&segment),
            Kind::Group(node) => self.node(*node).is_some_and(|node| node.first.contains(&segment)),
        }
    }

    /// The member is this segment, or has it somewhere inside.
    pub(super) fn contains(&self, member: &Member, segment: [u8; 3]) -> bool {
        match &member.kind {
            Kind::Segment(names) => names.contains(&segment),
            Kind::Group(node) => self.node(*node).is_some_and(|node| node.all.contains(&segment)),
        }
    }

    /// A group of this name is somewhere inside the node.
    pub(super) fn has_group(&self, within: usize, name: &str) -> bool {
        self.nodes.iter().enumerate().any(|(place, node)| node.name == name && self.is_inside(place, within))
    }

    fn is_inside(&self, mut place: usize, within: usize) -> bool {
        while let Some(parent) = self.node(place).and_then(|node| node.parent) {
            if parent == within {
                return true;
            }
            place = parent;
        }
        false
    }
}

pub(super) fn structure(name: &str) -> Option<&'static Structure> {
    STRUCTURES.iter().find(|structure| structure.name.eq_ignore_ascii_case(name))
}

/// The names of all structures that are known.
pub fn structure_names() -> impl Iterator<Item = &'static str> {
    STRUCTURES.iter().map(|structure| structure.name)
}

/// The structure of a message by the components of its MSH-9. A structure that is named and known counts;
/// else the trigger event decides, also one that stands in the place of the structure (`ADT_A04`).
pub fn structure_of(code: &str, trigger: &str, named: &str) -> Option<&'static str> {
    if let Some(known) = structure(named.trim()) {
        return Some(known.name);
    }
    let written_together =
        |text: &str| text.split_once('_').and_then(|(before, after)| triggers::structure(before, after));
    let derived = triggers::structure(code.trim(), trigger.trim())
        .or_else(|| written_together(named.trim()))
        .or_else(|| written_together(code.trim()));
    structure(derived?).map(|structure| structure.name)
}

/// The structure has a group of this name.
pub fn group_exists(structure: &str, name: &str) -> bool {
    groups_of(structure).any(|group| group == name)
}

/// The names of the groups of a structure, in the order of the standard; some occur twice.
pub fn groups_of(structure: &str) -> impl Iterator<Item = &'static str> + use<> {
    let structure = self::structure(structure);
    structure.into_iter().flat_map(|structure| structure.nodes.iter().skip(1).map(|node| node.name))
}

/// The segment belongs to the structure, or to the group of it that is named.
pub fn segment_exists(structure: &str, group: Option<&str>, segment: &str) -> bool {
    let (Some(structure), Some(segment)) = (self::structure(structure), segment.as_bytes().first_chunk::<3>()) else {
        return false;
    };
    match group {
        None => structure.node(0).is_some_and(|message| message.all.contains(segment)),
        Some(group) => structure.nodes.iter().any(|node| node.name == group && node.all.contains(segment)),
    }
}

#[cfg(test)]
mod tests;
