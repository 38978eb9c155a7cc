//! Expressions, run.
//!
//! In come a plan, a document and a place in it; out goes a value that borrows from both. Promised: pure;
//! bounded by the size of the plan times that of the document. Refused: what a function refuses.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;

use adapters::hl7v2::{Message, Scope};
use serde_json::Value as Json;

use super::error::Fault;
use super::expression::Comparison;
use super::fields::DataType;
use super::functions::{Arguments, Environment, egyptian_time, joined};
use super::json_path;
use super::lineage::{Called, Recorder};
use super::plan::{Call, Each, Op, Variable};
use super::value::{Field, Val, compare_numbers};

/// The document that paths lead through.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ground<'r> {
    Hl7(Message<'r>),
    Json(&'r Json),
    /// The content of the root element. A path without a number leads to the first element, and an element with
    /// attributes is its text.
    Xml(&'r Json),
}

/// Where in the document a rule stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position<'r> {
    /// The group or segment in hand; `None` in JSON.
    scope: Option<Scope>,
    item: Item<'r>,
    /// Which repetition of its block it is, from 1.
    number: usize,
}

/// What relative paths start from.
#[derive(Clone, Copy, Debug)]
enum Item<'r> {
    Nothing,
    Field(Field<'r>),
    Json(&'r Json),
}

/// Runs expressions over one document.
#[derive(Debug)]
pub(super) struct Evaluator<'r> {
    pub ground: Ground<'r>,
    pub environment: &'r Environment<'r>,
    /// Takes down what is read, when somebody asked for lineage.
    pub recorder: Option<&'r RefCell<Recorder>>,
    /// The places of the blocks around, the outermost first: names mean what they meant there.
    pub around: RefCell<Vec<Position<'r>>>,
}

impl<'r> Evaluator<'r> {
    /// The whole document.
    pub fn start(&self) -> Position<'r> {
        match self.ground {
            Ground::Hl7(message) => Position { scope: Some(message.whole()), item: Item::Nothing, number: 1 },
            Ground::Json(root) | Ground::Xml(root) => Position { scope: None, item: Item::Json(root), number: 1 },
        }
    }

    /// Does something inside a block, at one of its places.
    pub fn inside<T>(&self, at: &Position<'r>, work: impl FnOnce() -> T) -> T {
        self.around.borrow_mut().push(*at);
        let done = work();
        self.around.borrow_mut().pop();
        done
    }

    /// The places that a block or a mapping repeats over.
    pub fn positions(&self, each: &Each, at: &Position<'r>) -> Vec<Position<'r>> {
        match (each, self.ground, at.scope) {
            (Each::Here, Ground::Hl7(_) | Ground::Json(_) | Ground::Xml(_), _) => vec![Position { number: 1, ..*at }],
            (Each::Group { names, from_root }, Ground::Hl7(message), Some(scope)) => {
                let mut scopes = vec![if *from_root { message.whole() } else { scope }];
                for name in names {
                    scopes = scopes.iter().flat_map(|within| message.groups(within, name)).collect();
                }
                let scopes = scopes.into_iter();
                scopes.map(|found| Position { scope: Some(found), item: Item::Nothing, number: 1 }).collect()
            }
            (Each::Field { path, datatype, from_root }, Ground::Hl7(message), Some(scope)) => {
                let within = if *from_root { message.whole() } else { scope };
                let values =
                    message.find_all(&within, path).into_iter().filter(|value| !value.is_empty() && !value.is_null());
                let fields = values.map(|value| Item::Field(Field { value, datatype: *datatype }));
                fields.map(|item| Position { scope: at.scope, item, number: 1 }).collect()
            }
            (Each::Items(path), Ground::Json(root) | Ground::Xml(root), _) => {
                let start = if path.from_root { root } else { at.json(root) };
                let items = path.find_all(start).into_iter().flat_map(|json| match json {
                    Json::Array(items) => items.iter().collect(),
                    Json::Null => Vec::new(),
                    Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => vec![json],
                });
                items.map(|item| Position { scope: None, item: Item::Json(item), number: 1 }).collect()
            }
            (
                Each::Group { .. } | Each::Field { .. } | Each::Items(_),
                Ground::Hl7(_) | Ground::Json(_) | Ground::Xml(_),
                _,
            ) => Vec::new(),
        }
    }

    /// The value of an expression at a place.
    pub fn evaluate(&self, op: &'r Op, at: &Position<'r>) -> Result<Val<'r>, Fault> {
        Ok(match op {
            Op::Text(text) => Val::from(text.as_str()),
            Op::Number(number) => Val::Number(Cow::Borrowed(number)),
            Op::Boolean(boolean) => Val::Boolean(*boolean),
            Op::Variable(variable) => self.variable(*variable, at),
            Op::Name { op, depth } => {
                let there = self.around.borrow().get(*depth).copied();
                self.evaluate(op, &there.unwrap_or_else(|| self.start()))?
            }
            Op::Place => Val::from(self.place(at)),
            Op::Field { path, datatype, all, from_root } => {
                let within = if *from_root { &self.start() } else { at };
                self.field(path, *datatype, *all, within)
            }
            Op::Part { component, subcomponent, datatype } => self.part(*component, *subcomponent, *datatype, at),
            Op::Json { path, all, .. } => self.json(path, *all, at),
            Op::Call(call) => self.call(call, at)?,
            Op::Attempt(value) => self.attempt(value, at)?,
            Op::FirstOf(parts) => {
                for part in parts {
                    let value = self.evaluate(part, at)?;
                    if !value.is_empty() {
                        return Ok(value);
                    }
                }
                Val::Absent
            }
            Op::Joined(parts) => joined(self.values(parts, at)?, ""),
            Op::If { condition, value, otherwise } => match (self.evaluate(condition, at)?.holds(), otherwise) {
                (true, _) => self.evaluate(value, at)?,
                (false, Some(otherwise)) => self.evaluate(otherwise, at)?,
                (false, None) => Val::Absent,
            },
            Op::Compare { left, comparison, right } => {
                let (left, right) = (self.evaluate(left, at)?, self.evaluate(right, at)?);
                Val::Boolean(compare(&left, *comparison, &right))
            }
            Op::In { value, among } => {
                let value = self.evaluate(value, at)?;
                let among = self.values(among, at)?;
                Val::Boolean(among.iter().any(|one| compare(&value, Comparison::Equal, one)))
            }
            Op::Exists(value) => Val::Boolean(!self.evaluate(value, at)?.is_empty()),
            Op::Not(value) => Val::Boolean(!self.evaluate(value, at)?.holds()),
            Op::And(parts) => Val::Boolean(self.all_hold(parts, true, at)?),
            Op::Or(parts) => Val::Boolean(!self.all_hold(parts, false, at)?),
        })
    }

    /// What could not be read counts as not read in the lineage too.
    fn attempt(&self, value: &'r Op, at: &Position<'r>) -> Result<Val<'r>, Fault> {
        let before = self.recorder.map(|recorder| recorder.borrow().mark());
        match self.evaluate(value, at) {
            Err(Fault::Invalid(_)) => {
                if let (Some(recorder), Some(before)) = (self.recorder, before) {
                    recorder.borrow_mut().forget_since(&before);
                }
                Ok(Val::Absent)
            }
            known => known,
        }
    }

    /// Whether every part holds, or every part does not; stops at the first that differs.
    fn all_hold(&self, parts: &'r [Op], wanted: bool, at: &Position<'r>) -> Result<bool, Fault> {
        for part in parts {
            if self.evaluate(part, at)?.holds() != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn values(&self, parts: &'r [Op], at: &Position<'r>) -> Result<Vec<Val<'r>>, Fault> {
        let mut values = Vec::with_capacity(parts.len());
        for part in parts {
            values.push(self.evaluate(part, at)?);
        }
        Ok(values)
    }

    fn variable(&self, variable: Variable, at: &Position<'r>) -> Val<'r> {
        let context = self.environment.context;
        match variable {
            Variable::MessageId => Val::from(context.message_id.as_str()),
            Variable::Source => Val::from(context.source.as_str()),
            Variable::ReceivedAt => Val::from(egyptian_time(context.received_at)),
            Variable::Index => Val::Number(Cow::Owned(at.number.to_string())),
        }
    }

    /// The same for the same place, however it was come to: the segments in hand and the field in hand, or the way
    /// to the JSON value in hand.
    fn place(&self, at: &Position<'r>) -> String {
        let segments = at.scope.map(|scope| scope.segment_range()).unwrap_or_default();
        match (at.item, self.ground) {
            (Item::Field(field), _) => format!("{}-{} {:?}", segments.start, segments.end, field.value.span()),
            (Item::Json(json), Ground::Json(root) | Ground::Xml(root)) => json_path::place_of(json, root),
            (Item::Nothing | Item::Json(_), _) => format!("{}-{}", segments.start, segments.end),
        }
    }

    fn field(&self, path: &adapters::hl7v2::Path, datatype: DataType, all: bool, at: &Position<'r>) -> Val<'r> {
        let (Ground::Hl7(message), Some(scope)) = (self.ground, at.scope) else { return Val::Absent };
        if all {
            let values = message.find_all(&scope, path);
            if let Some(recorder) = self.recorder {
                let spans = values.iter().filter(|value| !value.is_empty()).map(|value| value.span());
                recorder.borrow_mut().read_field(&path.to_string(), spans);
            }
            return Val::List(values.into_iter().map(|value| Val::Field(Field { value, datatype })).collect());
        }
        let value = message.find(&scope, path);
        if value.is_empty() {
            return Val::Absent;
        }
        if let Some(recorder) = self.recorder {
            recorder.borrow_mut().read_field(&path.to_string(), std::iter::once(value.span()));
        }
        Val::Field(Field { value, datatype })
    }

    fn part(&self, component: u16, subcomponent: u16, datatype: DataType, at: &Position<'r>) -> Val<'r> {
        let Item::Field(field) = at.item else { return Val::Absent };
        let value = match (component, subcomponent) {
            (0, _) => field.value,
            (component, 0) => field.value.component(component),
            (component, subcomponent) => field.value.component(component).subcomponent(subcomponent),
        };
        if value.is_empty() {
            return Val::Absent;
        }
        if let Some(recorder) = self.recorder {
            let path = [component, subcomponent]
                .iter()
                .filter(|number| **number > 0)
                .fold(String::new(), |path, number| format!("{path}.{number}"));
            recorder.borrow_mut().read_field(if path.is_empty() { "." } else { &path }, std::iter::once(value.span()));
        }
        Val::Field(Field { value, datatype })
    }

    fn json(&self, path: &super::json_path::JsonPath, all: bool, at: &Position<'r>) -> Val<'r> {
        let (root, is_xml) = match self.ground {
            Ground::Json(root) => (root, false),
            Ground::Xml(root) => (root, true),
            Ground::Hl7(_) => return Val::Absent,
        };
        let start = if path.from_root { root } else { at.json(root) };
        let mut found = if all { path.find_all(start) } else { path.find(start).into_iter().collect() };
        if is_xml {
            let one = |json: &'r Json| json.as_array().map_or(Some(json), |items| items.first());
            found = found.into_iter().filter_map(one).map(json_path::own_text).collect();
        }
        if let Some(recorder) = self.recorder {
            recorder.borrow_mut().read_json(&path.to_string(), &found);
        }
        if all {
            Val::List(found.into_iter().map(Val::Json).collect())
        } else {
            found.first().map_or(Val::Absent, |json| Val::Json(json))
        }
    }

    fn call(&self, call: &'r Call, at: &Position<'r>) -> Result<Val<'r>, Fault> {
        let values = self.values(&call.arguments, at)?;
        if let Some(recorder) = self.recorder {
            recorder.borrow_mut().call(Called { function: call.function.name, table: call.table.clone() });
        }
        let (table, pattern) = (call.table.as_deref(), call.pattern.as_deref());
        call.function.call(Arguments { values, table, pattern, environment: self.environment })
    }
}

impl<'r> Position<'r> {
    /// The same place as another repetition.
    pub fn numbered(self, number: usize) -> Position<'r> {
        Position { number, ..self }
    }

    fn json(&self, root: &'r Json) -> &'r Json {
        match self.item {
            Item::Json(json) => json,
            Item::Nothing | Item::Field(_) => root,
        }
    }
}

/// Compares two values; of a list, whether any item meets it. Numbers compare as numbers when one side is
/// one, texts letter by letter.
fn compare(left: &Val<'_>, comparison: Comparison, right: &Val<'_>) -> bool {
    if comparison == Comparison::NotEqual {
        return !compare(left, Comparison::Equal, right);
    }
    match (left, right) {
        (Val::List(items), _) => return items.iter().any(|item| compare(item, comparison, right)),
        (Val::Json(Json::Array(items)), _) => {
            return items.iter().any(|item| compare(&Val::Json(item), comparison, right));
        }
        (_, Val::List(items)) => return items.iter().any(|item| compare(left, comparison, item)),
        (_, Val::Json(Json::Array(items))) => {
            return items.iter().any(|item| compare(left, comparison, &Val::Json(item)));
        }
        _ => {}
    }
    let (Some(left_text), Some(right_text)) = (left.text(), right.text()) else {
        // `= ""` asks whether the other side is empty.
        let is_asked = matches!(left, Val::Text(_)) || matches!(right, Val::Text(_));
        return comparison == Comparison::Equal && is_asked && left.is_empty() && right.is_empty();
    };
    let (left_text, right_text) = (left_text.trim(), right_text.trim());
    if comparison == Comparison::Like {
        return is_like(left_text, right_text);
    }
    let numbers = if is_number(left) || is_number(right) { compare_numbers(left_text, right_text) } else { None };
    let order = numbers.unwrap_or_else(|| left_text.cmp(right_text));
    match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
        Comparison::NotEqual | Comparison::Like => false,
    }
}

fn is_number(value: &Val<'_>) -> bool {
    matches!(value, Val::Number(_) | Val::Json(Json::Number(_)))
}

/// Whether the text has the pattern's parts in order; `*` stands for any letters. Linear: each part is
/// looked for once, from the end of the one before.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').map_or((None, rest), |(middle, last)| (Some(middle), last));
    for part in middle.into_iter().flat_map(|middle| middle.split('*')) {
        let Some((_, after)) =
            text.split_once(part).filter(|_| !part.is_empty()).or(Some(("", text)).filter(|_| part.is_empty()))
        else {
            return false;
        };
        text = after;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_numbers_only_when_one_is() {
        let text = |text: &'static str| Val::from(text);
        let number = |number: &'static str| Val::Number(number.into());
        assert!(compare(&text("10"), Comparison::Greater, &number("9")));
        assert!(!compare(&text("10"), Comparison::Greater, &text("9")));
        assert!(compare(&text("1.0"), Comparison::Equal, &number("1")));
        assert!(!compare(&text("1.0"), Comparison::Equal, &text("1")));
        assert!(compare(&Val::Absent, Comparison::Equal, &text("")));
        assert!(!compare(&Val::Absent, Comparison::NotEqual, &text("")));
        assert!(!compare(&text("x"), Comparison::Equal, &text("")));
        assert!(!compare(&Val::Absent, Comparison::Equal, &Val::Absent));
        assert!(compare(&Val::Absent, Comparison::NotEqual, &text("x")));
        assert!(compare(&Val::List(vec![text("a"), text("b")]), Comparison::Equal, &text("b")));
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (text, pattern, expected) in [
            ("RDE", "RDE", true),
            ("RDE", "R*", true),
            ("RDE", "*E", true),
            ("RDE", "R*E", true),
            ("RDE", "*D*", true),
            ("RDE", "*X*", false),
            ("RDE", "RDE*", true),
            ("RDE", "*", true),
            ("", "*", true),
            ("RDE", "R*D*X", false),
            ("aa", "a*a*a", false),
            ("أحمد علي", "*علي", true),
        ] {
            assert_eq!(is_like(text, pattern), expected, "{text} like {pattern}");
        }
    }
}
