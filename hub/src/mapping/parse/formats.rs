//! `[csv]` and `[xml]`: how files are read and written.
//!
//! In come sections; out go settings. Promised: what is not said has the value of the standard. Refused: separators of
//! more than one character, character sets that nobody knows, prefixes that XML cannot have.

use adapters::csv;
use adapters::xml::is_name;

use super::{DeclaredFormats, DeclaredXml};
use crate::finding::{Finding, Section, Text, codes};

pub(super) fn read(root: &mut Section<'_>) -> DeclaredFormats {
    let key = |name: &str| Text::new(name.to_owned(), root.key_span(name));
    let (csv_key, xml_key) = (key("csv"), key("xml"));
    let csv = root.section("csv", "`csv`").map(|section| (csv_key, read_csv(section)));
    let xml = root.section("xml", "`xml`").map(|section| read_xml(xml_key, section));
    DeclaredFormats { csv, xml }
}

fn read_csv(mut section: Section<'_>) -> csv::Options {
    let mut options = csv::Options::default();
    if let Some(text) = section.text("separator") {
        match text.value.as_bytes() {
            [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\r' | b'\n') => {
                options.separator = *byte;
            }
            _ => wrong(&section, &text, "is no separator", "write one sign: `,`, `;`, `|` or `\\t`"),
        }
    }
    options.header = section.boolean("header").is_none_or(|header| header.value);
    options.columns = section.texts("columns").unwrap_or_default().into_iter().map(|name| name.value).collect();
    if options.header && !options.columns.is_empty() {
        let message = "`columns` names columns that have no header: add `header = false`";
        section.reader().error(codes::BAD_VALUE, section.key_span("columns"), message);
    }
    if let Some(label) = section.text("charset") {
        match csv::charset(&label.value) {
            Some(charset) => options.charset = charset,
            None => wrong(&section, &label, "is no character set", "write `utf-8` or `windows-1256`"),
        }
    }
    options.mark = section.boolean("byte_order_mark").is_some_and(|mark| mark.value);
    options.guard = section.boolean("guard").is_some_and(|guard| guard.value);
    section.finish();
    options
}

fn read_xml(key: Text, mut section: Section<'_>) -> DeclaredXml {
    let namespace = section.text("namespace").map(|uri| uri.value);
    let mut namespaces = Vec::new();
    for entry in section.section("namespaces", "`namespaces`").map(Section::entries).unwrap_or_default() {
        let prefix = &entry.key;
        match entry.as_text() {
            Some(_) if !is_name(&prefix.value) || prefix.value.contains(':') => {
                let message = format!("`{}` is no prefix that XML can have", prefix.value);
                entry.reader().error(codes::BAD_VALUE, prefix.span.clone(), message);
            }
            Some(uri) => namespaces.push((prefix.value.clone(), uri.value)),
            None => entry.wrong("the URI of a namespace in quotes"),
        }
    }
    section.finish();
    DeclaredXml { key, namespace, namespaces }
}

fn wrong(section: &Section<'_>, text: &Text, what: &str, help: &str) {
    let message = format!("`{}` {what}", text.value);
    let finding = Finding::error(codes::BAD_VALUE, section.reader().source(), text.span.clone(), message);
    section.reader().report(finding.with_help(help));
}
