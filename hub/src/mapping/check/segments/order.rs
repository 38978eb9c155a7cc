//! Where the segments of a mapping stand in the message.
//!
//! In come segments and blocks in the order of the file; out goes for each a key: what has the smaller key is written
//! first, and of equal keys what the file names first. Promised: the order is that of the message structure. Of
//! several places that a segment may have, it gets the next after what the file names before it, or after what
//! `after` names. Refused: a segment that has several places, all of them before that one, so that it is not known
//! which is meant; a second one of what stands once.

use super::outline::{Outline, Scope};

/// A place in a message: for each group around it, and for the segment itself, the place in the structure and which
/// repetition it is.
pub(super) type Key = Vec<(usize, u32)>;

/// Why something has no place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    /// The scope has no such segment or group.
    Unknown,
    /// It may stand at several places, and all are before what this names.
    Behind(String),
    /// It stands once, and this would be another one.
    Once,
    /// `after` names what no rule above writes.
    NothingBefore,
}

/// Where a segment or block stands.
#[derive(Debug)]
pub(super) struct Position {
    pub key: Key,
    /// What it is in the structure; none for what the structure does not have: MSH, Z-segments.
    pub scope: Option<Scope>,
}

/// Gives places to what one level of a mapping writes.
pub(super) struct Placer<'o> {
    /// None when the structure of the message is not known.
    outline: Option<&'o Outline>,
    scope: Scope,
    placed: Vec<Placed>,
    cursor: Cursor,
}

/// What has got its place.
struct Placed {
    key: Key,
    /// The names of its segments.
    names: Vec<String>,
}

/// What the file named last.
#[derive(Default)]
struct Cursor {
    key: Key,
    name: String,
}

impl<'o> Placer<'o> {
    pub fn new(outline: Option<&'o Outline>, scope: Scope) -> Placer<'o> {
        Placer { outline, scope, placed: Vec::new(), cursor: Cursor::default() }
    }

    /// The place of a segment that rules write; `occurrence` counts those of its name from 1.
    pub fn segment(&mut self, name: &str, occurrence: u32) -> Result<Position, Misplaced> {
        let Some(outline) = self.outline.filter(|_| !is_free(name)) else { return Ok(self.free(name, false)) };
        let before = self.placed.iter().rev().find(|placed| placed.names.iter().any(|known| known == name));
        let (scope, key) = match before.filter(|_| occurrence > 1) {
            Some(before) => self.further(outline, &before.key).ok_or(Misplaced::Once)?,
            None => self.next(self.slots(outline, name))?,
        };
        self.place(key.clone(), name, Vec::new());
        Ok(Position { key, scope: Some(scope) })
    }

    /// The place of a block that adds segments or groups called `to`, with these segments in it.
    pub fn block(&mut self, to: &str, inner: Vec<String>, after: Option<&str>) -> Result<Position, Misplaced> {
        if let Some(after) = after {
            let is_it = |placed: &&Placed| placed.names.iter().any(|name| name == after);
            let last = self.placed.iter().filter(is_it).max_by(|one, other| one.key.cmp(&other.key));
            let key = last.ok_or(Misplaced::NothingBefore)?.key.clone();
            self.cursor = Cursor { key, name: after.to_owned() };
        }
        let Some(outline) = self.outline.filter(|_| !is_free(to)) else {
            return Ok(self.free(to, after.is_some()));
        };
        let mut places = self.slots(outline, to);
        for group in outline.groups_of(self.scope, to) {
            places.push((Scope::Group(group), self.key(outline, &outline.up_from(Some(group), self.scope), None)));
        }
        let (scope, key) = self.next(places)?;
        self.place(key.clone(), to, inner);
        Ok(Position { key, scope: Some(scope) })
    }

    /// What has no place in the structure stands after what the file names before it.
    fn free(&mut self, name: &str, is_after: bool) -> Position {
        let key = match self.outline {
            None if !is_after => vec![(self.placed.len(), 1)],
            None | Some(_) => self.cursor.key.clone(),
        };
        self.place(key.clone(), name, Vec::new());
        Position { key, scope: None }
    }

    fn place(&mut self, key: Key, name: &str, mut names: Vec<String>) {
        names.push(name.to_owned());
        self.cursor = Cursor { key: key.clone(), name: name.to_owned() };
        self.placed.push(Placed { key, names });
    }

    fn slots(&self, outline: &Outline, name: &str) -> Vec<(Scope, Key)> {
        let slots = outline.slots_of(self.scope, name).into_iter();
        slots
            .map(|slot| (Scope::Slot(slot), self.key(outline, &outline.around(slot, self.scope), Some(slot))))
            .collect()
    }

    /// Of several places the next after the cursor; the only one wherever it is.
    fn next(&self, places: Vec<(Scope, Key)>) -> Result<(Scope, Key), Misplaced> {
        let is_only = places.len() == 1;
        let mut places = places.into_iter().peekable();
        if places.peek().is_none() {
            return Err(Misplaced::Unknown);
        }
        let next = places.find(|(_, key)| is_only || *key >= self.cursor.key);
        next.ok_or_else(|| Misplaced::Behind(self.cursor.name.clone()))
    }

    /// One more of the segment at `key`: in what the file has begun since, or another repetition.
    fn further(&self, outline: &Outline, key: &Key) -> Option<(Scope, Key)> {
        let (slot, _) = *key.last()?;
        let here = self.key(outline, &outline.around(slot, self.scope), Some(slot));
        if here > self.cursor.key {
            return Some((Scope::Slot(slot), here));
        }
        another(outline, self.scope, key)
    }

    /// The key of a place: in the repetitions of its groups that the file is at.
    fn key(&self, outline: &Outline, groups: &[usize], slot: Option<usize>) -> Key {
        let starts = groups.iter().filter_map(|group| outline.groups.get(*group)).map(|group| group.slots.start);
        let mut key = Key::new();
        for place in starts.chain(slot) {
            let known = std::iter::once(&self.cursor.key).chain(self.placed.iter().rev().map(|placed| &placed.key));
            let repetition = known.filter_map(|known| repetition_of(known, &key, place)).next();
            key.push((place, repetition.unwrap_or(1)));
        }
        key
    }
}

/// Which repetition of `place` a key is in, if it begins like this one.
fn repetition_of(known: &Key, begin: &Key, place: usize) -> Option<u32> {
    let (at, repetition) = known.get(begin.len()).filter(|_| known.starts_with(begin))?;
    (*at == place).then_some(*repetition)
}

/// One more of the segment at `key`: of itself, or of the innermost group around it that repeats.
fn another(outline: &Outline, scope: Scope, key: &Key) -> Option<(Scope, Key)> {
    let (slot, _) = *key.last()?;
    let around = outline.around(slot, scope);
    let repeats = around.iter().filter_map(|group| outline.groups.get(*group)).map(|group| group.repeats);
    let repeats: Vec<bool> = repeats.chain(outline.slots.get(slot).map(|slot| slot.repeats)).collect();
    let innermost = repeats.iter().rposition(|repeats| *repeats)?;
    let next = key.iter().enumerate().map(|(depth, (place, repetition))| {
        let repetition = match depth.cmp(&innermost) {
            std::cmp::Ordering::Less => *repetition,
            std::cmp::Ordering::Equal => repetition.saturating_add(1),
            std::cmp::Ordering::Greater => 1,
        };
        (*place, repetition)
    });
    Some((Scope::Slot(slot), next.collect()))
}

/// Whether no structure says where the segment stands: the header, and local ones.
fn is_free(name: &str) -> bool {
    name == "MSH" || name.len() == 3 && name.starts_with('Z')
}
