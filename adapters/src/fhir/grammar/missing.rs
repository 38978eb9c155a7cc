//! Required elements that nothing writes.

use std::collections::BTreeMap;

use super::{Element, Resolved, Structure};

/// A required element that is missing from a place that is written.
#[derive(Clone, Debug)]
pub struct Missing {
    /// The path of the place, as it is written; empty at the root.
    pub parent: String,
    /// What the place is: `MedicationRequest.substitution`.
    pub within: &'static Structure,
    /// What is missing from it.
    pub element: &'static Element,
}

/// A place below which something is written.
struct Parent {
    within: &'static Structure,
    written: Vec<&'static str>,
}

impl Structure {
    /// The required elements that none of these paths writes, where one of them writes beside them. `paths`
    /// begin here; one that ends at a place with elements writes the place as a whole, and what it writes is
    /// not known: nothing is missed in it. `resources` is that of [`Structure::resolve_with`]. Paths that do
    /// not resolve count for nothing. The `resourceType` of a resource at the root is not asked for.
    pub fn missing(
        &'static self,
        paths: &[&str],
        resources: &dyn Fn(&str) -> Option<&'static Structure>,
    ) -> Vec<Missing> {
        let known = if self.is_resource() { vec!["resourceType"] } else { Vec::new() };
        let mut parents = BTreeMap::from([("", Parent { within: self, written: known })]);
        let mut wholes = Vec::new();
        for path in paths {
            let Ok(resolved) = self.resolve_with(path, resources) else { continue };
            if resolved.structure().is_some() {
                wholes.push(*path);
            }
            let mut place = Some(resolved);
            while let Some(Resolved { parent, within, element, .. }) = place {
                let above = parents.entry(parent).or_insert_with(|| Parent { within, written: Vec::new() });
                above.written.push(element.name);
                place = self.resolve_with(parent, resources).ok();
            }
        }
        parents.retain(|parent, _| !wholes.iter().any(|whole| is_within(parent, whole)));
        let missing = parents.into_iter().flat_map(|(parent, Parent { within, written })| {
            let required = within.elements().filter(|element| element.is_required);
            let left = required.filter(move |element| !written.contains(&element.name));
            left.map(move |element| Missing { parent: parent.to_owned(), within, element })
        });
        missing.collect()
    }
}

/// Whether a place is another, an item of it, or somewhere below it.
fn is_within(place: &str, other: &str) -> bool {
    place.strip_prefix(other).is_some_and(|after| after.is_empty() || after.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests;
