//! What stands at one level of a mapping: its own rules and blocks, and those of the fragments it uses.
//!
//! In comes what the file has at a level; out goes one list of rules, each with its file and the names that it sees.
//! Promised: own rules win over those of fragments with the same target. Refused: fragments that are not there, that
//! write another type, that use themselves, or that are not given what they need.

use std::rc::Rc;
use std::sync::Arc;

use super::{Checker, Level, Writes};
use crate::finding::{Finding, SourceText, Text, codes, did_you_mean, one_of};
use crate::mapping::compile::{Compiled, Ground, Known};
use crate::mapping::expression::PathKind;
use crate::mapping::names::{Meaning, Named, Names};
use crate::mapping::parse::{Body, DeclaredBlock, DeclaredEntry, DeclaredFragment, DeclaredRule, DeclaredUse};
use crate::mapping::plan::{Block, Each, Op};

/// Everything at one level.
#[derive(Default)]
pub(super) struct Flat<'d> {
    pub rules: Vec<Placed<'d, DeclaredRule>>,
    pub blocks: Vec<Placed<'d, DeclaredBlock>>,
    pub entries: Vec<Placed<'d, DeclaredEntry>>,
}

/// Something of a level, the file that it stands in, and the names that it sees.
pub(super) struct Placed<'d, T> {
    pub item: &'d T,
    pub origin: &'d Arc<SourceText>,
    pub names: Rc<Names>,
}

impl<'c> Checker<'c> {
    /// Turns to the file of something, and gives what it sees.
    pub(super) fn stand_at<'p, T>(&mut self, placed: &'p Placed<'c, T>, ground: Ground<'p>) -> (&'c T, Ground<'p>) {
        self.compiler.source = Arc::clone(placed.origin);
        (placed.item, Ground { names: Some(&placed.names), ..ground })
    }

    /// Compiles the names of a level.
    pub(super) fn names(&mut self, body: &'c Body, outer: &Rc<Names>, ground: Ground<'_>) -> Rc<Names> {
        if body.names.is_empty() {
            return Rc::clone(outer);
        }
        let mut names = Names::inside(outer);
        self.give(&mut names, &body.names, ground);
        Rc::new(names)
    }

    /// Adds names; each sees those above it.
    fn give(&mut self, names: &mut Names, declared: &[DeclaredRule], ground: Ground<'_>) {
        for rule in declared {
            self.compiler.source = Arc::clone(&rule.origin);
            let compiled = self.compiler.expression(&rule.expression, Ground { names: Some(names), ..ground });
            self.give_one(names, rule, compiled.map(meaning), ground.depth);
        }
    }

    fn give_one(&mut self, names: &mut Names, rule: &DeclaredRule, meaning: Option<Meaning>, depth: usize) {
        let named = Named::new(rule.target.clone(), &self.compiler.source, depth, meaning);
        if !names.give(named) {
            let message = format!("`{}` has a meaning already", rule.target.value);
            self.report(codes::DUPLICATE, rule.target.span.clone(), message, Some("take another name".to_owned()));
        }
    }

    /// Names of a base have their uses there.
    pub(super) fn warn_of_unused_names(&mut self, names: &Names) {
        for named in names.unused().filter(|named| Arc::ptr_eq(&named.origin, self.file)) {
            let message = format!("nothing uses the name `{}`", named.text.value);
            let finding = Finding::warning(codes::UNUSED, &named.origin, named.text.span.clone(), message);
            self.compiler.findings.push(finding);
        }
    }

    /// Own rules and those of the fragments in use. `names` are those of the level itself.
    pub(super) fn flat(&mut self, body: &'c Body, names: &Rc<Names>, level: Level<'_>) -> Flat<'c> {
        let mut flat = Flat::default();
        let own: Vec<&str> = body.rules.iter().map(|rule| rule.target.value.as_str()).collect();
        self.gather((body, names), level, &own, &mut flat);
        flat
    }

    /// `own` are the targets that hide rules of fragments.
    fn gather(&mut self, here: (&'c Body, &Rc<Names>), level: Level<'_>, own: &[&str], flat: &mut Flat<'c>) {
        let (body, names) = here;
        self.compiler.source = Arc::clone(&body.origin);
        if let (Some(given), true) = (body.with.first(), body.uses.is_empty()) {
            self.compiler.source = Arc::clone(&given.origin);
            let message = "`with` gives names to fragments, and none is used here".to_owned();
            self.report(codes::UNKNOWN_KEY, given.target.span.clone(), message, None);
        }
        let used: Vec<(&DeclaredUse, &'c DeclaredFragment)> =
            body.uses.iter().filter_map(|used| Some((used, self.fragment(used, names, level)?))).collect();
        self.check_given(body, &used);
        for (name, fragment) in used {
            let inner = self.names_of_fragment(name, fragment, (body, names), level);
            let own_of_fragment = fragment.body.rules.iter().map(|rule| rule.target.value.as_str());
            let hidden: Vec<&str> = own.iter().copied().chain(own_of_fragment).collect();
            let level = Level { origin: &fragment.body.origin, declared: &fragment.to, ..level };
            let mut inside = Flat::default();
            self.gather((&fragment.body, &inner), level, &hidden, &mut inside);
            inside.rules.retain(|rule| !own.contains(&rule.item.target.value.as_str()));
            flat.rules.append(&mut inside.rules);
            flat.blocks.append(&mut inside.blocks);
            flat.entries.append(&mut inside.entries);
        }
        self.compiler.source = Arc::clone(&body.origin);
        let (rules, blocks, entries) = (body.rules.iter(), body.blocks.iter(), body.entries.iter());
        flat.rules.extend(rules.map(|item| Placed { item, origin: &item.origin, names: Rc::clone(names) }));
        flat.blocks.extend(blocks.map(|item| Placed { item, origin: &item.origin, names: Rc::clone(names) }));
        flat.entries.extend(entries.map(|item| Placed { item, origin: &item.origin, names: Rc::clone(names) }));
    }

    /// A fragment that fits the level.
    fn fragment(&mut self, used: &DeclaredUse, names: &Names, level: Level<'_>) -> Option<&'c DeclaredFragment> {
        let name = &used.name;
        self.compiler.source = Arc::clone(&used.origin);
        let Some(fragment) = self.fragments.find(&name.value) else {
            let help = did_you_mean(&name.value, self.fragments.names()).unwrap_or_else(|| {
                format!("fragments are files in the folders of mappings: {}", one_of(self.fragments.names()))
            });
            let message = format!("there is no fragment `{}`", name.value);
            self.report(codes::UNKNOWN_FRAGMENT, name.span.clone(), message, Some(help));
            return None;
        };
        if names.fragments.contains(&name.value) {
            let message = format!("the fragment `{}` uses itself", name.value);
            self.report(codes::FRAGMENT_UNFIT, name.span.clone(), message, None);
            return None;
        }
        let reads = match level.ground.kind {
            PathKind::Hl7 => "hl7v2",
            PathKind::Json => "json",
        };
        let writes = match (level.writes, level.within) {
            (Writes::Fhir, Some(within)) => format!("fhir {}", within.name()),
            // Where there is no such element, which was told, nothing is known of its type.
            (Writes::Fhir, None) => return None,
            (Writes::Hl7, _) => "hl7v2".to_owned(),
            (Writes::Json(_), _) => "json".to_owned(),
            (Writes::Xml(..), _) => "xml".to_owned(),
            (Writes::Csv(_), _) => "csv".to_owned(),
        };
        let (from, to) = (&fragment.from.value, &fragment.to.value);
        if from != reads || *to != writes {
            let message = format!("`{}` is from {from} to {to}, and here it is from {reads} to {writes}", name.value);
            self.report(codes::FRAGMENT_UNFIT, name.span.clone(), message, None);
            return None;
        }
        Some(fragment)
    }

    /// Names that are given must be names of a fragment that is used.
    fn check_given(&mut self, body: &Body, used: &[(&DeclaredUse, &DeclaredFragment)]) {
        if used.len() < body.uses.len() {
            return;
        }
        let known: Vec<&str> = used.iter().flat_map(|(_, fragment)| takes(fragment)).collect();
        for given in body.with.iter().filter(|given| !known.contains(&given.target.value.as_str())) {
            let message = format!("no fragment that is used here has the name `{}`", given.target.value);
            self.compiler.source = Arc::clone(&given.origin);
            let help = did_you_mean(&given.target.value, known.iter().copied())
                .or_else(|| (!known.is_empty()).then(|| format!("names are {}", one_of(known.iter().copied()))));
            self.report(codes::FRAGMENT_UNFIT, given.target.span.clone(), message, help);
        }
    }

    /// What a fragment's rules see: what it is given, and what it names itself.
    fn names_of_fragment(
        &mut self,
        used: &DeclaredUse,
        fragment: &'c DeclaredFragment,
        user: (&'c Body, &Names),
        level: Level<'_>,
    ) -> Rc<Names> {
        let (body, seen) = user;
        let name = &used.name;
        let mut names = Names::of_fragment(seen, &name.value);
        let own = takes(fragment);
        for given in body.with.iter().filter(|given| own.contains(&given.target.value.as_str())) {
            self.compiler.source = Arc::clone(&given.origin);
            let compiled = self.compiler.expression(&given.expression, Ground { names: Some(seen), ..level.ground });
            self.give_one(&mut names, given, compiled.map(meaning), level.ground.depth);
        }
        self.compiler.source = Arc::clone(&used.origin);
        for needed in &fragment.needs {
            if names.has_own(&needed.value) {
                continue;
            }
            let message = format!("the fragment `{}` needs `{}`", name.value, needed.value);
            let help = Some(format!("write `with = {{ {} = '...' }}`", needed.value));
            self.report(codes::FRAGMENT_UNFIT, name.span.clone(), message, help);
            names.give(Named::new(needed.clone(), &fragment.body.origin, level.ground.depth, None));
        }
        let defaults: Vec<DeclaredRule> =
            fragment.body.names.iter().filter(|rule| !names.has_own(&rule.target.value)).cloned().collect();
        self.give(&mut names, &defaults, level.ground);
        self.compiler.source = Arc::clone(&body.origin);
        Rc::new(names)
    }

    /// Compiles a block; `layout` makes what is in it.
    pub(super) fn block<L>(
        &mut self,
        placed: &Placed<'c, DeclaredBlock>,
        prefix: &str,
        level: Level<'_>,
        layout: impl FnOnce(&mut Self, &Flat<'c>, Level<'_>) -> L,
    ) -> Option<Block<L>> {
        let block = placed.item;
        self.compiler.source = Arc::clone(placed.origin);
        let place = self.place(&block.each.span);
        let each = self.each(&block.each, level.ground);
        let inside = Inside { each: each.as_ref(), when: block.when.as_ref(), body: &block.body, names: &placed.names };
        let (when, inner) = self.inside(inside, prefix, level, layout);
        let target = prefix.trim_end_matches('.').to_owned();
        Some(Block { each: Arc::new(each?), when: when?, layout: inner, place, target })
    }

    /// Compiles what is inside a block or an entry: its names, its condition, its rules.
    pub(super) fn inside<L>(
        &mut self,
        inside: Inside<'_, 'c>,
        prefix: &str,
        level: Level<'_>,
        layout: impl FnOnce(&mut Self, &Flat<'c>, Level<'_>) -> L,
    ) -> (Option<Option<Arc<Op>>>, L) {
        let within = Ground { depth: level.ground.depth.saturating_add(1), ..level.ground };
        // Of what could not be read, nothing is known.
        let nowhere = Ground { known: Known::Anything, ..within };
        let ground = inside.each.map_or(nowhere, |each| within.at(each));
        let names = self.names(inside.body, inside.names, ground);
        let ground = Ground { names: Some(&names), ..ground };
        let when = inside.when.map(|when| self.compiler.condition(when, ground));
        let mut guards = Vec::new();
        if let Some(Some(condition)) = &when {
            super::guards_of(&condition.op, &mut guards);
        }
        let level = Level { ground, prefix, is_root: false, guards: &guards, ..level };
        let flat = self.flat(inside.body, &names, level);
        let made = layout(self, &flat, level);
        if !inside.body.names.is_empty() {
            self.warn_of_unused_names(&names);
        }
        let when = match when {
            None => Some(None),
            Some(compiled) => compiled.map(|compiled| Some(Arc::new(compiled.op))),
        };
        (when, made)
    }
}

/// What there is of a block or an entry.
pub(super) struct Inside<'b, 'd> {
    pub each: Option<&'b Each>,
    pub when: Option<&'d Text>,
    pub body: &'d Body,
    /// The names around it.
    pub names: &'b Rc<Names>,
}

/// The names that a fragment can be given.
fn takes(fragment: &DeclaredFragment) -> Vec<&str> {
    let own = fragment.body.names.iter().map(|rule| rule.target.value.as_str());
    fragment.needs.iter().map(|name| name.value.as_str()).chain(own).collect()
}

fn meaning(compiled: Compiled) -> Meaning {
    let Compiled { op, kind, is_many, source } = compiled;
    Meaning { op: Arc::new(op), kind, is_many, source }
}
