//! Which acknowledgements a message asks for (MSH-15 and MSH-16, table 0155).

use crate::hl7v2::message::Header;
use crate::hl7v2::value::Value;

/// Table 0155.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// AL.
    Always,
    /// NE.
    Never,
    /// ER: only on an error or a rejection.
    OnError,
    /// SU: only on success.
    OnSuccess,
}

impl When {
    /// One is due after this outcome.
    pub fn is_due(self, success: bool) -> bool {
        match self {
            When::Always => true,
            When::Never => false,
            When::OnError => !success,
            When::OnSuccess => success,
        }
    }

    /// An empty value beside a filled one counts as never; one that is not in the table as always, for a
    /// sender that asks for something must not be left without an answer.
    fn read(value: Value<'_>) -> When {
        match value.text().trim().to_ascii_uppercase().as_str() {
            "" | "NE" => When::Never,
            "ER" => When::OnError,
            "SU" => When::OnSuccess,
            _ => When::Always,
        }
    }
}

/// How a source wants its messages answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckRule {
    /// As each message asks.
    #[default]
    AsAsked,
    /// Always in original mode: for the many senders that fill MSH-15 and wait for an AA.
    Original,
}

/// The acknowledgements that one message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckMode {
    /// Exactly one application acknowledgement (AA, AE, AR), at once.
    Original,
    /// Accept acknowledgements (CA, CE, CR) at once, application acknowledgements when it was processed.
    Enhanced {
        /// MSH-15.
        accept: When,
        /// MSH-16.
        application: When,
    },
}

impl AckMode {
    /// The mode of a message: original if MSH-15 and MSH-16 are both empty.
    pub fn of(header: &Header<'_>, rule: AckRule) -> AckMode {
        let is_filled = |value: Value<'_>| !value.text().trim().is_empty();
        let asked = is_filled(header.accept_ack()) || is_filled(header.application_ack());
        if rule == AckRule::Original || !asked {
            return AckMode::Original;
        }
        AckMode::Enhanced { accept: When::read(header.accept_ack()), application: When::read(header.application_ack()) }
    }

    /// CA (`success`), CE or CR is due when the message was stored or refused.
    pub fn accept_due(self, success: bool) -> bool {
        match self {
            AckMode::Original => false,
            AckMode::Enhanced { accept, .. } => accept.is_due(success),
        }
    }

    /// AA (`success`), AE or AR is due; in original mode in place of the accept acknowledgement.
    pub fn application_due(self, success: bool) -> bool {
        match self {
            AckMode::Original => true,
            AckMode::Enhanced { application, .. } => application.is_due(success),
        }
    }
}
