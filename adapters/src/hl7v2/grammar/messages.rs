//! The messages of a version: their structures as trees of groups and segments.
//!
//! In come the rows of messages.txt; out comes, for a name, a tree that is read when it is first asked for.
//! What one version calls a structure another calls an event of one: `ADT_A04` has a structure of its own in
//! 2.3 and that of `ADT_A01` from 2.4 on. Both are found by their names.

use std::sync::OnceLock;

use super::definitions::{head, holds};
use super::read::{self, rows};
use super::version::Version;
use super::{Kind, Member, Node, Structure};

/// The messages of one version, in order of their names.
#[derive(Debug)]
pub(super) struct Messages(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    name: &'static str,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Own {
        members: &'static str,
        tree: OnceLock<Option<Structure>>,
    },
    /// That of another structure.
    Of(&'static str),
}

impl Messages {
    pub(super) fn read(text: &'static str, version: Version) -> Messages {
        let in_version = rows(text).filter_map(head).filter(|(_, versions, _)| holds(versions, version));
        Messages(in_version.filter_map(|(name, _, body)| Some(Entry { name, body: Body::read(body)? })).collect())
    }

    /// The structure of this name, or of the event of this name.
    pub(super) fn tree(&self, name: &str) -> Option<&Structure> {
        let entry = self.entry(name)?;
        let entry = match entry.body {
            Body::Own { .. } => entry,
            Body::Of(other) => self.entry(other)?,
        };
        match &entry.body {
            Body::Own { members, tree } => tree.get_or_init(|| read::structure(entry.name, members)).as_ref(),
            Body::Of(_) => None,
        }
    }

    /// The names of structures, without those of events.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter(|entry| matches!(entry.body, Body::Own { .. })).map(|entry| entry.name)
    }

    /// Events, each with the name of its structure.
    pub(super) fn events(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.iter().filter_map(|entry| match entry.body {
            Body::Own { .. } => None,
            Body::Of(structure) => Some((entry.name, structure)),
        })
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        let place = self.0.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        self.0.get(place)
    }
}

impl Body {
    fn read(text: &'static str) -> Option<Body> {
        match text.split_at_checked(2)? {
            ("= ", members) => Some(Body::Own { members, tree: OnceLock::new() }),
            ("> ", structure) => Some(Body::Of(structure)),
            _ => None,
        }
    }
}

/// The structure of a message in a version (HL7 v2.5.1 section 2.12).
#[derive(Clone, Copy, Debug)]
pub struct MessageStructure {
    /// The version that has it so.
    pub version: Version,
    pub(super) tree: &'static Structure,
}

/// A group of a structure, or the whole structure.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    tree: &'static Structure,
    node: &'static Node,
}

/// What stands in a group.
#[derive(Clone, Debug)]
pub struct Child {
    /// Segments or a group.
    pub content: Content,
    /// It must be there.
    pub required: bool,
    /// It may stand more than once.
    pub repeats: bool,
}

/// Segments or a group.
#[derive(Clone, Debug)]
pub enum Content {
    /// One of several segments; nearly always of one.
    Segment(Vec<&'static str>),
    /// A group inside the group.
    Group(Group),
}

/// Where in a structure a segment may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The groups around it, outermost first, without the message itself.
    pub groups: Vec<Step>,
    /// The segment.
    pub segment: Step,
}

/// A group or segment on the way from the message to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// `ORDER` or `RXE`.
    pub name: &'static str,
    /// It must be there, if what is around it is.
    pub required: bool,
    /// It may stand more than once.
    pub repeats: bool,
}

impl MessageStructure {
    /// `RDE_O11`.
    pub fn name(&self) -> &'static str {
        self.tree.name
    }

    /// What stands in the message, in order.
    pub fn children(&self) -> impl Iterator<Item = Child> + use<> {
        let whole = self.tree.node(0).map(|node| Group { tree: self.tree, node });
        whole.into_iter().flat_map(|whole| whole.children())
    }

    /// The names of its groups, in the order of the standard; some occur twice.
    pub fn group_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.tree.nodes.iter().skip(1).map(|node| node.name)
    }

    /// The names of its segments, in the order of the standard; many occur more than once.
    pub fn segment_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.tree.node(0).into_iter().flat_map(|message| message.all.iter().map(text))
    }

    /// Every place at which the segment may stand, in the order of the standard.
    pub fn places(&self, segment: &str) -> Vec<Place> {
        self.places_where(|_, step| step.name == segment)
    }

    /// Every place for which `test` holds of the groups around it and its segment.
    pub(super) fn places_where(&self, test: impl Fn(&[Step], &Step) -> bool) -> Vec<Place> {
        let mut found = Vec::new();
        self.visit(0, &mut Vec::new(), &mut |groups, segment| {
            if test(groups, &segment) {
                found.push(Place { groups: groups.to_vec(), segment });
            }
        });
        found
    }

    /// Calls `see` with each segment and the groups around it.
    fn visit(&self, node: usize, around: &mut Vec<Step>, see: &mut impl FnMut(&[Step], Step)) {
        let Some(node) = self.tree.node(node) else { return };
        for Member { kind, required, repeats } in &node.members {
            match kind {
                Kind::Segment(names) => {
                    let required = *required && names.len() == 1;
                    for name in names {
                        see(around, Step { name: text(name), required, repeats: *repeats });
                    }
                }
                Kind::Group(inner) => {
                    let Some(group) = self.tree.node(*inner) else { continue };
                    around.push(Step { name: group.name, required: *required, repeats: *repeats });
                    self.visit(*inner, around, see);
                    around.pop();
                }
            }
        }
    }
}

impl Group {
    /// `ORDER`.
    pub fn name(&self) -> &'static str {
        self.node.name
    }

    /// What stands in the group, in order.
    pub fn children(&self) -> impl Iterator<Item = Child> + use<> {
        let tree = self.tree;
        self.node.members.iter().filter_map(move |member| {
            let content = match &member.kind {
                Kind::Segment(names) => Content::Segment(names.iter().map(text).collect()),
                Kind::Group(node) => Content::Group(Group { tree, node: tree.node(*node)? }),
            };
            Some(Child { content, required: member.required, repeats: member.repeats })
        })
    }
}

/// The name of a segment. All of the table's are ASCII.
fn text(name: &'static [u8; 3]) -> &'static str {
    std::str::from_utf8(name).unwrap_or_default()
}
