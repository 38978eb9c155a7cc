//! What a received acknowledgement says.
//!
//! Tolerant, as senders must be: an AA where a CA is due, small letters, blanks round the control id, LF for
//! CR. Refused is an answer that is no acknowledgement; it never counts as a positive one.

use super::Code;
use crate::Unreadable;
use crate::hl7v2::index::Index;
use crate::hl7v2::message::{Message, Segment};

/// Errors that are read of one acknowledgement.
const ERRORS_MAX: usize = 100;

/// A received acknowledgement.
#[derive(Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// MSA-1.
    pub code: Code,
    /// MSA-2 as bytes, without blanks around it.
    pub control_id: Vec<u8>,
    /// MSA-3. May hold patient data: not for logs.
    pub text: String,
    /// MSA-4.
    pub expected_sequence: Option<i64>,
    /// ERR segments.
    pub errors: Vec<ReportedError>,
}

impl std::fmt::Debug for Acknowledgement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acknowledgement")
            .field("code", &self.code)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// One error of a received acknowledgement: its codes, which are safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedError {
    /// ERR-3.1, or the code in ERR-1 of older versions.
    pub condition: String,
    /// ERR-4.
    pub severity: String,
    /// ERR-5.1, the receiver's own code.
    pub application_code: String,
}

impl Acknowledgement {
    /// It answers the message with this MSH-10. With only one message under way an empty MSA-2 will do.
    pub fn answers(&self, control_id: &[u8], only_one_under_way: bool) -> bool {
        self.control_id == control_id.trim_ascii() || (self.control_id.is_empty() && only_one_under_way)
    }
}

/// Reads an acknowledgement.
pub fn read(bytes: &[u8]) -> Result<Acknowledgement, Unreadable> {
    let mut index = Index::new();
    let message = index.read(bytes)?;
    let Some(msa) = message.segments().find(|segment| segment.name() == "MSA") else {
        return Err(Unreadable { reason: "the answer has no MSA", at: bytes.len() });
    };
    let Some(code) = Code::parse(&msa.field(1).text()) else {
        return Err(Unreadable { reason: "the answer has no acknowledgement code", at: msa.span().start });
    };
    Ok(Acknowledgement {
        code,
        control_id: msa.field(2).raw().trim_ascii().to_vec(),
        text: msa.field(3).text().into_owned(),
        expected_sequence: msa.field(4).text().trim().parse().ok(),
        errors: errors(&message),
    })
}

fn errors(message: &Message<'_>) -> Vec<ReportedError> {
    let segments = message.segments().filter(|segment| segment.name() == "ERR");
    segments.flat_map(|segment| errors_of(&segment)).take(ERRORS_MAX).collect()
}

fn errors_of(segment: &Segment<'_>) -> Vec<ReportedError> {
    let coded = segment.field(3).component(1).text().into_owned();
    if !coded.is_empty() || segment.field(1).is_empty() {
        let severity = segment.field(4).text().into_owned();
        let application_code = segment.field(5).component(1).text().into_owned();
        return vec![ReportedError { condition: coded, severity, application_code }];
    }
    let older = segment.field(1).repetitions().take(ERRORS_MAX);
    let older = older.map(|repetition| repetition.component(4).subcomponent(1).text().into_owned());
    older
        .map(|condition| ReportedError { condition, severity: "E".to_owned(), application_code: String::new() })
        .collect()
}
