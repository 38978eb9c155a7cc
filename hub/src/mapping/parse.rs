//! One mapping file: text to rules that are not compiled.
//!
//! In comes the file's text; out go its rules, blocks and tests with their places, and findings for
//! everything about their shape. Promised: rules keep the file's order. Refused: unknown keys.

use std::sync::Arc;

use crate::finding::{Entry, Findings, Located, Reader, Scalar, Section, SourceText, Text, codes};

/// Blocks within blocks that one file may have.
const DEPTH_MAX: usize = 16;

/// A mapping as its file has it.
#[derive(Clone, Debug)]
pub(super) struct DeclaredMapping {
    pub name: Text,
    pub version: u64,
    pub from: Text,
    pub to: Text,
    pub each: Option<Text>,
    pub when: Option<Text>,
    pub rules: Vec<DeclaredRule>,
    pub blocks: Vec<DeclaredBlock>,
    pub tests: Vec<DeclaredTest>,
}

/// `target = 'expression'`.
#[derive(Clone, Debug)]
pub(super) struct DeclaredRule {
    /// What is written.
    pub target: Text,
    /// By what.
    pub expression: Text,
}

/// `[[for]]`.
#[derive(Clone, Debug)]
pub(super) struct DeclaredBlock {
    pub each: Text,
    pub to: Text,
    /// Segment after which the segments of this block stand, in an HL7 v2 target.
    pub after: Option<Text>,
    pub when: Option<Text>,
    pub rules: Vec<DeclaredRule>,
    pub blocks: Vec<DeclaredBlock>,
}

/// `[[test]]`.
#[derive(Clone, Debug)]
pub(super) struct DeclaredTest {
    pub name: Text,
    /// A file, or the document itself.
    pub given: Text,
    /// What each output must have: one list of expectations for each.
    pub expect: Vec<Vec<Expectation>>,
    /// The code of the error that must come.
    pub expect_error: Option<Text>,
    /// How many outputs must come.
    pub outputs: Option<Located<u64>>,
    /// The source that the document came from.
    pub source: Option<Text>,
    /// When it was received.
    pub received_at: Option<Text>,
    /// The hub's id of the message.
    pub message_id: Option<Text>,
    pub line: usize,
}

/// `path = value`, or a path of `absent`.
#[derive(Clone, Debug)]
pub(super) struct Expectation {
    pub path: Text,
    /// `None` means that nothing may be there.
    pub value: Option<Scalar>,
}

/// Reads the whole file. `None` when it is not TOML, or has no name, kind or rule to speak of.
pub(super) fn parse(source: &Arc<SourceText>) -> (Option<DeclaredMapping>, Findings) {
    let (read, findings) = Reader::read(source, |reader, mut root| {
        let name = root.required_text("name");
        let version = root.integer("version", 1..=1_000_000);
        if !root.has("version") {
            root.missing("version");
        }
        let from = root.required_text("from");
        let to = root.required_text("to");
        let each = root.text("each");
        let when = root.text("when");
        let _why = root.text("why");
        let rules = root.section("set", "`set`").map(read_rules).unwrap_or_default();
        let blocks = read_blocks(&mut root, 0);
        let tests = root.sections("test", "a test").into_iter().filter_map(read_test).collect();
        if rules.is_empty() && blocks.is_empty() {
            reader.error(codes::MISSING_KEY, root.span.clone(), "this file has no rule: `[set]` is missing or empty");
        }
        root.finish();
        let version = version.map_or(0, |version| version.value);
        Some(DeclaredMapping { name: name?, version, from: from?, to: to?, each, when, rules, blocks, tests })
    });
    (read.flatten(), findings)
}

/// The rules of a `set`. `a.b = '...'` and `"a.b" = '...'` say the same.
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
        rules.push(DeclaredRule { target, expression });
    } else if let Some(section) = entry.as_section("`set`") {
        // TOML itself bounds how deep tables nest.
        for inner in section.entries() {
            read_rule(&inner, Some(&target), rules);
        }
    } else {
        entry.wrong("an expression in quotes");
    }
}

fn read_blocks(section: &mut Section<'_>, depth: usize) -> Vec<DeclaredBlock> {
    let sections = section.sections("for", "a `[[for]]` block");
    if depth >= DEPTH_MAX && !sections.is_empty() {
        let message = format!("`[[for]]` is nested deeper than {DEPTH_MAX}");
        section.reader().error(codes::BAD_VALUE, section.key_span("for"), message);
        return Vec::new();
    }
    sections.into_iter().filter_map(|block| read_block(block, depth.saturating_add(1))).collect()
}

fn read_block(mut section: Section<'_>, depth: usize) -> Option<DeclaredBlock> {
    let each = section.required_text("each");
    let to = section.required_text("to");
    let after = section.text("after");
    let when = section.text("when");
    let rules = section.section("set", "`set`").map(read_rules).unwrap_or_default();
    let blocks = read_blocks(&mut section, depth);
    if rules.is_empty() && blocks.is_empty() {
        let message = "this block has no rule: `set` is missing or empty";
        section.reader().error(codes::MISSING_KEY, section.span.clone(), message);
    }
    section.finish();
    Some(DeclaredBlock { each: each?, to: to?, after, when, rules, blocks })
}

fn read_test(mut section: Section<'_>) -> Option<DeclaredTest> {
    let (line, _) = section.reader().source().line_and_column(section.span.start);
    let name = section.required_text("name");
    let given = section.required_text("given");
    let mut expect: Vec<Vec<Expectation>> =
        section.sections("expect", "`expect`").into_iter().map(read_expectations).collect();
    let absent = section.texts("absent").unwrap_or_default();
    if !absent.is_empty() {
        if expect.is_empty() {
            expect.push(Vec::new());
        }
        for expectations in &mut expect {
            expectations.extend(absent.iter().map(|path| Expectation { path: path.clone(), value: None }));
        }
    }
    let expect_error = section.text("expect_error");
    let outputs = section.integer("outputs", 0..=1_000_000);
    let source = section.text("source");
    let received_at = section.text("received_at");
    let message_id = section.text("message_id");
    if expect.is_empty() && expect_error.is_none() && outputs.is_none() {
        let message = "this test expects nothing: give it `expect`, `absent`, `expect_error` or `outputs`";
        section.reader().error(codes::MISSING_KEY, section.span.clone(), message);
    }
    section.finish();
    Some(DeclaredTest {
        name: name?,
        given: given?,
        expect,
        expect_error,
        outputs,
        source,
        received_at,
        message_id,
        line,
    })
}

fn read_expectations(section: Section<'_>) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for entry in section.entries() {
        read_expectation(&entry, None, &mut expectations);
    }
    expectations
}

fn read_expectation(entry: &Entry<'_>, above: Option<&Text>, expectations: &mut Vec<Expectation>) {
    let path = match above {
        None => entry.key.clone(),
        Some(above) => Text::new(format!("{}.{}", above.value, entry.key.value), entry.key.span.clone()),
    };
    if let Some(scalar) = entry.scalar() {
        expectations.push(Expectation { path, value: Some(scalar.value) });
    } else if let Some(section) = entry.as_section("`expect`") {
        for inner in section.entries() {
            read_expectation(&inner, Some(&path), expectations);
        }
    } else {
        entry.wrong("a string, a number, true or false");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> (Option<DeclaredMapping>, Findings) {
        parse(&Arc::new(SourceText::new("mappings/m.toml", text)))
    }

    #[test]
    fn rules_keep_the_order_of_the_file_quoted_or_not() {
        let (mapping, findings) = parse_text(
            "name = 'm'\nversion = 1\nfrom = 'event'\nto = 'fhir X'\n[set]\nstatus = '\"a\"'\n\"b.c\" = '\"b\"'\nb.a = '\"c\"'\n",
        );
        assert!(findings.is_empty(), "{findings}");
        let targets: Vec<_> = mapping.unwrap().rules.into_iter().map(|rule| rule.target.value).collect();
        assert_eq!(targets, ["status", "b.c", "b.a"]);
    }

    #[test]
    fn blocks_nest_and_bring_their_rules() {
        let (mapping, findings) = parse_text(
            "name = 'm'\nversion = 1\nfrom = 'hl7v2 RDE^O11'\nto = 'fhir X'\n[[for]]\neach = 'TQ1'\nto = 'a'\nset = { x = 'TQ1-1' }\n[[for.for]]\neach = 'TQ2'\nto = 'b'\nset = { y = 'TQ2-1' }\n",
        );
        assert!(findings.is_empty(), "{findings}");
        let blocks = mapping.unwrap().blocks;
        assert_eq!((blocks[0].rules.len(), blocks[0].blocks[0].each.value.as_str()), (1, "TQ2"));
    }

    #[test]
    fn a_file_that_misses_everything_says_so_at_once() {
        let (mapping, findings) = parse_text("nmae = 'x'\n");
        assert!(mapping.is_none());
        assert_eq!(findings.len(), 6, "{findings}");
    }

    #[test]
    fn a_test_that_expects_nothing_is_a_mistake() {
        let (_, findings) = parse_text(
            "name = 'm'\nversion = 1\nfrom = 'event'\nto = 'fhir X'\n[set]\nstatus = '\"a\"'\n[[test]]\nname = 't'\ngiven = 'x'\n",
        );
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [7]);
    }
}
