//! FHIR R4 (4.0.1): what its resources are made of.

pub mod grammar;
