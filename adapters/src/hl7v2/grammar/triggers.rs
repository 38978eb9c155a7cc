//! The structure of a message by its message code and trigger event (MSH-9.1, MSH-9.2), for the many
//! senders that leave MSH-9.3 empty.

/// The name of the structure. Codes may be written in small letters.
pub(super) fn structure(code: &str, trigger: &str) -> Option<&'static str> {
    match code.to_ascii_uppercase().as_str() {
        "ADT" => adt(&trigger.to_ascii_uppercase()),
        "ACK" | "MCF" => Some("ACK"),
        "RDE" => Some("RDE_O11"),
        "RRE" => Some("RRE_O12"),
        "OMP" => Some("OMP_O09"),
        "ORP" => Some("ORP_O10"),
        "RDS" => Some("RDS_O13"),
        "RRD" => Some("RRD_O14"),
        "RGV" => Some("RGV_O15"),
        "RRG" => Some("RRG_O16"),
        "RAS" => Some("RAS_O17"),
        "RRA" => Some("RRA_O18"),
        "ORM" => Some("ORM_O01"),
        "ORR" => Some("ORR_O02"),
        "OML" => oml(&trigger.to_ascii_uppercase()),
        "OMG" => Some("OMG_O19"),
        "ORU" => Some("ORU_R01"),
        "VXU" => Some("VXU_V04"),
        "SIU" => Some("SIU_S12"),
        "REF" => Some("REF_I12"),
        "BAR" if trigger.eq_ignore_ascii_case("P01") => Some("BAR_P01"),
        "DFT" if trigger.eq_ignore_ascii_case("P11") => Some("DFT_P11"),
        "DFT" => Some("DFT_P03"),
        "MDM" => mdm(&trigger.to_ascii_uppercase()),
        _ => None,
    }
}

/// The events of patient administration, by the structure that the standard gives them.
fn adt(trigger: &str) -> Option<&'static str> {
    match trigger {
        "A01" | "A04" | "A08" | "A13" => Some("ADT_A01"),
        "A02" => Some("ADT_A02"),
        "A03" => Some("ADT_A03"),
        "A05" | "A14" | "A28" | "A31" => Some("ADT_A05"),
        "A06" | "A07" => Some("ADT_A06"),
        "A09" | "A10" | "A11" => Some("ADT_A09"),
        "A12" => Some("ADT_A12"),
        "A15" => Some("ADT_A15"),
        "A16" => Some("ADT_A16"),
        "A17" => Some("ADT_A17"),
        "A18" => Some("ADT_A18"),
        "A20" => Some("ADT_A20"),
        "A21" | "A22" | "A23" | "A25" | "A26" | "A27" | "A29" | "A32" | "A33" => Some("ADT_A21"),
        "A24" => Some("ADT_A24"),
        "A30" | "A34" | "A35" | "A36" | "A46" | "A47" | "A48" | "A49" => Some("ADT_A30"),
        "A37" => Some("ADT_A37"),
        "A38" => Some("ADT_A38"),
        "A39" | "A40" | "A41" | "A42" => Some("ADT_A39"),
        "A43" | "A44" => Some("ADT_A43"),
        "A45" => Some("ADT_A45"),
        "A50" | "A51" => Some("ADT_A50"),
        "A52" | "A53" => Some("ADT_A52"),
        "A54" | "A55" => Some("ADT_A54"),
        "A60" => Some("ADT_A60"),
        "A61" | "A62" => Some("ADT_A61"),
        _ => None,
    }
}

/// Laboratory orders: by order, by specimen, by container.
fn oml(trigger: &str) -> Option<&'static str> {
    match trigger {
        "O21" => Some("OML_O21"),
        "O33" => Some("OML_O33"),
        "O35" => Some("OML_O35"),
        _ => None,
    }
}

/// Documents: the even events carry the text.
fn mdm(trigger: &str) -> Option<&'static str> {
    match trigger {
        "T01" | "T03" | "T05" | "T07" | "T09" | "T11" => Some("MDM_T01"),
        "T02" | "T04" | "T06" | "T08" | "T10" => Some("MDM_T02"),
        _ => None,
    }
}
