//! HL7 v2 messages, written from the plan.
//!
//! In come the segments of a target and the values of its rules; out go the bytes of a message in UTF-8.
//! Promised: MSH comes first and is complete; the control id follows from the message it was made of, so
//! that a repeat is known as one (H3). Refused: structures where a field takes a value.

use adapters::hl7v2::edit::{Builder, EditError, Place};
use adapters::hl7v2::{Charset, Delimiters};
use sha2::{Digest, Sha256};

use super::context::Context;
use super::error::{Fault, MapError};
use super::evaluate::{Evaluator, Position};
use super::functions::egyptian_hl7_time;
use super::plan::{Mapping, MessageType, PartPlan, SegmentPlan, Segments};
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
        for segment in &plan.segments {
            let values = self.values(segment, at)?;
            if !values.is_empty() {
                written.push(Written { name: &segment.name, values });
            }
        }
        for (block, after) in &plan.blocks {
            let fail = |fault: Fault| fault.at(block.place.clone(), &block.target, None);
            let mut added = Vec::new();
            let mut number = 0_usize;
            for position in self.evaluator.positions(&block.each, at) {
                let position = position.numbered(number.saturating_add(1));
                self.evaluator.inside(&position, || {
                    let holds = match &block.when {
                        Some(condition) => self.evaluator.evaluate(condition, &position).map_err(fail)?.holds(),
                        None => true,
                    };
                    number = number.saturating_add(usize::from(holds));
                    if holds { self.segments(&block.layout, &position, &mut added) } else { Ok(()) }
                })?;
                if written.len().saturating_add(added.len()) > SEGMENTS_MAX {
                    return Err(fail(Fault::TooLarge));
                }
            }
            let last = after.as_ref().and_then(|name| written.iter().rposition(|segment| segment.name == name));
            let place = last.map_or(written.len(), |place| place.saturating_add(1));
            written.splice(place..place, added);
        }
        Ok(())
    }

    /// The values of one segment, repetitions spread.
    fn values(&self, segment: &'r SegmentPlan, at: &Position<'r>) -> Result<Vec<(Place, String)>, MapError> {
        let mut values = Vec::with_capacity(segment.parts.len());
        for part in &segment.parts {
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
            spread(part, value, &mut values).map_err(fail)?;
        }
        Ok(values)
    }

    fn serialise(&self, kind: &MessageType, written: Vec<Written<'r>>) -> Result<Vec<u8>, Fault> {
        let mut builder = Builder::new(Delimiters::default(), Charset::Utf8).map_err(unwritable)?;
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
            (Place::field(12), "2.5.1".to_owned()),
            (Place::field(17), "EGY".to_owned()),
            (Place::field(18), "UNICODE UTF-8".to_owned()),
        ]);
        fields
    }
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

/// The texts of a value at their places: one, or one a repetition.
fn spread(part: &PartPlan, value: Val<'_>, values: &mut Vec<(Place, String)>) -> Result<(), Fault> {
    if part.is_one_repetition || !value.is_list() {
        let text = value.text().ok_or(Fault::Invalid("a structure cannot be written into a field"))?;
        values.push((part.place, text.into_owned()));
        return Ok(());
    }
    let items = value.into_items().into_iter().filter(|item| !item.is_empty());
    for (repetition, item) in (1_u32..).zip(items) {
        let text = item.text().ok_or(Fault::Invalid("a structure cannot be written into a field"))?;
        values.push((Place { repetition: Some(repetition), ..part.place }, text.into_owned()));
    }
    Ok(())
}

fn unwritable(_: EditError) -> Fault {
    Fault::Invalid("a value cannot be written into the message")
}
