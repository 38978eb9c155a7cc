//! Writing: a changed copy of a message, and new messages.
//!
//! In come a message and what is to be different, or nothing and the fields of a new message; out go bytes.
//! Promised: of a changed message every other byte stays as it was, and no text that is set begins a segment
//! or divides a field. Refused is what the message cannot carry: a segment that is not there, a delimiter
//! that it does not declare, a character that its character set lacks.

use std::ops::Range;

use crate::Unreadable;

use super::charset::Charset;
use super::delimiters::{Delimiters, is_line_break};
use super::escape::{self, EncodeError};
use super::index::Index;
use super::message::Message;
use super::path::{Occurrence, Part, Path, Repetition};

/// Fields of one segment that a new message may have.
const FIELDS_MAX: u16 = super::path::FIELD_MAX;

/// Where in a segment: a field, or a part of it. Numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The field.
    pub field: u16,
    /// The repetition; `None` means the whole field.
    pub repetition: Option<u32>,
    /// The component; `None` means the whole repetition.
    pub component: Option<u16>,
    /// The subcomponent; `None` means the whole component.
    pub subcomponent: Option<u16>,
}

impl Place {
    /// A whole field.
    pub fn field(field: u16) -> Place {
        Place { field, repetition: None, component: None, subcomponent: None }
    }

    /// A component of the first repetition.
    pub fn component(field: u16, component: u16) -> Place {
        Place { field, repetition: Some(1), component: Some(component), subcomponent: None }
    }

    /// What a path means inside its segment. A condition or a `[*]` is no place to write to.
    pub fn of(path: &Path) -> Result<Place, EditError> {
        let step = path.field.as_ref().ok_or(EditError::NoField)?;
        let repetition = match (&step.repetition, step.part) {
            (Repetition::Unsaid, Part::Whole) => None,
            (Repetition::Unsaid, Part::Component(_) | Part::Subcomponent(..)) => Some(1),
            (Repetition::Number(number), _) => Some(*number),
            (Repetition::Every | Repetition::Where { .. }, _) => return Err(EditError::NotOnePlace),
        };
        Ok(Place { field: step.number, repetition, component: path.component(), subcomponent: path.subcomponent() })
    }
}

/// Why something cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The path means a whole segment.
    #[error("the path has no field")]
    NoField,
    /// The path may mean several places.
    #[error("the path does not mean one place")]
    NotOnePlace,
    /// The message has no such segment.
    #[error("the message has no such segment")]
    NoSegment,
    /// No repetition fulfils the condition of the path.
    #[error("no repetition fulfils the condition")]
    NoRepetition,
    /// MSH-1 and MSH-2 say how to read the rest.
    #[error("the delimiters of a message cannot be changed")]
    Delimiters,
    /// A name that no segment can have.
    #[error("a segment has three capital letters or digits")]
    Name,
    /// A number that is zero or too large.
    #[error("a field or a part of it is numbered from 1 and within the limits")]
    Number,
    /// The message does not declare the delimiter that the place needs.
    #[error("the message declares no delimiter for this place")]
    NoDelimiter,
    /// Raw bytes with a delimiter or a line break that would change other parts of the message.
    #[error("the raw bytes would divide the field")]
    Divides,
    /// The text cannot be written.
    #[error(transparent)]
    Text(#[from] EncodeError),
    /// The message cannot be read any more; a limit was reached.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// A changed copy of a message.
pub struct Editor {
    bytes: Vec<u8>,
    index: Index,
    charset: Charset,
}

impl std::fmt::Debug for Editor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Editor").field("bytes", &self.bytes.len()).field("charset", &self.charset).finish()
    }
}

impl Editor {
    /// Begins with a copy of `message`, to be written in the character set that it has.
    pub fn new(message: &Message<'_>) -> Editor {
        Editor {
            bytes: message.bytes().to_vec(),
            index: message.index.empty_copy(),
            charset: message.charset().for_writing(),
        }
    }

    /// Sets the text at `path`. What is missing before it is filled with delimiters.
    pub fn set(&mut self, path: &Path, text: &str) -> Result<(), EditError> {
        let delimiters = self.index.read(&self.bytes)?.delimiters();
        let value = escape::encode(text, &delimiters, self.charset)?;
        self.replace(path, &value)
    }

    /// Sets the null value `""`: the receiver is to delete what it has.
    pub fn set_null(&mut self, path: &Path) -> Result<(), EditError> {
        self.replace(path, b"\"\"")
    }

    /// Sets bytes as they are, in the delimiters and the character set of the message: components of a field,
    /// or text with an escape that is only known to the receiver.
    pub fn set_raw(&mut self, path: &Path, raw: &[u8]) -> Result<(), EditError> {
        let delimiters = self.index.read(&self.bytes)?.delimiters();
        check_raw(raw, &Place::of(path).unwrap_or(Place::field(1)), &delimiters)?;
        self.replace(path, raw)
    }

    /// The message as it is now.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn replace(&mut self, path: &Path, value: &[u8]) -> Result<(), EditError> {
        let (span, written) = {
            let message = self.index.read(&self.bytes)?;
            change(&message, path, value)?
        };
        self.bytes.splice(span, written);
        Ok(())
    }
}

/// Which bytes of the message are to be replaced, and by what.
fn change(message: &Message<'_>, path: &Path, value: &[u8]) -> Result<(Range<usize>, Vec<u8>), EditError> {
    let delimiters = message.delimiters();
    if path.occurrence == Occurrence::Every {
        return Err(EditError::NotOnePlace);
    }
    let of_segment = Path { field: None, ..path.clone() };
    let found = message.find(&message.whole(), &of_segment);
    let segment = message
        .segments()
        .find(|segment| !found.is_absent() && segment.span() == found.span())
        .ok_or(EditError::NoSegment)?;
    let place = place_in(message, path)?;
    if segment.is_header() && place.field <= 2 {
        return Err(EditError::Delimiters);
    }
    let field = segment.field(place.field);
    if !field.is_absent() {
        return Ok((field.span(), with_value(field.raw(), &place, value, &delimiters)?));
    }
    let missing = place.field.saturating_sub(segment.field_count());
    let mut written = vec![delimiters.field; usize::from(missing)];
    written.extend(with_value(b"", &place, value, &delimiters)?);
    Ok((segment.span().end..segment.span().end, written))
}

/// The place of a path; a condition chooses the first repetition that fulfils it.
fn place_in(message: &Message<'_>, path: &Path) -> Result<Place, EditError> {
    let step = path.field.as_ref().ok_or(EditError::NoField)?;
    if !matches!(step.repetition, Repetition::Where { .. }) {
        return Place::of(path);
    }
    let mut of_repetition = path.clone();
    if let Some(wanted) = of_repetition.field.as_mut() {
        wanted.part = Part::Whole;
    }
    let chosen = message.find(&message.whole(), &of_repetition);
    let mut of_field = of_repetition;
    if let Some(wanted) = of_field.field.as_mut() {
        wanted.repetition = Repetition::Unsaid;
    }
    let field = message.find(&message.whole(), &of_field);
    let number = field.repetitions().zip(1_u32..).find(|(repetition, _)| repetition.span() == chosen.span());
    let (_, number) = number.filter(|_| !chosen.is_absent()).ok_or(EditError::NoRepetition)?;
    Ok(Place {
        field: step.number,
        repetition: Some(number),
        component: path.component(),
        subcomponent: path.subcomponent(),
    })
}

/// The field with `value` at its place; all else as it was.
fn with_value(field: &[u8], place: &Place, value: &[u8], delimiters: &Delimiters) -> Result<Vec<u8>, EditError> {
    let Some(repetition) = place.repetition else { return Ok(value.to_vec()) };
    with_part(field, delimiters.repetition, repetition, |part| {
        let Some(component) = place.component else { return Ok(value.to_vec()) };
        with_part(part, delimiters.component, u32::from(component), |inner| {
            let Some(subcomponent) = place.subcomponent else { return Ok(value.to_vec()) };
            with_part(inner, delimiters.subcomponent, u32::from(subcomponent), |_| Ok(value.to_vec()))
        })
    })
}

/// `whole` with its part of this number changed; missing parts before it are left empty.
fn with_part(
    whole: &[u8],
    delimiter: Option<u8>,
    number: u32,
    change: impl FnOnce(&[u8]) -> Result<Vec<u8>, EditError>,
) -> Result<Vec<u8>, EditError> {
    if number == 0 || number > super::path::REPETITION_MAX {
        return Err(EditError::Number);
    }
    let Some(delimiter) = delimiter else {
        return if number == 1 { change(whole) } else { Err(EditError::NoDelimiter) };
    };
    let mut parts: Vec<&[u8]> = whole.split(|&byte| byte == delimiter).collect();
    let place = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    if parts.len() <= place {
        parts.resize(place.saturating_add(1), b"");
    }
    let changed = change(parts.get(place).copied().unwrap_or_default())?;
    if let Some(part) = parts.get_mut(place) {
        *part = &changed;
    }
    Ok(parts.join(&delimiter))
}

/// Raw bytes must not reach beyond their place.
fn check_raw(raw: &[u8], place: &Place, delimiters: &Delimiters) -> Result<(), EditError> {
    let outside = [
        Some(delimiters.field),
        place.repetition.and(delimiters.repetition),
        place.component.and(delimiters.component),
        place.subcomponent.and(delimiters.subcomponent),
    ];
    if raw.iter().any(|&byte| is_line_break(byte) || outside.contains(&Some(byte))) {
        return Err(EditError::Divides);
    }
    Ok(())
}

/// A new message, segment by segment.
#[derive(Clone)]
pub struct Builder {
    delimiters: Delimiters,
    charset: Charset,
    segments: Vec<Draft>,
}

/// A segment to be written.
#[derive(Clone)]
struct Draft {
    name: [u8; 3],
    /// Field 1 first.
    fields: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("segments", &self.segments.len()).field("charset", &self.charset).finish()
    }
}

impl Builder {
    /// An empty message to be written with these delimiters in this character set.
    pub fn new(delimiters: Delimiters, charset: Charset) -> Result<Builder, EditError> {
        delimiters.check().map_err(|_| EditError::Delimiters)?;
        Ok(Builder { delimiters, charset, segments: Vec::new() })
    }

    /// Appends a segment and returns its place. MSH-1 and MSH-2 are written by themselves.
    pub fn segment(&mut self, name: &str) -> Result<usize, EditError> {
        let name = <[u8; 3]>::try_from(name.as_bytes()).map_err(|_| EditError::Name)?;
        let [first, rest @ ..] = name;
        if !first.is_ascii_uppercase() || !rest.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            return Err(EditError::Name);
        }
        self.segments.push(Draft { name, fields: Vec::new() });
        Ok(self.segments.len().saturating_sub(1))
    }

    /// Sets a text.
    pub fn set(&mut self, segment: usize, place: Place, text: &str) -> Result<(), EditError> {
        let value = escape::encode(text, &self.delimiters, self.charset)?;
        self.put(segment, place, &value)
    }

    /// Sets the null value `""`.
    pub fn set_null(&mut self, segment: usize, place: Place) -> Result<(), EditError> {
        self.put(segment, place, b"\"\"")
    }

    /// Sets bytes as they are, in the delimiters and the character set of the new message.
    pub fn set_raw(&mut self, segment: usize, place: Place, raw: &[u8]) -> Result<(), EditError> {
        check_raw(raw, &place, &self.delimiters)?;
        self.put(segment, place, raw)
    }

    fn put(&mut self, segment: usize, place: Place, value: &[u8]) -> Result<(), EditError> {
        let delimiters = self.delimiters;
        let draft = self.segments.get_mut(segment).ok_or(EditError::NoSegment)?;
        if place.field == 0 || place.field > FIELDS_MAX {
            return Err(EditError::Number);
        }
        if draft.is_header() && place.field <= 2 {
            return Err(EditError::Delimiters);
        }
        let at = usize::from(place.field.saturating_sub(1));
        if draft.fields.len() <= at {
            draft.fields.resize(at.saturating_add(1), Vec::new());
        }
        if let Some(field) = draft.fields.get_mut(at) {
            *field = with_value(field, &place, value, &delimiters)?;
        }
        Ok(())
    }

    /// The message; every segment ends in CR, and empty fields at the end of a segment are left out.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for draft in &self.segments {
            draft.write(&self.delimiters, &mut out);
            out.push(b'\r');
        }
        out
    }
}

impl Draft {
    fn is_header(&self) -> bool {
        matches!(&self.name, b"MSH" | b"FHS" | b"BHS")
    }

    fn write(&self, delimiters: &Delimiters, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.name);
        let mut from = 0;
        if self.is_header() {
            out.push(delimiters.field);
            out.extend(delimiters.encoding_characters());
            from = 2;
        }
        let valued = self.fields.iter().rposition(|field| !field.is_empty()).map_or(0, |last| last.saturating_add(1));
        for field in self.fields.get(from..valued).unwrap_or_default() {
            out.push(delimiters.field);
            out.extend_from_slice(field);
        }
    }
}

#[cfg(test)]
mod tests;
