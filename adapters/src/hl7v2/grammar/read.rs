//! Reads the notation `[optional] {repeating} <one|of|these> (GROUP: members)`.

use super::{Kind, Member, Node, Structure};

/// Deepest nesting of brackets in the table.
const DEPTH_MAX: usize = 32;

/// All rows that can be read. A test holds that all can.
pub(super) fn table(text: &'static str) -> Vec<Structure> {
    let named = rows(text).filter_map(|row| row.split_once('='));
    named.filter_map(|(name, body)| structure(name.trim(), body)).collect()
}

pub(super) fn rows(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A structure of this name and these members.
pub(super) fn structure(name: &'static str, body: &'static str) -> Option<Structure> {
    let message = Node { name, parent: None, members: Vec::new(), first: Vec::new(), all: Vec::new() };
    let mut reader = Reader { rest: body, nodes: vec![message] };
    let members = reader.members(0, 0)?;
    if !reader.rest.trim().is_empty() {
        return None;
    }
    reader.close(0, members)?;
    Some(Structure { name, nodes: reader.nodes })
}

struct Reader {
    rest: &'static str,
    nodes: Vec<Node>,
}

impl Reader {
    /// Members up to a closing bracket or the end.
    fn members(&mut self, node: usize, depth: usize) -> Option<Vec<Member>> {
        let mut members = Vec::new();
        while let Some(letter) = self.peek() {
            if matches!(letter, ']' | '}' | ')') {
                break;
            }
            members.push(self.member(node, depth)?);
        }
        Some(members)
    }

    fn member(&mut self, node: usize, depth: usize) -> Option<Member> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            '[' => {
                let inner = self.bracketed('[', ']', node, depth)?;
                Some(Member { required: false, ..inner })
            }
            '{' => {
                let inner = self.bracketed('{', '}', node, depth)?;
                Some(Member { repeats: true, ..inner })
            }
            '(' => self.group(node, depth),
            '<' => {
                self.take('<')?;
                let (names, rest) = self.rest.split_once('>')?;
                self.rest = rest;
                segments(names.split('|'))
            }
            _ => {
                let rest = self.rest.trim_start();
                let (name, after) = rest.split_at_checked(3)?;
                self.rest = after;
                segments(std::iter::once(name))
            }
        }
    }

    fn bracketed(&mut self, open: char, close: char, node: usize, depth: usize) -> Option<Member> {
        self.take(open)?;
        let inner = self.member(node, depth.saturating_add(1))?;
        self.take(close)?;
        Some(inner)
    }

    fn group(&mut self, parent: usize, depth: usize) -> Option<Member> {
        self.take('(')?;
        let (name, rest) = self.rest.split_once(':')?;
        self.rest = rest;
        let place = self.nodes.len();
        let node =
            Node { name: name.trim(), parent: Some(parent), members: Vec::new(), first: Vec::new(), all: Vec::new() };
        self.nodes.push(node);
        let members = self.members(place, depth.saturating_add(1))?;
        self.take(')')?;
        self.close(place, members)?;
        Some(Member { kind: Kind::Group(place), required: true, repeats: false })
    }

    /// Gives a node its members, and finds which segments come first and which come at all.
    fn close(&mut self, place: usize, members: Vec<Member>) -> Option<()> {
        let (mut first, mut all, mut open) = (Vec::new(), Vec::new(), true);
        for member in &members {
            let (member_first, member_all, empty) = match &member.kind {
                Kind::Segment(names) => (names.clone(), names.clone(), false),
                Kind::Group(node) => {
                    let node = self.nodes.get(*node)?;
                    (node.first.clone(), node.all.clone(), node.members.iter().all(|inner| !inner.required))
                }
            };
            if open {
                first.extend(member_first);
            }
            all.extend(member_all);
            open &= !member.required || empty;
        }
        let node = self.nodes.get_mut(place)?;
        node.members = members;
        node.first = first;
        node.all = all;
        Some(())
    }

    fn peek(&self) -> Option<char> {
        self.rest.trim_start().chars().next()
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(wanted)?;
        Some(())
    }
}

fn segments<'n>(names: impl Iterator<Item = &'n str>) -> Option<Member> {
    let names: Option<Vec<[u8; 3]>> =
        names.map(|name| <[u8; 3]>::try_from(name.as_bytes()).ok().filter(|name| name.is_ascii())).collect();
    Some(Member { kind: Kind::Segment(names?), required: true, repeats: false })
}
