//! Targets in FHIR, held against the grammar of R4.
//!
//! In come the targets of one level of a mapping with what is written there; out go findings: an element that the
//! type does not have, a value of another type than the element's, a code outside a required value set, a choice
//! that is written twice, a required element that nothing writes. Promised: a target that is not complained of
//! leads to an element of the type that is written there.

use std::sync::Arc;

use adapters::fhir::grammar::{Fault, Form, Missing, Resolved, Strength, Structure, Unknown, resource};

use super::Checker;
use super::given::{Given, given, is_asked, is_sure};
use crate::finding::{Code, Finding, SourceText, Text, codes, did_you_mean, one_of};
use crate::mapping::compile::Compiled;
use crate::mapping::parse::DeclaredRule;

/// Codes of a value set that a finding lists at most.
const LISTED_MAX: usize = 12;

/// What is written to one target.
pub(super) struct Write {
    target: Spot,
    expression: Text,
    given: Vec<Given>,
    /// It may give several values.
    is_many: bool,
    /// It does as soon as the message has them.
    repeats: bool,
    is_sure: bool,
    /// It is written only if its own condition holds.
    is_asked: bool,
}

impl Write {
    /// What a rule writes.
    pub fn of(rule: &DeclaredRule, origin: &Arc<SourceText>, compiled: &Compiled, guards: &[String]) -> Write {
        let (given, is_sure) = (given(&compiled.op), is_sure(&compiled.op, guards));
        // What comes out of JSON may be a list.
        let unknown_list = given.contains(&Given::Unknown);
        Write {
            target: Spot::new(&rule.target, origin),
            expression: rule.expression.clone(),
            given,
            is_many: compiled.is_many || unknown_list,
            repeats: compiled.is_many,
            is_sure,
            is_asked: is_asked(&compiled.op),
        }
    }

    fn path(&self) -> &str {
        &self.target.text.value
    }

    /// The type of the resource that stands at a place inside, if this says it: `contained[0].resourceType`.
    fn names_type(&self) -> Option<(&str, &'static Structure)> {
        let place = self.path().strip_suffix(".resourceType")?;
        match self.given.as_slice() {
            [Given::Literal(name)] => Some((place, resource(name)?)),
            _ => None,
        }
    }
}

/// A choice element that is written with one of its types.
struct Choice<'w> {
    parent: &'w str,
    name: &'static str,
    kind: &'static str,
    is_asked: bool,
}

/// What is written on one level.
pub(super) struct Written<'w> {
    /// By rules.
    pub writes: &'w [Write],
    /// Lists that blocks add to.
    pub lists: &'w [Spot],
    /// Where the level is declared.
    pub place: &'w Spot,
}

/// Something of a file.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub text: Text,
    pub origin: Arc<SourceText>,
}

impl Spot {
    pub fn new(text: &Text, origin: &Arc<SourceText>) -> Spot {
        Spot { text: text.clone(), origin: Arc::clone(origin) }
    }
}

/// The type of the resource at a place inside, if a rule says it.
fn type_at(writes: &[Write], place: &str) -> Option<&'static Structure> {
    writes.iter().filter_map(Write::names_type).find(|(at, _)| *at == place).map(|(_, found)| found)
}

impl Checker<'_> {
    /// Checks one level.
    pub(super) fn check_elements(&mut self, within: &'static Structure, written: &Written<'_>) {
        let types = |place: &str| type_at(written.writes, place);
        let mut choices: Vec<Choice<'_>> = Vec::new();
        for write in written.writes {
            self.compiler.source = Arc::clone(&write.target.origin);
            match within.resolve_with(&write.target.text.value, &types) {
                Err(unknown) => self.report_unknown(&write.target, &unknown),
                Ok(resolved) => {
                    self.check_choice(&resolved, write, &mut choices);
                    self.check_write(&resolved, write);
                }
            }
        }
        self.check_missing(within, written);
    }

    /// What the items of a list are that a block adds to.
    pub(super) fn items_of_list(
        &mut self,
        within: &'static Structure,
        list: &Spot,
        writes: &[Write],
    ) -> Option<&'static Structure> {
        self.compiler.source = Arc::clone(&list.origin);
        match within.resolve_with(&list.text.value, &|place: &str| type_at(writes, place)) {
            Err(unknown) => {
                self.report_unknown(list, &unknown);
                None
            }
            Ok(resolved) if !resolved.is_list() => {
                let message = format!("`{}` is one, and a block adds to a list", list.text.value);
                self.report(codes::ELEMENT_TYPE, list.text.span.clone(), message, None);
                None
            }
            Ok(resolved) => resolved.structure(),
        }
    }

    fn report_unknown(&mut self, target: &Spot, unknown: &Unknown) {
        let target = &target.text;
        let help = match &unknown.fault {
            Fault::IndexMissing => Some(format!("write an index: `{}[0]`", unknown.step)),
            Fault::NoList => Some("leave the index out".to_owned()),
            Fault::BelowValue { .. } => None,
            Fault::ChoiceWithoutType | Fault::NoSuchType { .. } => {
                Some(format!("write {}", one_of(unknown.names.iter().map(String::as_str))))
            }
            Fault::Malformed | Fault::NoElement | Fault::Forbidden | Fault::AnyResource => {
                let names = || unknown.names.iter().map(String::as_str);
                did_you_mean(&unknown.step, names()).or_else(|| {
                    let few = unknown.names.len() <= LISTED_MAX && !unknown.names.is_empty();
                    few.then(|| format!("there are {}", one_of(names())))
                })
            }
        };
        let place = target.place(&self.compiler.source, &unknown.span);
        self.report(codes::NO_ELEMENT, place, unknown.to_string(), help);
    }

    /// `value[x]` is written once, with one type, unless conditions say which.
    fn check_choice<'w>(&mut self, resolved: &Resolved<'w>, write: &Write, seen: &mut Vec<Choice<'w>>) {
        if !resolved.element.is_choice {
            return;
        }
        let this = Choice {
            parent: resolved.parent,
            name: resolved.element.name,
            kind: resolved.kind.name,
            is_asked: write.is_asked,
        };
        let is_same = |other: &Choice<'_>| (other.parent, other.name) == (this.parent, this.name);
        let are_asked = |other: &Choice<'_>| other.is_asked && this.is_asked;
        if seen.iter().any(|other| is_same(other) && other.kind != this.kind && !are_asked(other)) {
            let message = format!("{} is written with two types", resolved.definition());
            let help = Some("say when each of them is meant, as in `... if OBX-2 = \"NM\"`".to_owned());
            self.report(codes::WRITTEN_TWICE, write.target.text.span.clone(), message, help);
        }
        seen.push(this);
    }

    fn check_write(&mut self, resolved: &Resolved<'_>, write: &Write) {
        if resolved.is_list() && resolved.index.is_none() && !write.is_many {
            let last = resolved.definition();
            let message = format!("{last} is a list, and one value is written");
            let help = format!("write `{}[0]`", write.target.text.value);
            self.report(codes::ELEMENT_TYPE, write.target.text.span.clone(), message, Some(help));
        }
        if !resolved.is_list() && write.repeats {
            self.many_into_one(&write.target.text, &write.expression);
        }
        let mut told: Option<Code> = None;
        // An empty text is nothing, of any type.
        for one in write.given.iter().filter(|one| **one != Given::Literal(String::new())) {
            let Some((code, message, help)) = mismatch(resolved, one) else { continue };
            // One finding of a kind for a rule: a table may have a hundred such rows.
            if told != Some(code) {
                self.report(code, write.expression.span.clone(), message, help);
            }
            told = Some(code);
        }
    }

    fn check_missing(&mut self, within: &'static Structure, written: &Written<'_>) {
        let types = |place: &str| type_at(written.writes, place);
        let lists = written.lists.iter().map(|list| list.text.value.as_str());
        let all: Vec<&str> = written.writes.iter().map(Write::path).chain(lists).collect();
        let never = within.missing(&all, &types);
        for missing in &never {
            let (name, place) = (place_of(missing), self.place_of_parent(missing, written));
            let message = format!("{} must have `{}`, and no rule writes it", missing.within.name(), name);
            self.report_missing(&place, message, help_for(missing));
        }
        let sure: Vec<&str> = written.writes.iter().filter(|write| write.is_sure).map(Write::path).collect();
        let known = |missing: &Missing| never.iter().any(|other| std::ptr::eq(other.element, missing.element));
        for missing in within.missing(&sure, &types).iter().filter(|one| one.parent.is_empty() && !known(one)) {
            let name = place_of(missing);
            let by = written.writes.iter().find(|write| missing.element.written_names().any(|own| begins(write, &own)));
            let place = by.map_or(written.place.clone(), |write| Spot::new(&write.expression, &write.target.origin));
            let message = format!("{} must have `{name}`, and this may write nothing", missing.within.name());
            let help = "end it with `| required`, so that a message without it is refused".to_owned();
            self.report_missing(&place, message, Some(help));
        }
    }

    fn report_missing(&mut self, place: &Spot, message: String, help: Option<String>) {
        let finding = Finding::error(codes::ELEMENT_MISSING, &place.origin, place.text.span.clone(), message);
        self.missing.push(finding.with_help_if(help));
    }

    /// Where a missing element of a parent is told: at the first rule that writes into the parent.
    fn place_of_parent(&self, missing: &Missing, written: &Written<'_>) -> Spot {
        let inside = |target: &&Spot| !missing.parent.is_empty() && target.text.value.starts_with(&missing.parent);
        let targets = written.writes.iter().map(|write| &write.target).chain(written.lists);
        targets.into_iter().find(inside).unwrap_or(written.place).clone()
    }
}

/// Whether the write goes to the element `name` of the level, or into it.
fn begins(write: &Write, name: &str) -> bool {
    write.path().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn place_of(missing: &Missing) -> String {
    let choice = if missing.element.is_choice { "[x]" } else { "" };
    let dot = if missing.parent.is_empty() { "" } else { "." };
    format!("{}{dot}{}{choice}", missing.parent, missing.element.name)
}

fn help_for(missing: &Missing) -> Option<String> {
    let names: Vec<String> = missing.element.written_names().take(LISTED_MAX).collect();
    missing.element.is_choice.then(|| format!("write {}", one_of(names.iter().map(String::as_str))))
}

/// Why what is given cannot stand at the element.
fn mismatch(resolved: &Resolved<'_>, given: &Given) -> Option<(Code, String, Option<String>)> {
    let what = resolved.definition();
    let kind = resolved.kind.name;
    let wrong = |found: &str, help: Option<&str>| {
        Some((codes::ELEMENT_TYPE, format!("{what} is of type {kind}, and this is {found}"), help.map(str::to_owned)))
    };
    let Some(primitive) = resolved.primitive() else {
        return match given {
            Given::Unknown => None,
            Given::Null => wrong("the null of HL7 v2", Some("leave it out: what is empty is not written")),
            Given::Literal(_) | Given::Text => wrong("a text", function_for(kind)),
            Given::Number => wrong("a number", function_for(kind)),
            Given::Boolean => wrong("true or false", None),
            Given::Structure(name) if is_of(resolved, name) => None,
            Given::Structure(name) => wrong(&format!("a {name}"), None),
            Given::Reference(target) if is_of(resolved, "Reference") => {
                let leads = resolved.kind.may_lead_to(target);
                let targets = one_of(resolved.kind.targets.iter().copied());
                let message = format!("{what} does not lead to a {target}");
                (!leads).then(|| (codes::ELEMENT_TYPE, message, Some(format!("it leads to {targets}"))))
            }
            Given::Reference(_) => wrong("a Reference", None),
        };
    };
    match (given, primitive.form()) {
        (Given::Unknown, _)
        | (Given::Text, Form::Text)
        | (Given::Number, Form::Number)
        | (Given::Boolean, Form::Boolean) => None,
        (Given::Literal(text), Form::Text) => match primitive.judge(text) {
            Err(_) => wrong(&format!("`{text}`"), None),
            Ok(()) => outside(resolved, text),
        },
        (Given::Literal(_) | Given::Text, Form::Number) => {
            wrong("a text", Some("end it with `| decimal` or `| integer`"))
        }
        (Given::Literal(_) | Given::Text, Form::Boolean) => wrong("a text", Some("end it with `| boolean`")),
        (Given::Number, Form::Text | Form::Boolean) => wrong("a number", None),
        (Given::Boolean, Form::Text | Form::Number) => wrong("true or false", None),
        (Given::Null, _) => wrong("the null of HL7 v2", Some("leave it out: what is empty is not written")),
        (Given::Structure(name), _) => wrong(&format!("a {name}"), Some("write its parts one by one")),
        (Given::Reference(_), _) => wrong("a Reference", None),
    }
}

/// A code that the required value set of the element does not have.
fn outside(resolved: &Resolved<'_>, code: &str) -> Option<(Code, String, Option<String>)> {
    let binding = resolved.binding().filter(|binding| binding.strength == Strength::Required)?;
    let codes_of_set = binding.codes()?;
    if codes_of_set.may_have(None, code) {
        return None;
    }
    let names: Vec<&str> = codes_of_set.codes().collect();
    let help = did_you_mean(code, names.iter().copied())
        .or_else(|| (names.len() <= LISTED_MAX).then(|| format!("codes are {}", one_of(names.iter().copied()))));
    let message = format!("{} has no code `{code}` ({})", resolved.definition(), codes_of_set.name);
    Some((codes::NOT_IN_VALUE_SET, message, help))
}

/// Whether the element takes a structure of this name: its own type, or what its type is a profile of.
fn is_of(resolved: &Resolved<'_>, name: &str) -> bool {
    let mut structure = resolved.structure();
    while let Some(known) = structure {
        if known.name() == name {
            return true;
        }
        structure = known.base();
    }
    resolved.kind.name == name
}

/// The function that makes a structure of this type.
fn function_for(kind: &str) -> Option<&'static str> {
    match kind {
        "CodeableConcept" => Some("end it with `| codeable_concept`"),
        "Coding" => Some("end it with `| coding`"),
        "Identifier" => Some("end it with `| identifier`"),
        "Reference" => Some("end it with `| identifier | reference(\"Patient\")`, or what it leads to"),
        "HumanName" => Some("end it with `| human_name`"),
        "Address" => Some("end it with `| address`"),
        "ContactPoint" => Some("end it with `| telecom`"),
        "Quantity" | "SimpleQuantity" => Some("write `quantity(value, unit)`"),
        "Timing" => Some("use `timing`"),
        "Money" => Some("end it with `| money`, or write `money(amount, currency)`"),
        _ => None,
    }
}
