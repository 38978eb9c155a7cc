//! Rules, blocks and entries: what may stand at any level of a mapping, and in a fragment.
//!
//! In come sections of a file; out go rules with their places, in the order of the file. Promised: `a.b = '...'`
//! and `"a.b" = '...'` say the same. Refused: unknown keys, levels that say nothing, levels nested too deep.

use std::sync::Arc;

use super::{Body, DeclaredBlock, DeclaredEntry, DeclaredRule, DeclaredUse};
use crate::finding::{Entry, Section, Text, codes};

/// Blocks within blocks that one file may have.
const DEPTH_MAX: usize = 16;

impl Body {
    /// Reads `let`, `without`, `use`, `with`, `set`, `[[for]]` and `[[entry]]` of a level.
    pub(super) fn read(section: &mut Section<'_>, depth: usize) -> Body {
        Body {
            origin: Arc::clone(section.reader().source()),
            names: read_names(section, "let"),
            without: section.texts("without").unwrap_or_default(),
            uses: read_uses(section),
            with: read_names(section, "with"),
            rules: section.section("set", "`set`").map(read_rules).unwrap_or_default(),
            blocks: read_blocks(section, depth),
            entries: read_entries(section, depth),
        }
    }

    /// Whether nothing here writes anything, or leaves anything out.
    pub(super) fn is_empty(&self) -> bool {
        self.without.is_empty()
            && self.uses.is_empty()
            && self.rules.is_empty()
            && self.blocks.is_empty()
            && self.entries.is_empty()
    }
}

fn read_uses(section: &mut Section<'_>) -> Vec<DeclaredUse> {
    let names = section.texts("use").unwrap_or_default();
    let origin = section.reader().source();
    names.into_iter().map(|name| DeclaredUse { name, origin: Arc::clone(origin) }).collect()
}

/// `let = { number = '...' }`
fn read_names(section: &mut Section<'_>, key: &'static str) -> Vec<DeclaredRule> {
    let Some(names) = section.section(key, format!("`{key}`")) else { return Vec::new() };
    let mut rules = Vec::new();
    for entry in names.entries() {
        let name = &entry.key.value;
        let is_name = name.starts_with(|letter: char| letter.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        match entry.as_text() {
            Some(_) if !is_name => {
                let message = format!("`{name}` is no name: write small letters, digits and `_`");
                entry.reader().error(codes::BAD_VALUE, entry.key.span.clone(), message);
            }
            Some(expression) => rules.push(rule_of(&entry, entry.key.clone(), expression)),
            None => entry.wrong("an expression in quotes"),
        }
    }
    rules
}

/// The rules of a `set`.
fn read_rules(section: Section<'_>) -> Vec<DeclaredRule> {
    let mut rules = Vec::new();
    for entry in section.entries() {
        read_rule(&entry, None, &mut rules);
    }
    rules
}

fn read_rule(entry: &Entry<'_>, above: Option<&Text>, rules: &mut Vec<DeclaredRule>) {
    let target = match above {
        None => entry.key.clone(),
        Some(above) => Text::new(format!("{}.{}", above.value, entry.key.value), entry.key.span.clone()),
    };
    if let Some(expression) = entry.as_text() {
        rules.push(rule_of(entry, target, expression));
    } else if let Some(section) = entry.as_section("`set`") {
        // TOML itself bounds how deep tables nest.
        for inner in section.entries() {
            read_rule(&inner, Some(&target), rules);
        }
    } else {
        entry.wrong("an expression in quotes");
    }
}

fn rule_of(entry: &Entry<'_>, target: Text, expression: Text) -> DeclaredRule {
    DeclaredRule { origin: Arc::clone(entry.reader().source()), target, expression }
}

/// The sections of `key`, unless they are nested too deep.
fn sections<'r>(section: &mut Section<'r>, key: &'static str, depth: usize) -> Vec<Section<'r>> {
    let found = section.sections(key, &format!("a `[[{key}]]` block"));
    if depth >= DEPTH_MAX && !found.is_empty() {
        let message = format!("blocks are nested deeper than {DEPTH_MAX}");
        section.reader().error(codes::BAD_VALUE, section.key_span(key), message);
        return Vec::new();
    }
    found
}

fn read_blocks(section: &mut Section<'_>, depth: usize) -> Vec<DeclaredBlock> {
    let found = sections(section, "for", depth);
    found.into_iter().filter_map(|block| read_block(block, depth.saturating_add(1))).collect()
}

fn read_block(mut section: Section<'_>, depth: usize) -> Option<DeclaredBlock> {
    let each = section.required_text("each");
    let to = section.text("to");
    let after = section.text("after");
    let when = section.text("when");
    let body = Body::read(&mut section, depth);
    if body.is_empty() {
        let message = "this block has no rule: `set` is missing or empty";
        section.reader().error(codes::MISSING_KEY, section.span.clone(), message);
    } else if to.is_none() && !body.rules.is_empty() {
        section.missing("to");
    }
    let origin = Arc::clone(section.reader().source());
    section.finish();
    Some(DeclaredBlock { origin, each: each?, to, after, when, body })
}

fn read_entries(section: &mut Section<'_>, depth: usize) -> Vec<DeclaredEntry> {
    let found = sections(section, "entry", depth);
    found.into_iter().filter_map(|entry| read_entry(entry, depth.saturating_add(1))).collect()
}

fn read_entry(mut section: Section<'_>, depth: usize) -> Option<DeclaredEntry> {
    let resource = section.required_text("resource");
    let each = section.text("each");
    let when = section.text("when");
    let url = section.text("url");
    let request = section.section("request", "`request`").map(read_rules).unwrap_or_default();
    let body = Body::read(&mut section, depth);
    if body.is_empty() {
        let message = "this entry has no rule: `set` is missing or empty";
        section.reader().error(codes::MISSING_KEY, section.span.clone(), message);
    }
    if let Some(entry) = body.entries.first() {
        let message = "an entry has no entries of its own: write them beside it";
        section.reader().error(codes::BAD_VALUE, entry.resource.span.clone(), message);
    }
    let origin = Arc::clone(section.reader().source());
    section.finish();
    Some(DeclaredEntry { origin, resource: resource?, each, when, url, request, body })
}
