//! The codes of acknowledgements and errors: tables 0008, 0357 and 0516, and where an error is.

/// Table 0008.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// AA: processed.
    ApplicationAccept,
    /// AE: an error in the content.
    ApplicationError,
    /// AR: rejected for its header, or for a reason that is not in the message.
    ApplicationReject,
    /// CA: stored safely.
    CommitAccept,
    /// CE: not stored, for a reason that is not in the header.
    CommitError,
    /// CR: type, processing id or version are not taken.
    CommitReject,
}

impl Code {
    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::ApplicationAccept => "AA",
            Code::ApplicationError => "AE",
            Code::ApplicationReject => "AR",
            Code::CommitAccept => "CA",
            Code::CommitError => "CE",
            Code::CommitReject => "CR",
        }
    }

    /// Reads MSA-1; small letters and blanks do not matter.
    pub fn parse(text: &str) -> Option<Code> {
        match text.trim().to_ascii_uppercase().as_str() {
            "AA" => Some(Code::ApplicationAccept),
            "AE" => Some(Code::ApplicationError),
            "AR" => Some(Code::ApplicationReject),
            "CA" => Some(Code::CommitAccept),
            "CE" => Some(Code::CommitError),
            "CR" => Some(Code::CommitReject),
            _ => None,
        }
    }

    /// AA or CA: the receiver has the message.
    pub fn is_positive(self) -> bool {
        matches!(self, Code::ApplicationAccept | Code::CommitAccept)
    }

    /// CA, CE or CR: about storing, not about processing.
    pub fn is_commit(self) -> bool {
        matches!(self, Code::CommitAccept | Code::CommitError | Code::CommitReject)
    }
}

/// ERR-3, table 0357.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// 0.
    Accepted,
    /// 100.
    SegmentSequence,
    /// 101.
    RequiredFieldMissing,
    /// 102.
    DataType,
    /// 103.
    TableValueNotFound,
    /// 104.
    ValueTooLong,
    /// 198.
    Cardinality,
    /// 199.
    OtherError,
    /// 200.
    UnsupportedMessageType,
    /// 201.
    UnsupportedEvent,
    /// 202.
    UnsupportedProcessingId,
    /// 203.
    UnsupportedVersion,
    /// 204.
    UnknownKey,
    /// 205.
    DuplicateKey,
    /// 206.
    RecordLocked,
    /// 207.
    ApplicationError,
}

impl Condition {
    /// The code and the text of the table.
    pub fn code_and_text(self) -> (&'static str, &'static str) {
        match self {
            Condition::Accepted => ("0", "Message accepted"),
            Condition::SegmentSequence => ("100", "Segment sequence error"),
            Condition::RequiredFieldMissing => ("101", "Required field missing"),
            Condition::DataType => ("102", "Data type error"),
            Condition::TableValueNotFound => ("103", "Table value not found"),
            Condition::ValueTooLong => ("104", "Value too long"),
            Condition::Cardinality => ("198", "Non-conformant cardinality"),
            Condition::OtherError => ("199", "Other HL7 error"),
            Condition::UnsupportedMessageType => ("200", "Unsupported message type"),
            Condition::UnsupportedEvent => ("201", "Unsupported event code"),
            Condition::UnsupportedProcessingId => ("202", "Unsupported processing id"),
            Condition::UnsupportedVersion => ("203", "Unsupported version id"),
            Condition::UnknownKey => ("204", "Unknown key identifier"),
            Condition::DuplicateKey => ("205", "Duplicate key identifier"),
            Condition::RecordLocked => ("206", "Application record locked"),
            Condition::ApplicationError => ("207", "Application error"),
        }
    }
}

/// ERR-4, table 0516.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// E.
    Error,
    /// W.
    Warning,
    /// I.
    Information,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "E",
            Severity::Warning => "W",
            Severity::Information => "I",
        }
    }
}

/// ERR-2: where in the message. `None` ends it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The segment's name.
    pub segment: String,
    /// Which of several segments of that name, from 1.
    pub sequence: u32,
    /// The field.
    pub field: Option<u16>,
    /// The repetition of the field.
    pub repetition: Option<u32>,
    /// The component.
    pub component: Option<u16>,
    /// The subcomponent.
    pub subcomponent: Option<u16>,
}

impl Location {
    /// A field of the first segment of that name.
    pub fn field(segment: &str, field: u16) -> Location {
        let segment = segment.to_owned();
        Location { segment, sequence: 1, field: Some(field), repetition: None, component: None, subcomponent: None }
    }

    pub(super) fn parts(&self) -> Vec<String> {
        let numbers = [
            Some(self.sequence),
            self.field.map(u32::from),
            self.repetition,
            self.component.map(u32::from),
            self.subcomponent.map(u32::from),
        ];
        let valued = numbers.iter().rposition(Option::is_some).map_or(0, |last| last.saturating_add(1));
        let numbers = numbers.into_iter().take(valued);
        let numbers = numbers.map(|number| number.map(|number| number.to_string()).unwrap_or_default());
        std::iter::once(self.segment.clone()).chain(numbers).collect()
    }
}

/// One error of an answer: an ERR segment. No text of it may hold message content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Where in the message.
    pub location: Option<Location>,
    /// What is wrong, by the standard's table.
    pub condition: Condition,
    /// How bad it is.
    pub severity: Severity,
    /// The hub's own code: `HUB0101`.
    pub code: String,
    /// What the code means.
    pub text: String,
    /// For the sender's engineers (ERR-7).
    pub diagnostic: String,
    /// For the sender's users (ERR-8).
    pub user_text: String,
}
