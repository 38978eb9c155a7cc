//! Finding values by path, in a whole message or inside one repetition of a group.
//!
//! Inside a scope a path means what it means to the reader of a mapping: `RXE-2` in an ORDER is that order's,
//! and `PID-3` in an ORDER, which has no PID, is that of the patient around it. Promised: a value of another
//! repetition of the same group is never found. So a segment that the group could have and does not is
//! absent, and is not looked for further out.

use super::grammar::{self, Kind};
use super::groups::{Groups, Repetition as GroupRepetition};
use super::index::{narrow, wide};
use super::message::{Message, Segment};
use super::path::{FieldStep, GroupStep, Occurrence, Part, Path, Repetition};
use super::value::Value;

/// A range of a message's segments: the whole, one repetition of a group, or one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    first: u32,
    last: u32,
    /// The innermost repetition of a group around it, by its place in the message's groups.
    home: u32,
    /// It is the repetition itself, and not a segment in it.
    is_group: bool,
}

impl Scope {
    /// Its segments by their places in the message, from 0: the first, and the one after the last.
    pub fn segment_range(&self) -> std::ops::Range<u32> {
        self.first..self.last
    }

    /// How many segments are in it.
    pub fn segment_count(&self) -> usize {
        wide(self.last.saturating_sub(self.first))
    }
}

/// The message's structure has no such group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} has no group {group}", structure.unwrap_or("a message of unknown structure"))]
pub struct UnknownGroup {
    /// The structure, if it is known.
    pub structure: Option<&'static str>,
    /// The group that was asked for.
    pub group: String,
}

impl<'a> Message<'a> {
    /// Every segment.
    pub fn whole(&self) -> Scope {
        Scope { first: 0, last: narrow(self.segment_count()), home: 0, is_group: true }
    }

    /// The segments of a scope.
    pub fn segments_in(&self, scope: &Scope) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let message = *self;
        (scope.first..scope.last).map_while(move |place| message.segment(place))
    }

    /// The repetitions of a group, or of a segment, inside `within`; none for a name that is not known.
    pub fn groups(&self, within: &Scope, name: &str) -> Vec<Scope> {
        match segment_name(name) {
            Some(segment) => self.segment_scopes(within, segment).collect(),
            None => self.group_scopes(within, name).collect(),
        }
    }

    /// Like [`Message::groups`], and says so when the structure has no such group.
    pub fn try_groups(&self, within: &Scope, name: &str) -> Result<Vec<Scope>, UnknownGroup> {
        let structure = self.structure();
        if segment_name(name).is_none() && !structure.is_some_and(|structure| grammar::group_exists(structure, name)) {
            return Err(UnknownGroup { structure, group: name.to_owned() });
        }
        Ok(self.groups(within, name))
    }

    /// The first value at `path`, seen from `scope`. Where a path does not say which of several segments or
    /// groups, it means the first, also if that one lacks the field: values of two insurances never mix.
    pub fn find(&self, scope: &Scope, path: &Path) -> Value<'a> {
        let Some(view) = self.view(scope, path) else { return Value::absent() };
        let mut found = Value::absent();
        self.visit(&view, Wanted::new(path, &view, Mode::First), &mut |value| {
            found = value;
            value.is_absent()
        });
        found
    }

    /// Every value at `path`, seen from `scope`: of every segment, and of every repetition of the field unless
    /// the path chooses one. Empty fields give nothing.
    pub fn find_all(&self, scope: &Scope, path: &Path) -> Vec<Value<'a>> {
        let Some(view) = self.view(scope, path) else { return Vec::new() };
        let mut found = Vec::new();
        self.visit(&view, Wanted::new(path, &view, Mode::All), &mut |value| {
            if !value.is_absent() {
                found.push(value);
            }
            true
        });
        found
    }

    fn known_groups(&self) -> &'a Groups {
        self.index.groups.get_or_init(|| {
            let structure = self.structure().and_then(grammar::structure);
            Groups::find(structure, self.index.lines.iter().map(|line| line.name))
        })
    }

    fn segment_scopes(&self, within: &Scope, name: [u8; 3]) -> impl Iterator<Item = Scope> + use<'a> {
        let (message, within) = (*self, *within);
        message.places(within, name).map(move |place| {
            let home = message.known_groups().homes.get(wide(place)).copied().unwrap_or_default();
            Scope { first: place, last: place.saturating_add(1), home, is_group: false }
        })
    }

    /// The segments of a name inside a scope. Of a group that may have such segments itself, only its own: the
    /// comments of an order are not those of its observations.
    fn places(&self, within: Scope, name: [u8; 3]) -> impl Iterator<Item = u32> + use<'a> {
        let message = *self;
        let lines = self.index.lines.get(wide(within.first)..wide(within.last)).unwrap_or_default();
        let only_own = within.is_group && !self.covers(&within) && self.has_itself(&within, name);
        let named = (within.first..).zip(lines).filter(move |(_, line)| line.name == name).map(|(place, _)| place);
        named.filter(move |place| !only_own || message.known_groups().homes.get(wide(*place)) == Some(&within.home))
    }

    /// Whether the scope's group may have the segment itself, and not only in a group inside.
    fn has_itself(&self, scope: &Scope, name: [u8; 3]) -> bool {
        let groups = self.known_groups();
        let node = groups.repetitions.get(wide(scope.home)).map_or(0, |repetition| repetition.node);
        groups.structure.and_then(|structure| structure.node(node)).is_some_and(|node| {
            node.members.iter().any(|member| match &member.kind {
                Kind::Segment(names) => names.contains(&name),
                Kind::Group(_) => false,
            })
        })
    }

    /// The repetitions of a group inside `within`, but not `within` itself.
    fn group_scopes<'n>(&self, within: &Scope, name: &'n str) -> impl Iterator<Item = Scope> + use<'a, 'n> {
        let groups = self.known_groups();
        let within = *within;
        let from = groups.repetitions.partition_point(|repetition| repetition.first < within.first);
        let inside = groups.repetitions.iter().enumerate().skip(from);
        inside
            .take_while(move |(_, repetition)| repetition.first < within.last)
            .filter(move |(place, repetition)| {
                let named = groups.structure.and_then(|structure| structure.node(repetition.node));
                let is_inside = repetition.last <= within.last && (narrow(*place) > within.home || !within.is_group);
                is_inside && within.is_group && named.is_some_and(|node| node.name == name)
            })
            .map(|(place, repetition)| scope_of(place, repetition))
    }

    /// The scope in which the path's first name is to be looked for: `scope`, or one further out.
    fn view(&self, scope: &Scope, path: &Path) -> Option<View> {
        let whole = View { scope: *scope, hidden: None, skip: 0 };
        if self.covers(scope) {
            return Some(whole);
        }
        let mut view = whole;
        loop {
            if self.view_has(&view, path) {
                return Some(view);
            }
            view = match self.own_name(&view.scope, path) {
                Some(Occurrence::Unsaid) => return Some(View { skip: 1, ..view }),
                Some(Occurrence::Number(_) | Occurrence::Every) => View { hidden: None, ..self.outward(&view.scope)? },
                None if self.could_have(&view.scope, path) => return None,
                None => self.outward(&view.scope)?,
            };
            if self.covers(&view.scope) {
                return Some(view);
            }
        }
    }

    fn covers(&self, scope: &Scope) -> bool {
        scope.first == 0 && wide(scope.last) >= self.segment_count()
    }

    fn view_has(&self, view: &View, path: &Path) -> bool {
        match path.groups.first() {
            Some(group) => self.group_scopes(&view.scope, &group.name).any(|scope| !self.is_hidden(view, scope.home)),
            None => self.visible_places(view, path.segment_bytes()).next().is_some(),
        }
    }

    /// The path begins with the name of the group that the scope is a repetition of.
    fn own_name(&self, scope: &Scope, path: &Path) -> Option<Occurrence> {
        let first = path.groups.first()?;
        let groups = self.known_groups();
        let node = groups.structure?.node(groups.repetitions.get(wide(scope.home))?.node)?;
        (scope.is_group && node.name == first.name).then_some(first.occurrence)
    }

    /// The structure lets the scope's group have what the path begins with.
    fn could_have(&self, scope: &Scope, path: &Path) -> bool {
        if !scope.is_group {
            return false;
        }
        let groups = self.known_groups();
        let node = groups.repetitions.get(wide(scope.home)).map_or(0, |repetition| repetition.node);
        let Some(structure) = groups.structure else { return false };
        match path.groups.first() {
            Some(group) => structure.has_group(node, &group.name),
            None => structure.node(node).is_some_and(|node| node.all.contains(&path.segment_bytes())),
        }
    }

    /// The scope around `scope`, without the other repetitions of its group.
    fn outward(&self, scope: &Scope) -> Option<View> {
        let groups = self.known_groups();
        let home = groups.repetitions.get(wide(scope.home))?;
        if !scope.is_group {
            return Some(View { scope: scope_of(wide(scope.home), home), hidden: None, skip: 0 });
        }
        let parent = home.parent?;
        let around = scope_of(parent, groups.repetitions.get(parent)?);
        Some(View { scope: around, hidden: Some(home.node), skip: 0 })
    }

    /// The repetition is, or is inside, one that the view must not show.
    fn is_hidden(&self, view: &View, home: u32) -> bool {
        view.hidden.is_some_and(|node| self.known_groups().around(wide(home), node).is_some())
    }

    fn visible_places(&self, view: &View, name: [u8; 3]) -> impl Iterator<Item = u32> + use<'a> {
        let (message, view) = (*self, *view);
        message.places(view.scope, name).filter(move |place| {
            view.hidden.is_none() || {
                let home = message.known_groups().homes.get(wide(*place)).copied().unwrap_or_default();
                !message.is_hidden(&view, home)
            }
        })
    }

    fn visit(&self, view: &View, wanted: Wanted<'_>, show: Show<'_, 'a>) -> bool {
        let Some((group, inner)) = wanted.groups.split_first() else { return self.visit_segments(view, wanted, show) };
        let visible = self.group_scopes(&view.scope, &group.name).filter(|scope| !self.is_hidden(view, scope.home));
        chosen(visible, group.occurrence, wanted.mode).all(|scope| {
            let inside = View { scope, hidden: None, skip: 0 };
            self.visit(&inside, Wanted { groups: inner, ..wanted }, show)
        })
    }

    fn visit_segments(&self, view: &View, wanted: Wanted<'_>, show: Show<'_, 'a>) -> bool {
        let places = self.visible_places(view, wanted.path.segment_bytes());
        let mut segments = chosen(places, wanted.path.occurrence, wanted.mode).filter_map(|place| self.segment(place));
        segments.all(|segment| match &wanted.path.field {
            None => show(segment.whole()),
            Some(step) => visit_field(segment.field(step.number), step, wanted.mode, show),
        })
    }
}

/// Takes one value, and says whether to go on.
type Show<'s, 'a> = &'s mut dyn FnMut(Value<'a>) -> bool;

/// What is looked for below a view.
#[derive(Clone, Copy)]
struct Wanted<'p> {
    path: &'p Path,
    /// The groups still to go through.
    groups: &'p [GroupStep],
    mode: Mode,
}

impl<'p> Wanted<'p> {
    fn new(path: &'p Path, view: &View, mode: Mode) -> Wanted<'p> {
        Wanted { path, groups: path.groups.get(view.skip..).unwrap_or_default(), mode }
    }
}

/// The first, or all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    First,
    All,
}

/// A scope, and what of it must not be seen.
#[derive(Clone, Copy)]
struct View {
    scope: Scope,
    /// The group whose repetitions are hidden: they are beside the scope that was asked for.
    hidden: Option<usize>,
    /// How many groups at the path's beginning name the scope itself.
    skip: usize,
}

fn visit_field<'a>(field: Value<'a>, step: &FieldStep, mode: Mode, show: Show<'_, 'a>) -> bool {
    let mut show_part = |repetition: Value<'a>| show(part(repetition, step.part));
    match &step.repetition {
        Repetition::Unsaid if mode == Mode::First => show_part(field),
        Repetition::Unsaid | Repetition::Every => field.repetitions().all(show_part),
        Repetition::Number(number) => show_part(field.repetition(*number)),
        Repetition::Where { part: tested, equal, text } => field
            .repetitions()
            .filter(|repetition| (part(*repetition, *tested).text() == text.as_str()) == *equal)
            .all(show_part),
    }
}

fn part(value: Value<'_>, part: Part) -> Value<'_> {
    match part {
        Part::Whole => value,
        Part::Component(component) => value.component(component),
        Part::Subcomponent(component, subcomponent) => value.component(component).subcomponent(subcomponent),
    }
}

/// Those of several that the path chooses.
fn chosen<T>(all: impl Iterator<Item = T>, occurrence: Occurrence, mode: Mode) -> impl Iterator<Item = T> {
    let (skip, take) = match (occurrence, mode) {
        (Occurrence::Number(number), _) => (wide(number.saturating_sub(1)), 1),
        (Occurrence::Unsaid, Mode::First) => (0, 1),
        (Occurrence::Unsaid, Mode::All) | (Occurrence::Every, _) => (0, usize::MAX),
    };
    all.skip(skip).take(take)
}

fn scope_of(place: usize, repetition: &GroupRepetition) -> Scope {
    Scope { first: repetition.first, last: repetition.last, home: narrow(place), is_group: true }
}

/// Three letters name a segment; every group has a longer name.
fn segment_name(name: &str) -> Option<[u8; 3]> {
    <[u8; 3]>::try_from(name.as_bytes()).ok()
}

#[cfg(test)]
mod tests;
