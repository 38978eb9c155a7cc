//! Arabic as people search for it: two ways of writing one name are one text.
//!
//! In comes a text; out goes its search form, or the text with its digits written as 0 to 9. Promised: a search
//! form is its own search form; what is stored and sent stays as it was received. Refused: nothing.

use unicode_normalization::UnicodeNormalization;

/// An Arabic-Indic (U+0660) or Persian (U+06F0) digit as 0 to 9; any other letter as it is.
pub(crate) fn fold_digit(letter: char) -> char {
    let zero = match letter {
        '\u{660}'..='\u{669}' => 0x660,
        '\u{6F0}'..='\u{6F9}' => 0x6F0,
        _ => return letter,
    };
    u32::from(letter).checked_sub(zero).and_then(|digit| char::from_digit(digit, 10)).unwrap_or(letter)
}

/// Joined forms as plain letters, no vowel signs, one letter for those that are written for each other, digits as 0
/// to 9, small Latin letters, one blank between words, `عبد` joined to the word after it.
pub(crate) fn search_form(text: &str) -> String {
    let plain: String =
        text.nfkc().filter(|letter| !is_sign(*letter)).map(fold_letter).flat_map(char::to_lowercase).collect();
    let mut form = String::with_capacity(plain.len());
    let mut joins = true;
    for word in plain.split_whitespace() {
        if !joins {
            form.push(' ');
        }
        form.push_str(word);
        joins = word == "عبد";
    }
    form
}

/// Vowel signs, the stroke that lengthens a word, and marks that nobody sees.
fn is_sign(letter: char) -> bool {
    matches!(
        letter,
        '\u{640}'
            | '\u{64B}'..='\u{65F}'
            | '\u{670}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2066}'..='\u{2069}'
            | '\u{FEFF}'
    )
}

fn fold_letter(letter: char) -> char {
    match letter {
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' | 'ئ' | 'ی' => 'ي',
        'ؤ' => 'و',
        'ة' => 'ه',
        'ک' | 'گ' => 'ك',
        'پ' => 'ب',
        'چ' => 'ج',
        'ڤ' => 'ف',
        other => fold_digit(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_ways_of_writing_one_name_are_one() {
        for (one, other) in [
            ("أَحْمَد", "احمد"),
            ("فاطمة", "فاطمه"),
            ("مصطفى", "مصطفي"),
            ("عبد الرحمن", "عبدالرحمن"),
            ("محمـــد  علي ", "محمد علي"),
            ("ﻣﺤﻤﺪ", "محمد"),
            ("إسلام ﻻشين", "اسلام لاشين"),
            ("رؤوف", "رووف"),
            ("غرفة ١٢", "غرفه 12"),
            ("AMOXIL", "amoxil"),
        ] {
            assert_eq!(search_form(one), search_form(other), "{one}");
        }
        assert_ne!(search_form("عبده علي"), search_form("عبد علي"));
    }

    proptest! {
        #[test]
        fn a_search_form_is_its_own(text in "[ء-ي٠-٩ًٌ a-zA-Z0-9]{0,24}") {
            let form = search_form(&text);
            prop_assert_eq!(search_form(&form), form.clone());
        }
    }
}
