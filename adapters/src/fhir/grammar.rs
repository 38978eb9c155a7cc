//! The grammar of FHIR R4 (4.0.1): resources, data types, value sets.
//!
//! In come names and target paths as mappings write them, counted from 0; out go elements with their
//! cardinality, types and codes, or what exactly is wrong with a path. Promised: the tables are those of the
//! official definitions (`grammar/generate.py`), and one structure is read when it is first asked for.
//! Refused: nothing is guessed; a resource inside another needs its type ([`Structure::resolve_with`]).
//! Not known here: invariants, profiles, and code systems that others publish (mime types, currencies, UCUM).

mod missing;
mod primitive;
mod read;
mod resolve;
mod value_sets;

pub use missing::Missing;
pub use primitive::{Flaw, Form, Primitive};
pub use resolve::{Fault, Resolved, Unknown};
pub use value_sets::{System, ValueSet, value_set};

/// Longest chain of bases: `SimpleQuantity`, `Quantity`, `Element`.
const BASES_MAX: usize = 4;

/// Something that has elements: a resource, a data type, or a part of one that has no type of its own
/// (`Claim.item`).
#[derive(Debug)]
pub struct Structure {
    name: &'static str,
    kind: Kind,
    base: Option<&'static str>,
    /// Without those of the base.
    elements: Vec<Element>,
}

/// What a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `Patient`
    Resource,
    /// `HumanName`
    DataType,
    /// A data type with fewer possibilities: `SimpleQuantity`.
    Profile,
    /// `Patient.contact`
    Part,
    /// What others are built on: `DomainResource`.
    Abstract,
}

/// An element as its structure defines it.
#[derive(Debug)]
pub struct Element {
    /// Without the `[x]` of a choice.
    pub name: &'static str,
    /// The name is followed by the type: `medication[x]` is written `medicationReference`.
    pub is_choice: bool,
    /// It occurs at least once where its parent is written.
    pub is_required: bool,
    /// It is a list in JSON.
    pub repeats: bool,
    /// A profile takes the element away.
    pub is_forbidden: bool,
    /// The types it may have; one if it is no choice.
    pub types: Vec<ElementType>,
    /// The codes that it takes, if they are required or extensible.
    pub binding: Option<Binding>,
}

/// A type that an element may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementType {
    /// `code`, `Quantity`, `Reference`, `Resource`, or the name of a part: `Claim.item`.
    pub name: &'static str,
    /// `SimpleQuantity`, where the element takes only that of a `Quantity`.
    pub profile: Option<&'static str>,
    /// Types of the resources that a `Reference` or `canonical` may lead to; empty if any.
    pub targets: Vec<&'static str>,
}

/// Which codes an element takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Whether other codes are possible.
    pub strength: Strength,
    /// Last part of its URL: `medicationrequest-status`.
    pub value_set: &'static str,
}

/// How firmly codes are bound (FHIR R4, terminologies.html#strength). The weaker two bind nothing and are
/// not in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Only these codes.
    Required,
    /// These codes, and others where none of them fits.
    Extensible,
}

/// An element by the name that JSON has for it.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// What was found.
    pub element: &'static Element,
    /// Which of its types.
    pub kind: &'static ElementType,
    /// It is the property beside a primitive value (`_birthDate`) that has its `id` and `extension`
    /// (FHIR R4, json.html#primitive).
    pub is_beside: bool,
}

/// A resource type: `MedicationRequest`.
pub fn resource(name: &str) -> Option<&'static Structure> {
    structure(name).filter(|structure| structure.kind == Kind::Resource)
}

/// A data type with elements: `Dosage`, `SimpleQuantity`. Primitive types are [`Primitive`]s.
pub fn data_type(name: &str) -> Option<&'static Structure> {
    structure(name).filter(|structure| matches!(structure.kind, Kind::DataType | Kind::Profile))
}

/// Any structure: a resource, a data type, a part (`Claim.item.detail`), or what others are built on.
pub fn structure(name: &str) -> Option<&'static Structure> {
    read::structure(name)
}

/// The names of all resource types, in the order of the alphabet.
pub fn resource_names() -> impl Iterator<Item = &'static str> {
    read::names(Kind::Resource)
}

/// The names of all data types with elements, in the order of the alphabet.
pub fn data_type_names() -> impl Iterator<Item = &'static str> {
    read::names(Kind::DataType).chain(read::names(Kind::Profile))
}

// === impl Structure ===

impl Structure {
    /// `Patient`, `HumanName`, `Patient.contact`
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is built on: `DomainResource`.
    pub fn base(&self) -> Option<&'static Structure> {
        self.base.and_then(structure)
    }

    /// It is a resource, of a type or of any.
    pub fn is_resource(&self) -> bool {
        self.kind == Kind::Resource || matches!(self.name, "Resource" | "DomainResource")
    }

    /// Its elements in the order of the standard, those of its bases first. `resourceType`, which only JSON
    /// has, is one of them.
    pub fn elements(&'static self) -> impl Iterator<Item = &'static Element> {
        let mut bases: Vec<&'static Structure> = self.bases().collect();
        bases.reverse();
        let all = bases.into_iter().flat_map(|structure| &structure.elements);
        // An element that a structure changes stands in its base too: the structure's own counts.
        all.filter(|element| {
            let own = self.element(element.name);
            !element.is_forbidden && own.is_some_and(|own| std::ptr::eq(own, *element))
        })
    }

    /// An element by the name that the standard has for it, without `[x]`.
    pub fn element(&'static self, name: &str) -> Option<&'static Element> {
        self.own_first().find(|element| element.name == name)
    }

    /// An element by the name that JSON has for it: `status`, `medicationCodeableConcept`, `_birthDate`.
    pub fn written(&'static self, name: &str) -> Option<Written> {
        if let Some(value) = name.strip_prefix('_') {
            let written = self.written(value).filter(|written| !written.is_beside)?;
            if !written.kind.is_extensible_value() || self.is_attribute(value) {
                return None;
            }
            return Some(Written { kind: &read::BESIDE, is_beside: true, ..written });
        }
        let (element, kind) = self.own_first().find_map(|element| Some((element, element.type_written(name)?)))?;
        (!element.is_forbidden).then_some(Written { element, kind, is_beside: false })
    }

    /// All names that JSON may have here: choices once for each of their types.
    pub fn written_names(&'static self) -> impl Iterator<Item = String> {
        self.elements().flat_map(Element::written_names)
    }

    /// It is part of its structure's own notation, and takes no extensions: `id`, the type of a resource, the
    /// URL of an extension.
    fn is_attribute(&self, name: &str) -> bool {
        match name {
            "id" => true,
            "resourceType" => self.is_resource(),
            "url" => self.name == "Extension",
            _ => false,
        }
    }

    /// Itself, its base, the base of that.
    fn bases(&'static self) -> impl Iterator<Item = &'static Structure> {
        std::iter::successors(Some(self), |structure| structure.base()).take(BASES_MAX)
    }

    fn own_first(&'static self) -> impl Iterator<Item = &'static Element> {
        self.bases().flat_map(|structure| &structure.elements)
    }
}

// === impl Element ===

impl Element {
    /// The names that JSON may have for it: one, or one for each type of a choice.
    pub fn written_names(&self) -> impl Iterator<Item = String> {
        self.types.iter().map(|kind| self.written_name(kind))
    }

    /// The name that JSON has for it when it is of this type: `medicationReference`.
    pub fn written_name(&self, kind: &ElementType) -> String {
        if !self.is_choice {
            return self.name.to_owned();
        }
        let (first, rest) = kind.name.split_at_checked(1).unwrap_or_default();
        format!("{}{}{rest}", self.name, first.to_ascii_uppercase())
    }

    /// The type it has under this name, if it is this element's.
    fn type_written(&self, name: &str) -> Option<&ElementType> {
        let after = name.strip_prefix(self.name)?;
        if !self.is_choice {
            return self.types.first().filter(|_| after.is_empty());
        }
        self.types.iter().find(|kind| is_suffix(after, kind.name))
    }
}

/// Whether the text is the type's name with a capital at its beginning.
fn is_suffix(text: &str, name: &str) -> bool {
    let (Some((first, rest)), Some((capital, tail))) = (name.split_at_checked(1), text.split_at_checked(1)) else {
        return false;
    };
    rest == tail && first.to_ascii_uppercase() == capital
}

// === impl ElementType ===

impl ElementType {
    /// The elements of the type, if it has any. Of a resource of any type, those that all have.
    pub fn structure(&self) -> Option<&'static Structure> {
        structure(self.profile.unwrap_or(self.name))
    }

    /// The type as a primitive, if it is one.
    pub fn primitive(&self) -> Option<Primitive> {
        Primitive::of(self.name)
    }

    /// It is a value that an `id` and extensions may stand beside.
    fn is_extensible_value(&self) -> bool {
        self.primitive().is_some_and(|primitive| primitive != Primitive::Xhtml)
    }

    /// It is a reference that may lead to a resource of this type.
    pub fn may_lead_to(&self, resource: &str) -> bool {
        self.name == "Reference" && (self.targets.is_empty() || self.targets.contains(&resource))
    }
}

// === impl Binding ===

impl Binding {
    /// The codes.
    pub fn codes(&self) -> Option<&'static ValueSet> {
        value_set(self.value_set)
    }
}

#[cfg(test)]
mod tests;
