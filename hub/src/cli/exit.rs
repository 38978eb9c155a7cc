//! Exit codes.

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1.
    Failed,
    /// 70: a part failed too often.
    RootFailure,
    /// 73: the data folder is taken.
    Taken,
    /// 74: input or output failed.
    Io,
    /// 78: the configuration has errors.
    Configuration,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::RootFailure => 70,
            Exit::Taken => 73,
            Exit::Io => 74,
            Exit::Configuration => 78,
        }
    }
}
