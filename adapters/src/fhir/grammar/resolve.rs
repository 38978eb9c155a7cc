//! Target paths: from `dosageInstruction[0].doseAndRate[0].doseQuantity.value` to the element it is.

use std::fmt;
use std::ops::Range;

use super::{Binding, Element, ElementType, Kind, Primitive, Structure, resource_names, structure};

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub struct Resolved<'p> {
    /// The path of the place above, as it is written; empty at the root.
    pub parent: &'p str,
    /// What the place above is.
    pub within: &'static Structure,
    /// The element. That it is required counts where the place above is written.
    pub element: &'static Element,
    /// Its type: of a choice, the one that the path names.
    pub kind: &'static ElementType,
    /// The index of the last step.
    pub index: Option<usize>,
    /// It is the property beside a primitive value: `_birthDate`.
    pub is_beside: bool,
    /// The elements below it.
    below: Option<&'static Structure>,
}

/// What is wrong with a path, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The bytes of the path that are wrong: one step of it.
    pub span: Range<usize>,
    /// That step.
    pub step: String,
    /// The structure that the step is looked for in: `Dosage.doseAndRate`.
    pub within: &'static str,
    /// What is wrong.
    pub fault: Fault,
    /// What could stand there. For [`Fault::AnyResource`] the types of resources that have such an element.
    pub names: Vec<String>,
}

/// The ways in which a step can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not a name with an index behind it or without.
    Malformed,
    /// There is no such element.
    NoElement,
    /// A choice without its type: `medication`, `medication[x]`.
    ChoiceWithoutType,
    /// A choice that has no such type: `medicationString`.
    NoSuchType { choice: &'static str },
    /// A profile takes the element away: a `SimpleQuantity` has no `comparator`.
    Forbidden,
    /// A list, and the path goes on below it: one of its items must be named.
    IndexMissing,
    /// An index behind what is no list.
    NoList,
    /// A step below a value of this primitive type.
    BelowValue { primitive: &'static str },
    /// An element of some types of resources below a place for any of them, and nothing says which it is.
    AnyResource,
}

/// One step of a path: `doseAndRate[0]`.
struct Step<'p> {
    text: &'p str,
    /// Where it begins, in bytes.
    at: usize,
    name: &'p str,
    index: Option<usize>,
    is_last: bool,
}

impl Structure {
    /// What a path from here leads to. Below `contained[0]` or `entry[0].resource` it knows only what all
    /// resources have.
    pub fn resolve<'p>(&'static self, path: &'p str) -> Result<Resolved<'p>, Unknown> {
        self.resolve_with(path, &|_| None)
    }

    /// What a path from here leads to. `resources` says of a place for any resource, by its path
    /// (`contained[0]`), which type the resource there has.
    pub fn resolve_with<'p>(
        &'static self,
        path: &'p str,
        resources: &dyn Fn(&str) -> Option<&'static Structure>,
    ) -> Result<Resolved<'p>, Unknown> {
        let mut within = self;
        let mut at = 0_usize;
        loop {
            let step = Step::read(path, at).map_err(|step| step.unknown(within, Fault::Malformed, Vec::new()))?;
            let mut place = step.find(within)?;
            place.parent = path.get(..at.saturating_sub(1)).unwrap_or_default();
            let end = at.saturating_add(step.text.len());
            if place.kind.name == "Resource" {
                let known = path.get(..end).and_then(resources);
                place.below = known.or(place.below);
            }
            if step.is_last {
                return Ok(place);
            }
            within = step.enter(&place)?;
            at = end.saturating_add(1);
        }
    }
}

impl<'p> Step<'p> {
    /// The step that begins at a byte of the path; as an error if it is none.
    fn read(path: &'p str, at: usize) -> Result<Step<'p>, Step<'p>> {
        let rest = path.get(at..).unwrap_or_default();
        let text = rest.split('.').next().unwrap_or_default();
        let (name, index) = match text.split_once('[') {
            None => (text, Some(None)),
            Some((name, "x]")) => (name, Some(None)),
            Some((name, index)) => (name, index.strip_suffix(']').and_then(|digits| digits.parse().ok()).map(Some)),
        };
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let step = Step { text, at, name, index: index.flatten(), is_last: text.len() == rest.len() };
        if is_name && index.is_some() { Ok(step) } else { Err(step) }
    }

    /// The element that the step names.
    fn find(&self, within: &'static Structure) -> Result<Resolved<'p>, Unknown> {
        let is_general = self.text.ends_with("[x]");
        let Some(written) = within.written(self.name).filter(|_| !is_general) else {
            return Err(self.not_found(within));
        };
        if self.index.is_some() && !written.element.repeats {
            return Err(self.unknown(within, Fault::NoList, vec![self.name.to_owned()]));
        }
        Ok(Resolved {
            parent: "",
            within,
            element: written.element,
            kind: written.kind,
            index: self.index,
            is_beside: written.is_beside,
            below: written.kind.structure(),
        })
    }

    /// The structure below what the step names.
    fn enter(&self, place: &Resolved<'p>) -> Result<&'static Structure, Unknown> {
        let within = place.within;
        if place.is_list() {
            return Err(self.unknown(within, Fault::IndexMissing, vec![format!("{}[0]", self.name)]));
        }
        place.below.ok_or_else(|| {
            let fault = Fault::BelowValue { primitive: place.kind.name };
            self.unknown(within, fault, vec![format!("_{}", self.text)])
        })
    }

    /// Why there is no such element.
    fn not_found(&self, within: &'static Structure) -> Unknown {
        if within.element(self.name).is_some_and(|element| element.is_forbidden) {
            return self.unknown(within, Fault::Forbidden, within.written_names().collect());
        }
        for choice in within.elements().filter(|element| element.is_choice) {
            let Some(after) = self.name.strip_prefix(choice.name) else { continue };
            if after.is_empty() {
                return self.unknown(within, Fault::ChoiceWithoutType, choice.written_names().collect());
            }
            if after.starts_with(|letter: char| letter.is_ascii_uppercase()) {
                let fault = Fault::NoSuchType { choice: choice.name };
                return self.unknown(within, fault, choice.written_names().collect());
            }
        }
        if within.kind() == Kind::Abstract && within.is_resource() {
            let types: Vec<String> = resource_names()
                .filter(|name| structure(name).is_some_and(|resource| resource.written(self.name).is_some()))
                .map(str::to_owned)
                .collect();
            if !types.is_empty() {
                return self.unknown(within, Fault::AnyResource, types);
            }
        }
        self.unknown(within, Fault::NoElement, within.written_names().collect())
    }

    fn unknown(&self, within: &'static Structure, fault: Fault, names: Vec<String>) -> Unknown {
        let span = self.at..self.at.saturating_add(self.text.len());
        Unknown { span, step: self.text.to_owned(), within: within.name(), fault, names }
    }
}

// === impl Resolved ===

impl Resolved<'_> {
    /// As the standard names it: `MedicationRequest.medication[x]`.
    pub fn definition(&self) -> String {
        let choice = if self.element.is_choice { "[x]" } else { "" };
        format!("{}.{}{choice}", self.within.name(), self.element.name)
    }

    /// The place takes a list: a repeating element, and the path names none of its items.
    pub fn is_list(&self) -> bool {
        self.element.repeats && self.index.is_none()
    }

    /// The elements below it. Of a resource whose type nobody knows, those that all resources have.
    pub fn structure(&self) -> Option<&'static Structure> {
        self.below
    }

    /// Its type as a primitive, if it is one.
    pub fn primitive(&self) -> Option<Primitive> {
        self.kind.primitive()
    }

    /// The codes that it takes, if they are required or extensible.
    pub fn binding(&self) -> Option<Binding> {
        self.element.binding.filter(|_| !self.is_beside)
    }
}

// === impl Unknown ===

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unknown { step, within, fault, .. } = self;
        match fault {
            Fault::Malformed => write!(f, "`{step}` is no element"),
            Fault::NoElement => write!(f, "{within} has no element `{step}`"),
            Fault::ChoiceWithoutType => write!(f, "`{step}` of {within} is written with its type"),
            Fault::NoSuchType { choice } => write!(f, "`{step}` has none of the types of {within}.{choice}[x]"),
            Fault::Forbidden => write!(f, "a {within} may not have `{step}`"),
            Fault::IndexMissing => write!(f, "`{step}` of {within} is a list, and the path goes on below it"),
            Fault::NoList => write!(f, "`{step}` has an index, and in {within} it is no list"),
            Fault::BelowValue { primitive } => write!(f, "`{step}` of {within} is a value ({primitive})"),
            Fault::AnyResource => write!(f, "`{step}` belongs to some resources, and nothing says which one this is"),
        }
    }
}

impl std::error::Error for Unknown {}

#[cfg(test)]
mod tests;
