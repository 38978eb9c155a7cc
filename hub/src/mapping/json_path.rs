//! Paths in JSON: `medicationCodeableConcept.coding[0].code`, `identifier[system = "x"].value`.
//!
//! In comes the text of a path; out goes a compiled path that reads from a document. Promised: a name
//! asked of a list is asked of its first item, as HL7 v2 paths do; `[*]` asks all. Indexes count from 0.
//! Names with blanks or signs stand in quotes behind a dot: `."Trade name"`. Refused: anything else.

use std::ops::Range;

use adapters::xml;
use serde_json::Value as Json;

use super::expression::ExpressionError;

/// Steps that one path may have.
const STEPS_MAX: usize = 64;

/// A compiled path. `Display` writes it as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath {
    text: String,
    /// Whether the path starts at the root although a block has set another start.
    pub from_root: bool,
    steps: Vec<Step>,
    /// Where each step stands in the text, in bytes.
    places: Vec<Range<usize>>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
    Every,
    Where { names: Vec<String>, equal: bool, text: String },
}

impl JsonPath {
    /// Reads a path. Places in the error are bytes of `text`.
    pub fn parse(text: &str) -> Result<JsonPath, ExpressionError> {
        let mut reader = Reader { text, at: 0 };
        let from_root = reader.take("$");
        if from_root && !reader.rest().starts_with('.') {
            return Err(reader.error("`.` and a name after `$`"));
        }
        let (mut steps, mut places) = (Vec::new(), Vec::new());
        if !from_root && text == "." {
            return Ok(JsonPath { text: text.to_owned(), from_root, steps, places });
        }
        let mut needs_name = !reader.take(".") || !reader.rest().starts_with('[');
        while !reader.rest().is_empty() || needs_name {
            let start = reader.at;
            if needs_name {
                steps.push(Step::Name(reader.name()?));
            } else if reader.take("[") {
                steps.push(reader.bracket()?);
            } else {
                return Err(reader.error("`.`, `[` or the end"));
            }
            places.push(start..reader.at);
            needs_name = reader.take(".");
            if steps.len() > STEPS_MAX {
                return Err(ExpressionError::new(0..text.len(), format!("a path has at most {STEPS_MAX} steps")));
            }
        }
        Ok(JsonPath { text: text.to_owned(), from_root, steps, places })
    }

    /// A path of one name, whatever letters it has.
    pub fn of_name(name: &str) -> JsonPath {
        let (text, place) = (name.to_owned(), 0..name.len());
        JsonPath { steps: vec![Step::Name(text.clone())], text, from_root: false, places: vec![place] }
    }

    /// Its steps, and where in its text they stand.
    pub fn steps(&self) -> impl Iterator<Item = (&Step, Range<usize>)> {
        self.steps.iter().zip(self.places.iter().cloned())
    }

    /// Whether the path asks for several.
    pub fn is_repeating(&self) -> bool {
        self.steps.contains(&Step::Every)
    }

    /// The first that the path leads to from `start`.
    pub fn find<'j>(&self, start: &'j Json) -> Option<&'j Json> {
        find(start, &self.steps)
    }

    /// All that the path leads to from `start`.
    pub fn find_all<'j>(&self, start: &'j Json) -> Vec<&'j Json> {
        let mut found = vec![start];
        for step in &self.steps {
            found = found.into_iter().flat_map(|json| follow_all(json, step)).collect();
        }
        found
    }
}

impl std::fmt::Display for JsonPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn find<'j>(json: &'j Json, steps: &[Step]) -> Option<&'j Json> {
    let Some((step, rest)) = steps.split_first() else { return Some(json) };
    match step {
        Step::Every | Step::Where { .. } => follow_all(json, step).into_iter().find_map(|found| find(found, rest)),
        Step::Name(name) => find(first(json)?.get(name)?, rest),
        Step::Index(index) => find(item(json, *index)?, rest),
    }
}

fn follow_all<'j>(json: &'j Json, step: &Step) -> Vec<&'j Json> {
    let items = || match json {
        Json::Array(items) => items.iter().collect(),
        Json::Null => Vec::new(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => vec![json],
    };
    match step {
        Step::Name(name) => items().into_iter().filter_map(|item| item.get(name)).collect(),
        Step::Index(index) => item(json, *index).into_iter().collect(),
        Step::Every => items(),
        Step::Where { names, equal, text } => {
            let meets = |item: &&Json| {
                let found = names.iter().try_fold(*item, |part, name| first(part)?.get(name));
                let is_it = match found.map(own_text) {
                    Some(Json::String(own)) => own == text,
                    Some(Json::Bool(own)) => own.to_string() == *text,
                    Some(Json::Number(own)) => own.to_string() == *text,
                    Some(Json::Null | Json::Array(_) | Json::Object(_)) | None => false,
                };
                is_it == *equal
            };
            items().into_iter().filter(meets).collect()
        }
    }
}

/// The text of an XML element that has attributes or elements too; anything else as it is.
pub(super) fn own_text(json: &Json) -> &Json {
    json.get(xml::TEXT).unwrap_or(json)
}

fn first(json: &Json) -> Option<&Json> {
    match json {
        Json::Array(items) => items.first(),
        _ => Some(json),
    }
}

fn item(json: &Json, index: usize) -> Option<&Json> {
    match json {
        Json::Array(items) => items.get(index),
        _ if index == 0 => Some(json),
        _ => None,
    }
}

/// The way from a document's root to one of its values: `/note/0/text` (RFC 6901 without its escapes).
pub(super) fn place_of(json: &Json, root: &Json) -> String {
    let mut open = vec![(String::new(), root)];
    while let Some((path, value)) = open.pop() {
        if std::ptr::eq(value, json) {
            return path;
        }
        match value {
            Json::Array(items) => {
                open.extend(items.iter().enumerate().map(|(index, item)| (format!("{path}/{index}"), item)));
            }
            Json::Object(fields) => {
                open.extend(fields.iter().map(|(name, field)| (format!("{path}/{name}"), field)));
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    String::new()
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at = self.at.saturating_add(sign.len());
        }
        found
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at = self.at.saturating_add(rest.len().saturating_sub(rest.trim_start().len()));
    }

    fn error(&self, wanted: &str) -> ExpressionError {
        let width = self.rest().chars().next().map_or(0, char::len_utf8);
        let message = match self.rest().chars().next() {
            Some(letter) => format!("`{letter}` stands in the path where {wanted} should be"),
            None => format!("the path ends where {wanted} should be"),
        };
        ExpressionError::new(self.at..self.at.saturating_add(width), message)
    }

    /// `value`, `@id`, `claim-id`, `c:Claim`, `"Trade name"`
    fn name(&mut self) -> Result<String, ExpressionError> {
        if self.take("\"") {
            let Some((name, _)) = self.rest().split_once('"').filter(|(name, _)| !name.is_empty()) else {
                return Err(self.error("a name and a closing quote"));
            };
            self.at = self.at.saturating_add(name.len()).saturating_add(1);
            return Ok(name.to_owned());
        }
        let rest = self.rest();
        let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
        let is_inside = |at: usize, letter: char| match letter {
            '@' => at == 0,
            '-' | ':' => at > 0 && rest.get(at.saturating_add(1)..).is_some_and(|after| after.starts_with(is_letter)),
            _ => is_letter(letter),
        };
        let length = rest.char_indices().find(|(at, letter)| !is_inside(*at, *letter)).map_or(rest.len(), |(at, _)| at);
        let name = rest.get(..length).filter(|name| *name != "@").unwrap_or_default();
        if name.is_empty() {
            return Err(self.error("a name"));
        }
        self.at = self.at.saturating_add(length);
        Ok(name.to_owned())
    }

    fn bracket(&mut self) -> Result<Step, ExpressionError> {
        self.blanks();
        let step = if self.take("*") {
            Step::Every
        } else if self.rest().starts_with(|letter: char| letter.is_ascii_digit()) {
            let rest = self.rest();
            let length = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            let index = rest.get(..length).and_then(|digits| digits.parse::<u16>().ok());
            let index = index.ok_or_else(|| self.error("an index up to 65535"))?;
            self.at = self.at.saturating_add(length);
            Step::Index(usize::from(index))
        } else {
            self.condition()?
        };
        self.blanks();
        if self.take("]") { Ok(step) } else { Err(self.error("`]`")) }
    }

    /// `system = "x"`
    fn condition(&mut self) -> Result<Step, ExpressionError> {
        let mut names = vec![self.name()?];
        while self.take(".") {
            names.push(self.name()?);
        }
        self.blanks();
        let equal = if self.take("!=") {
            false
        } else if self.take("=") {
            true
        } else {
            return Err(self.error("`=` or `!=`"));
        };
        self.blanks();
        let quote = if self.take("\"") {
            '"'
        } else if self.take("'") {
            '\''
        } else {
            return Err(self.error("a text in quotes"));
        };
        let Some((text, _)) = self.rest().split_once(quote) else {
            return Err(self.error("a closing quote"));
        };
        self.at = self.at.saturating_add(text.len()).saturating_add(1);
        Ok(Step::Where { names, equal, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(path: &str, document: &Json) -> Vec<Json> {
        JsonPath::parse(path).unwrap().find_all(document).into_iter().cloned().collect()
    }

    #[test]
    fn paths_lead_through_objects_lists_and_filters() {
        let document = json!({
            "id": "1",
            "identifier": [{"system": "a", "value": "A"}, {"system": "b", "type": {"text": "T"}, "value": "B"}],
            "note": [{"text": "x"}, {"text": "y"}],
            "Trade name": {"a-b": 1, "#text": "t"}, "@v": true, "x:y": "z",
            "flags": [{"on": false, "k": "1"}, {"on": true, "k": "2"}],
        });
        let table = [
            ("id", json!(["1"])),
            ("$.id", json!(["1"])),
            ("identifier[1].value", json!(["B"])),
            ("identifier[system = \"b\"].value", json!(["B"])),
            ("identifier[type.text = 'T'].value", json!(["B"])),
            ("identifier[system != \"b\"].value", json!(["A"])),
            ("note[*].text", json!(["x", "y"])),
            (".\"Trade name\"", json!([{"a-b": 1, "#text": "t"}])),
            ("$.\"Trade name\".a-b", json!([1])),
            ("@v", json!([true])),
            ("x:y", json!(["z"])),
            ("flags[on = \"true\"].k", json!(["2"])),
            ("missing.thing[2]", json!([])),
        ];
        for (path, expected) in table {
            assert_eq!(json!(read(path, &document)), expected, "{path}");
        }
        assert_eq!(JsonPath::parse("identifier.value").unwrap().find(&document), Some(&json!("A")));
        assert_eq!(JsonPath::parse(".").unwrap().find(&document), Some(&document));
    }

    #[test]
    fn a_filter_that_meets_an_item_without_the_rest_of_the_path_goes_on() {
        let document = json!({"a": [{"k": "x"}, {"k": "x", "v": 1}]});
        assert_eq!(JsonPath::parse("a[k = 'x'].v").unwrap().find(&document), Some(&json!(1)));
    }

    #[test]
    fn a_mistake_in_a_path_is_found_at_its_place() {
        for (path, at) in [
            ("", 0),
            ("a..b", 2),
            ("a[", 2),
            ("a[1", 3),
            ("a[x]", 3),
            ("a[x=1]", 4),
            ("a[99999]", 2),
            ("$a", 1),
            ("a[0]b", 4),
            ("a.", 2),
            ("a.\"b", 3),
            ("a-", 1),
            ("a@b", 1),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap_err().span.start, at, "{path}");
        }
    }
}
