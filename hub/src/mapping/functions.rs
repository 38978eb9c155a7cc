//! The functions of the mapping language.
//!
//! In come the values of a call's arguments; out goes one value, or what is wrong with them. Promised:
//! functions depend on their arguments, the tables and the context only; each has its documentation and
//! an example that runs as a test. Refused: values that a function cannot read, with the reason.

mod coded;
mod identity;
mod list;
pub(super) mod money;
mod number;
pub(super) mod pattern;
mod person;
mod text;
mod time;
mod timing;

use std::borrow::Cow;
use std::cell::OnceCell;

use adapters::hl7v2;

pub(super) use text::{NULL, joined};
pub(super) use time::{egyptian_hl7_time, egyptian_time, is_hl7_time};

use super::context::Context;
use super::error::Fault;
use super::tables::Table;
use super::value::Val;

/// One function of the language.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Its parameters; the first is what is piped in.
    pub parameters: &'static [Parameter],
    /// What it gives.
    pub returns: Kind,
    /// What it does, for people.
    pub doc: &'static str,
    /// A call that shows it; runs as a test.
    pub example: Example,
    /// Whether it can refuse a value.
    pub may_fail: bool,
    /// What it does with an empty or a repeated first argument.
    pub(super) takes: Takes,
    pub(super) run: for<'r> fn(&mut Arguments<'r>) -> Result<Val<'r>, Fault>,
}

/// One parameter of a function.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in the documentation.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// How often it is given.
    pub arity: Arity,
}

/// How often a parameter is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Once.
    One,
    /// Once or not at all.
    Optional,
    /// Any number of times, at least once.
    Many,
}

/// Kinds of values, as far as they are known before a message comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    #[default]
    Any,
    /// A field, a text, a number or a boolean.
    Value,
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A FHIR datatype with elements.
    Structure,
    /// A text that is written out in the expression.
    Word,
    /// The name of a table, written out.
    Table,
    /// A regular expression, written out.
    Pattern,
}

impl Kind {
    /// The word for it in documentation and findings.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Any => "anything",
            Kind::Value => "a value",
            Kind::Text => "a text",
            Kind::Number => "a number",
            Kind::Boolean => "true or false",
            Kind::Structure => "a structure",
            Kind::Word => "a text in quotes",
            Kind::Table => "the name of a table in quotes",
            Kind::Pattern => "a pattern in quotes",
        }
    }
}

/// An example: an expression over a small document, and what it gives as JSON.
#[derive(Debug)]
pub struct Example {
    /// Segments after a standard MSH, or a JSON document.
    pub given: &'static str,
    /// The expression.
    pub expression: &'static str,
    /// What it gives; empty for nothing.
    pub gives: &'static str,
}

/// What a function does with its first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Each value of a list alone; nothing for an empty one.
    Each,
    /// The first argument as it is: empty, or a whole list.
    Whole,
}

/// The values of one call.
pub(super) struct Arguments<'r> {
    pub values: Vec<Val<'r>>,
    /// The table that the call names, if it names one.
    pub table: Option<&'r Table>,
    /// The pattern that the call names, if it names one.
    pub pattern: Option<&'r regex::Regex>,
    pub environment: &'r Environment<'r>,
}

/// What functions know beside their arguments.
#[derive(Debug)]
pub(super) struct Environment<'r> {
    pub context: &'r Context,
    pub message: Option<hl7v2::Message<'r>>,
    /// The table `systems`: names of authorities and code systems to URIs.
    pub systems: Option<&'r Table>,
    /// The table `units`: units to UCUM.
    pub units: Option<&'r Table>,
    /// `urn:hl7v2:FACILITY:`, once somebody asked.
    pub local_prefix: OnceCell<String>,
}

impl<'r> Arguments<'r> {
    /// Takes an argument by its place.
    pub fn take(&mut self, place: usize) -> Val<'r> {
        self.values.get_mut(place).map_or(Val::Absent, |value| std::mem::replace(value, Val::Absent))
    }

    /// An argument as text; `None` when it is empty.
    pub fn text(&self, place: usize) -> Option<Cow<'r, str>> {
        self.values.get(place).and_then(Val::text)
    }

    /// An argument that is written out in the expression, blanks and all.
    pub fn word(&self, place: usize) -> Option<Cow<'r, str>> {
        self.values.get(place).and_then(Val::spoken)
    }

    fn put(&mut self, place: usize, value: Val<'r>) {
        if let Some(slot) = self.values.get_mut(place) {
            *slot = value;
        }
    }
}

impl<'r> Environment<'r> {
    /// The URI of an authority or code system by its name in the table `systems`.
    pub fn system(&self, name: &str) -> Option<&'r str> {
        match self.systems?.row(name)? {
            super::tables::Row::Text(uri) => Some(uri),
            super::tables::Row::Number(_) | super::tables::Row::Boolean(_) | super::tables::Row::Coding(_) => None,
        }
    }

    /// The URI of a name that is known only inside the sending facility.
    pub fn local_system(&self, name: &str) -> String {
        let prefix = self.local_prefix.get_or_init(|| {
            let facility = self.message.and_then(|message| hd_name(message.header().sending_facility()));
            let mut prefix = "urn:hl7v2:".to_owned();
            add_urn_part(&mut prefix, facility.as_deref().unwrap_or("unknown"));
            prefix.push(':');
            prefix
        });
        let mut system = String::with_capacity(prefix.len().saturating_add(name.len()));
        system.push_str(prefix);
        add_urn_part(&mut system, name);
        system
    }

    /// The URI of the sending application as an authority of its own.
    pub fn sender_system(&self) -> Option<String> {
        let application = hd_name(self.message?.header().sending_application())?;
        Some(self.local_system(&application))
    }
}

/// The namespace of an HD, or its universal id.
fn hd_name(field: hl7v2::Value<'_>) -> Option<Cow<'_, str>> {
    [1, 2].into_iter().map(|number| field.component(number).text()).find(|text| !text.trim().is_empty())
}

/// Adds a text as part of a URN (RFC 8141): everything but letters, digits and `-._~` in percent form.
fn add_urn_part(part: &mut String, text: &str) {
    for byte in text.trim().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            part.push(char::from(byte));
        } else {
            part.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Every function, by chapters of the documentation.
pub fn catalogue() -> impl Iterator<Item = &'static Function> {
    [
        text::FUNCTIONS,
        pattern::FUNCTIONS,
        number::FUNCTIONS,
        money::FUNCTIONS,
        time::FUNCTIONS,
        list::FUNCTIONS,
        coded::FUNCTIONS,
        identity::FUNCTIONS,
        person::FUNCTIONS,
        timing::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}

/// The function of this name.
pub(super) fn function(name: &str) -> Option<&'static Function> {
    catalogue().find(|function| function.name == name)
}

impl Function {
    /// How many arguments it takes, at least and at most.
    pub fn argument_count(&self) -> (usize, usize) {
        let least = self.parameters.iter().filter(|parameter| parameter.arity != Arity::Optional).count();
        let endless = self.parameters.iter().any(|parameter| parameter.arity == Arity::Many);
        (least, if endless { usize::MAX } else { self.parameters.len() })
    }

    /// The parameter that takes the argument at `place`.
    pub fn parameter(&self, place: usize) -> Option<&'static Parameter> {
        let last = self.parameters.last().filter(|parameter| parameter.arity == Arity::Many);
        self.parameters.get(place).or(last)
    }

    /// How a call is written: `quantity(value, [unit])`.
    pub fn signature(&self) -> String {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|parameter| match parameter.arity {
                Arity::One => parameter.name.to_owned(),
                Arity::Optional => format!("[{}]", parameter.name),
                Arity::Many => format!("{}...", parameter.name),
            })
            .collect();
        format!("{}({})", self.name, parameters.join(", "))
    }

    /// Calls it.
    pub(super) fn call<'r>(&self, mut arguments: Arguments<'r>) -> Result<Val<'r>, Fault> {
        if self.takes == Takes::Whole {
            return (self.run)(&mut arguments);
        }
        let first = arguments.take(0);
        if !first.is_list() {
            if first.is_empty() {
                return Ok(Val::Absent);
            }
            arguments.put(0, first);
            return (self.run)(&mut arguments);
        }
        let rest = arguments.values.split_off(1.min(arguments.values.len()));
        let mut results = Vec::new();
        for item in first.into_items().into_iter().filter(|item| !item.is_empty()) {
            let mut values = vec![item];
            values.extend(rest.iter().cloned());
            let mut each = Arguments { values, ..arguments };
            let result = (self.run)(&mut each)?;
            if !result.is_empty() {
                results.push(result);
            }
        }
        Ok(Val::List(results))
    }
}

const fn one(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, arity: Arity::One }
}

const fn optional(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, arity: Arity::Optional }
}

const fn many(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, arity: Arity::Many }
}

#[cfg(test)]
mod tests;
