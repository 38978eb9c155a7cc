//! The types of HL7 v2 fields, as far as functions depend on them.
//!
//! In comes a segment and a field number; out goes the type that HL7 v2.5.1 gives the field, for instance
//! that ORC-2 is an EI and PID-3 a CX, which put the assigning authority in different places. Promised:
//! what is not known here is `Unknown`, and functions then look at the value itself. The full grammar of
//! each version takes this table's place when it comes.

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
    /// Any plain text or code (ST, ID, IS, SI, TX, FT, DT, TM).
    Plain,
}

/// Field types by segment, from field 1 on, in the standard's own names; `-` for one that no function
/// depends on.
const SEGMENTS: [(&str, &str); 20] = [
    ("AL1", "SI CE CE CE ST DT"),
    ("DG1", "SI ID CE ST TS IS CE CE ID IS IS NM - ST ID XCN IS ID TS EI ID"),
    ("EVN", "ID TS TS IS XCN TS HD"),
    (
        "IN1",
        "SI CE CX XON XAD XPN XTN ST XON CX XON DT DT - IS XPN CE TS XAD IS IS ST ID DT ID DT IS ST TS XCN IS IS NM NM IS ST - - NM - - CE IS XAD ST IS IS IS CX",
    ),
    ("MRG", "CX CX CX CX CX CX XPN"),
    ("MSH", "ST ST HD HD HD HD TS ST - ST - - NM ST ID ID ID ID CE ID EI"),
    ("NK1", "SI XPN CE XAD XTN XTN CE DT DT ST - CX XON CE IS TS IS IS CE CE"),
    ("NTE", "SI ID FT CE XCN TS"),
    ("OBR", "SI EI EI CE ID TS TS TS CQ XCN ID CE ST TS - XCN XTN ST ST ST ST TS - ID ID - TQ XCN EIP ID CE"),
    ("OBX", "SI ID CE ST - CE ST IS NM ID ID TS ST TS CE XCN CE EI TS"),
    (
        "ORC",
        "ID EI EI EI ID ID TQ EIP TS XCN XCN XCN PL XTN TS CE CE CE XCN CE XON XAD XTN XAD CWE CWE TS CWE CWE CNE CWE",
    ),
    (
        "PID",
        "SI CX CX CX XPN XPN TS IS XPN CE XAD IS XTN XTN CE CE CE CX ST - CX CE ST ID NM CE CE CE TS ID ID IS TS HD CE CE ST CE CWE",
    ),
    (
        "PV1",
        "SI IS PL IS CX PL XCN XCN XCN IS PL IS IS IS IS IS XCN IS CX - IS IS IS IS DT NM NM IS IS DT IS NM NM IS DT IS - CE IS IS IS PL PL TS TS NM NM NM NM CX IS XCN",
    ),
    ("RXA", "NM NM TS TS CE NM CE CE CE XCN - ST NM CE ST TS CE CE CE ID ID TS NM CWE CWE ID"),
    ("RXC", "ID CE NM CE NM CE CE NM CWE"),
    ("RXD", "NM CE TS NM CE CE ST NM ST XCN ID CQ - ID CE NM CE ST TS CE CE NM CE ID CE CE CE NM CWE CWE XAD ID CWE"),
    (
        "RXE",
        "TQ CE NM NM CE CE CE - ID NM CE NM XCN XCN ST NM NM TS CQ ID CE ST ST CE NM CE CE NM CE ID CE TS NM CWE CWE ID CWE CWE NM CWE XAD PL XAD ID",
    ),
    ("RXO", "CE NM NM CE CE CE CE - ID CE NM CE NM XCN XCN ID ST NM CE CE ST CE CQ CE NM CWE ID NM"),
    ("RXR", "CE CWE CE CWE CE CWE"),
    ("TQ1", "SI CQ RPT TM CQ CQ TS TS CWE TX TX ID CQ NM"),
];

/// The type of a whole field.
pub(super) fn datatype(segment: &str, field: u16) -> DataType {
    let Some((_, types)) = SEGMENTS.iter().find(|(name, _)| *name == segment) else { return DataType::Unknown };
    let Some(place) = usize::from(field).checked_sub(1) else { return DataType::Unknown };
    match types.split(' ').nth(place) {
        Some("CX") => DataType::Cx,
        Some("EI") => DataType::Ei,
        Some("EIP") => DataType::Eip,
        Some("XCN") => DataType::Xcn,
        Some("XPN") => DataType::Xpn,
        Some("XAD") => DataType::Xad,
        Some("XTN") => DataType::Xtn,
        Some("CE" | "CWE" | "CNE") => DataType::Coded,
        Some("TS") => DataType::Ts,
        Some("NM") => DataType::Nm,
        Some("CQ") => DataType::Cq,
        Some("TQ") => DataType::Tq,
        Some("RPT") => DataType::Rpt,
        Some("PL") => DataType::Pl,
        Some("XON") => DataType::Xon,
        Some("HD") => DataType::Hd,
        Some("ST" | "ID" | "IS" | "SI" | "TX" | "FT" | "DT" | "TM") => DataType::Plain,
        Some(_) | None => DataType::Unknown,
    }
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
            ("ZRX", 1, DataType::Unknown),
            ("ORC", 0, DataType::Unknown),
            ("ORC", 99, DataType::Unknown),
        ];
        for (segment, field, expected) in table {
            assert_eq!(datatype(segment, field), expected, "{segment}-{field}");
        }
    }

    #[test]
    fn every_type_in_the_table_is_known() {
        let known = "SI CE CWE CNE ST DT ID TS IS NM XCN EI EIP HD CX XON XAD XPN XTN PL CQ TQ RPT TM TX FT -";
        for (segment, types) in SEGMENTS {
            for name in types.split(' ') {
                assert!(known.split(' ').any(|word| word == name), "{segment}: {name}");
            }
        }
    }
}
