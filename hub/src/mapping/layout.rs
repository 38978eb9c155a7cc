//! Targets: from paths to the tree or the segments that are written.
//!
//! In come the target paths of a mapping's rules and blocks; out goes the layout that the writers walk.
//! Promised: no place is written twice, nor as two kinds of thing. Refused: paths that are none, with
//! their places. Which elements a resource has is checked here when the grammar of FHIR comes.

use std::collections::BTreeMap;
use std::ops::Range;

use adapters::hl7v2::{Path, edit};
use indexmap::IndexMap;

use super::expression::ExpressionError;
use super::functions::Kind;
use super::json_path::{self, JsonPath};
use super::plan::{Block, Items, Key, PartPlan, Shape};
use super::write::write_text;

/// Highest index that a target path may have.
const INDEX_MAX: usize = 99;

/// Steps that one target path may have.
const STEPS_MAX: usize = 32;

/// One step of a JSON target path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

/// `dosageInstruction[0].doseAndRate[0].doseQuantity`
pub(super) fn read_json_target(text: &str) -> Result<Vec<Step>, ExpressionError> {
    let mut steps = Vec::new();
    let mut at = 0_usize;
    for part in text.split('.') {
        let (name, indexes) = part.find('[').and_then(|bracket| part.split_at_checked(bracket)).unwrap_or((part, ""));
        let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if !is_name || name.starts_with(|letter: char| letter.is_ascii_digit()) {
            let error = ExpressionError::new(at..at.saturating_add(part.len()), format!("`{part}` is no element"));
            return Err(
                error.with_help("write elements with dots between them and indexes from 0: `identifier[0].value`")
            );
        }
        steps.push(Step::Name(name.to_owned()));
        if !indexes.is_empty() {
            let place = at.saturating_add(name.len())..at.saturating_add(part.len());
            steps.push(Step::Index(read_index(indexes, place)?));
        }
        at = at.saturating_add(part.len()).saturating_add(1);
    }
    if steps.len() > STEPS_MAX {
        return Err(ExpressionError::new(0..text.len(), format!("a target has at most {STEPS_MAX} steps")));
    }
    Ok(steps)
}

/// A target where there is no grammar: `Header.SenderID`, `Claim[0].@id`, `c:Claim`, `"odd name".x`. No step stands for
/// the place itself, `.`.
pub(super) fn read_plain_target(text: &str) -> Result<Vec<Step>, ExpressionError> {
    let path = JsonPath::parse(text)?;
    if path.from_root {
        return Err(ExpressionError::new(0..1, "a target begins where its block writes"));
    }
    let read = |(step, span): (&json_path::Step, Range<usize>)| match step {
        json_path::Step::Name(name) => Ok(Step::Name(name.clone())),
        json_path::Step::Index(index) if *index <= INDEX_MAX => Ok(Step::Index(*index)),
        json_path::Step::Index(_) => {
            Err(ExpressionError::new(span, format!("a target has indexes from [0] to [{INDEX_MAX}]")))
        }
        json_path::Step::Every | json_path::Step::Where { .. } => {
            let error = ExpressionError::new(span, "a target names its place");
            Err(error.with_help("a list from the source fills the element itself: leave the brackets out"))
        }
    };
    path.steps().map(read).collect()
}

fn read_index(text: &str, place: Range<usize>) -> Result<usize, ExpressionError> {
    let digits = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let index = digits.and_then(|digits| digits.parse::<usize>().ok()).filter(|index| *index <= INDEX_MAX);
    index.ok_or_else(|| {
        let error = ExpressionError::new(place, format!("`{text}` is no index from [0] to [{INDEX_MAX}]"));
        if text == "[*]" {
            return error.with_help("a list from the source fills the element itself: leave the index out");
        }
        error
    })
}

/// A JSON target while its rules are gathered.
#[derive(Debug, Default)]
pub(super) struct Draft {
    rule: Option<(usize, Kind)>,
    fields: IndexMap<String, Draft>,
    items: BTreeMap<usize, Draft>,
    blocks: Vec<Block<Items>>,
}

/// Two rules that cannot both write, and why.
#[derive(Debug)]
pub(super) struct Clash {
    /// The rule that came later, or that is above the others.
    pub rule: usize,
    /// Why.
    pub message: String,
}

impl Draft {
    /// Gives the place of `steps` to a rule.
    pub fn write(&mut self, steps: &[Step], rule: usize, kind: Kind) -> Result<(), Clash> {
        let place = self.place(steps);
        if place.rule.is_some() {
            return Err(Clash { rule, message: "it is written by a rule above".to_owned() });
        }
        place.rule = Some((rule, kind));
        Ok(())
    }

    /// Adds the items of a block to the list at `steps`.
    pub fn add_block(&mut self, steps: &[Step], block: Block<Items>) {
        self.place(steps).blocks.push(block);
    }

    /// Puts a whole resource at an element. `type_rule` writes its `resourceType`.
    pub fn add_resource(&mut self, element: &str, type_rule: usize, mut resource: Draft) {
        let name = Draft { rule: Some((type_rule, Kind::Text)), ..Draft::default() };
        resource.fields.shift_insert(0, "resourceType".to_owned(), name);
        self.fields.insert(element.to_owned(), resource);
    }

    fn place(&mut self, steps: &[Step]) -> &mut Draft {
        let mut place = self;
        for step in steps {
            place = match step {
                Step::Name(name) => place.fields.entry(name.clone()).or_default(),
                Step::Index(index) => place.items.entry(*index).or_default(),
            };
        }
        place
    }

    /// The first rule at this place or below it.
    fn any_rule(&self) -> Option<usize> {
        let below = self.fields.values().chain(self.items.values()).find_map(Draft::any_rule);
        self.rule.map(|(rule, _)| rule).or(below)
    }

    /// The layout, and every clash that only the whole tree shows.
    pub fn finish(self, clashes: &mut Vec<Clash>) -> Shape {
        let is_list = !self.items.is_empty() || !self.blocks.is_empty();
        let below = self.fields.values().chain(self.items.values()).find_map(Draft::any_rule);
        if is_list && !self.fields.is_empty() {
            let rule = self.fields.values().find_map(Draft::any_rule).or(below);
            let message = "it is written as one element here and as a list elsewhere".to_owned();
            clashes.extend(rule.map(|rule| Clash { rule, message }));
        }
        if let Some((rule, Kind::Text | Kind::Number | Kind::Boolean)) = self.rule
            && (is_list || !self.fields.is_empty())
        {
            let message = "it is written as a value here, and other rules write below it".to_owned();
            clashes.push(Clash { rule, message });
        }
        let last = self.items.keys().next_back().copied();
        let mut items = self.items;
        let places = last.map_or(0, |last| last.saturating_add(1));
        Shape {
            rule: self.rule.map(|(rule, _)| rule),
            fields: self.fields.into_iter().map(|(name, draft)| (key(name), draft.finish(clashes))).collect(),
            items: (0..places).map(|index| items.remove(&index).unwrap_or_default().finish(clashes)).collect(),
            blocks: self.blocks,
        }
    }
}

fn key(name: String) -> Key {
    let mut json = String::with_capacity(name.len().saturating_add(3));
    write_text(&mut json, &name);
    json.push(':');
    Key { name, json }
}

/// The place of an HL7 v2 target path: segment, occurrence, and where in it.
#[derive(Debug)]
pub(super) struct SegmentTarget {
    pub path: Path,
    pub segment: String,
    pub occurrence: u32,
    pub place: edit::Place,
    /// Whether the file chooses the repetition.
    pub is_one_repetition: bool,
}

/// `ORC-2.1`, `NTE[2]-3`, `PID-3[2].1`
pub(super) fn read_segment_target(text: &str) -> Result<SegmentTarget, ExpressionError> {
    let whole = 0..text.len();
    let path = Path::parse(text).map_err(|error| {
        let place = error.at..error.at.saturating_add(error.len);
        ExpressionError { span: place, message: error.message, help: error.help }
    })?;
    let place = edit::Place::of(&path).map_err(|error| ExpressionError::new(whole.clone(), error.to_string()))?;
    if path.segment() == "MSH" && place.field <= 2 {
        return Err(ExpressionError::new(whole, "MSH-1 and MSH-2 are written by the hub"));
    }
    if path.groups().next().is_some() {
        let error = ExpressionError::new(whole, "a target has no groups before its segment");
        return Err(error.with_help("groups are what `[[for]]` blocks add: `to = \"ORDER\"`"));
    }
    let (segment, field) = text.split_once('-').unwrap_or((text, ""));
    let occurrence = match segment.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']')) {
        None => 1,
        Some(digits) => digits.trim().parse().map_err(|_| {
            ExpressionError::new(0..segment.len(), "a target names one segment: write its number, as in NTE[2]-3")
        })?,
    };
    let is_one_repetition = field.contains('[');
    Ok(SegmentTarget { segment: path.segment().to_owned(), path, occurrence, place, is_one_repetition })
}

impl SegmentTarget {
    /// Adds what a rule writes here to the parts of a segment, or of a repetition.
    pub fn add_to(&self, parts: &mut Vec<PartPlan>, rule: usize, may_be_null: bool) -> Result<(), Clash> {
        if parts.iter().any(|other| overlap(&other.place, &self.place)) {
            return Err(Clash { rule, message: "it is written by a rule above".to_owned() });
        }
        parts.push(PartPlan { place: self.place, is_one_repetition: self.is_one_repetition, may_be_null, rule });
        Ok(())
    }
}

/// Whether one place is the other or a part of it.
fn overlap(left: &edit::Place, right: &edit::Place) -> bool {
    fn meet<T: PartialEq>(left: Option<T>, right: Option<T>) -> bool {
        match (left, right) {
            (Some(left), Some(right)) => left == right,
            (None, _) | (_, None) => true,
        }
    }
    left.field == right.field
        && meet(left.repetition, right.repetition)
        && meet(left.component, right.component)
        && meet(left.subcomponent, right.subcomponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_with_their_indexes() {
        let steps = read_json_target("dosageInstruction[0].doseAndRate[12].doseQuantity").unwrap();
        let name = |name: &str| Step::Name(name.to_owned());
        let expected =
            [name("dosageInstruction"), Step::Index(0), name("doseAndRate"), Step::Index(12), name("doseQuantity")];
        assert_eq!(steps, expected);
        for (text, place) in [
            ("", 0..0),
            ("a..b", 2..2),
            ("a.b[", 3..4),
            ("a[x]", 1..4),
            ("a[100]", 1..6),
            ("a[*].b", 1..4),
            ("a b", 0..3),
            ("1a", 0..2),
        ] {
            assert_eq!(read_json_target(text).unwrap_err().span, place, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_written_together_is_found() {
        let steps = |text: &str| read_json_target(text).unwrap();
        let mut draft = Draft::default();
        draft.write(&steps("note[0].text"), 0, Kind::Any).unwrap();
        draft.write(&steps("note.time"), 1, Kind::Any).unwrap();
        draft.write(&steps("status"), 2, Kind::Text).unwrap();
        draft.write(&steps("status.value"), 3, Kind::Text).unwrap();
        assert_eq!(draft.write(&steps("note[0].text"), 4, Kind::Any).unwrap_err().rule, 4);
        let mut clashes = Vec::new();
        draft.finish(&mut clashes);
        assert_eq!(clashes.iter().map(|clash| clash.rule).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_part_of_a_field_is_written_once() {
        let mut parts = Vec::new();
        for (rule, target) in ["NTE-3", "NTE-4.1", "NTE-4.2", "NTE-5[1].1", "NTE-5[2].1"].into_iter().enumerate() {
            read_segment_target(target).unwrap().add_to(&mut parts, rule, false).unwrap();
        }
        assert!(read_segment_target("NTE-4").unwrap().add_to(&mut parts, 9, false).is_err());
        assert_eq!(read_segment_target("NTE[2]-3").unwrap().occurrence, 2);
        for wrong in ["MSH-1", "ORDER.ORC-2", "ORC", "NTE[*]-3", "PID-3[*]", "PID-3[.5 = \"NI\"]"] {
            assert!(read_segment_target(wrong).is_err(), "{wrong}");
        }
    }
}
