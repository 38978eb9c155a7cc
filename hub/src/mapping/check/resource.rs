//! Targets in FHIR and in what has no grammar: what the rules, blocks and entries of a level write.
//!
//! In comes everything of a level; out goes the shape that the writer walks. Promised: every element that is written
//! has been held against the grammar, or the outline if there is one. Refused: entries outside a Bundle, blocks that
//! add to what is no list, names that XML cannot have.

use std::sync::Arc;

use adapters::fhir::grammar::{self, Structure};
use adapters::{csv, xml};

use super::elements::{Spot, Write, Written};
use super::given::is_sure;
use super::level::{Flat, Inside, Placed};
use super::outlines::PlainWrite;
use super::{COMMAND, Checker, Level, Writes};
use crate::finding::{Text, codes, did_you_mean};
use crate::mapping::expression::ExpressionError;
use crate::mapping::functions::Kind;
use crate::mapping::layout::{Clash, Draft, Step, read_json_target, read_plain_target};
use crate::mapping::parse::{DeclaredBlock, DeclaredEntry, DeclaredRule};
use crate::mapping::plan::{Block, Each, Items, Op, Shape};

/// What is known of a level while its rules are gathered.
#[derive(Default)]
struct Sheet {
    draft: Draft,
    clashes: Vec<Clash>,
    writes: Vec<Write>,
    /// Lists that blocks add to.
    lists: Vec<Spot>,
    /// The same where there is no grammar.
    plain: Vec<PlainWrite>,
    plain_lists: Vec<PlainWrite>,
}

/// A block, and the list that it adds to.
type Addition = (Vec<Step>, Block<Items>);

impl<'c> Checker<'c> {
    /// The shape of everything at a level.
    pub(super) fn resource(&mut self, flat: &Flat<'c>, level: Level<'_>) -> Shape {
        let (draft, clashes) = self.draft(flat, level);
        self.shape(draft, clashes)
    }

    fn shape(&mut self, draft: Draft, mut clashes: Vec<Clash>) -> Shape {
        let shape = draft.finish(&mut clashes);
        self.report_clashes(clashes);
        shape
    }

    fn draft(&mut self, flat: &Flat<'c>, level: Level<'_>) -> (Draft, Vec<Clash>) {
        let mut sheet = Sheet::default();
        // An element with attributes has its text among them.
        let owners = flat.rules.iter().filter_map(|placed| placed.item.target.value.rsplit_once(".@"));
        let with_attributes: Vec<&str> = owners.map(|(owner, _)| owner).collect();
        for placed in &flat.rules {
            let (rule, ground) = self.stand_at(placed, level.ground);
            let level = Level { ground, ..level };
            match level.writes {
                Writes::Fhir | Writes::Hl7 => self.rule_of_resource(rule, level, &mut sheet),
                Writes::Json(_) | Writes::Xml(..) | Writes::Csv(_) => {
                    let has_attributes = with_attributes.contains(&rule.target.value.as_str());
                    self.plain_rule(rule, has_attributes, level, &mut sheet);
                }
            }
        }
        for (steps, block) in self.additions(flat, level, &mut sheet) {
            sheet.draft.add_block(&steps, block);
        }
        if let Some(within) = level.within {
            let place = Spot::new(level.declared, level.origin);
            self.check_elements(within, &Written { writes: &sheet.writes, lists: &sheet.lists, place: &place });
        }
        // Of rows, each has the columns.
        let are_rows = matches!(level.writes, Writes::Csv(_)) && !sheet.plain_lists.is_empty();
        if let Some(outline) = level.writes.outline().filter(|_| !are_rows) {
            let place = Spot::new(level.declared, level.origin);
            self.check_outline(outline, &sheet.plain, &sheet.plain_lists, &place);
        }
        (sheet.draft, sheet.clashes)
    }

    fn rule_of_resource(&mut self, rule: &DeclaredRule, level: Level<'_>, sheet: &mut Sheet) {
        let steps = read_json_target(&rule.target.value);
        let steps = steps.map_err(|error| self.report_inside(codes::TARGET_PATH, &rule.target, error)).ok();
        let compiled = self.compiler.expression(&rule.expression, level.ground);
        let (Some(steps), Some(compiled)) = (steps, compiled) else { return };
        if rule.target.value == COMMAND && level.is_root {
            return self.add_command(rule, compiled);
        }
        if compiled.is_many && rule.target.value.ends_with(']') {
            self.many_into_one(&rule.target, &rule.expression);
        }
        let kind = compiled.kind;
        sheet.writes.push(Write::of(rule, &self.compiler.source, &compiled, level.guards));
        let index = self.add_rule(rule, compiled, level);
        sheet.clashes.extend(sheet.draft.write(&steps, index, kind).err());
    }

    /// A rule where there is no grammar.
    fn plain_rule(&mut self, rule: &DeclaredRule, has_attributes: bool, level: Level<'_>, sheet: &mut Sheet) {
        let steps = self.plain_target(&rule.target, level.writes);
        let compiled = self.compiler.expression(&rule.expression, level.ground);
        let (Some(mut steps), Some(compiled)) = (steps, compiled) else { return };
        let is_attribute = matches!(steps.last(), Some(Step::Name(name)) if name.starts_with('@'));
        let takes_value = is_attribute || matches!(level.writes, Writes::Csv(_));
        if compiled.is_many && (takes_value || rule.target.value.ends_with(']')) {
            self.many_into_one(&rule.target, &rule.expression);
        }
        if takes_value && compiled.kind == Kind::Structure {
            let message = format!("`{}` takes a value, and this expression gives a structure", rule.target.value);
            let help = Some("write its parts one by one".to_owned());
            self.report(codes::ARGUMENT_TYPE, rule.expression.span.clone(), message, help);
        }
        if steps.is_empty() || (has_attributes && matches!(level.writes, Writes::Xml(..))) {
            steps.push(Step::Name(xml::TEXT.to_owned()));
        }
        let (target, kind) = (Spot::new(&rule.target, &self.compiler.source), compiled.kind);
        let is_sure = is_sure(&compiled.op, level.guards);
        let index = self.add_rule(rule, compiled, level);
        sheet.clashes.extend(sheet.draft.write(&steps, index, kind).err());
        sheet.plain.push(PlainWrite { steps, target, expression: rule.expression.clone(), is_sure });
    }

    /// The steps of a target where there is no grammar. None stand for an element's own text.
    fn plain_target(&mut self, target: &Text, writes: Writes<'_>) -> Option<Vec<Step>> {
        if matches!(writes, Writes::Csv(_)) {
            return Some(vec![Step::Name(target.value.clone())]);
        }
        let steps = read_plain_target(&target.value);
        let steps = steps.map_err(|error| self.report_inside(codes::TARGET_PATH, target, error)).ok()?;
        if let (Writes::Json(_), []) = (writes, steps.as_slice()) {
            let error = ExpressionError::new(0..target.value.len(), "`.` is the text of an XML element");
            self.report_inside(codes::TARGET_PATH, target, error);
            return None;
        }
        let Writes::Xml(namespaces, _) = writes else { return Some(steps) };
        for step in &steps {
            let Step::Name(name) = step else { continue };
            if !xml::is_name(name.trim_start_matches('@')) {
                let error =
                    ExpressionError::new(0..target.value.len(), format!("`{name}` is no name that XML can have"));
                self.report_inside(codes::TARGET_PATH, target, error);
                return None;
            }
            if !self.check_prefix(target, name, namespaces) {
                return None;
            }
        }
        Some(steps)
    }

    /// The blocks and entries of a level.
    fn additions(&mut self, flat: &Flat<'c>, level: Level<'_>, sheet: &mut Sheet) -> Vec<Addition> {
        let mut additions = Vec::new();
        for placed in &flat.entries {
            additions.extend(self.entry(placed, level, sheet));
        }
        for placed in &flat.blocks {
            if let Some(after) = &placed.item.after {
                self.compiler.source = Arc::clone(placed.origin);
                let message = "`after` places segments, and this target has none".to_owned();
                self.report(codes::UNKNOWN_KEY, after.span.clone(), message, None);
            }
            match &placed.item.to {
                Some(to) => additions.extend(self.block_of_items(placed, to, level, sheet)),
                None => additions.extend(self.block_of_blocks(placed, level, sheet)),
            }
        }
        additions
    }

    /// A block that adds an item for each repetition.
    fn block_of_items(
        &mut self,
        placed: &Placed<'c, DeclaredBlock>,
        to: &Text,
        level: Level<'_>,
        sheet: &mut Sheet,
    ) -> Option<Addition> {
        let (block, ground) = self.stand_at(placed, level.ground);
        let steps = match level.writes {
            Writes::Fhir | Writes::Hl7 => {
                let steps = read_json_target(&to.value);
                steps.map_err(|error| self.report_inside(codes::TARGET_PATH, to, error)).ok()
            }
            Writes::Csv(_) if to.value != csv::ROW => {
                let help = Some("write `to = \"row\"`".to_owned());
                self.report(codes::TARGET_PATH, to.span.clone(), "a block adds rows to CSV".to_owned(), help);
                None
            }
            Writes::Json(_) | Writes::Xml(..) | Writes::Csv(_) => self.plain_target(to, level.writes),
        };
        let has_index = to.value.ends_with(']');
        if has_index {
            let help = Some("leave the index out: each repetition adds an item".to_owned());
            self.report(codes::TARGET_PATH, to.span.clone(), "a block adds items to a list".to_owned(), help);
        }
        let list = Spot::new(to, placed.origin);
        let kind = level.within.and_then(|within| self.items_of_list(within, &list, &sheet.writes));
        let kind = kind.map(|kind| resource_of(block).filter(|_| kind.is_resource()).unwrap_or(kind));
        let plain = PlainWrite {
            steps: steps.clone().unwrap_or_default(),
            target: list.clone(),
            expression: to.clone(),
            // What a block writes is asked inside it.
            is_sure: true,
        };
        let inside = match level.writes {
            Writes::Json(Some(outline)) | Writes::Xml(_, Some(outline)) if steps.is_some() => {
                self.items_of_outline(outline, &plain)
            }
            Writes::Hl7 | Writes::Fhir | Writes::Json(_) | Writes::Xml(..) | Writes::Csv(_) => None,
        };
        let writes = level.writes.inside(inside);
        sheet.lists.push(list);
        sheet.plain_lists.push(plain);
        let prefix = format!("{}{}[].", level.prefix, to.value);
        let outer = Level { ground, within: kind, declared: to, origin: placed.origin, writes, ..level };
        let compiled =
            self.block(placed, &prefix, outer, |checker, flat, inner| Items::One(checker.resource(flat, inner)));
        Some((steps.filter(|_| !has_index)?, compiled?))
    }

    /// A block that only goes through something; the blocks inside say where to.
    fn block_of_blocks(
        &mut self,
        placed: &Placed<'c, DeclaredBlock>,
        level: Level<'_>,
        sheet: &mut Sheet,
    ) -> Vec<Addition> {
        let (scope, ground) = self.stand_at(placed, level.ground);
        let outer = Level { ground, ..level };
        let compiled = self.block(placed, level.prefix, outer, |checker, flat, inner| {
            if let Some(used) = scope.body.uses.first().filter(|_| !flat.rules.is_empty()) {
                let name = &used.name;
                checker.compiler.source = Arc::clone(&used.origin);
                let message = format!("the fragment `{}` has rules, and this block writes to no list", name.value);
                checker.report(codes::FRAGMENT_UNFIT, name.span.clone(), message, Some("give it `to`".to_owned()));
            }
            checker.additions(flat, inner, sheet)
        });
        let Some(Block { each, when, layout, place, target }) = compiled else { return Vec::new() };
        let mut lists: Vec<(Vec<Step>, Vec<Block<Items>>)> = Vec::new();
        for (steps, block) in layout {
            match lists.iter_mut().find(|(known, _)| *known == steps) {
                Some((_, blocks)) => blocks.push(block),
                None => lists.push((steps, vec![block])),
            }
        }
        let around = |blocks| Block {
            each: Arc::clone(&each),
            when: when.clone(),
            layout: Items::OfBlocks(blocks),
            place: place.clone(),
            target: target.clone(),
        };
        lists.into_iter().map(|(steps, blocks)| (steps, around(blocks))).collect()
    }

    /// A resource of a Bundle.
    fn entry(&mut self, placed: &Placed<'c, DeclaredEntry>, level: Level<'_>, sheet: &mut Sheet) -> Option<Addition> {
        let (entry, ground) = self.stand_at(placed, level.ground);
        self.entries = self.entries.saturating_add(1);
        let number = self.entries;
        let place = self.place(&entry.resource.span);
        let kind = self.resource_of_entry(&entry.resource, level);
        let each = match &entry.each {
            Some(each) => self.each(each, ground),
            None => Some(Each::Here),
        };
        sheet.lists.push(Spot::new(&Text::new("entry".to_owned(), entry.resource.span.clone()), placed.origin));
        let inside = Inside { each: each.as_ref(), when: entry.when.as_ref(), body: &entry.body, names: &placed.names };
        let prefix = format!("{}entry[].", level.prefix);
        let outer = Level { ground, within: kind, declared: &entry.resource, origin: placed.origin, ..level };
        let (when, shape) = self.inside(inside, &prefix, outer, |checker, flat, inner| {
            checker.compiler.source = Arc::clone(placed.origin);
            checker.entry_shape((entry, number), flat, inner)
        });
        let target = format!("{}entry", level.prefix);
        let block = Block { each: Arc::new(each?), when: when?, layout: Items::One(shape), place, target };
        Some((vec![Step::Name("entry".to_owned())], block))
    }

    fn resource_of_entry(&mut self, name: &Text, level: Level<'_>) -> Option<&'static Structure> {
        if level.within.is_none_or(|within| within.name() != "Bundle") {
            self.entry_outside(name);
        }
        let found = grammar::resource(&name.value);
        if found.is_none() {
            let help = did_you_mean(&name.value, grammar::resource_names());
            self.report(codes::BAD_VALUE, name.span.clone(), format!("FHIR R4 has no resource `{}`", name.value), help);
        }
        found
    }

    /// Tells of an entry of what is no Bundle.
    pub(super) fn entry_outside(&mut self, name: &Text) {
        let message = "an entry belongs into a Bundle".to_owned();
        let help = Some("write `to = \"fhir Bundle\"` above".to_owned());
        self.report(codes::ELEMENT_TYPE, name.span.clone(), message, help);
    }

    /// `fullUrl`, `request` and the resource of an entry.
    fn entry_shape(&mut self, entry: (&DeclaredEntry, usize), flat: &Flat<'c>, level: Level<'_>) -> Shape {
        let (entry, number) = entry;
        let mut sheet = Sheet::default();
        let above = Level { within: grammar::structure("Bundle.entry"), ..level };
        let unsaid = || Text::new(format!("urn(\"{} {number}\")", entry.resource.value), entry.resource.span.clone());
        let url = entry.url.clone().unwrap_or_else(unsaid);
        let target = Text::new("fullUrl".to_owned(), url.span.clone());
        let origin = Arc::clone(&entry.origin);
        self.rule_of_resource(&DeclaredRule { origin, target, expression: url }, above, &mut sheet);
        for rule in &entry.request {
            self.compiler.source = Arc::clone(&rule.origin);
            let request = Text::new(format!("request.{}", rule.target.value), rule.target.span.clone());
            self.rule_of_resource(&DeclaredRule { target: request, ..rule.clone() }, above, &mut sheet);
        }
        self.compiler.source = Arc::clone(&entry.origin);
        if let Some(within) = above.within {
            let place = Spot::new(level.declared, level.origin);
            self.check_elements(within, &Written { writes: &sheet.writes, lists: &[], place: &place });
        }
        let prefix = format!("{}resource.", level.prefix);
        let name = Op::Text(entry.resource.value.clone());
        let name = self.add((name, None), format!("{prefix}resourceType"), &entry.resource);
        let (resource, clashes) = self.draft(flat, Level { prefix: &prefix, ..level });
        sheet.clashes.extend(clashes);
        sheet.draft.add_resource("resource", name, resource);
        self.shape(sheet.draft, sheet.clashes)
    }
}

/// The resource that each item of a block is, if the block says so: `resourceType = '"Medication"'`.
fn resource_of(block: &DeclaredBlock) -> Option<&'static Structure> {
    let rule = block.body.rules.iter().find(|rule| rule.target.value == "resourceType")?;
    grammar::resource(rule.expression.value.trim().trim_matches('"'))
}
