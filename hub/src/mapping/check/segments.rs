//! Targets in HL7 v2, held against the grammar of the version that is written.
//!
//! In come the rules and blocks of one level of a mapping; out go its segments in the order in which they are
//! written, and findings: segments, groups, fields and components that the message does not have, lists in fields that
//! do not repeat, values of the wrong type, codes outside HL7's tables, and what the message must have and does not
//! get. Promised: what is not complained of is written where the structure of the message has it. Local segments (Z)
//! are free.

mod lists;
mod order;
mod outline;
mod required;
mod values;

use std::sync::Arc;

use adapters::hl7v2::edit::Place;
use adapters::hl7v2::grammar::{Grammar, Part, Resolved, Unknown, Usage, WITHDRAWN, message_structure};

use self::order::{Key, Misplaced, Placer, Position};
use self::outline::{Outline, Scope};
pub(super) use self::values::written_version;
use super::given::{Given, given, is_sure};
use super::level::{Flat, Placed};
use super::{Checker, Level};
use crate::finding::{SourceText, Text, codes, did_you_mean, one_of};
use crate::mapping::compile::{Compiled, nearby};
use crate::mapping::functions::Kind;
use crate::mapping::layout::{Clash, SegmentTarget, read_segment_target};
use crate::mapping::parse::{DeclaredBlock, DeclaredRule};
use crate::mapping::plan::{MessageType, SegmentPlan, Segments, SegmentsPart};

/// Groups or segments that a finding lists at most.
const LISTED_MAX: usize = 12;

/// Where in the message a level of the mapping writes.
#[derive(Clone, Copy)]
struct Within<'o> {
    /// None when the structure of the message is not known.
    outline: Option<&'o Outline>,
    scope: Scope,
}

/// A segment or a block of one level.
struct Entry {
    /// None when there is no place for it.
    key: Option<Key>,
    scope: Option<Scope>,
    /// Segment, or what a block adds.
    name: String,
    /// Where a file first names it, and which.
    at: Text,
    origin: Arc<SourceText>,
    part: SegmentsPart,
    /// What rules write into a segment.
    writes: Vec<FieldWrite>,
}

/// What one rule writes.
struct FieldWrite {
    place: Place,
    /// Of the rules of one block that adds repetitions: which.
    list: Option<usize>,
    target: Text,
    expression: Text,
    origin: Arc<SourceText>,
    is_sure: bool,
}

/// One level while its rules are gathered.
struct Draft<'o> {
    within: Within<'o>,
    placer: Placer<'o>,
    entries: Vec<Entry>,
    clashes: Vec<Clash>,
}

impl<'c> Checker<'c> {
    /// The segments of a mapping.
    pub(super) fn segments(&mut self, flat: &Flat<'c>, level: Level<'_>, kind: &MessageType) -> Segments {
        let structure = message_structure(kind.version, &kind.code, &kind.trigger, "");
        if let Some(nearest) = structure.map(|structure| structure.version).filter(|nearest| *nearest != kind.version) {
            let message = format!("HL7 v{} has no message {}^{}", kind.version, kind.code, kind.trigger);
            let help = format!("the nearest version that has it is {nearest}: `\"MSH-12\" = '\"{nearest}\"'`");
            self.report(codes::BAD_VALUE, level.declared.span.clone(), message, Some(help));
        }
        let outline = structure.map(|structure| Outline::of(structure, structure.version));
        let within = Within { outline: outline.as_ref(), scope: Scope::MESSAGE };
        self.segment_level(flat, level, within)
    }

    fn segment_level(&mut self, flat: &Flat<'c>, level: Level<'_>, within: Within<'_>) -> Segments {
        let placer = Placer::new(within.outline, within.scope);
        let mut draft = Draft { within, placer, entries: Vec::new(), clashes: Vec::new() };
        for placed in &flat.rules {
            let (rule, ground) = self.stand_at(placed, level.ground);
            self.segment_rule(rule, Level { ground, ..level }, &mut draft);
        }
        for placed in &flat.blocks {
            self.segment_block(placed, level, &mut draft);
        }
        for placed in &flat.entries {
            let (entry, _) = self.stand_at(placed, level.ground);
            self.entry_outside(&entry.resource);
        }
        let Draft { mut entries, clashes, .. } = draft;
        self.report_clashes(clashes);
        self.compiler.source = Arc::clone(level.origin);
        self.check_required_segments(&entries, within, level.declared);
        self.check_required_fields(&entries, within);
        // What has no place has been complained of.
        entries.retain(|entry| entry.key.is_some());
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        Segments { parts: entries.into_iter().map(|entry| entry.part).collect() }
    }

    fn segment_rule(&mut self, rule: &DeclaredRule, level: Level<'_>, draft: &mut Draft<'_>) {
        let target = read_segment_target(&rule.target.value);
        let target = target.map_err(|error| self.report_inside(codes::TARGET_PATH, &rule.target, error)).ok();
        let compiled = self.compiler.expression(&rule.expression, level.ground);
        let (Some(target), Some(compiled)) = (target, compiled) else { return };
        self.check_target(rule, &target, &compiled, draft.within);
        let write = FieldWrite {
            place: target.place,
            list: None,
            target: rule.target.clone(),
            expression: rule.expression.clone(),
            origin: Arc::clone(&self.compiler.source),
            is_sure: is_sure(&compiled.op, level.guards),
        };
        let may_be_null = given(&compiled.op).contains(&Given::Null);
        let index = self.add_rule(rule, compiled, level);
        let place = self.entry_of(&rule.target, &target, draft);
        let Some(entry) = draft.entries.get_mut(place) else { return };
        entry.writes.push(write);
        if let SegmentsPart::Segment(plan) = &mut entry.part {
            draft.clashes.extend(target.add_to(&mut plan.parts, index, may_be_null).err());
        }
    }

    /// The place among the entries of the segment that is written into.
    fn entry_of(&mut self, at: &Text, target: &SegmentTarget, draft: &mut Draft<'_>) -> usize {
        let (name, occurrence) = (&target.segment, target.occurrence);
        let is_it = |entry: &Entry| matches!(&entry.part, SegmentsPart::Segment(plan) if plan.name == *name && plan.occurrence == occurrence);
        if let Some(place) = draft.entries.iter().position(is_it) {
            return place;
        }
        let position = draft.placer.segment(name, occurrence);
        let position = position.map_err(|why| self.report_misplaced(at, name, why, draft.within)).ok();
        let plan = SegmentPlan { name: name.clone(), occurrence, parts: Vec::new(), lists: Vec::new() };
        let part = SegmentsPart::Segment(plan);
        draft.entries.push(Entry::new(position, name, (at, &self.compiler.source), part));
        draft.entries.len().saturating_sub(1)
    }

    fn segment_block(&mut self, placed: &Placed<'c, DeclaredBlock>, level: Level<'_>, draft: &mut Draft<'_>) {
        let (block, ground) = self.stand_at(placed, level.ground);
        let level = Level { ground, ..level };
        let Some(target) = &block.to else {
            let help = Some("write the segment or group that each repetition adds".to_owned());
            return self.report(codes::MISSING_KEY, block.each.span.clone(), "`to` is missing".to_owned(), help);
        };
        let to = &target.value;
        if to.contains('-') {
            return self.field_list(placed, target, level, draft);
        }
        let position = self.block_position(block, target, draft);
        let scope = position.as_ref().and_then(|position| position.scope);
        // Inside a block that has no place, nothing is known.
        let outline = draft.within.outline.filter(|_| scope.is_some());
        let within = Within { outline, scope: scope.unwrap_or(Scope::MESSAGE) };
        let prefix = format!("{}{to}.", level.prefix);
        let outer = Level { declared: target, origin: placed.origin, ..level };
        let compiled =
            self.block(placed, &prefix, outer, |checker, flat, inner| checker.segment_level(flat, inner, within));
        if let Some(compiled) = compiled {
            draft.entries.push(Entry::new(position, to, (target, placed.origin), SegmentsPart::Block(compiled)));
        }
    }

    fn block_position(&mut self, block: &DeclaredBlock, to: &Text, draft: &mut Draft<'_>) -> Option<Position> {
        let mut names = Vec::new();
        segments_in(block, &mut names);
        let why = match draft.placer.block(&to.value, names, block.after.as_ref().map(|after| after.value.as_str())) {
            Ok(position) => return Some(position),
            Err(why) => why,
        };
        let at = match (&why, &block.after) {
            (Misplaced::NothingBefore | Misplaced::Behind(_), Some(after)) => after,
            _ => to,
        };
        self.report_misplaced(at, &to.value, why, draft.within);
        None
    }

    fn report_misplaced(&mut self, at: &Text, name: &str, why: Misplaced, within: Within<'_>) {
        let Some(outline) = within.outline else {
            let message = format!("`after` names {}, which no rule above writes", at.value);
            return self.report(codes::OUT_OF_ORDER, at.span.clone(), message, None);
        };
        let scope = outline.name(within.scope);
        let (code, message, help) = match why {
            Misplaced::Unknown => {
                let kind = if name.len() == 3 { "segment" } else { "group" };
                (codes::NOT_IN_MESSAGE, format!("{scope} has no {kind} {name}"), known_in(outline, within.scope, name))
            }
            Misplaced::Behind(last) => {
                let places = places_of(outline, within.scope, name);
                let message = format!("no {name} of {scope} stands after {last}");
                (
                    codes::OUT_OF_ORDER,
                    message,
                    Some(format!("it stands in {places}: say which with `after`, or write it sooner")),
                )
            }
            Misplaced::Once => {
                (codes::OUT_OF_ORDER, format!("{name} stands once in {scope}, and this is another one"), None)
            }
            Misplaced::NothingBefore => {
                let message = format!("`after` names {}, which no rule above writes", at.value);
                (codes::OUT_OF_ORDER, message, did_you_mean(&at.value, outline.segment_names(within.scope)))
            }
        };
        self.report(code, at.span.clone(), message, help);
    }

    /// Holds a rule against the field or component that it writes.
    fn check_target(&mut self, rule: &DeclaredRule, target: &SegmentTarget, compiled: &Compiled, within: Within<'_>) {
        if compiled.kind == Kind::Structure {
            let message = "a field takes a value, and this expression gives a structure".to_owned();
            let help = Some("write its parts one by one, as in ORC-2.1".to_owned());
            self.report(codes::ARGUMENT_TYPE, rule.expression.span.clone(), message, help);
        }
        if compiled.is_many && target.is_one_repetition {
            self.many_into_one(&rule.target, &rule.expression);
        }
        if target.segment == "MSH" {
            self.check_header(rule, target.place.field, &compiled.op);
        }
        let Some(outline) = within.outline else { return };
        let resolved = match Grammar::of(outline.version).resolve(outline.name(Scope::MESSAGE), &target.path) {
            Ok(resolved) => resolved,
            Err(unknown) => return self.report_no_field(&rule.target, &unknown),
        };
        let withdrawn = [resolved.field, resolved.component, resolved.subcomponent].into_iter().flatten();
        if let Some(element) = withdrawn.into_iter().find(|element| element.usage == Usage::Withdrawn) {
            let message = format!("HL7 v{} has withdrawn {} ({})", outline.version, rule.target.value, element.text);
            self.report(codes::NOT_IN_SEGMENT, rule.target.span.clone(), message, None);
        }
        self.check_repetitions(rule, target, compiled, &resolved);
        if compiled.kind != Kind::Structure {
            self.check_value(rule, &compiled.op, &resolved);
        }
    }

    fn check_repetitions(
        &mut self,
        rule: &DeclaredRule,
        target: &SegmentTarget,
        compiled: &Compiled,
        resolved: &Resolved,
    ) {
        let Some(most) = resolved.field.and_then(|field| field.repetitions) else { return };
        let name = format!("{}-{}", target.segment, target.place.field);
        if target.place.repetition.is_some_and(|repetition| repetition > u32::from(most)) {
            let times = if most == 1 { "once".to_owned() } else { format!("{most} times at most") };
            let message = format!("{name} stands {times} in {}", target.segment);
            self.report(codes::MANY_INTO_ONE, rule.target.span.clone(), message, None);
        } else if most == 1 && compiled.is_many && !target.is_one_repetition {
            let message = format!("several values are put into {name}, which does not repeat");
            let help = "choose one with `| first`, a number or a condition, or join them with `| join(\", \")`";
            self.report(codes::MANY_INTO_ONE, rule.expression.span.clone(), message, Some(help.to_owned()));
        }
    }

    fn report_no_field(&mut self, target: &Text, unknown: &Unknown) {
        if let Some(field) = unknown.within.strip_suffix(&format!(" ({WITHDRAWN})")) {
            let message = format!("HL7 v{} has withdrawn {field}", unknown.version);
            return self.report(codes::NOT_IN_SEGMENT, target.span.clone(), message, None);
        }
        match unknown.part {
            Part::Field | Part::Component | Part::Subcomponent => {
                self.report(codes::NOT_IN_SEGMENT, target.span.clone(), unknown.to_string(), nearby(unknown));
            }
            // Of the segment, its place is asked for.
            Part::Structure | Part::Group | Part::Segment => {}
        }
    }
}

impl Entry {
    fn new(position: Option<Position>, name: &str, at: (&Text, &Arc<SourceText>), part: SegmentsPart) -> Entry {
        let (at, origin) = at;
        let (key, scope) = position.map_or((None, None), |position| (Some(position.key), position.scope));
        Entry {
            key,
            scope,
            name: name.to_owned(),
            at: at.clone(),
            origin: Arc::clone(origin),
            part,
            writes: Vec::new(),
        }
    }
}

/// The names of all segments that a block writes.
fn segments_in(block: &DeclaredBlock, names: &mut Vec<String>) {
    let name = |rule: &DeclaredRule| rule.target.value.get(..3).map(str::to_owned);
    names.extend(block.body.rules.iter().filter_map(name));
    for inner in &block.body.blocks {
        segments_in(inner, names);
    }
}

/// What was probably meant, or what there is.
fn known_in(outline: &Outline, scope: Scope, name: &str) -> Option<String> {
    if matches!(scope, Scope::Slot(_)) {
        return Some("let a block of its own write it, or one that adds the group that has both".to_owned());
    }
    let known = if name.len() == 3 { outline.segment_names(scope) } else { outline.group_names(scope) };
    let names = || known.iter().copied();
    let few = (1..=LISTED_MAX).contains(&known.len());
    did_you_mean(name, names()).or_else(|| few.then(|| format!("there are {}", one_of(names()))))
}

/// The groups in which a segment or group stands.
fn places_of(outline: &Outline, scope: Scope, name: &str) -> String {
    let slots = outline.slots_of(scope, name).into_iter().filter_map(|slot| outline.slots.get(slot));
    let parents = outline.groups_of(scope, name).into_iter().filter_map(|group| outline.groups.get(group));
    let around = slots.map(|slot| slot.group).chain(parents.filter_map(|group| group.parent));
    let names: Vec<&str> = around.map(|group| outline.name(Scope::Group(group))).collect();
    names.join(", ")
}
