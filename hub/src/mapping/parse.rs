//! One mapping file: text to rules that are not compiled.
//!
//! In comes the file's text; out go its rules, blocks and tests with their places, and findings for
//! everything about their shape. Promised: rules keep the file's order. Refused: unknown keys.

mod body;
mod expectations;
mod formats;

use std::sync::Arc;

use adapters::csv;

use self::expectations::read_test;
use super::tables::Table;
use crate::finding::{Findings, Located, Reader, Scalar, Section, SourceText, Text, codes};

/// The file of a mapping.
#[derive(Clone, Debug)]
pub(super) struct DeclaredFile {
    pub name: Text,
    pub version: u64,
    pub head: Head,
    pub body: Body,
    pub tests: Vec<DeclaredTest>,
    /// Tables of its own.
    pub tables: Vec<(Text, Table)>,
}

/// What a mapping reads and writes.
#[derive(Clone, Debug)]
pub(super) enum Head {
    Own(Box<Documents>),
    /// All that this mapping does, and what its file says instead or besides.
    Base(Text),
}

/// `from`, `to`, `each`, `when`, and what is known of documents without a grammar.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    /// The file that they stand in.
    pub origin: Arc<SourceText>,
    pub from: Text,
    pub to: Text,
    /// What the documents that are read have: names, or a sample.
    pub outline: Vec<Text>,
    /// What those that are written have.
    pub target_outline: Vec<Text>,
    pub formats: DeclaredFormats,
    pub each: Option<Text>,
    pub when: Option<Text>,
}

/// A mapping with all that it has of its base.
#[derive(Clone, Debug)]
pub(super) struct DeclaredMapping {
    pub name: Text,
    pub version: u64,
    pub documents: Documents,
    pub body: Body,
    pub tests: Vec<DeclaredTest>,
}

/// `[csv]` and `[xml]`.
#[derive(Clone, Debug, Default)]
pub(super) struct DeclaredFormats {
    pub csv: Option<(Text, csv::Options)>,
    pub xml: Option<DeclaredXml>,
}

/// `[xml]`: its place, and what it says.
#[derive(Clone, Debug)]
pub(super) struct DeclaredXml {
    pub key: Text,
    /// The namespace of what is written.
    pub namespace: Option<String>,
    /// Prefixes and their namespaces.
    pub namespaces: Vec<(String, String)>,
}

/// A fragment: rules that mappings share.
#[derive(Clone, Debug)]
pub(super) struct DeclaredFragment {
    pub name: Text,
    pub from: Text,
    pub to: Text,
    /// Names that whoever uses it gives.
    pub needs: Vec<Text>,
    /// What it writes. Its names have the values of the file, unless whoever uses it gives others.
    pub body: Body,
}

/// What stands at one level of a mapping or a fragment.
#[derive(Clone, Debug)]
pub(super) struct Body {
    /// The file that it stands in.
    pub origin: Arc<SourceText>,
    /// `let`: expressions with names.
    pub names: Vec<DeclaredRule>,
    /// Targets and blocks of the base that are left out.
    pub without: Vec<Text>,
    /// Fragments whose rules stand here too.
    pub uses: Vec<DeclaredUse>,
    /// Names that they are given.
    pub with: Vec<DeclaredRule>,
    pub rules: Vec<DeclaredRule>,
    pub blocks: Vec<DeclaredBlock>,
    pub entries: Vec<DeclaredEntry>,
}

/// A fragment in use.
#[derive(Clone, Debug)]
pub(super) struct DeclaredUse {
    pub name: Text,
    /// The file that says so.
    pub origin: Arc<SourceText>,
}

/// `target = 'expression'`.
#[derive(Clone, Debug)]
pub(super) struct DeclaredRule {
    /// The file that it stands in.
    pub origin: Arc<SourceText>,
    /// What is written.
    pub target: Text,
    /// By what.
    pub expression: Text,
}

/// `[[for]]`.
#[derive(Clone, Debug)]
pub(super) struct DeclaredBlock {
    /// The file that `each`, `to`, `after` and `when` stand in.
    pub origin: Arc<SourceText>,
    pub each: Text,
    /// Without it, the block only goes through something, and what is inside says where to.
    pub to: Option<Text>,
    /// Segment after which the segments of this block stand, in an HL7 v2 target.
    pub after: Option<Text>,
    pub when: Option<Text>,
    pub body: Body,
}

/// `[[entry]]` of a Bundle.
#[derive(Clone, Debug)]
pub(super) struct DeclaredEntry {
    /// The file that `resource`, `each`, `when` and `url` stand in.
    pub origin: Arc<SourceText>,
    /// Its type.
    pub resource: Text,
    /// Without it, there is one.
    pub each: Option<Text>,
    pub when: Option<Text>,
    /// The expression of its `fullUrl`.
    pub url: Option<Text>,
    pub request: Vec<DeclaredRule>,
    /// The resource.
    pub body: Body,
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
pub(super) fn parse(source: &Arc<SourceText>) -> (Option<DeclaredFile>, Findings) {
    let (read, findings) = Reader::read(source, |reader, mut root| {
        let name = root.required_text("name");
        let version = root.integer("version", 1..=1_000_000);
        if !root.has("version") {
            root.missing("version");
        }
        let head = match root.text("base") {
            Some(base) => Some(Head::Base(base)),
            None => read_documents(&mut root, source).map(Box::new).map(Head::Own),
        };
        let _why = root.text("why");
        let body = Body::read(&mut root, 0);
        let tables = root.section("table", "`table`").map(read_tables).unwrap_or_default();
        let tests = root.sections("test", "a test").into_iter().filter_map(read_test).collect();
        if body.is_empty() && !matches!(head, Some(Head::Base(_))) {
            reader.error(codes::MISSING_KEY, root.span.clone(), "this file has no rule: `[set]` is missing or empty");
        }
        root.finish();
        let version = version.map_or(0, |version| version.value);
        Some(DeclaredFile { name: name?, version, head: head?, body, tests, tables })
    });
    (read.flatten(), findings)
}

fn read_documents(root: &mut Section<'_>, source: &Arc<SourceText>) -> Option<Documents> {
    let from = root.required_text("from");
    let to = root.required_text("to");
    let outline = root.texts("outline").unwrap_or_default();
    let target_outline = root.texts("target_outline").unwrap_or_default();
    let formats = formats::read(root);
    let each = root.text("each");
    let when = root.text("when");
    let origin = Arc::clone(source);
    Some(Documents { origin, from: from?, to: to?, outline, target_outline, formats, each, when })
}

/// `[table.NAME]`: as a file in `mappings/tables` has it, without its name.
fn read_tables(section: Section<'_>) -> Vec<(Text, Table)> {
    let tables = section.entries().into_iter().filter_map(|entry| {
        let table = entry.as_section(format!("the table `{}`", entry.key.value));
        if table.is_none() {
            entry.wrong("a table");
        }
        Some((entry.key.clone(), Table::read(&entry.key.value, table?)?))
    });
    tables.collect()
}

/// Reads the file of a fragment.
pub(super) fn parse_fragment(source: &Arc<SourceText>) -> (Option<DeclaredFragment>, Findings) {
    let (read, findings) = Reader::read(source, |reader, mut root| {
        let name = root.required_text("fragment");
        let from = root.required_text("from");
        let to = root.required_text("to");
        let _why = root.text("why");
        let needs = root.texts("needs").unwrap_or_default();
        let body = Body::read(&mut root, 0);
        if body.is_empty() {
            reader.error(codes::MISSING_KEY, root.span.clone(), "this file has no rule: `[set]` is missing or empty");
        }
        root.finish();
        Some(DeclaredFragment { name: name?, from: from?, to: to?, needs, body })
    });
    (read.flatten(), findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> (Option<DeclaredFile>, Findings) {
        parse(&Arc::new(SourceText::new("mappings/m.toml", text)))
    }

    #[test]
    fn rules_keep_the_order_of_the_file_quoted_or_not() {
        let (mapping, findings) = parse_text(
            "name = 'm'\nversion = 1\nfrom = 'event'\nto = 'fhir X'\n[set]\nstatus = '\"a\"'\n\"b.c\" = '\"b\"'\nb.a = '\"c\"'\n",
        );
        assert!(findings.is_empty(), "{findings}");
        let targets: Vec<_> = mapping.unwrap().body.rules.into_iter().map(|rule| rule.target.value).collect();
        assert_eq!(targets, ["status", "b.c", "b.a"]);
    }

    #[test]
    fn blocks_nest_and_bring_their_rules() {
        let (mapping, findings) = parse_text(
            "name = 'm'\nversion = 1\nfrom = 'hl7v2 RDE^O11'\nto = 'fhir X'\n[[for]]\neach = 'TQ1'\nto = 'a'\nset = { x = 'TQ1-1' }\n[[for.for]]\neach = 'TQ2'\nto = 'b'\nset = { y = 'TQ2-1' }\n",
        );
        assert!(findings.is_empty(), "{findings}");
        let blocks = mapping.unwrap().body.blocks;
        let inner = &blocks[0].body;
        assert_eq!((inner.rules.len(), inner.blocks[0].each.value.as_str()), (1, "TQ2"));
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
