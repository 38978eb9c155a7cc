//! JSON, written straight from the plan.
//!
//! In come the layout of a target and the values of its rules; out go its bytes. Promised: elements in
//! the order in which the file first names them; what is empty is not there; equal input gives equal
//! bytes. Refused: an output over its limit.

use serde_json::Value as Json;

use super::error::{Fault, MapError};
use super::evaluate::{Evaluator, Position};
use super::plan::{Block, Items, Key, Rule, Shape};
use super::value::{Val, is_blank};

/// Largest output in bytes.
pub(super) const OUTPUT_BYTES_MAX: usize = 16 << 20;

/// Room for a usual resource, so that writing one allocates once.
const USUAL_BYTES: usize = 4096;

/// Writes one output.
pub(super) struct JsonWriter<'w, 'r> {
    out: String,
    evaluator: &'w Evaluator<'r>,
    rules: &'r [Rule],
    /// Which output this is, from 0.
    output: usize,
    /// The element in hand, kept only for lineage.
    path: String,
}

impl<'w, 'r> JsonWriter<'w, 'r> {
    pub fn new(evaluator: &'w Evaluator<'r>, rules: &'r [Rule], output: usize) -> Self {
        JsonWriter { out: String::with_capacity(USUAL_BYTES), evaluator, rules, output, path: String::new() }
    }

    /// A whole resource.
    pub fn resource(mut self, resource: &str, shape: &'r Shape, at: &Position<'r>) -> Result<String, MapError> {
        self.out.push_str("{\"resourceType\":");
        write_text(&mut self.out, resource);
        for (key, part) in &shape.fields {
            self.field(key, part, None, at)?;
        }
        self.out.push('}');
        Ok(self.out)
    }

    /// An object that is no resource.
    pub fn object_at_root(mut self, shape: &'r Shape, at: &Position<'r>) -> Result<String, MapError> {
        self.out.push('{');
        for (key, part) in &shape.fields {
            self.field(key, part, None, at)?;
        }
        self.out.push('}');
        Ok(self.out)
    }

    /// `,"name":value`, or nothing. The comma goes away after an opening brace.
    fn field(
        &mut self,
        key: &Key,
        shape: &'r Shape,
        given: Option<Val<'r>>,
        at: &Position<'r>,
    ) -> Result<(), MapError> {
        let (start, path_length) = (self.out.len(), self.path.len());
        self.comma();
        self.out.push_str(&key.json);
        if self.evaluator.recorder.is_some() {
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(&key.name);
        }
        let before = self.out.len();
        self.shape(shape, given, at)?;
        if self.out.len() == before {
            self.out.truncate(start);
        }
        self.path.truncate(path_length);
        Ok(())
    }

    /// The value at one place: what its rule gives, with what is below it over it.
    fn shape(&mut self, shape: &'r Shape, given: Option<Val<'r>>, at: &Position<'r>) -> Result<(), MapError> {
        let own = match shape.rule {
            Some(rule) => self.rule(rule, at)?.or(given),
            None => given,
        };
        match own {
            Some(value) if !shape.has_parts() => write_value(&mut self.out, &value),
            own if shape.is_list() => self.list(shape, own, at)?,
            own if shape.has_parts() => self.object(shape, own, at)?,
            Some(_) | None => {}
        }
        Ok(())
    }

    fn object(&mut self, shape: &'r Shape, own: Option<Val<'r>>, at: &Position<'r>) -> Result<(), MapError> {
        let start = self.out.len();
        self.out.push('{');
        let mut own = fields_of(own);
        for (name, value) in &mut own {
            let value = std::mem::replace(value, Val::Absent);
            match shape.fields.iter().find(|(key, _)| key.name == *name) {
                Some((key, part)) => self.field(key, part, Some(value), at)?,
                None => self.plain_field(name, &value),
            }
        }
        for (key, part) in &shape.fields {
            if !own.iter().any(|(name, _)| *name == key.name) {
                self.field(key, part, None, at)?;
            }
        }
        close(&mut self.out, start, '}');
        Ok(())
    }

    fn list(&mut self, shape: &'r Shape, own: Option<Val<'r>>, at: &Position<'r>) -> Result<(), MapError> {
        let start = self.out.len();
        self.out.push('[');
        let mut index = 0_usize;
        let mut own = own.map(Val::into_items).unwrap_or_default().into_iter();
        for part in &shape.items {
            let given = own.next();
            self.item(&mut index, |writer| writer.shape(part, given, at))?;
        }
        for value in own {
            self.item(&mut index, |writer| {
                write_value(&mut writer.out, &value);
                Ok(())
            })?;
        }
        for block in &shape.blocks {
            self.block(block, &mut index, at)?;
        }
        close(&mut self.out, start, ']');
        Ok(())
    }

    fn block(&mut self, block: &'r Block<Items>, index: &mut usize, at: &Position<'r>) -> Result<(), MapError> {
        let evaluator = self.evaluator;
        let mut number = 0_usize;
        for position in evaluator.positions(&block.each, at) {
            let position = position.numbered(number.saturating_add(1));
            let was_written = evaluator.inside(&position, || self.repetition(block, index, &position))?;
            number = number.saturating_add(usize::from(was_written));
        }
        Ok(())
    }

    /// What one repetition of a block adds; whether its condition holds.
    fn repetition(
        &mut self,
        block: &'r Block<Items>,
        index: &mut usize,
        position: &Position<'r>,
    ) -> Result<bool, MapError> {
        if let Some(condition) = &block.when {
            let holds = self.evaluator.evaluate(condition, position);
            if !holds.map_err(|fault| fault.at(block.place.clone(), &block.target, None))?.holds() {
                return Ok(false);
            }
        }
        match &block.layout {
            Items::One(shape) => self.item(index, |writer| writer.shape(shape, None, position))?,
            Items::OfBlocks(blocks) => {
                for inner in blocks {
                    self.block(inner, index, position)?;
                }
            }
        }
        Ok(true)
    }

    /// One item of a list, or nothing when `write` writes nothing.
    fn item(
        &mut self,
        index: &mut usize,
        write: impl FnOnce(&mut Self) -> Result<(), MapError>,
    ) -> Result<(), MapError> {
        let (start, path_length) = (self.out.len(), self.path.len());
        self.comma();
        if self.evaluator.recorder.is_some() {
            self.path.push_str(&format!("[{index}]"));
        }
        let before = self.out.len();
        write(self)?;
        if self.out.len() == before {
            self.out.truncate(start);
        } else {
            *index = index.saturating_add(1);
        }
        self.path.truncate(path_length);
        Ok(())
    }

    /// The value of a rule; `None` when it is empty.
    fn rule(&mut self, rule: usize, at: &Position<'r>) -> Result<Option<Val<'r>>, MapError> {
        let Some(rule) = self.rules.get(rule) else { return Ok(None) };
        let fail = |fault: Fault| fault.at(rule.place.clone(), &rule.target, rule.source.clone());
        if self.out.len() > OUTPUT_BYTES_MAX {
            return Err(fail(Fault::TooLarge));
        }
        if let Some(recorder) = self.evaluator.recorder {
            recorder.borrow_mut().begin_rule();
        }
        let value = self.evaluator.evaluate(&rule.op, at).map_err(fail)?;
        if value.is_empty() {
            return Ok(None);
        }
        if let Some(recorder) = self.evaluator.recorder {
            recorder.borrow_mut().end_rule(self.output, self.path.clone(), rule.place.clone());
        }
        Ok(Some(value))
    }

    fn plain_field(&mut self, name: &str, value: &Val<'r>) {
        if value.is_empty() {
            return;
        }
        self.comma();
        write_text(&mut self.out, name);
        self.out.push(':');
        write_value(&mut self.out, value);
    }

    fn comma(&mut self) {
        if !self.out.ends_with(['{', '[']) {
            self.out.push(',');
        }
    }
}

fn fields_of<'r>(value: Option<Val<'r>>) -> Vec<(&'r str, Val<'r>)> {
    match value {
        Some(Val::Object(fields)) => fields,
        Some(Val::Json(Json::Object(fields))) => {
            fields.iter().map(|(name, element)| (name.as_str(), Val::Json(element))).collect()
        }
        Some(
            Val::Absent | Val::Boolean(_) | Val::Text(_) | Val::Number(_) | Val::Field(_) | Val::Json(_) | Val::List(_),
        )
        | None => Vec::new(),
    }
}

/// Writes a value without its empty parts; nothing at all when it is empty.
pub(super) fn write_value(out: &mut String, value: &Val<'_>) {
    match value {
        Val::Absent => {}
        Val::Boolean(true) => out.push_str("true"),
        Val::Boolean(false) => out.push_str("false"),
        Val::Number(number) => out.push_str(number),
        Val::Text(text) => {
            if !is_blank(text) {
                write_text(out, text);
            }
        }
        Val::Field(field) => {
            if !field.is_empty() {
                write_text(out, &field.value.text());
            }
        }
        Val::Json(json) => {
            if !value.is_empty() {
                write_json(out, json);
            }
        }
        Val::List(items) => {
            let start = out.len();
            out.push('[');
            for item in items {
                write_part(out, None, item);
            }
            close(out, start, ']');
        }
        Val::Object(fields) => {
            let start = out.len();
            out.push('{');
            for (name, part) in fields {
                write_part(out, Some(name), part);
            }
            close(out, start, '}');
        }
    }
}

/// One item or field with its comma, or nothing. Names of fields are those of functions and tables, which
/// need no escape.
fn write_part(out: &mut String, name: Option<&str>, part: &Val<'_>) {
    let start = out.len();
    if !out.ends_with(['{', '[']) {
        out.push(',');
    }
    if let Some(name) = name {
        out.push('"');
        out.push_str(name);
        out.push_str("\":");
    }
    let before = out.len();
    write_value(out, part);
    if out.len() == before {
        out.truncate(start);
    }
}

/// Closes what was opened at `start`, or takes it back when nothing is in it.
fn close(out: &mut String, start: usize, bracket: char) {
    if out.len() == start.saturating_add(1) {
        out.truncate(start);
    } else {
        out.push(bracket);
    }
}

/// A JSON value as it is; serialising one cannot fail, its keys are strings.
fn write_json(out: &mut String, json: &Json) {
    match json {
        Json::String(text) => write_text(out, text),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            out.push_str(&json.to_string());
        }
    }
}

/// A JSON string (RFC 8259 section 7).
pub(super) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    // Nearly every text needs no escape; this loop has no exit, so that it runs many bytes at once.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'));
    if is_plain {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(text.get(written..at).unwrap_or_default());
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
        written = at.saturating_add(1);
    }
    out.push_str(text.get(written..).unwrap_or_default());
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_written_so_that_it_is_read_back(text in any::<String>()) {
            let mut out = String::new();
            write_text(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
