//! What the standard calls a field.
//!
//! In comes a path into a message, out goes the name beside it: `PID-7` is `Date/Time of Birth`. Names are those of
//! the version in MSH-12, or of the one nearest to it that knows the field.

use adapters::Document;
use adapters::hl7v2::Path;
use adapters::hl7v2::grammar::{Element, Grammar, Version};

/// Names in one document; none for a document that is not HL7 v2.
#[derive(Clone, Copy)]
pub(super) struct Names(Option<Version>);

impl Names {
    /// The names of a document's version.
    pub(super) fn of(document: &Document) -> Names {
        match document {
            Document::Hl7v2(hl7) => Names(Some(Version::for_message(&hl7.message().header().version().text()))),
            Document::Json(_) | Document::Xml(_) | Document::Csv(_) => Names(None),
        }
    }

    /// `Patient Name, Family Name` for `PID-5.1`.
    pub(super) fn name(self, path: &str) -> Option<String> {
        let path = Path::parse(path).ok()?;
        let field_no = path.field()?;
        self.0?.by_nearness().map(Grammar::of).find_map(|grammar| {
            let field = grammar.segment(path.segment())?.element(field_no)?;
            let component = |element: &Element| {
                let parts = grammar.data_type(element.data_type)?;
                Some(parts.element(path.component()?)?.text)
            };
            Some(match component(field) {
                Some(part) => format!("{}, {part}", field.text),
                None => field.text.to_owned(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_components_have_the_names_of_the_standard_in_any_version() {
        let name = |version, path| Names(Some(version)).name(path);
        assert_eq!(name(Version::V2_5_1, "PID-7").as_deref(), Some("Date/Time of Birth"));
        assert_eq!(name(Version::V2_5_1, "PID-5[2].1").as_deref(), Some("Patient Name, Family Name"));
        assert_eq!(name(Version::V2_3, "RXE-2").map(|text| text.to_lowercase()).as_deref(), Some("give code"));
        assert!(name(Version::V2_3, "RXE-44").is_some(), "a later version has it");
        assert_eq!(name(Version::V2_5_1, "ZPI-1"), None);
        assert_eq!(Names(None).name("PID-7"), None);
    }
}
