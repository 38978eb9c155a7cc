//! The types of HL7 v2 fields, as far as functions depend on them.
//!
//! In comes a segment and a field number; out goes the type that HL7 v2.5.1 gives the field, or the nearest
//! version that has it: ORC-2 is an EI and PID-3 a CX, which put the assigning authority in different places.
//! Promised: where no function depends on the type it is `Unknown`, and functions look at the value itself.

use adapters::hl7v2::grammar::{Grammar, Version};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataType {
    /// Not known here, or a part of a field.
    Unknown,
    /// Identifier with authority in component 4 and type in 5.
    Cx,
    /// Identifier with authority in components 2 to 4.
    Ei,
    /// Two EI, placer and filler, with `&` inside.
    Eip,
    /// Person with identifier.
    Xcn,
    /// Name of a person.
    Xpn,
    /// Address.
    Xad,
    /// Telephone or e-mail.
    Xtn,
    /// Coded element (CE, CWE, CNE).
    Coded,
    /// Date and time.
    Ts,
    /// Number.
    Nm,
    /// Number with unit.
    Cq,
    /// Quantity and timing of versions up to 2.6.
    Tq,
    /// Repeat pattern.
    Rpt,
    /// Location of a person.
    Pl,
    /// Organisation.
    Xon,
    /// Authority.
    Hd,
    /// Amount and currency.
    Mo,
    /// Price: an MO inside.
    Cp,
    /// Licence of a driver.
    Dln,
    /// Licence of a practitioner.
    Pln,
    /// Any plain text or code (ST, ID, IS, SI, TX, FT, DT, TM).
    Plain,
}

impl DataType {
    fn named(name: &str) -> DataType {
        match name {
            "CX" => DataType::Cx,
            "EI" => DataType::Ei,
            "EIP" => DataType::Eip,
            // CN, PN, AD and TN are what versions before 2.4 have for the same.
            "XCN" | "CN" => DataType::Xcn,
            "XPN" | "PN" => DataType::Xpn,
            "XAD" | "AD" => DataType::Xad,
            "XTN" | "TN" => DataType::Xtn,
            "CE" | "CWE" | "CNE" => DataType::Coded,
            // From 2.6 on a point in time is a DTM.
            "TS" | "DTM" => DataType::Ts,
            "NM" => DataType::Nm,
            "CQ" => DataType::Cq,
            "TQ" => DataType::Tq,
            "RPT" => DataType::Rpt,
            "PL" => DataType::Pl,
            "XON" => DataType::Xon,
            "HD" => DataType::Hd,
            "MO" => DataType::Mo,
            "CP" => DataType::Cp,
            "DLN" => DataType::Dln,
            "PLN" => DataType::Pln,
            "ST" | "ID" | "IS" | "SI" | "TX" | "FT" | "DT" | "TM" => DataType::Plain,
            _ => DataType::Unknown,
        }
    }
}

/// The type of a whole field.
pub(super) fn datatype(segment: &str, field: u16) -> DataType {
    if segment.starts_with('Z') {
        return DataType::Unknown;
    }
    let mut versions = Version::USUAL.by_nearness().map(Grammar::of);
    let element = versions.find_map(|version| version.segment(segment)?.element(field));
    element.map_or(DataType::Unknown, |element| DataType::named(element.data_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_types_of_the_standard() {
        let table = [
            ("ORC", 2, DataType::Ei),
            ("ORC", 12, DataType::Xcn),
            ("ORC", 21, DataType::Xon),
            ("PID", 3, DataType::Cx),
            ("PID", 11, DataType::Xad),
            ("PV1", 19, DataType::Cx),
            ("PV1", 44, DataType::Ts),
            ("RXE", 2, DataType::Coded),
            ("RXE", 27, DataType::Coded),
            ("RXE", 32, DataType::Ts),
            ("RXD", 10, DataType::Xcn),
            ("TQ1", 7, DataType::Ts),
            ("IN1", 3, DataType::Cx),
            ("IN1", 49, DataType::Cx),
            ("NTE", 5, DataType::Xcn),
            ("NTE", 6, DataType::Ts),
            ("OBX", 5, DataType::Unknown),
            ("ZRX", 1, DataType::Unknown),
            ("ORC", 0, DataType::Unknown),
            ("ORC", 99, DataType::Unknown),
        ];
        for (segment, field, expected) in table {
            assert_eq!(datatype(segment, field), expected, "{segment}-{field}");
        }
    }
}
