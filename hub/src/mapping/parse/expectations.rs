//! `[[test]]` of a mapping: what it is given and what it expects.
//!
//! In comes a section; out goes a test with the places of its expectations. Promised: a test expects something.
//! Refused: unknown keys.

use super::{DeclaredTest, Expectation};
use crate::finding::{Entry, Section, Text, codes};

pub(super) fn read_test(mut section: Section<'_>) -> Option<DeclaredTest> {
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
