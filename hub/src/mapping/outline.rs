//! Outlines: what a mapping's author says of documents that have no grammar.
//!
//! In come names as a mapping lists them, or a sample; out goes a tree of elements, with what repeats and what must be
//! there. Promised: a list says what may stand in a document, and nothing else may; a sample says what stood in one,
//! where any element of XML may have repeated. Refused: names that no path could have.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::expression::ExpressionError;
use super::json_path::{JsonPath, Step};
use crate::finding::Text;

/// Elements inside each other that a sample may have.
const DEPTH_MAX: usize = 64;

/// The elements of one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    parts: IndexMap<String, Part>,
}

/// One element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub repeats: Repeats,
    /// Where what is around it is written.
    pub is_required: bool,
    pub inside: Outline,
}

/// Whether there may be several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeats {
    No,
    Yes,
    /// A sample has one, and does not say.
    Perhaps,
}

impl Outline {
    /// `Claim[*].Activity[*].Code`, `Claim[*].IDPayer?`: `[*]` behind what repeats, `?` behind what may be missing.
    pub fn of_names(names: &[Text]) -> Result<Outline, (Text, ExpressionError)> {
        let mut outline = Outline::default();
        for name in names {
            let (path, is_optional) = name.value.strip_suffix('?').map_or((&*name.value, false), |path| (path, true));
            outline.add(path, is_optional).map_err(|error| (name.clone(), error))?;
        }
        Ok(outline)
    }

    /// Columns of CSV: a row has them all.
    pub fn of_columns<'n>(columns: impl Iterator<Item = &'n str>) -> Outline {
        let part = |name: &str| match name.strip_suffix('?') {
            Some(name) => (name.to_owned(), Part::single(false)),
            None => (name.to_owned(), Part::single(true)),
        };
        Outline { parts: columns.map(part).collect() }
    }

    /// Rows of these columns.
    pub fn of_rows(row: Outline) -> Outline {
        let part = Part { repeats: Repeats::Yes, is_required: true, inside: row };
        Outline { parts: IndexMap::from([(adapters::csv::ROW.to_owned(), part)]) }
    }

    /// What a sample has. `single` is what an element is that stands there once, outside a list.
    pub fn of_sample(sample: &Json, single: Repeats) -> Outline {
        let mut outline = Outline::default();
        outline.take_in(sample, single, DEPTH_MAX);
        outline
    }

    /// The element of a name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.get(name)
    }

    /// All elements.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &Part)> {
        self.parts.iter().map(|(name, part)| (name.as_str(), part))
    }

    fn add(&mut self, path: &str, is_optional: bool) -> Result<(), ExpressionError> {
        let path = JsonPath::parse(path)?;
        let steps: Vec<_> = path.steps().collect();
        let mut place = self;
        for (number, (step, span)) in steps.iter().enumerate() {
            let Step::Name(name) = step else {
                if matches!(step, Step::Every) {
                    continue;
                }
                return Err(ExpressionError::new(span.clone(), "an outline has names, and `[*]` behind what repeats"));
            };
            let rest = || steps.iter().skip(number.saturating_add(1)).map(|(after, _)| *after);
            let repeats = matches!(rest().next(), Some(Step::Every));
            let is_last = rest().all(|after| matches!(after, Step::Every));
            let part = place.parts.entry(name.clone()).or_insert_with(|| Part::single(true));
            if repeats {
                part.repeats = Repeats::Yes;
            }
            if is_last && is_optional {
                part.is_required = false;
            }
            place = &mut part.inside;
        }
        Ok(())
    }

    fn take_in(&mut self, sample: &Json, single: Repeats, depth: usize) {
        match sample {
            Json::Object(fields) if depth > 0 => {
                for (name, value) in fields.iter().filter(|(name, _)| *name != adapters::xml::TEXT) {
                    let part = self.parts.entry(name.clone()).or_insert_with(|| Part::of_sample(name, single));
                    if value.is_array() {
                        part.repeats = Repeats::Yes;
                    }
                    part.inside.take_in(value, single, depth.saturating_sub(1));
                }
            }
            Json::Array(items) if depth > 0 => {
                items.iter().for_each(|item| self.take_in(item, single, depth.saturating_sub(1)));
            }
            Json::Object(_) | Json::Array(_) | Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
}

impl Part {
    fn single(is_required: bool) -> Part {
        Part { repeats: Repeats::No, is_required, inside: Outline::default() }
    }

    /// A sample does not say what must be there. An attribute stands once.
    fn of_sample(name: &str, single: Repeats) -> Part {
        let repeats = if name.starts_with('@') { Repeats::No } else { single };
        Part { repeats, is_required: false, inside: Outline::default() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_names(names: &[&str]) -> Result<Outline, usize> {
        let texts: Vec<Text> = names.iter().map(|name| Text::new((*name).to_owned(), 0..0)).collect();
        Outline::of_names(&texts).map_err(|(_, error)| error.span.start)
    }

    #[test]
    fn a_list_says_what_repeats_and_what_may_be_missing() {
        let outline =
            of_names(&["@version?", "Claim[*].ID", "Claim[*].Activity[*].Code", "Claim[*].\"a b\"?"]).unwrap();
        let claim = outline.part("Claim").unwrap();
        assert_eq!((claim.repeats, claim.is_required), (Repeats::Yes, true));
        assert_eq!(claim.inside.part("Activity").unwrap().repeats, Repeats::Yes);
        assert!(!claim.inside.part("a b").unwrap().is_required);
        assert!(!outline.part("@version").unwrap().is_required);
        assert!(claim.inside.part("ID").unwrap().is_required);
        assert_eq!(of_names(&["Claim[0].ID"]), Err(5));
        assert_eq!(of_names(&["Claim..ID"]), Err(6));
    }

    #[test]
    fn a_sample_says_what_it_has() {
        let sample = json!({"@v": "1", "a": [{"b": "1"}, {"c": {"#text": "x", "@d": "2"}}], "e": "2"});
        let outline = Outline::of_sample(&sample, Repeats::Perhaps);
        let names = |place: &Outline| place.parts().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&outline), ["@v", "a", "e"]);
        let list = outline.part("a").unwrap();
        assert_eq!((list.repeats, names(&list.inside)), (Repeats::Yes, vec!["b".to_owned(), "c".to_owned()]));
        assert_eq!(names(&list.inside.part("c").unwrap().inside), ["@d"]);
        assert_eq!(outline.part("e").unwrap().repeats, Repeats::Perhaps);
        assert_eq!(outline.part("@v").unwrap().repeats, Repeats::No);
    }
}
