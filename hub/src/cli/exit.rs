//! How a command ends, for scripts (sysexits).

use std::process::ExitCode;

/// The exit codes of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Success,
    /// It was done, and the answer is no: a test failed, a message was refused, nothing was found.
    Failed,
    /// The command line is wrong.
    Usage,
    /// A part of the hub that cannot be restarted failed.
    Software,
    /// Another hub has the data folder.
    CannotCreate,
    /// Reading, writing, listening or connecting failed; so did finding a running hub.
    Io,
    /// The configuration has errors.
    Configuration,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Exit; 7] =
        [Exit::Success, Exit::Failed, Exit::Usage, Exit::Software, Exit::CannotCreate, Exit::Io, Exit::Configuration];

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Software => 70,
            Exit::CannotCreate => 73,
            Exit::Io => 74,
            Exit::Configuration => 78,
        }
    }

    /// What it says, for the help text.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Success => "all is well",
            Exit::Failed => "done, and the answer is no: a test failed, a message was refused, nothing was found",
            Exit::Usage => "the command line is wrong",
            Exit::Software => "a part of the hub failed that cannot be restarted",
            Exit::CannotCreate => "another hub has the data folder",
            Exit::Io => "reading, writing, listening or connecting failed, or no hub answers",
            Exit::Configuration => "the configuration has errors",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
