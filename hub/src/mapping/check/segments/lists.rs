//! Blocks that add repetitions to a field: `to = "PID-3"`.
//!
//! In comes such a block; out goes a list of the segment's plan, and findings: a field that does not repeat, a rule
//! that writes elsewhere, a block inside. Promised: what belongs to one repetition stays together.

use std::sync::Arc;

use adapters::hl7v2::grammar::Grammar;

use super::{Draft, FieldWrite, Within};
use crate::finding::{Text, codes};
use crate::mapping::check::given::{Given, given};
use crate::mapping::check::level::Placed;
use crate::mapping::check::{Checker, Level};
use crate::mapping::layout::{Clash, SegmentTarget, read_segment_target};
use crate::mapping::parse::{DeclaredBlock, DeclaredRule};
use crate::mapping::plan::{FieldList, PartPlan, SegmentsPart};

/// The rules of a block while they are gathered.
struct ListDraft<'d> {
    field: &'d SegmentTarget,
    within: Within<'d>,
    /// Which list of its segment it is.
    number: usize,
    parts: Vec<PartPlan>,
    writes: Vec<FieldWrite>,
    clashes: Vec<Clash>,
}

impl<'c> Checker<'c> {
    pub(super) fn field_list(
        &mut self,
        placed: &Placed<'c, DeclaredBlock>,
        to: &Text,
        level: Level<'_>,
        draft: &mut Draft<'_>,
    ) {
        let target = match read_segment_target(&to.value) {
            Ok(target) => target,
            Err(error) => return self.report_inside(codes::TARGET_PATH, to, error),
        };
        self.check_list(placed.item, to, &target, draft.within);
        let place = self.entry_of(to, &target, draft);
        let number = draft.entries.get(place).map_or(0, |entry| entry.writes.len());
        let mut list = ListDraft {
            field: &target,
            within: draft.within,
            number,
            parts: Vec::new(),
            writes: Vec::new(),
            clashes: Vec::new(),
        };
        let compiled = self.block(placed, level.prefix, level, |checker, flat, inner| {
            for rule in &flat.rules {
                let (rule, ground) = checker.stand_at(rule, inner.ground);
                checker.list_rule(rule, Level { ground, ..inner }, &mut list);
            }
            std::mem::take(&mut list.parts)
        });
        let ListDraft { writes, clashes, .. } = list;
        self.report_clashes(clashes);
        let (Some(entry), Some(compiled)) = (draft.entries.get_mut(place), compiled) else { return };
        entry.writes.extend(writes);
        if let SegmentsPart::Segment(plan) = &mut entry.part {
            plan.lists.push(FieldList { field: target.place.field, block: compiled });
        }
    }

    fn check_list(&mut self, block: &DeclaredBlock, to: &Text, target: &SegmentTarget, within: Within<'_>) {
        let name = format!("{}-{}", target.segment, target.place.field);
        if target.is_one_repetition || target.place.component.is_some() {
            let help = Some(format!("write `to = \"{name}\"`"));
            let message = "a block adds repetitions to a whole field".to_owned();
            self.report(codes::TARGET_PATH, to.span.clone(), message, help);
        }
        let segment = within.outline.and_then(|outline| Grammar::of(outline.version).segment(&target.segment));
        let field = segment.and_then(|segment| segment.element(target.place.field));
        if field.is_some_and(|field| !field.repeats()) {
            let message = format!("a block adds repetitions, and {name} does not repeat");
            self.report(codes::MANY_INTO_ONE, to.span.clone(), message, None);
        }
        if let Some(after) = &block.after {
            let message = "`after` places segments, and this block adds to a field".to_owned();
            self.report(codes::UNKNOWN_KEY, after.span.clone(), message, None);
        }
        if let Some(inner) = block.body.blocks.first() {
            let message = "a repetition of a field has no blocks inside".to_owned();
            self.report(codes::TARGET_PATH, inner.each.span.clone(), message, None);
        }
    }

    fn list_rule(&mut self, rule: &DeclaredRule, level: Level<'_>, list: &mut ListDraft<'_>) {
        let target = read_segment_target(&rule.target.value);
        let target = target.map_err(|error| self.report_inside(codes::TARGET_PATH, &rule.target, error)).ok();
        let compiled = self.compiler.expression(&rule.expression, level.ground);
        let (Some(mut target), Some(compiled)) = (target, compiled) else { return };
        let field = list.field;
        let is_inside = (&target.segment, target.occurrence) == (&field.segment, field.occurrence)
            && target.place.field == field.place.field
            && !target.is_one_repetition;
        if !is_inside {
            let name = format!("{}-{}", field.segment, field.place.field);
            let message = format!("this block adds repetitions to {name}, and the rule writes elsewhere");
            let help = Some(format!("write `{name}`, or a component of it"));
            return self.report(codes::TARGET_PATH, rule.target.span.clone(), message, help);
        }
        // In each repetition there is room for one value.
        target.is_one_repetition = true;
        self.check_target(rule, &target, &compiled, list.within);
        list.writes.push(FieldWrite {
            place: target.place,
            list: Some(list.number),
            target: rule.target.clone(),
            expression: rule.expression.clone(),
            origin: Arc::clone(&self.compiler.source),
            // A block writes as many as there are.
            is_sure: true,
        });
        let may_be_null = given(&compiled.op).contains(&Given::Null);
        let index = self.add_rule(rule, compiled, level);
        list.clashes.extend(target.add_to(&mut list.parts, index, may_be_null).err());
    }
}
