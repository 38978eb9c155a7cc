//! What people read.
/// Says on standard error what went wrong.
#[expect(clippy::print_stderr, reason = "the command line speaks to people")]
pub fn complain(text: &str) {
    eprintln!("{text}");
}
