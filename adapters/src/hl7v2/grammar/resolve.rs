//! What a path means in a message of a version: the field, its type and table, and where its segment stands.
//!
//! In come a version, a structure and a [`Path`]; out comes what the path names, or which part of it is
//! unknown and what could stand there. Local segments (Z) have no grammar and are never unknown; nor is
//! anything inside a field whose type varies. Component 1 of a simple type is the value itself, for a newer
//! version may give the place more components (HL7 v2.5.1 section 2.8).

use std::fmt;

use super::definitions::{Definition, Element, Usage, VARIES};
use super::facts::Grammar;
use super::messages::{MessageStructure, Place, Step};
use super::tables::{self, Table};
use super::version::Version;
use crate::hl7v2::path::{self, FieldStep, Path, Repetition};

/// What a path names.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The version by which it is known.
    pub version: Version,
    /// The structure of the message.
    pub structure: &'static str,
    /// Every place of the segment that the groups of the path allow, in the order of the standard. None for a
    /// local segment.
    pub places: Vec<Place>,
    /// The segment; `None` for a local one.
    pub segment: Option<&'static Definition>,
    /// The field, if the path names one that has a definition.
    pub field: Option<&'static Element>,
    /// The component, if the path names one that has a definition.
    pub component: Option<&'static Element>,
    /// The subcomponent, if the path names one that has a definition.
    pub subcomponent: Option<&'static Element>,
    /// What a condition looks at: component 5 for `PID-3[.5 = "NI"]`.
    pub condition: Option<&'static Element>,
    /// The field repeats, and the path chooses neither one repetition nor those of a condition.
    pub leaves_repetitions: bool,
}

impl Resolved {
    /// The innermost field, component or subcomponent that has a definition.
    pub fn element(&self) -> Option<&'static Element> {
        self.subcomponent.or(self.component).or(self.field)
    }

    /// The data type of the innermost; `None` for a whole or local segment.
    pub fn data_type(&self) -> Option<&'static str> {
        self.element().map(|element| element.data_type)
    }

    /// The table of the innermost, if the version names one.
    pub fn table(&self) -> Option<&'static Table> {
        tables::table(self.element()?.table?)
    }

    /// A message that has the segment must fill the place: field, component and subcomponent are required.
    pub fn is_required(&self) -> bool {
        let mut named = [self.field, self.component, self.subcomponent].into_iter().flatten().peekable();
        named.peek().is_some() && named.all(|element| element.usage == Usage::Required)
    }
}

/// The part of a path that a version does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Unknown {
    /// What kind of part.
    pub part: Part,
    /// The part as the path writes it: `ORDRE`, `RXZ`, `99`.
    pub name: String,
    /// Where it was looked for: `RDE_O11`, `ORDER`, `PID`, `PID-3 (CX)`; empty for a structure.
    pub within: String,
    /// By which version.
    pub version: Version,
    /// What could stand there, in the order of the standard.
    pub possible: Vec<Possible>,
}

impl Unknown {
    fn sentence(&self) -> String {
        let Unknown { part, name, within, version, .. } = self;
        match part {
            Part::Structure => format!("HL7 v{version} has no {part} {name}"),
            Part::Group | Part::Segment | Part::Field | Part::Component | Part::Subcomponent => {
                format!("{within} has no {part} {name} in HL7 v{version}")
            }
        }
    }
}

/// A part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The structure of the message itself.
    Structure,
    /// A group.
    Group,
    /// A segment.
    Segment,
    /// A field.
    Field,
    /// A component.
    Component,
    /// A subcomponent.
    Subcomponent,
}

/// What could stand where something unknown stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Possible {
    /// As a path writes it: `ORDER`, `RXE` or `3`.
    pub name: String,
    /// `Patient Identifier List`; empty for a group.
    pub text: &'static str,
}

/// Resolves a path in a message of a structure, `RDE_O11`, by a version; by the nearest version that knows
/// all of the path, if this one does not. [`Resolved::version`] says by which. What no version knows is
/// unknown as the asked version, or the nearest with such a structure, has it.
pub fn resolve(version: Version, structure: &str, path: &Path) -> Result<Resolved, Unknown> {
    let mut unknown: Option<Unknown> = None;
    for nearest in version.by_nearness() {
        let error = match Grammar::of(nearest).resolve(structure, path) {
            Ok(resolved) => return Ok(resolved),
            Err(error) => error,
        };
        let is_more_precise = |first: &Unknown| first.part == Part::Structure && error.part != Part::Structure;
        if unknown.as_ref().is_none_or(is_more_precise) {
            unknown = Some(error);
        }
    }
    Err(unknown.unwrap_or_else(|| Grammar::of(version).unknown_structure(structure)))
}

impl Grammar {
    /// Resolves a path in a message of a structure by this version alone.
    pub fn resolve(&'static self, structure: &str, path: &Path) -> Result<Resolved, Unknown> {
        let structure = self.structure(structure).ok_or_else(|| self.unknown_structure(structure))?;
        let innermost = self.group(structure, path)?;
        let mut resolved = Resolved {
            version: self.version(),
            structure: structure.name(),
            places: Vec::new(),
            segment: None,
            field: None,
            component: None,
            subcomponent: None,
            condition: None,
            leaves_repetitions: false,
        };
        if path.segment().starts_with('Z') {
            return Ok(resolved);
        }
        resolved.places =
            structure.places_where(|groups, step| step.name == path.segment() && are_around(path, groups));
        let known = self.segment(path.segment()).filter(|_| !resolved.places.is_empty());
        let segment = known.ok_or_else(|| self.unknown_segment(structure, innermost, path))?;
        resolved.segment = Some(segment);
        if let Some(step) = &path.field {
            self.field(segment, step, &mut resolved)?;
        }
        Ok(resolved)
    }

    /// The innermost group that the path names, or the first of them that is not in the one before.
    fn group<'p>(&self, structure: MessageStructure, path: &'p Path) -> Result<Option<&'p str>, Unknown> {
        let tree = structure.tree;
        let (mut around, mut innermost) = (vec![0], None);
        for name in path.groups() {
            let inside =
                || (0..tree.nodes.len()).filter(|place| around.iter().any(|node| tree.is_inside(*place, *node)));
            let named = |place: &usize| tree.node(*place).is_some_and(|node| node.name == name);
            let found: Vec<usize> = inside().filter(named).collect();
            if found.is_empty() {
                let mut possible = Vec::new();
                inside().filter_map(|place| tree.node(place)).for_each(|node| add(&mut possible, node.name, ""));
                let within = innermost.unwrap_or(structure.name()).to_owned();
                return Err(self.unknown(Part::Group, name, within, possible));
            }
            (around, innermost) = (found, Some(name));
        }
        Ok(innermost)
    }

    fn field(
        &'static self,
        segment: &'static Definition,
        step: &FieldStep,
        resolved: &mut Resolved,
    ) -> Result<(), Unknown> {
        let Some(field) = segment.element(step.number) else {
            return Err(self.unknown_element(Part::Field, step.number, segment.name.to_owned(), Some(segment)));
        };
        resolved.field = Some(field);
        let is_chosen = matches!(step.repetition, Repetition::Number(_) | Repetition::Where { .. });
        resolved.leaves_repetitions = field.repeats() && !is_chosen;
        let name = format!("{}-{}", segment.name, step.number);
        if let Repetition::Where { part, .. } = &step.repetition {
            let (component, subcomponent) = self.part(field, &name, *part)?;
            resolved.condition = subcomponent.or(component);
        }
        (resolved.component, resolved.subcomponent) = self.part(field, &name, step.part)?;
        Ok(())
    }

    /// Component and subcomponent of a field, as far as they have definitions.
    fn part(&'static self, field: &'static Element, name: &str, part: path::Part) -> Result<Parts, Unknown> {
        let (component, subcomponent) = match part {
            path::Part::Whole => return Ok((None, None)),
            path::Part::Component(component) => (component, None),
            path::Part::Subcomponent(component, subcomponent) => (component, Some(subcomponent)),
        };
        let found = self.inside(Part::Component, field, name, component)?;
        let Some(number) = subcomponent else { return Ok((found, None)) };
        // Component 1 of a simple type is the field itself, and so is subcomponent 1 of that.
        let around = found.unwrap_or(field);
        let inner = self.inside(Part::Subcomponent, around, &format!("{name}.{component}"), number)?;
        Ok((found, inner))
    }

    /// A part of what has this element's type: `None` if the type has no parts and the number is 1, or varies.
    fn inside(
        &'static self,
        part: Part,
        around: &Element,
        name: &str,
        number: u16,
    ) -> Result<Option<&'static Element>, Unknown> {
        let data_type = self.data_type(around.data_type);
        let is_simple = data_type.is_some_and(|data_type| data_type.elements.is_empty());
        if around.data_type == VARIES || is_simple && number == 1 {
            return Ok(None);
        }
        let found = data_type.and_then(|data_type| data_type.element(number));
        let within = || format!("{name} ({})", around.data_type);
        found.map(Some).ok_or_else(|| self.unknown_element(part, number, within(), data_type))
    }

    fn unknown(&self, part: Part, name: &str, within: String, possible: Vec<Possible>) -> Unknown {
        Unknown { part, name: name.to_owned(), within, version: self.version(), possible }
    }

    fn unknown_structure(&self, name: &str) -> Unknown {
        let possible = self.structure_names().map(|known| Possible { name: known.to_owned(), text: "" }).collect();
        self.unknown(Part::Structure, name, String::new(), possible)
    }

    fn unknown_segment(&self, structure: MessageStructure, innermost: Option<&str>, path: &Path) -> Unknown {
        let mut possible = Vec::new();
        for place in structure.places_where(|groups, _| are_around(path, groups)) {
            let name = place.segment.name;
            add(&mut possible, name, self.segment(name).map_or("", |segment| segment.text));
        }
        let within = innermost.unwrap_or(structure.name()).to_owned();
        self.unknown(Part::Segment, path.segment(), within, possible)
    }

    fn unknown_element(&self, part: Part, number: u16, within: String, around: Option<&Definition>) -> Unknown {
        let elements = around.into_iter().flat_map(|definition| &definition.elements);
        let possible =
            elements.map(|element| Possible { name: element.number.to_string(), text: element.text }).collect();
        self.unknown(part, &number.to_string(), within, possible)
    }
}

type Parts = (Option<&'static Element>, Option<&'static Element>);

/// The groups of the path are among these, in this order.
fn are_around(path: &Path, groups: &[Step]) -> bool {
    let mut groups = groups.iter();
    path.groups().all(|name| groups.any(|group| group.name == name))
}

fn add(possible: &mut Vec<Possible>, name: &str, text: &'static str) {
    if !possible.iter().any(|known| known.name == name) {
        possible.push(Possible { name: name.to_owned(), text });
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Structure => "structure",
            Part::Group => "group",
            Part::Segment => "segment",
            Part::Field => "field",
            Part::Component => "component",
            Part::Subcomponent => "subcomponent",
        })
    }
}

#[cfg(test)]
mod tests;
