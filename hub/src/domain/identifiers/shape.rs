//! Shapes of identifiers: a text against a row of pieces, read once from left to right.
//!
//! In come a text and a shape; out goes whether they fit. A piece takes as many letters as it may, so a
//! shape must not need to give letters back. Nothing is refused here: what does not fit is not of this
//! shape.

/// One piece of a shape.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    /// Exactly this text.
    Literal(&'static str),
    /// From `min` to `max` letters of one class.
    Run { letters: Letters, min: usize, max: usize },
}

/// Which letters a run may hold. All are ASCII.
#[derive(Clone, Copy, Debug)]
pub(super) enum Letters {
    Digit,
    UpperHex,
    Upper,
    UpperOrDigit,
    AnyOrDigit,
}

/// A run of exactly `count` letters.
pub(super) const fn exactly(count: usize, letters: Letters) -> Piece {
    Piece::Run { letters, min: count, max: count }
}

/// A run of `min` to `max` letters.
pub(super) const fn between(min: usize, max: usize, letters: Letters) -> Piece {
    Piece::Run { letters, min, max }
}

/// Whether the whole of `text` is of this shape.
pub(super) fn fits(text: &str, shape: &[Piece]) -> bool {
    let mut rest = text;
    for piece in shape {
        let Some(after) = take(rest, *piece) else { return false };
        rest = after;
    }
    rest.is_empty()
}

fn take(text: &str, piece: Piece) -> Option<&str> {
    match piece {
        Piece::Literal(literal) => text.strip_prefix(literal),
        Piece::Run { letters, min, max } => {
            let length = text.bytes().take(max).take_while(|byte| letters.hold(*byte)).count();
            if length < min { None } else { text.get(length..) }
        }
    }
}

impl Letters {
    fn hold(self, byte: u8) -> bool {
        match self {
            Letters::Digit => byte.is_ascii_digit(),
            Letters::UpperHex => byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte),
            Letters::Upper => byte.is_ascii_uppercase(),
            Letters::UpperOrDigit => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Letters::AnyOrDigit => byte.is_ascii_alphanumeric(),
        }
    }
}
