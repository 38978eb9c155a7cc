//! HL7 v2 messages, written from the plan.
//!
//! In come the segments of a target and the values of its rules; out go the bytes of a message, in UTF-8 unless
//! MSH-18 says otherwise. Promised: MSH comes first and is complete; the control id follows from the message it was
//! made of, so that a repeat is known as one (H3); a null is written only where a rule says `null()`. Refused:
//! structures where a field takes a value, characters that the character set lacks.

use adapters::hl7v2::edit::{Builder, EditError, Place};
use adapters::hl7v2::{Charset, Delimiters};
use sha2::{Digest, Sha256};

use super::context::Context;
use super::error::{Fault, MapError};
use super::evaluate::{Evaluator, Position};
use super::functions::{NULL, egyptian_hl7_time};
use super::plan::{Block, FieldList, Mapping, MessageType, PartPlan, SegmentPlan, Segments, SegmentsPart};
use super::value::Val;
use super::write::OUTPUT_BYTES_MAX;

/// Length of a control id: MSH-10 has 20 characters up to v2.6.
const CONTROL_ID_LENGTH: usize = 20;

/// Most segments of one output.
const SEGMENTS_MAX: usize = 10_000;

/// A segment with the values of its rules.
struct Written<'r> {
    name: &'r str,
    values: Vec<(Place, String)>,
}

/// Writes one output.
pub(super) struct SegmentWriter<'w, 'r> {
    pub evaluator: &'w Evaluator<'r>,
    pub mapping: &'r Mapping,
    /// Which output this is, from 0.
    pub output: usize,
}

impl<'r> SegmentWriter<'_, 'r> {
    pub fn message(&self, kind: &'r MessageType, plan: &'r Segments, at: &Position<'r>) -> Result<Vec<u8>, MapError> {
        let mut written = Vec::new();
        self.segments(plan, at, &mut written)?;
        self.serialise(kind, written).map_err(|fault| fault.at(self.mapping.place.clone(), "MSH", None))
    }

    fn segments(&self, plan: &'r Segments, at: &Position<'r>, written: &mut Vec<Written<'r>>) -> Result<(), MapError> {
        for part in &plan.parts {
            match part {
                SegmentsPart::Segment(segment) => {
                    let values = self.values(segment, at)?;
                    if !values.is_empty() {
                        written.push(Written { name: &segment.name, values });
                    }
                }
                SegmentsPart::Block(block) => self.block(block, at, written)?,
            }
        }
        Ok(())
    }

    fn block(
        &self,
        block: &'r Block<Segments>,
        at: &Position<'r>,
        written: &mut Vec<Written<'r>>,
    ) -> Result<(), MapError> {
        for position in self.kept(block, at)? {
            self.evaluator.inside(&position, || self.segments(&block.layout, &position, written))?;
            if written.len() > SEGMENTS_MAX {
                return Err(Fault::TooLarge.at(block.place.clone(), &block.target, None));
            }
        }
        Ok(())
    }

    /// The repetitions of a block that its condition keeps, numbered.
    fn kept<L>(&self, block: &'r Block<L>, at: &Position<'r>) -> Result<Vec<Position<'r>>, MapError> {
        let mut kept = Vec::new();
        for position in self.evaluator.positions(&block.each, at) {
            let position = position.numbered(kept.len().saturating_add(1));
            let holds = match &block.when {
                None => true,
                Some(condition) => {
                    let value = self.evaluator.inside(&position, || self.evaluator.evaluate(condition, &position));
                    value.map_err(|fault| fault.at(block.place.clone(), &block.target, None))?.holds()
                }
            };
            kept.extend(holds.then_some(position));
        }
        Ok(kept)
    }

    /// The values of one segment, repetitions spread.
    fn values(&self, segment: &'r SegmentPlan, at: &Position<'r>) -> Result<Vec<(Place, String)>, MapError> {
        let mut values = Vec::with_capacity(segment.parts.len());
        self.parts(&segment.parts, at, &mut values)?;
        for list in &segment.lists {
            self.list(list, at, &mut values)?;
        }
        Ok(values)
    }

    fn parts(
        &self,
        parts: &'r [PartPlan],
        at: &Position<'r>,
        values: &mut Vec<(Place, String)>,
    ) -> Result<(), MapError> {
        for part in parts {
            let Some(rule) = self.mapping.rules.get(part.rule) else { continue };
            let fail = |fault: Fault| fault.at(rule.place.clone(), &rule.target, rule.source.clone());
            if let Some(recorder) = self.evaluator.recorder {
                recorder.borrow_mut().begin_rule();
            }
            let value = self.evaluator.evaluate(&rule.op, at).map_err(fail)?;
            if value.is_empty() {
                continue;
            }
            if let Some(recorder) = self.evaluator.recorder {
                recorder.borrow_mut().end_rule(self.output, rule.target.clone(), rule.place.clone());
            }
            spread(part, value, values).map_err(fail)?;
        }
        Ok(())
    }

    /// Repetitions of a field, after those that are there.
    fn list(&self, list: &'r FieldList, at: &Position<'r>, values: &mut Vec<(Place, String)>) -> Result<(), MapError> {
        let same = values.iter().filter(|(place, _)| place.field == list.field);
        let mut number = same.map(|(place, _)| place.repetition.unwrap_or(1)).max().unwrap_or_default();
        for position in self.kept(&list.block, at)? {
            let before = values.len();
            self.evaluator.inside(&position, || self.parts(&list.block.layout, &position, values))?;
            number = number.saturating_add(u32::from(values.len() > before));
            for (place, _) in values.iter_mut().skip(before) {
                place.repetition = Some(number);
            }
        }
        Ok(())
    }

    fn serialise(&self, kind: &MessageType, written: Vec<Written<'r>>) -> Result<Vec<u8>, Fault> {
        let mut builder = Builder::new(Delimiters::default(), charset_of(&written)?).map_err(unwritable)?;
        let header = builder.segment("MSH").map_err(unwritable)?;
        for (place, text) in self.header(kind) {
            builder.set(header, place, &text).map_err(unwritable)?;
        }
        let mut length = 0_usize;
        for segment in written {
            let index =
                if segment.name == "MSH" { header } else { builder.segment(segment.name).map_err(unwritable)? };
            for (place, text) in segment.values {
                length = length.saturating_add(text.len());
                if length > OUTPUT_BYTES_MAX {
                    return Err(Fault::TooLarge);
                }
                builder.set(index, place, &text).map_err(unwritable)?;
            }
        }
        Ok(builder.finish())
    }

    /// What MSH has when no rule says otherwise.
    fn header(&self, kind: &MessageType) -> Vec<(Place, String)> {
        let context = self.evaluator.environment.context;
        let mut fields = vec![
            (Place::field(7), egyptian_hl7_time(context.received_at)),
            (Place::component(9, 1), kind.code.clone()),
            (Place::component(9, 2), kind.trigger.clone()),
        ];
        fields.extend(kind.structure.map(|structure| (Place::component(9, 3), structure.to_owned())));
        fields.extend([
            (Place::field(10), control_id(context, self.mapping, self.output)),
            (Place::field(11), "P".to_owned()),
            (Place::field(12), kind.version.name().to_owned()),
            (Place::field(17), "EGY".to_owned()),
            (Place::field(18), "UNICODE UTF-8".to_owned()),
        ]);
        fields
    }
}

/// The character set that a rule gives MSH-18, or UTF-8.
fn charset_of(written: &[Written<'_>]) -> Result<Charset, Fault> {
    let header = written.iter().filter(|segment| segment.name == "MSH").flat_map(|segment| &segment.values);
    let Some((_, name)) = header.into_iter().find(|(place, _)| place.field == 18) else { return Ok(Charset::Utf8) };
    Charset::from_name(name).ok_or(Fault::Invalid("MSH-18 names a character set that the hub does not write"))
}

/// Names the output for ever: equal for every run of the same message by the same mapping.
fn control_id(context: &Context, mapping: &Mapping, output: usize) -> String {
    let mut hash = Sha256::new();
    for part in [context.message_id.as_str(), mapping.name.as_str(), &output.to_string()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<String>().chars().take(CONTROL_ID_LENGTH).collect()
}

/// The texts of a value at their places: one, or one a repetition. A text of the sender that looks like a null is
/// none: the receiver would delete what it has.
fn spread(part: &PartPlan, value: Val<'_>, values: &mut Vec<(Place, String)>) -> Result<(), Fault> {
    let is_written = |text: &str| part.may_be_null || text != NULL;
    if part.is_one_repetition || !value.is_list() {
        let text = value.text().ok_or(Fault::Invalid("a structure cannot be written into a field"))?;
        values.extend(is_written(&text).then(|| (part.place, text.into_owned())));
        return Ok(());
    }
    let items = value.into_items().into_iter().filter(|item| !item.is_empty());
    for (repetition, item) in (1_u32..).zip(items) {
        let text = item.text().ok_or(Fault::Invalid("a structure cannot be written into a field"))?;
        let place = Place { repetition: Some(repetition), ..part.place };
        values.extend(is_written(&text).then(|| (place, text.into_owned())));
    }
    Ok(())
}

fn unwritable(_: EditError) -> Fault {
    Fault::Invalid("a value cannot be written into the message")
}
