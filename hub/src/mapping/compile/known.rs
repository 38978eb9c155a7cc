//! What is known of the places that a JSON path leads through.
//!
//! In comes a path and what stands where it begins: a FHIR resource or data type, a place of an outline, or nothing
//! that is known. Out goes what it leads to and whether that is several, or the step that leads nowhere. Promised: a
//! path that is complained of finds nothing in any document that keeps to FHIR R4, or to the outline. Refused: nothing
//! is guessed; of a resource whose type nobody says, every element that some resource has may be there.

use std::ops::Range;

use adapters::csv;
use adapters::fhir::grammar::{self, Binding, Fault, Form, Kind, Structure, Unknown};

use super::Ground;
use crate::finding::{did_you_mean, one_of};
use crate::mapping::json_path::{JsonPath, Step};
use crate::mapping::outline::{Outline, Repeats};
use crate::mapping::plan::Leaf;

/// Names that a finding lists at most.
const LISTED_MAX: usize = 12;

/// What is known of a place.
#[derive(Clone, Copy, Debug)]
pub(in crate::mapping) enum Known<'g> {
    /// Nothing: a path may lead anywhere.
    Anything,
    /// That every value is a text, as in XML and CSV.
    Texts,
    /// What an outline says. Of XML and CSV, every value is a text.
    Outline { outline: &'g Outline, is_text: bool },
    /// A resource, a data type, or a part of one.
    Fhir(&'static Structure),
    /// A value of this primitive type, with nothing below it.
    Value(&'static str, Form),
}

/// Where a path leads.
#[derive(Clone, Copy, Debug)]
pub(in crate::mapping) struct Led<'g> {
    pub known: Known<'g>,
    /// It gives several values: it asks for them, or it ends at a list.
    pub is_many: bool,
    /// The codes that may be there.
    pub binding: Option<Binding>,
}

/// A step that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mapping) struct Astray {
    /// Its bytes in the path.
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

impl Known<'_> {
    /// What a value there is.
    pub fn leaf(self) -> Leaf {
        match self {
            Known::Value(_, Form::Text) => Leaf::Text,
            Known::Value(_, Form::Number) => Leaf::Number,
            Known::Value(_, Form::Boolean) => Leaf::Boolean,
            Known::Fhir(structure) if matches!(structure.kind(), Kind::DataType | Kind::Profile) => {
                Leaf::Structure(structure.name())
            }
            Known::Texts | Known::Outline { is_text: true, .. } => Leaf::Text,
            Known::Fhir(_) | Known::Anything | Known::Outline { is_text: false, .. } => Leaf::Unknown,
        }
    }
}

impl<'g> Ground<'g> {
    /// Where a path leads from here.
    pub(in crate::mapping) fn lead(&self, path: &JsonPath) -> Result<Led<'g>, Astray> {
        let mut walk = Walk::from(if path.from_root { self.root } else { self.known });
        for (step, span) in path.steps() {
            walk.step(step).map_err(|wrong| Astray { span, message: wrong.0, help: wrong.1 })?;
        }
        // In XML, a name without a number is that of the first element.
        let is_first = matches!(walk.place.known, Known::Outline { is_text: true, .. });
        let is_many = walk.is_many || (walk.place.is_list == Some(true) && !is_first);
        Ok(Led { known: walk.place.known, is_many, binding: walk.place.binding })
    }
}

/// What is wrong with a step, and what to write.
type Wrong = (String, Option<String>);

/// A place on the way.
#[derive(Clone, Copy)]
struct Place<'g> {
    known: Known<'g>,
    /// Whether it is a list, of which no item was chosen; none if nobody knows.
    is_list: Option<bool>,
    binding: Option<Binding>,
}

/// A path on its way through a document.
struct Walk<'p, 'g> {
    place: Place<'g>,
    /// The path asked for several.
    is_many: bool,
    /// The name of the step before.
    name: &'p str,
    /// The element whose resource is of a type that a condition asked for: `resource` behind
    /// `entry[resource.resourceType = "Patient"]`.
    promised: Option<(&'p str, &'static Structure)>,
}

impl<'p, 'g> Walk<'p, 'g> {
    fn from(known: Known<'g>) -> Walk<'p, 'g> {
        let is_list = if matches!(known, Known::Anything | Known::Texts) { None } else { Some(false) };
        Walk { place: Place { known, is_list, binding: None }, is_many: false, name: "", promised: None }
    }

    fn step(&mut self, step: &'p Step) -> Result<(), Wrong> {
        match step {
            Step::Name(name) => {
                self.place = below(self.place.known, name)?;
                let promised = self.promised.take().filter(|(element, _)| element == name);
                if let Some((_, structure)) = promised {
                    self.place.known = Known::Fhir(structure);
                }
                self.name = name;
            }
            Step::Index(_) => self.choose()?,
            Step::Every => {
                self.choose()?;
                self.is_many = true;
            }
            Step::Where { names, equal, text } => {
                self.choose()?;
                self.condition(names, *equal, text)?;
            }
        }
        Ok(())
    }

    /// One item of a list, or each of them.
    fn choose(&mut self) -> Result<(), Wrong> {
        if self.place.is_list == Some(false) {
            let message = format!("`{}` is no list", self.name);
            return Err((message, Some("leave the brackets out".to_owned())));
        }
        self.place.is_list = self.place.is_list.map(|_| false);
        Ok(())
    }

    /// `[resource.resourceType = "Patient"]`
    fn condition(&mut self, names: &'p [String], equal: bool, text: &str) -> Result<(), Wrong> {
        let mut asked = self.place;
        for name in names {
            asked = below(asked.known, name)?;
        }
        let (Some((last, before)), Known::Fhir(_)) = (names.split_last(), self.place.known) else { return Ok(()) };
        if last == "resourceType" && equal {
            let structure = grammar::resource(text).ok_or_else(|| {
                let help = did_you_mean(text, grammar::resource_names());
                (format!("FHIR R4 has no resource `{text}`"), help)
            })?;
            match before {
                [] => self.place.known = Known::Fhir(structure),
                [element] => self.promised = Some((element, structure)),
                [_, _, ..] => {}
            }
        }
        Ok(())
    }
}

/// The element of a name below a place.
fn below<'g>(known: Known<'g>, name: &str) -> Result<Place<'g>, Wrong> {
    let of = |place| Place { known: place, is_list: None, binding: None };
    match known {
        Known::Anything => Ok(of(Known::Anything)),
        Known::Texts => Ok(of(Known::Texts)),
        Known::Value(kind, _) => Err((format!("`{name}` stands below a value ({kind})"), None)),
        Known::Outline { outline, is_text } => in_outline(outline, is_text, name),
        Known::Fhir(structure) => match structure.resolve(name) {
            Ok(found) => {
                let primitive = found.primitive().map(|primitive| Known::Value(found.kind.name, primitive.form()));
                let inside = found.structure().map(Known::Fhir).or(primitive);
                let is_list = Some(found.is_list());
                Ok(Place { known: inside.unwrap_or(Known::Anything), is_list, binding: found.binding() })
            }
            Err(Unknown { fault: Fault::AnyResource, .. }) => Ok(of(Known::Anything)),
            Err(unknown) => Err((unknown.to_string(), instead(&unknown))),
        },
    }
}

fn in_outline<'g>(outline: &'g Outline, is_text: bool, name: &str) -> Result<Place<'g>, Wrong> {
    if name == csv::NUMBER {
        return Ok(Place { known: Known::Value("integer", Form::Number), is_list: Some(false), binding: None });
    }
    let Some(part) = outline.part(name) else {
        let names = || outline.parts().map(|(own, _)| own);
        let few = (1..=LISTED_MAX).contains(&names().count());
        let help = did_you_mean(name, names()).or_else(|| few.then(|| format!("there are {}", one_of(names()))));
        return Err((format!("the outline has no `{name}` here"), help));
    };
    let is_list = match part.repeats {
        Repeats::Yes => Some(true),
        Repeats::No => Some(false),
        Repeats::Perhaps => None,
    };
    Ok(Place { known: Known::Outline { outline: &part.inside, is_text }, is_list, binding: None })
}

/// What may have been meant.
fn instead(unknown: &Unknown) -> Option<String> {
    let names = || unknown.names.iter().map(String::as_str);
    match unknown.fault {
        Fault::ChoiceWithoutType | Fault::NoSuchType { .. } => Some(format!("write {}", one_of(names()))),
        Fault::Malformed
        | Fault::NoElement
        | Fault::Forbidden
        | Fault::IndexMissing
        | Fault::NoList
        | Fault::BelowValue { .. }
        | Fault::AnyResource => did_you_mean(&unknown.step, names()).or_else(|| {
            let few = (1..=LISTED_MAX).contains(&unknown.names.len());
            few.then(|| format!("there are {}", one_of(names())))
        }),
    }
}
