//! Which segments of a message form which groups.
//!
//! In come the names of a message's segments and its structure; out go the repetitions of groups as ranges
//! of segments. Real messages leave out required segments, change their order and add their own, so the scan
//! is tolerant: a segment goes to the nearest place that can take it, and one that has no place stays with
//! the group in hand. Every segment is placed; none is refused.

use super::grammar::{Kind, Member, Structure};
use super::index::narrow;

/// One repetition of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repetition {
    /// The group, by its place in the structure.
    pub(super) node: usize,
    /// First segment.
    pub(super) first: u32,
    /// Just after the last segment.
    pub(super) last: u32,
    /// The repetition around this one.
    pub(super) parent: Option<usize>,
}

/// The groups of one message.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) structure: Option<&'static Structure>,
    /// In the order of their first segments, outer before inner. The first is the whole message.
    pub(super) repetitions: Vec<Repetition>,
    /// For each segment the innermost repetition that it belongs to.
    pub(super) homes: Vec<u32>,
}

impl Groups {
    /// Places all segments of a message. Without a structure there is only the whole.
    pub(super) fn find(structure: Option<&'static Structure>, names: impl Iterator<Item = [u8; 3]>) -> Groups {
        let whole = Repetition { node: 0, first: 0, last: u32::MAX, parent: None };
        let mut scan = Scan {
            structure,
            open: vec![Open { node: 0, at: 0, seen: 0, repetition: 0 }],
            found: Groups { structure, repetitions: vec![whole], homes: Vec::new() },
        };
        for (place, name) in names.enumerate() {
            scan.place(name, narrow(place));
            let home = scan.open.last().map_or(0, |open| open.repetition);
            scan.found.homes.push(narrow(home));
        }
        let end = narrow(scan.found.homes.len());
        scan.close_down_to(0, end);
        scan.found
    }

    /// The repetition of the group `node` around the repetition `inner`, or `inner` itself.
    pub(super) fn around(&self, inner: usize, node: usize) -> Option<usize> {
        let mut place = Some(inner);
        while let Some(repetition) = place.and_then(|place| self.repetitions.get(place)) {
            if repetition.node == node {
                return place;
            }
            place = repetition.parent;
        }
        None
    }
}

/// A group that is not ended yet.
struct Open {
    node: usize,
    /// The member that was placed last.
    at: usize,
    /// Which members were placed, one bit each.
    seen: u64,
    repetition: usize,
}

/// The ways in which a segment can fit, best first.
#[derive(Clone, Copy)]
enum Fit {
    /// At or after the place in hand, as the structure says.
    InOrder,
    /// Anywhere in the group, if the structure allows one more.
    OutOfOrder,
    /// Inside a group whose first segment is missing.
    Headless,
    /// More often than the structure allows.
    TooMany,
}

struct Scan {
    structure: Option<&'static Structure>,
    open: Vec<Open>,
    found: Groups,
}

impl Scan {
    fn place(&mut self, name: [u8; 3], segment: u32) {
        let Some(structure) = self.structure else { return };
        if !structure.node(0).is_some_and(|message| message.all.contains(&name)) {
            return;
        }
        for fit in [Fit::InOrder, Fit::OutOfOrder, Fit::Headless, Fit::TooMany] {
            for depth in (0..self.open.len()).rev() {
                if let Some(member) = self.open.get(depth).and_then(|open| fitting(structure, open, name, fit)) {
                    self.close_down_to(depth, segment);
                    self.enter(structure, member, name, segment);
                    return;
                }
            }
        }
    }

    /// Ends every group deeper than `depth` before `segment`.
    fn close_down_to(&mut self, depth: usize, segment: u32) {
        for open in self.open.drain(depth.saturating_add(1)..) {
            if let Some(repetition) = self.found.repetitions.get_mut(open.repetition) {
                repetition.last = segment;
            }
        }
        if depth == 0
            && let Some(whole) = self.found.repetitions.first_mut()
        {
            whole.last = segment;
        }
    }

    /// Places the segment at a member of the innermost open group, and opens groups down to it.
    fn enter(&mut self, structure: &'static Structure, mut member: usize, name: [u8; 3], segment: u32) {
        loop {
            let Some(open) = self.open.last_mut() else { return };
            open.at = member;
            open.seen |= bit(member);
            let parent = open.repetition;
            let Some(Member { kind: Kind::Group(node), .. }) =
                structure.node(open.node).and_then(|node| node.members.get(member))
            else {
                return;
            };
            let repetition = self.found.repetitions.len();
            self.found.repetitions.push(Repetition {
                node: *node,
                first: segment,
                last: u32::MAX,
                parent: Some(parent),
            });
            self.open.push(Open { node: *node, at: 0, seen: 0, repetition });
            let Some(inner) = structure.node(*node) else { return };
            let begins = inner.members.iter().position(|within| structure.begins(within, name));
            let Some(next) =
                begins.or_else(|| inner.members.iter().position(|within| structure.contains(within, name)))
            else {
                return;
            };
            member = next;
        }
    }
}

/// The member of an open group that can take the segment.
fn fitting(structure: &Structure, open: &Open, name: [u8; 3], fit: Fit) -> Option<usize> {
    let node = structure.node(open.node)?;
    node.members.iter().enumerate().find_map(|(place, member)| {
        let again = open.seen & bit(place) != 0;
        let taken = match fit {
            Fit::InOrder => place >= open.at && (member.repeats || !again) && structure.begins(member, name),
            Fit::OutOfOrder => (member.repeats || !again) && structure.begins(member, name),
            Fit::Headless => (member.repeats || !again) && structure.contains(member, name),
            Fit::TooMany => structure.contains(member, name),
        };
        taken.then_some(place)
    })
}

/// The bit of a member; a group has fewer than 64.
fn bit(member: usize) -> u64 {
    u32::try_from(member).ok().and_then(|member| 1_u64.checked_shl(member)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
