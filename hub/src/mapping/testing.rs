//! What the tests of this module share.

use std::sync::Arc;

use adapters::Document;
use adapters::clock::Timestamp;
use adapters::hl7v2::{self, CharsetRule};

use super::compile::{Compiler, Ground as CompileGround};
use super::context::{Context, HmacKey};
use super::error::Place;
use super::evaluate::Evaluator;
use super::expression::PathKind;
use super::functions::Environment;
use super::interned::Interned;
use super::tables::Tables;
use super::write::write_value;
use crate::finding::{SourceText, Text};

/// The context of every test.
pub(super) fn context() -> Context {
    Context {
        message_id: "01J0000000000000000000TEST".to_owned(),
        source: "kasr-al-ainy".to_owned(),
        // 2026-11-05T07:30:15.123Z
        received_at: Timestamp(1_793_863_815_123_000),
        hmac_key: HmacKey::new(b"key of the tests"),
    }
}

/// The tables that ship with the hub.
pub(super) fn shipped_tables() -> Tables {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../mappings/tables");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let sources: Vec<Arc<SourceText>> = files
        .iter()
        .map(|path| {
            let name = format!("mappings/tables/{}", path.file_name().unwrap().to_string_lossy());
            Arc::new(SourceText::new(name, std::fs::read_to_string(path).unwrap()))
        })
        .collect();
    let (tables, findings) = Tables::read(&sources);
    assert!(findings.is_empty(), "{findings}");
    tables
}

/// A JSON document, a whole message, or segments after a standard header.
pub(super) fn document(given: &str) -> Document {
    if given.starts_with('{') {
        return Document::Json(serde_json::from_str(given).unwrap());
    }
    let message = if given.starts_with("MSH") {
        given.to_owned()
    } else {
        format!(
            "MSH|^~\\&|HIS|KASR_ALAINY|NDPHUB|HEALTHFLOW|20261105093015+0200||RDE^O11^RDE_O11|1|P|2.5.1|||||EGY|UNICODE UTF-8\r{given}\r"
        )
    };
    Document::Hl7v2(hl7v2::Document::read(message.into_bytes().into(), CharsetRule::default()).unwrap())
}

/// The value of an expression as JSON text, or the findings or the error as text.
pub(super) fn evaluate(given: &str, expression: &str, tables: &Tables) -> Result<String, String> {
    let source = Arc::new(SourceText::new("test", format!("'{expression}'")));
    let kind = if given.starts_with('{') { PathKind::Json } else { PathKind::Hl7 };
    let ground = CompileGround { message: "RDE^O11", ..CompileGround::of(kind) };
    let interned = Interned::default();
    let mut compiler = Compiler::new(&source, tables, &interned);
    let text = Text::new(expression.to_owned(), 0..source.text().len());
    let Some(compiled) = compiler.expression(&text, ground) else { return Err(compiler.findings.to_string()) };
    let document = document(given);
    let context = context();
    let plain = super::documents::Source::plain(&document);
    let (place_of_document, message) = (plain.ground(), plain.message());
    let environment = Environment {
        context: &context,
        message,
        systems: tables.get("systems").map(AsRef::as_ref),
        units: tables.get("units").map(AsRef::as_ref),
        local_prefix: std::cell::OnceCell::new(),
    };
    let evaluator =
        Evaluator { ground: place_of_document, environment: &environment, recorder: None, around: Default::default() };
    let value = evaluator.evaluate(&compiled.op, &evaluator.start());
    let place = Place { file: "test".into(), line: 1 };
    let value = value.map_err(|fault| fault.at(place, "test", compiled.source.clone()).to_string())?;
    let mut out = String::new();
    write_value(&mut out, &value);
    Ok(out)
}
