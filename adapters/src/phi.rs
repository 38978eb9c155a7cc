//! Patient data, wrapped so that it cannot be printed by accident (H10).
//!
//! In comes anything that was read from a body; out it goes only by [`Phi::reveal`] or
//! [`Phi::into_revealed`], which a reviewer can search for. There is no `Display`, and `Debug` prints
//! `[phi]`, so a log line, an error or a derived `Debug` of an outer type cannot show it.

use std::fmt;

/// A value that holds patient data until it is written to the journal or to a wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Phi(value)
    }

    /// The value, for the journal, a mapping or a wire.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value, no longer wrapped.
    pub fn into_revealed(self) -> T {
        self.0
    }

    /// Changes the value; the result is patient data too.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Phi<U> {
        Phi(change(self.0))
    }
}

impl<T> From<T> for Phi<T> {
    fn from(value: T) -> Self {
        Phi(value)
    }
}

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_value_is_never_printed_by_debug() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "read only by the derived Debug")]
        struct Patient {
            name: Phi<&'static str>,
            ids: Vec<Phi<u64>>,
        }
        let patient = Patient { name: Phi::new("CANARY"), ids: vec![Phi::new(29_001_011_234_567)] };
        assert_eq!(format!("{patient:?}"), "Patient { name: [phi], ids: [[phi]] }");
        assert!(!format!("{patient:#?}").contains("CANARY"));
    }

    #[test]
    fn a_revealed_value_is_the_value() {
        let name = Phi::from("CANARY").map(str::len);
        assert_eq!(*name.reveal(), 6);
        assert_eq!(name.into_revealed(), 6);
    }
}
