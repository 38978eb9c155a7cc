//! Identifiers of the domain: who issued a number is always part of it.
//!
//! In come texts of senders; out go typed identifiers, in one spelling each. No identifier of a patient
//! or an order shows itself in Debug output (H10). Refused is what cannot be an identifier by its
//! structure; whether it exists is for the registries.

mod functional;
mod governorate;
mod national_id;
mod prescription_number;
mod shape;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use functional::Functional;
pub use governorate::{GOVERNORATES, Governorate};
pub use national_id::{NationalId, NationalIdError, Sex};
pub use prescription_number::{
    DayExhausted, Form, IssuedNumber, NATIONAL_SYSTEM, NUMBERS_PER_DAY, NumberKey, PrescriptionNumber, UnknownForm,
    allocate, is_national_system,
};

/// The longest number or authority that is taken, in bytes. HL7 v2.7 gives EI.1 and EI.3 199 characters;
/// Arabic letters take two bytes.
const IDENTITY_BYTES_MAX: usize = 512;

/// The names under which the system of national ids is met.
const NATIONAL_ID_SYSTEMS: [&str; 2] = ["urn:oid:2.16.818.1.101.1.1.1", "2.16.818.1.101.1.1.1"];

/// Which order, prescription group or other thing is meant: a number, and the authority that gave it.
/// Two hospitals may use the same number; a number alone names nothing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OrderIdentity {
    assigning_authority: String,
    number: String,
}

/// One of the two parts of an identity is empty or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("the number is empty")]
    NoNumber,
    #[error("the assigning authority is empty")]
    NoAuthority,
    #[error("the number or its authority is longer than {IDENTITY_BYTES_MAX} bytes")]
    TooLong,
}

impl OrderIdentity {
    /// Joins the two parts. White space round them is dropped.
    pub fn new(assigning_authority: &str, number: &str) -> Result<OrderIdentity, IdentityError> {
        let authority = assigning_authority.trim();
        let trimmed = number.trim();
        if trimmed.is_empty() {
            return Err(IdentityError::NoNumber);
        }
        if authority.is_empty() {
            return Err(IdentityError::NoAuthority);
        }
        if trimmed.len() > IDENTITY_BYTES_MAX || authority.len() > IDENTITY_BYTES_MAX {
            return Err(IdentityError::TooLong);
        }
        Ok(OrderIdentity { assigning_authority: authority.to_owned(), number: trimmed.to_owned() })
    }

    /// Who gave the number: a URI, an OID or a local name.
    pub fn assigning_authority(&self) -> &str {
        &self.assigning_authority
    }

    /// The number, meaningful only under its authority.
    pub fn number(&self) -> &str {
        &self.number
    }
}

impl fmt::Debug for OrderIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrderIdentity([phi])")
    }
}

/// Whether `system` names the civil registry's national ids. Senders use many names for it; the gateway of
/// the platform takes each that has `national-id` in it, and so does the hub.
pub fn is_national_id_system(system: &str) -> bool {
    system.contains("national-id") || NATIONAL_ID_SYSTEMS.contains(&system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_of_two_hospitals_is_two_orders() {
        let first = OrderIdentity::new("HIS-A", "4711").unwrap();
        assert_ne!(first, OrderIdentity::new("HIS-B", "4711").unwrap());
        assert_eq!(first, OrderIdentity::new(" HIS-A ", " 4711 ").unwrap());
    }

    #[test]
    fn a_bare_number_is_no_identity_and_neither_is_a_bare_authority() {
        assert_eq!(OrderIdentity::new("", "4711"), Err(IdentityError::NoAuthority));
        assert_eq!(OrderIdentity::new("HIS-A", " "), Err(IdentityError::NoNumber));
        assert_eq!(OrderIdentity::new("HIS-A", &"9".repeat(513)), Err(IdentityError::TooLong));
    }

    #[test]
    fn debug_output_of_an_order_shows_neither_number_nor_authority() {
        let shown = format!("{:?}", OrderIdentity::new("HIS-A", "4711").unwrap());
        assert_eq!(shown, "OrderIdentity([phi])");
    }

    #[test]
    fn every_name_of_the_national_id_system_is_known() {
        for system in [
            "http://mohp.gov.eg/national-id",
            "http://ndp.egypt.gov.eg/national-id",
            "http://fhir.health.gov.eg/sid/national-id",
            "urn:oid:2.16.818.1.101.1.1.1",
            "http://healthflow.gov.eg/identifier/national-id",
            "http://hcx-egypt.gov.eg/identifiers/national-id",
        ] {
            assert!(is_national_id_system(system), "{system}");
        }
        assert!(!is_national_id_system("urn:oid:1.2.818.1.1"));
    }
}
