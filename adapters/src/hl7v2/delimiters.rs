//! The delimiters that a message declares for itself.
//!
//! In comes the start of a header segment (MSH, FHS, BHS); out go its delimiters. Refused are delimiters
//! that could not be told from text or from each other (HL7 v2.5.1 section 2.5.4).

use crate::Unreadable;

use super::findings::Findings;

/// The characters that divide one message: MSH-1 and MSH-2.
///
/// One that the message does not declare is `None`: nothing is divided or escaped by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiters {
    /// MSH-1, normally `|`.
    pub field: u8,
    /// First character of MSH-2, normally `^`.
    pub component: Option<u8>,
    /// Second character of MSH-2, normally `~`.
    pub repetition: Option<u8>,
    /// Third character of MSH-2, normally `\`.
    pub escape: Option<u8>,
    /// Fourth character of MSH-2, normally `&`.
    pub subcomponent: Option<u8>,
    /// Fifth character of MSH-2 (v2.7 and later), normally `#`.
    pub truncation: Option<u8>,
}

impl Default for Delimiters {
    /// `|^~\&`, as nearly everybody writes them.
    fn default() -> Self {
        Delimiters {
            field: b'|',
            component: Some(b'^'),
            repetition: Some(b'~'),
            escape: Some(b'\\'),
            subcomponent: Some(b'&'),
            truncation: None,
        }
    }
}

impl Delimiters {
    /// Reads the delimiters of `header`, which starts with a three-letter segment name.
    ///
    /// `at` is the offset of `header` in the message, for the error.
    pub(super) fn read(header: &[u8], at: usize, findings: &mut Findings) -> Result<Delimiters, Unreadable> {
        let Some((&field, rest)) = header.get(3..).and_then(<[u8]>::split_first) else {
            return Err(Unreadable { reason: "the header ends before its field separator", at: at.saturating_add(3) });
        };
        let written = rest.split(|&byte| byte == field || is_line_break(byte)).next().unwrap_or_default();
        let delimiters = Delimiters::assign(field, written, findings)
            .map_err(|reason| Unreadable { reason, at: at.saturating_add(3) })?;
        delimiters.check().map_err(|reason| Unreadable { reason, at: at.saturating_add(3) })?;
        Ok(delimiters)
    }

    /// Gives the characters of MSH-2 their roles. Three characters are either `^~\` or `^~&`.
    fn assign(field: u8, written: &[u8], findings: &mut Findings) -> Result<Delimiters, &'static str> {
        let none =
            Delimiters { field, component: None, repetition: None, escape: None, subcomponent: None, truncation: None };
        if written.len() < 4 {
            findings.add(Findings::SHORT_ENCODING_CHARACTERS);
        }
        match *written {
            [] => Ok(none),
            [component] => Ok(Delimiters { component: Some(component), ..none }),
            [component, repetition] => {
                Ok(Delimiters { component: Some(component), repetition: Some(repetition), ..none })
            }
            [component, repetition, escape @ b'\\'] => Ok(Delimiters {
                component: Some(component),
                repetition: Some(repetition),
                escape: Some(escape),
                ..none
            }),
            [component, repetition, subcomponent] => Ok(Delimiters {
                component: Some(component),
                repetition: Some(repetition),
                subcomponent: Some(subcomponent),
                ..none
            }),
            [component, repetition, escape, subcomponent] => Ok(Delimiters {
                component: Some(component),
                repetition: Some(repetition),
                escape: Some(escape),
                subcomponent: Some(subcomponent),
                ..none
            }),
            [component, repetition, escape, subcomponent, truncation] => Ok(Delimiters {
                field,
                component: Some(component),
                repetition: Some(repetition),
                escape: Some(escape),
                subcomponent: Some(subcomponent),
                truncation: Some(truncation),
            }),
            _ => Err("MSH-2 has more than five encoding characters"),
        }
    }

    /// All declared delimiters, the field separator first.
    pub fn all(&self) -> impl Iterator<Item = u8> + use<> {
        [Some(self.field), self.component, self.repetition, self.escape, self.subcomponent, self.truncation]
            .into_iter()
            .flatten()
    }

    /// MSH-2 as it is written.
    pub fn encoding_characters(&self) -> impl Iterator<Item = u8> + use<> {
        self.all().skip(1)
    }

    /// A delimiter must be one printable ASCII character that no text or null value needs, used once.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        for (place, byte) in self.all().enumerate() {
            if !byte.is_ascii_graphic() {
                return Err("a delimiter is not a printable ASCII character");
            }
            if byte.is_ascii_alphanumeric() || byte == b'"' {
                return Err("a delimiter is a letter, a digit or a quotation mark");
            }
            if self.all().take(place).any(|other| other == byte) {
                return Err("two delimiters are the same character");
            }
        }
        Ok(())
    }
}

/// A segment ends at CR; LF and CR LF are tolerated.
pub(super) fn is_line_break(byte: u8) -> bool {
    byte == b'\r' || byte == b'\n'
}
