//! Shapes of the functional identifiers that the platform gives to people, places and things.
//!
//! In comes a text; out goes which kind of identifier it has the shape of. Only the shape is known here:
//! whether such a licence, facility or medicine exists is for the registries. Lists that are not
//! published (specialties, the letters of governorates) are not checked.

use super::shape::{Letters, Piece, between, exactly, fits};

/// What a functional identifier names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Functional {
    /// `HPR-{licence}-{specialty}`: a prescriber.
    Prescriber,
    /// `PHR-{licence}`: a pharmacist.
    Pharmacist,
    /// `FAC-{governorate}-{sequence}`: a hospital, clinic or pharmacy.
    Facility,
    /// `EDA-MED-{number}`: a medicine of the EDA's registry.
    Medicine,
    /// `CLM-YYYYMMDD-{8 hex digits}`: a claim.
    Claim,
    /// `DSP-YYYYMMDD{6 hex digits}`: a dispense.
    Dispense,
}

impl Functional {
    /// Every kind.
    pub const ALL: [Functional; 6] = [
        Functional::Prescriber,
        Functional::Pharmacist,
        Functional::Facility,
        Functional::Medicine,
        Functional::Claim,
        Functional::Dispense,
    ];

    /// The kind that `text` has the shape of. No text has two.
    pub fn recognise(text: &str) -> Option<Functional> {
        Functional::ALL.into_iter().find(|kind| kind.fits(text))
    }

    /// Whether `text` has the shape of this kind.
    pub fn fits(self, text: &str) -> bool {
        fits(text, self.shape())
    }

    fn shape(self) -> &'static [Piece] {
        use Letters::{Digit, Upper, UpperHex};
        use Piece::Literal;
        match self {
            Functional::Prescriber => {
                const { &[Literal("HPR-"), between(4, 8, Digit), Literal("-"), between(2, 4, Upper)] }
            }
            Functional::Pharmacist => const { &[Literal("PHR-"), between(4, 8, Digit)] },
            Functional::Facility => const { &[Literal("FAC-"), exactly(3, Upper), Literal("-"), exactly(5, Digit)] },
            Functional::Medicine => const { &[Literal("EDA-MED-"), between(5, 6, Digit)] },
            Functional::Claim => const { &[Literal("CLM-"), exactly(8, Digit), Literal("-"), exactly(8, UpperHex)] },
            Functional::Dispense => const { &[Literal("DSP-"), exactly(8, Digit), exactly(6, UpperHex)] },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_example_is_of_its_kind_and_of_no_other() {
        let examples = [
            ("HPR-12345-GP", Functional::Prescriber),
            ("HPR-99999-CAR", Functional::Prescriber),
            ("PHR-98765", Functional::Pharmacist),
            ("FAC-CAI-00123", Functional::Facility),
            ("FAC-CAI-00789", Functional::Facility),
            ("EDA-MED-00123", Functional::Medicine),
            ("EDA-MED-001234", Functional::Medicine),
            ("CLM-20260503-0A1B2C3D", Functional::Claim),
            ("DSP-20260503A1B2C3", Functional::Dispense),
        ];
        for (text, kind) in examples {
            assert_eq!(Functional::recognise(text), Some(kind), "{text}");
            let fitting = Functional::ALL.into_iter().filter(|other| other.fits(text)).count();
            assert_eq!(fitting, 1, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_too_short_or_of_other_letters_is_of_no_kind() {
        let strangers = [
            "",
            "HPR-123-GP",
            "HPR-123456789-GP",
            "HPR-12345-G",
            "HPR-12345-gp",
            "HPR-12345-GPXYZ",
            "PHR-98765-",
            "PHR-٩٨٧٦٥",
            "FAC-CAIR-00123",
            "FAC-CAI-0123",
            "EDA-MED-0123",
            "EDA-PH-001234",
            "CLM-2026-0042",
            "DSP-20260503-A1B2C3",
            " PHR-98765",
        ];
        for text in strangers {
            assert_eq!(Functional::recognise(text), None, "{text}");
        }
    }
}
