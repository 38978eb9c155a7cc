use super::*;

#[test]
fn every_row_of_the_table_is_read_and_written_back() {
    let rows: Vec<&str> = read::rows(TABLE).collect();
    assert!(rows.len() >= 45, "only {} rows", rows.len());
    assert_eq!(STRUCTURES.len(), rows.len());
    for (structure, row) in STRUCTURES.iter().zip(rows) {
        let written = format!("{} ={}", structure.name, written(structure, 0));
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain(&written), plain(row));
    }
}

/// The members of a node in the notation of the table.
fn written(structure: &Structure, node: usize) -> String {
    let mut text = String::new();
    for member in &structure.nodes[node].members {
        let inner = match &member.kind {
            Kind::Segment(names) => {
                let names: Vec<&str> = names.iter().map(|name| std::str::from_utf8(name).unwrap()).collect();
                if names.len() > 1 { format!("<{}>", names.join("|")) } else { names.concat() }
            }
            Kind::Group(group) => format!("({}:{})", structure.nodes[*group].name, self::written(structure, *group)),
        };
        text.push(' ');
        text.push_str(&match (member.required, member.repeats) {
            (true, false) => inner,
            (false, false) => format!("[{inner}]"),
            (true, true) => format!("{{{inner}}}"),
            (false, true) => format!("[{{{inner}}}]"),
        });
    }
    text
}

#[test]
fn every_structure_begins_with_msh_and_its_groups_are_small_enough_for_the_scan() {
    for structure in STRUCTURES.iter() {
        assert_eq!(structure.nodes[0].first, [*b"MSH"], "{}", structure.name);
        for (place, node) in structure.nodes.iter().enumerate() {
            assert!(node.members.len() < 64, "{} {}", structure.name, node.name);
            assert!(!node.first.is_empty());
            assert_eq!(node.parent.is_none(), place == 0);
            assert!(node.parent.is_none_or(|parent| parent < place));
        }
    }
}

#[test]
fn a_table_that_is_broken_gives_no_structure() {
    for row in ["X = MSH [", "X = MSH )", "X = (A MSH)", "X = {MSH", "X MSH", "X = <MSH", "X = MS", "X = [MSH}"] {
        assert!(read::table(row).is_empty(), "{row}");
    }
}

#[test]
fn the_structure_follows_from_msh_9() {
    for (code, trigger, named, expected) in [
        ("RDE", "O11", "RDE_O11", Some("RDE_O11")),
        ("RDE", "O11", "", Some("RDE_O11")),
        ("RDE", "O25", "RDE_O25", Some("RDE_O11")),
        ("RDE", "O01", "", Some("RDE_O11")),
        ("rde", "o11", "", Some("RDE_O11")),
        ("RRE", "O26", "", Some("RRE_O12")),
        ("OMP", "O09", "", Some("OMP_O09")),
        ("ORP", "O10", "", Some("ORP_O10")),
        ("ORM", "O01", "", Some("ORM_O01")),
        ("ORR", "O02", "", Some("ORR_O02")),
        ("RDS", "O01", "", Some("RDS_O13")),
        ("RRD", "O14", "", Some("RRD_O14")),
        ("RGV", "O15", "", Some("RGV_O15")),
        ("RAS", "O17", "", Some("RAS_O17")),
        ("ADT", "A01", "", Some("ADT_A01")),
        ("ADT", "A04", "ADT_A04", Some("ADT_A01")),
        ("ADT", "A08", "", Some("ADT_A01")),
        ("ADT", "A13", "ADT_A13", Some("ADT_A01")),
        ("ADT", "A31", "ADT_A31", Some("ADT_A05")),
        ("ADT", "A40", "ADT_A40", Some("ADT_A39")),
        ("ADT", "A40", "ADT_A39", Some("ADT_A39")),
        ("ADT", "A34", "", Some("ADT_A30")),
        ("ADT", "A47", "ADT_A47", Some("ADT_A30")),
        ("ADT", "A12", "", Some("ADT_A12")),
        ("", "", "ADT_A04", Some("ADT_A01")),
        ("ADT_A04", "", "", Some("ADT_A01")),
        ("DFT", "P03", "", Some("DFT_P03")),
        ("DFT", "P11", "", Some("DFT_P11")),
        ("ORU", "R01", "", Some("ORU_R01")),
        ("OML", "O21", "", Some("OML_O21")),
        ("SIU", "S26", "SIU_S26", Some("SIU_S12")),
        ("MDM", "T02", "", Some("MDM_T02")),
        ("MDM", "T01", "", Some("MDM_T01")),
        ("VXU", "V04", "", Some("VXU_V04")),
        ("ACK", "O11", "", Some("ACK")),
        ("ACK", "", "", Some("ACK")),
        ("ADT", "", "", None),
        ("ZZZ", "Z01", "ZZZ_Z01", None),
        ("", "", "", None),
    ] {
        assert_eq!(structure_of(code, trigger, named), expected, "{code}^{trigger}^{named}");
    }
}

#[test]
fn every_trigger_leads_to_a_structure_of_the_table() {
    let mut known = 0;
    for code in ["ADT", "RDE", "DFT", "MDM", "SIU", "BAR", "OML"] {
        for letter in 'A'..='Z' {
            for number in 0..100 {
                if let Some(name) = triggers::structure(code, &format!("{letter}{number:02}")) {
                    assert!(structure(name).is_some(), "{code}^{letter}{number:02} leads to {name}");
                    known += 1;
                }
            }
        }
    }
    assert!(known > 100, "only {known} triggers are known");
}

#[test]
fn groups_and_segments_of_a_structure_can_be_asked_for() {
    assert!(group_exists("RDE_O11", "ORDER") && group_exists("RDE_O11", "PATIENT_VISIT"));
    assert!(group_exists("rde_o11", "ORDER"));
    assert!(!group_exists("RDE_O11", "PATIENT_RESULT") && !group_exists("XYZ_X01", "ORDER"));
    assert!(!group_exists("RDE_O11", "RDE_O11"), "the message is no group of itself");
    assert_eq!(groups_of("ADT_A39").collect::<Vec<_>>(), ["PATIENT"]);
    assert!(segment_exists("RDE_O11", None, "RXR") && segment_exists("RDE_O11", Some("ORDER"), "RXR"));
    assert!(!segment_exists("RDE_O11", Some("PATIENT"), "RXR") && !segment_exists("RDE_O11", None, "RXD"));
    assert!(structure_names().any(|name| name == "ORU_R01"));
}
