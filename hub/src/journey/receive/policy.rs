//! Who may say what to a source: the objections of the intake, each with the standard's code.

use adapters::hl7v2::ack::{Condition, Location};
use adapters::{BreachKind, Principal, Unreadable};

use crate::routes::{MllpSource, Sender};
use crate::store::{Cause, StoreError};
use adapters::hl7v2::Header;

/// Why a message is not accepted. Holds no content of it (H10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// `HUBnnnn`, with a page in `docs/errors`.
    pub code: &'static str,
    /// What is wrong.
    pub text: String,
    /// ERR-3.
    pub condition: Condition,
    /// ERR-2: the segment and field, where one is to blame.
    pub location: Option<Location>,
    /// Whether the header is to blame (AR, CR), not the content or the hub (AE, CE).
    pub rejects: bool,
}

impl Objection {
    fn header(code: &'static str, condition: Condition, field: u16, text: &str) -> Objection {
        let location = Some(Location::field("MSH", field));
        Objection { code, text: text.to_owned(), condition, location, rejects: true }
    }

    fn own(code: &'static str, text: &str) -> Objection {
        let condition = Condition::ApplicationError;
        Objection { code, text: text.to_owned(), condition, location: None, rejects: false }
    }

    /// The bytes are no HL7 v2.
    pub fn unreadable(unreadable: &Unreadable) -> Objection {
        let text = format!("not readable as HL7 v2: {unreadable}");
        Objection { code: "HUB0701", text, condition: Condition::SegmentSequence, location: None, rejects: true }
    }

    /// The source was taken out of the configuration.
    pub fn source_gone() -> Objection {
        Objection::own("HUB0714", "this source is no longer configured")
    }

    /// The hub is going down.
    pub fn closing() -> Objection {
        Objection::own("HUB0715", "the hub is going down; send again")
    }

    /// There is no room.
    pub fn overloaded() -> Objection {
        Objection::own("HUB0709", "the hub has no room now; send again")
    }

    /// The journal could not take it. What the store said stays in the hub's own log.
    pub fn store(error: &StoreError) -> Objection {
        tracing::error!(%error, "the journal did not take a message");
        let passing = if error.is_passing() { "now; send again" } else { "" };
        Objection::own("HUB0708", format!("the journal cannot take the message {passing}").trim_end())
    }

    /// The transport met a limit.
    pub fn breach(kind: BreachKind) -> Objection {
        match kind {
            BreachKind::FrameTooLarge { limit } => Objection {
                condition: Condition::ValueTooLong,
                rejects: true,
                ..Objection::own("HUB0710", &format!("the frame is larger than {limit} bytes"))
            },
            BreachKind::FrameTooSlow { limit } => {
                Objection::own("HUB0711", &format!("the frame was not complete within {} s", limit.as_secs()))
            }
            BreachKind::FrameCut => Objection::own("HUB0712", "the connection ended inside a frame"),
            BreachKind::TooManyConnections { limit } => {
                Objection::own("HUB0713", &format!("{limit} connections are open already"))
            }
        }
    }

    /// As it is kept with the message.
    pub fn cause(&self) -> Cause {
        Cause::new(self.code, &self.text)
    }
}

/// What the source's policy says of a message, by its header.
pub fn check(header: &Header<'_>, settings: &MllpSource, principal: &Principal) -> Result<(), Objection> {
    if header.control_id().text().trim().is_empty() {
        let text = "MSH-10 is empty: without a control id a repeat cannot be told";
        return Err(Objection::header("HUB0702", Condition::RequiredFieldMissing, 10, text));
    }
    check_sender(header, settings, principal)?;
    check_processing(header, settings)?;
    check_version(header, settings)?;
    check_type(header, settings)
}

fn check_sender(header: &Header<'_>, settings: &MllpSource, principal: &Principal) -> Result<(), Objection> {
    let application = header.sending_application().component(1).text();
    let facility = header.sending_facility().component(1).text();
    let allows = |senders: &[Sender]| {
        senders.is_empty() || senders.iter().any(|sender| sender.is_met_by(&application, &facility))
    };
    if !allows(&settings.senders) {
        let text = "this source does not take messages of this sending application and facility";
        return Err(Objection::header("HUB0706", Condition::ApplicationError, 3, text));
    }
    if settings.principals.is_empty() {
        return Ok(());
    }
    let rule = settings.principals.iter().find(|rule| *rule.name == *principal.0);
    if rule.is_some_and(|rule| allows(&rule.senders)) {
        return Ok(());
    }
    let text = "the certificate's holder may not speak as this sending application and facility";
    Err(Objection::header("HUB0707", Condition::ApplicationError, 3, text))
}

fn check_processing(header: &Header<'_>, settings: &MllpSource) -> Result<(), Objection> {
    let id = header.processing_id().component(1).text();
    let id = match id.trim() {
        "" => "P",
        other => other,
    };
    if settings.processing.iter().any(|taken| taken.eq_ignore_ascii_case(id)) {
        return Ok(());
    }
    let text = format!("this source takes MSH-11 {}", settings.processing.join(", "));
    Err(Objection::header("HUB0704", Condition::UnsupportedProcessingId, 11, &text))
}

fn check_version(header: &Header<'_>, settings: &MllpSource) -> Result<(), Objection> {
    let version = header.version().component(1).text();
    let version = version.trim();
    let taken = if settings.versions.is_empty() {
        version.is_empty() || is_readable_version(version)
    } else {
        settings.versions.iter().any(|taken| taken == version)
    };
    if taken {
        return Ok(());
    }
    Err(Objection::header(
        "HUB0705",
        Condition::UnsupportedVersion,
        12,
        "this source does not take the version in MSH-12",
    ))
}

/// 2.1 to 2.8 with their parts; `2.51` is written too.
fn is_readable_version(version: &str) -> bool {
    let Some(rest) = version.strip_prefix("2.") else { return false };
    let mut parts = rest.split('.');
    let minor = parts.next().unwrap_or_default();
    let begins_well = minor.chars().next().is_some_and(|digit| ('1'..='8').contains(&digit));
    let digits = |part: &str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    begins_well && digits(minor) && parts.all(digits)
}

fn check_type(header: &Header<'_>, settings: &MllpSource) -> Result<(), Objection> {
    let code = header.message_code().text();
    let trigger = header.trigger().text();
    if code.trim().is_empty() {
        return Err(Objection::header("HUB0703", Condition::RequiredFieldMissing, 9, "MSH-9 is empty"));
    }
    let meets = |pattern: &String| {
        let (kind, event) = pattern.split_once('^').unwrap_or((pattern, "*"));
        (kind.eq_ignore_ascii_case(code.trim()), event == "*" || event.eq_ignore_ascii_case(trigger.trim()))
    };
    let patterns: Vec<(bool, bool)> = settings.types.iter().map(meets).collect();
    if patterns.is_empty() || patterns.contains(&(true, true)) {
        return Ok(());
    }
    let known_kind = patterns.iter().any(|(kind, _)| *kind);
    let condition = if known_kind { Condition::UnsupportedEvent } else { Condition::UnsupportedMessageType };
    Err(Objection::header("HUB0703", condition, 9, "this source does not take the message type in MSH-9"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_standard_are_taken_and_others_are_not() {
        for version in ["2.1", "2.3.1", "2.5.1", "2.51", "2.8", "2.8.2"] {
            assert!(is_readable_version(version), "{version}");
        }
        for version in ["", "2", "2.", "2.9", "2.0", "3.0", "2.5.", "2.x", "2.5.1.EGY", "2.555"] {
            assert!(!is_readable_version(version), "{version}");
        }
    }
}
