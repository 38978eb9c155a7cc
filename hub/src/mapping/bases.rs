//! Mappings that build on others.
//!
//! In come the files of all mappings; out goes each with what it has of its base. Promised: a rule, a name, a block or
//! an entry that stands in both is the file's own, in the place of the base's; what is new comes behind. Refused: bases
//! that are not there, that build on themselves, and leaving out what is not there.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::parse::{Body, DeclaredBlock, DeclaredEntry, DeclaredFile, DeclaredMapping, DeclaredRule, Documents, Head};
use crate::finding::{Finding, Findings, SourceText, Text, codes, did_you_mean, one_of};

/// The files of all mappings, by name.
#[derive(Default)]
pub(super) struct Bases {
    /// Each with whether its file has no mistake.
    files: IndexMap<String, (DeclaredFile, bool)>,
}

impl Bases {
    pub fn add(&mut self, file: DeclaredFile, is_whole: bool) {
        self.files.insert(file.name.value.clone(), (file, is_whole));
    }

    /// Every name, and whether its file has no mistake.
    pub fn names(&self) -> Vec<(String, bool)> {
        self.files.iter().map(|(name, (_, is_whole))| (name.clone(), *is_whole)).collect()
    }

    /// A mapping with all that it has of its base; `known` are the names of all mappings, also of those that cannot be
    /// read.
    pub fn whole(&self, name: &str, known: &[String]) -> (Option<DeclaredMapping>, Findings) {
        let mut findings = Findings::new();
        let Some((file, _)) = self.files.get(name) else { return (None, findings) };
        let built = self.build(file, known, &mut vec![name], &mut findings);
        let mapping = built.map(|(documents, body)| DeclaredMapping {
            name: file.name.clone(),
            version: file.version,
            documents,
            body,
            tests: file.tests.clone(),
        });
        (mapping, findings)
    }

    /// `above` are the mappings that build on this one.
    fn build<'f>(
        &'f self,
        file: &'f DeclaredFile,
        known: &[String],
        above: &mut Vec<&'f str>,
        findings: &mut Findings,
    ) -> Option<(Documents, Body)> {
        let base = match &file.head {
            Head::Own(documents) => {
                refuse_left_out(&file.body, findings);
                return Some((Documents::clone(documents), file.body.clone()));
            }
            Head::Base(base) => base,
        };
        let origin = &file.body.origin;
        if above.contains(&base.value.as_str()) {
            let message = format!("the mapping `{}` builds on itself", base.value);
            findings.push(Finding::error(codes::BASE, origin, base.span.clone(), message));
            return None;
        }
        let Some((found, _)) = self.files.get(&base.value) else {
            // What is wrong with a file that is there has been told.
            if !known.contains(&base.value) {
                let message = format!("there is no mapping `{}` to build on", base.value);
                let help = did_you_mean(&base.value, known.iter().map(String::as_str));
                findings.push(Finding::error(codes::BASE, origin, base.span.clone(), message).with_help_if(help));
            }
            return None;
        };
        above.push(&found.name.value);
        // What is wrong with the base is told of the base.
        let (documents, below) = self.build(found, known, above, &mut Findings::new())?;
        Some((documents, built_on(&below, &file.body, findings)))
    }
}

/// What `own` says instead of and besides `base`.
fn built_on(base: &Body, own: &Body, findings: &mut Findings) -> Body {
    let left_out = LeftOut::new(&own.without);
    let mut rules = left_out.rest(&base.rules, |rule| Some(&rule.target));
    put_in_place(&mut rules, &own.rules);
    let blocks = left_out.rest(&base.blocks, |block| block.to.as_ref());
    let entries = left_out.rest(&base.entries, |entry| Some(&entry.resource));
    let mut uses = left_out.rest(&base.uses, |used| Some(&used.name));
    uses.extend(own.uses.iter().cloned());
    left_out.tell(base, &own.origin, findings);
    let (mut names, mut with) = (base.names.clone(), base.with.clone());
    put_before_use(&mut names, &own.names);
    put_in_place(&mut with, &own.with);
    Body {
        origin: Arc::clone(&own.origin),
        names,
        without: Vec::new(),
        uses,
        with,
        rules,
        blocks: merged(blocks, &own.blocks, findings),
        entries: merged(entries, &own.entries, findings),
    }
}

/// Each rule in the place of the one with its target, or behind all.
fn put_in_place(rules: &mut Vec<DeclaredRule>, own: &[DeclaredRule]) {
    for rule in own {
        match rules.iter_mut().find(|known| known.target.value == rule.target.value) {
            Some(known) => *known = rule.clone(),
            None => rules.push(rule.clone()),
        }
    }
}

/// Names see those above them: a new one stands above the first that takes the place of another after it.
fn put_before_use(names: &mut Vec<DeclaredRule>, own: &[DeclaredRule]) {
    let mut new = Vec::new();
    for name in own {
        match names.iter().position(|known| known.target.value == name.target.value) {
            Some(place) => {
                new.push(name.clone());
                names.splice(place..=place, new.drain(..));
            }
            None => new.push(name.clone()),
        }
    }
    names.extend(new);
}

/// A block or an entry.
trait Part: Clone {
    /// What makes two of them the same.
    fn key(&self) -> (&str, &str);
    fn body(&self) -> &Body;
    /// What the base says already, and what this one says again.
    fn said_again(&self) -> Option<&Text>;
    fn with_body(&self, own: &Self, body: Body) -> Self;
}

impl Part for DeclaredBlock {
    fn key(&self) -> (&str, &str) {
        (&self.each.value, self.to.as_ref().map_or("", |to| to.value.as_str()))
    }

    fn body(&self) -> &Body {
        &self.body
    }

    fn said_again(&self) -> Option<&Text> {
        self.when.as_ref().or(self.after.as_ref())
    }

    fn with_body(&self, _: &Self, body: Body) -> Self {
        DeclaredBlock { body, ..self.clone() }
    }
}

impl Part for DeclaredEntry {
    fn key(&self) -> (&str, &str) {
        (&self.resource.value, self.each.as_ref().map_or("", |each| each.value.as_str()))
    }

    fn body(&self) -> &Body {
        &self.body
    }

    fn said_again(&self) -> Option<&Text> {
        self.when.as_ref().or(self.url.as_ref())
    }

    fn with_body(&self, own: &Self, body: Body) -> Self {
        let mut request = self.request.clone();
        put_in_place(&mut request, &own.request);
        DeclaredEntry { request, body, ..self.clone() }
    }
}

/// Each own part in the one of the base that it means, or behind all. Of parts that are alike, the first means the
/// first.
fn merged<P: Part>(base: Vec<P>, own: &[P], findings: &mut Findings) -> Vec<P> {
    let mut parts = base;
    let count = parts.len();
    let mut met: HashMap<(&str, &str), usize> = HashMap::new();
    for part in own {
        let before = met.entry(part.key()).or_default();
        let alike = parts.iter_mut().take(count).filter(|known| known.key() == part.key()).nth(*before);
        *before += 1;
        let Some(known) = alike else {
            refuse_left_out(part.body(), findings);
            parts.push(part.clone());
            continue;
        };
        if let Some(again) = part.said_again() {
            let message = "the base says when, where and under which name this is written".to_owned();
            let finding = Finding::error(codes::BASE, &part.body().origin, again.span.clone(), message);
            findings.push(finding.with_help("leave it out; to say something else, take the whole out by `without`"));
        }
        let body = built_on(known.body(), part.body(), findings);
        *known = known.with_body(part, body);
    }
    parts
}

/// What is left out of a base.
struct LeftOut<'t> {
    names: Vec<(&'t Text, Cell<bool>)>,
}

impl<'t> LeftOut<'t> {
    fn new(names: &'t [Text]) -> LeftOut<'t> {
        LeftOut { names: names.iter().map(|name| (name, Cell::new(false))).collect() }
    }

    /// What is not left out.
    fn rest<P: Clone>(&self, parts: &[P], name: impl Fn(&P) -> Option<&Text>) -> Vec<P> {
        let is_left = |part: &&P| !name(part).is_some_and(|name| self.takes(&name.value));
        parts.iter().filter(is_left).cloned().collect()
    }

    fn takes(&self, target: &str) -> bool {
        let found = self.names.iter().find(|(name, _)| name.value == target);
        found.is_some_and(|(_, met)| {
            met.set(true);
            true
        })
    }

    /// Tells of names that nothing of the base has.
    fn tell(&self, base: &Body, origin: &Arc<SourceText>, findings: &mut Findings) {
        for (name, _) in self.names.iter().filter(|(_, met)| !met.get()) {
            let rules = base.rules.iter().map(|rule| rule.target.value.as_str());
            let blocks = base.blocks.iter().filter_map(|block| block.to.as_ref()).map(|to| to.value.as_str());
            let entries = base.entries.iter().map(|entry| entry.resource.value.as_str());
            let uses = base.uses.iter().map(|used| used.name.value.as_str());
            let known: Vec<&str> = rules.chain(blocks).chain(entries).chain(uses).collect();
            let message = format!("the base writes no `{}` here", name.value);
            let help = did_you_mean(&name.value, known.iter().copied())
                .or_else(|| (!known.is_empty()).then(|| format!("it has {}", one_of(known.iter().copied()))));
            findings.push(Finding::error(codes::BASE, origin, name.span.clone(), message).with_help_if(help));
        }
    }
}

/// Without a base there is nothing to leave out.
fn refuse_left_out(body: &Body, findings: &mut Findings) {
    if let Some(name) = body.without.first() {
        let message = "`without` leaves out what a base has, and there is none here".to_owned();
        findings.push(Finding::error(codes::BASE, &body.origin, name.span.clone(), message));
    }
    body.blocks.iter().for_each(|block| refuse_left_out(&block.body, findings));
    body.entries.iter().for_each(|entry| refuse_left_out(&entry.body, findings));
}
