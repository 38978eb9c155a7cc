//! What people read.
/// Says on standard error what went wrong.
#[expect(clippy::print_stderr, reason = "the command line speaks to people")]
pub fn complain(text: &str) {
    eprintln!("{text}");
}

/// Says on standard output what was asked for.
#[expect(clippy::print_stdout, reason = "the command line speaks to people")]
pub fn say(text: &str) {
    print!("{text}");
}
