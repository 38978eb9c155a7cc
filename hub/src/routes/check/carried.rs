//! What a route hands to its ends.
//!
//! In come what its sources send and its mapping; out goes what arrives at a channel or a destination.

use super::Sends;
use crate::mapping::{Mapping, TargetFormat};

/// What a route hands to its ends.
#[derive(Clone, Copy)]
pub(super) struct Carried<'m> {
    pub mapping: Option<&'m Mapping>,
    pub is_hl7: bool,
    /// It is FHIR, or an event that carries it.
    pub is_fhir: bool,
    /// What people call it.
    pub word: &'static str,
}

impl<'m> Carried<'m> {
    pub fn of(sends: Sends, mapping: Option<&'m Mapping>) -> Self {
        let word = match (mapping.map(|mapping| &mapping.to), sends) {
            (Some(TargetFormat::Hl7v2(_)), _) | (None, Sends::Hl7v2) => "HL7 v2",
            (Some(TargetFormat::Fhir(_) | TargetFormat::Json), _) | (None, Sends::Events) => "JSON",
            (Some(TargetFormat::Xml(_)), _) => "XML",
            (Some(TargetFormat::Csv), _) => "CSV",
        };
        let is_fhir = mapping.map_or(word == "JSON", |mapping| matches!(mapping.to, TargetFormat::Fhir(_)));
        Carried { mapping, is_hl7: word == "HL7 v2", is_fhir, word }
    }
}
