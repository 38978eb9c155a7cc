//! Runs that are held: rows as they are written and read back, and the list of the codes that they wait for.
//!
//! A code is content of a message. It is shown to operators who ask for the list, and never by `Debug` (H10).

use std::fmt;
use std::sync::Arc;

use adapters::clock::Timestamp;

use super::ids::RunId;
use super::rows::Lane;

/// A code that a table does not have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwaitedCode {
    /// The table.
    pub table: Arc<str>,
    /// The code, as the message has it.
    pub code: Arc<str>,
}

impl fmt::Debug for AwaitedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwaitedCode {{ table: {:?}, code: [phi] }}", self.table)
    }
}

/// A run that is held. The same unit writes the run itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHeld {
    /// Which run.
    pub id: RunId,
    /// Its route.
    pub route: Arc<str>,
    /// The one destination that it is limited to.
    pub destination: Option<Arc<str>>,
    /// What comes later in this lane, by the same route, waits behind it; none: nothing does.
    pub lane: Option<Lane>,
    /// The source of its message.
    pub source: Arc<str>,
    /// When its message arrived.
    pub received_at: Timestamp,
    /// The code that it waits for; none: it waits behind others only.
    pub code: Option<AwaitedCode>,
}

/// A held run, as it is stored, with what is needed to run it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRun {
    /// What was written.
    pub held: NewHeld,
    /// The lane of its message, whether the route keeps its order or not.
    pub message_lane: Option<Lane>,
    /// The number of the configuration under which it was held.
    pub configuration: i64,
    /// The number of the last run of its message.
    pub last_run: u32,
    /// How often its message was charged.
    pub charges: u32,
}

/// Which held runs are asked for. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct HeldFilter {
    /// After this one, in the order of the journal.
    pub after: Option<RunId>,
    /// Those that wait for this code.
    pub code: Option<AwaitedCode>,
    /// From which source.
    pub source: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Which codes are asked for. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct CodeFilter {
    /// Of which table.
    pub table: Option<String>,
    /// Of which source.
    pub source: Option<String>,
    /// After this one: the cursor.
    pub after: Option<CodeKey>,
    /// At most so many.
    pub limit: usize,
}

/// What codes are grouped by, and ordered by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CodeKey {
    /// The code, with its table.
    pub code: AwaitedCode,
    /// The source whose messages have it.
    pub source: Arc<str>,
}

/// A page of the codes that messages are held for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodePage {
    /// By table, code and source.
    pub codes: Vec<CodeLine>,
    /// Whether there are more after the last one.
    pub more: bool,
    /// All runs that wait behind others and lack no code themselves.
    pub behind: u64,
}

/// One code that messages are held for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeLine {
    /// Which code of which source.
    pub key: CodeKey,
    /// How many messages wait for it.
    pub messages: u64,
    /// When the oldest of them arrived.
    pub oldest: Timestamp,
    /// When the newest of them arrived.
    pub newest: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_hidden_from_debug() {
        let code = AwaitedCode { table: "routes".into(), code: "CANARY".into() };
        assert!(!format!("{code:?}").contains("CANARY"));
    }
}
