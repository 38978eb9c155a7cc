//! The structure of a message that is written, laid out flat.
//!
//! In comes a structure of the grammar; out go its segments in the order of the standard, each with the groups
//! around it. Promised: what stands in a group are neighbours, so that a group is a range of places. Refused: nothing.

use std::ops::Range;

use adapters::hl7v2::grammar::{Child, Content, MessageStructure, Version};

/// A message structure of one version.
pub(in crate::mapping::check) struct Outline {
    pub version: Version,
    pub slots: Vec<Slot>,
    /// The first is the message itself.
    pub groups: Vec<GroupOutline>,
}

/// A place for a segment.
pub(super) struct Slot {
    /// One of these; nearly always there is but one.
    pub names: Vec<&'static str>,
    pub required: bool,
    pub repeats: bool,
    /// The innermost group around it.
    pub group: usize,
}

/// A group, and which places are inside it.
pub(super) struct GroupOutline {
    pub name: &'static str,
    pub required: bool,
    pub repeats: bool,
    pub parent: Option<usize>,
    pub slots: Range<usize>,
}

/// The part of a message that some rules write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping::check) enum Scope {
    /// A group, with everything in it.
    Group(usize),
    /// One segment.
    Slot(usize),
}

impl Scope {
    /// The message itself.
    pub const MESSAGE: Scope = Scope::Group(0);
}

impl Outline {
    pub fn of(structure: MessageStructure, version: Version) -> Outline {
        let message =
            GroupOutline { name: structure.name(), required: true, repeats: false, parent: None, slots: 0..0 };
        let mut outline = Outline { version, slots: Vec::new(), groups: vec![message] };
        outline.add(structure.children(), 0);
        outline
    }

    fn add(&mut self, children: impl Iterator<Item = Child>, within: usize) {
        for Child { content, required, repeats } in children {
            match content {
                Content::Segment(names) => self.slots.push(Slot { names, required, repeats, group: within }),
                Content::Group(group) => {
                    let (place, start) = (self.groups.len(), self.slots.len());
                    let (name, parent) = (group.name(), Some(within));
                    self.groups.push(GroupOutline { name, required, repeats, parent, slots: start..start });
                    self.add(group.children(), place);
                }
            }
        }
        let end = self.slots.len();
        self.groups.get_mut(within).into_iter().for_each(|group| group.slots.end = end);
    }

    /// The places of the scope.
    pub fn range(&self, scope: Scope) -> Range<usize> {
        match scope {
            Scope::Group(group) => self.groups.get(group).map_or(0..0, |group| group.slots.clone()),
            Scope::Slot(slot) => slot..slot.saturating_add(1),
        }
    }

    /// Places in the scope where the segment may stand, in order.
    pub fn slots_of(&self, scope: Scope, segment: &str) -> Vec<usize> {
        let is_it = |slot: &usize| self.slots.get(*slot).is_some_and(|slot| slot.names.contains(&segment));
        self.range(scope).filter(is_it).collect()
    }

    /// Groups of this name inside the scope, in order.
    pub fn groups_of(&self, scope: Scope, name: &str) -> Vec<usize> {
        let Scope::Group(within) = scope else { return Vec::new() };
        let named = self.groups.iter().enumerate().filter(|(_, group)| group.name == name);
        named.map(|(place, _)| place).filter(|place| *place != within && self.is_inside(*place, within)).collect()
    }

    /// The groups around a place, outermost first, without those that the scope is in or is.
    pub fn around(&self, slot: usize, scope: Scope) -> Vec<usize> {
        let innermost = self.slots.get(slot).map(|slot| slot.group);
        self.up_from(innermost, scope)
    }

    /// The group and those around it, outermost first, without those that the scope is in or is.
    pub fn up_from(&self, innermost: Option<usize>, scope: Scope) -> Vec<usize> {
        let Scope::Group(within) = scope else { return Vec::new() };
        let parent = |group: &usize| self.groups.get(*group).and_then(|group| group.parent);
        let mut groups: Vec<usize> =
            std::iter::successors(innermost, parent).take_while(|group| *group != within).collect();
        groups.reverse();
        groups
    }

    /// Whether a group is another one, or inside it.
    pub fn is_inside(&self, group: usize, within: usize) -> bool {
        let parent = |inner: &usize| self.groups.get(*inner).and_then(|outline| outline.parent);
        std::iter::successors(Some(group), parent).any(|group| group == within)
    }

    /// The name of the scope: of the message, a group, or a segment.
    pub fn name(&self, scope: Scope) -> &'static str {
        match scope {
            Scope::Group(group) => self.groups.get(group).map_or("", |group| group.name),
            Scope::Slot(slot) => self.slots.get(slot).and_then(|slot| slot.names.first()).copied().unwrap_or_default(),
        }
    }

    /// The names of the segments in the scope, each once, in order.
    pub fn segment_names(&self, scope: Scope) -> Vec<&'static str> {
        let mut names = Vec::new();
        for name in self.slots.get(self.range(scope)).into_iter().flatten().flat_map(|slot| &slot.names) {
            if !names.contains(name) {
                names.push(*name);
            }
        }
        names
    }

    /// The names of the groups in the scope, each once, in order.
    pub fn group_names(&self, scope: Scope) -> Vec<&'static str> {
        let Scope::Group(within) = scope else { return Vec::new() };
        let mut names = Vec::new();
        for (place, group) in self.groups.iter().enumerate() {
            if place != within && self.is_inside(place, within) && !names.contains(&group.name) {
                names.push(group.name);
            }
        }
        names
    }
}
