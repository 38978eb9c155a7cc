use super::*;
use crate::hl7v2::grammar;

/// The groups of a message as text: `PATIENT(PID PV1)`.
fn grouped(structure: &str, segments: &str) -> String {
    let known = super::super::grammar::structure(structure);
    let names: Vec<&str> = segments.split_whitespace().collect();
    let found = Groups::find(known, names.iter().map(|name| <[u8; 3]>::try_from(name.as_bytes()).unwrap()));
    assert_eq!(found.homes.len(), names.len(), "every segment is placed");
    let mut text = String::new();
    for (place, name) in names.iter().enumerate() {
        let at = narrow(place);
        for repetition in found.repetitions.iter().skip(1).filter(|repetition| repetition.first == at) {
            text.push_str(known.unwrap().nodes[repetition.node].name);
            text.push('(');
        }
        text.push_str(name);
        for _ in found.repetitions.iter().skip(1).filter(|repetition| repetition.last == at + 1) {
            text.push(')');
        }
        text.push(' ');
    }
    for repetition in &found.repetitions {
        assert!(repetition.first < repetition.last || names.is_empty(), "no repetition is empty or left open");
        if let Some(parent) = repetition.parent {
            let around = found.repetitions[parent];
            assert!(around.first <= repetition.first && repetition.last <= around.last, "a group lies in its parent");
        }
    }
    text.trim_end().to_owned()
}

#[test]
fn messages_as_the_standard_has_them_are_grouped_as_the_standard_says() {
    for (structure, segments, expected) in [
        (
            "RDE_O11",
            "MSH PID PV1 IN1 AL1 ORC RXE NTE TQ1 RXR ORC RXO RXR RXC RXE TQ1 RXR RXC OBX NTE",
            "MSH PATIENT(PID PATIENT_VISIT(PV1) INSURANCE(IN1) AL1) ORDER(ORC RXE NTE TIMING_ENCODED(TQ1) RXR) \
             ORDER(ORC ORDER_DETAIL(RXO RXR COMPONENT(RXC)) RXE TIMING_ENCODED(TQ1) RXR RXC OBSERVATION(OBX NTE))",
        ),
        (
            "RDE_O11",
            "MSH NTE PID NTE IN1 IN2 IN1 IN2 ORC TQ1 TQ2 TQ1 RXE",
            "MSH NTE PATIENT(PID NTE INSURANCE(IN1 IN2) INSURANCE(IN1 IN2)) ORDER(ORC TIMING(TQ1 TQ2) TIMING(TQ1) RXE)",
        ),
        (
            "ORU_R01",
            "MSH PID OBR OBX NTE OBX OBR OBX PID ORC OBR OBX SPM OBX DSC",
            "MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX NTE) OBSERVATION(OBX)) \
             ORDER_OBSERVATION(OBR OBSERVATION(OBX))) PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(COMMON_ORDER(ORC) OBR \
             OBSERVATION(OBX) SPECIMEN(SPM SPECIMEN_OBSERVATION(OBX)))) DSC",
        ),
        ("ADT_A39", "MSH EVN PID MRG PID PD1 MRG PV1", "MSH EVN PATIENT(PID MRG) PATIENT(PID PD1 MRG PV1)"),
        (
            "DFT_P03",
            "MSH EVN PID PV1 ORC OBR FT1 PR1 FT1 DG1 GT1 IN1 IN1",
            "MSH EVN PID PV1 COMMON_ORDER(ORC ORDER(OBR)) FINANCIAL(FT1 FINANCIAL_PROCEDURE(PR1)) FINANCIAL(FT1) DG1 GT1 \
             INSURANCE(IN1) INSURANCE(IN1)",
        ),
        (
            "RRE_O12",
            "MSH MSA ERR PID ORC RXE ORC RXE",
            "MSH MSA ERR RESPONSE(PATIENT(PID) ORDER(ORC ENCODING(RXE)) ORDER(ORC ENCODING(RXE)))",
        ),
        ("RRE_O12", "MSH MSA ORC ORC", "MSH MSA RESPONSE(ORDER(ORC) ORDER(ORC))"),
        (
            "RRE_O12",
            "MSH MSA NTE ORC RXE NTE TQ1 RXR",
            "MSH MSA NTE RESPONSE(ORDER(ORC ENCODING(RXE NTE TIMING_ENCODED(TQ1) RXR)))",
        ),
        (
            "SIU_S12",
            "MSH SCH PID RGS AIS NTE AIP RGS AIL",
            "MSH SCH PATIENT(PID) RESOURCES(RGS SERVICE(AIS NTE) PERSONNEL_RESOURCE(AIP)) RESOURCES(RGS LOCATION_RESOURCE(AIL))",
        ),
        (
            "OML_O21",
            "MSH PID ORC OBR OBX SPM ORC OBR",
            "MSH PATIENT(PID) ORDER(ORC OBSERVATION_REQUEST(OBR OBSERVATION(OBX) SPECIMEN(SPM))) \
             ORDER(ORC OBSERVATION_REQUEST(OBR))",
        ),
        (
            "VXU_V04",
            "MSH PID NK1 ORC RXA RXR OBX ORC RXA",
            "MSH PID NK1 ORDER(ORC RXA RXR OBSERVATION(OBX)) ORDER(ORC RXA)",
        ),
        ("MDM_T02", "MSH EVN PID PV1 TXA OBX OBX", "MSH EVN PID PV1 TXA OBSERVATION(OBX) OBSERVATION(OBX)"),
        (
            "ORM_O01",
            "MSH PID PV1 ORC RXO RXR NTE ORC OBR NTE DG1 OBX",
            "MSH PATIENT(PID PATIENT_VISIT(PV1)) ORDER(ORC ORDER_DETAIL(RXO RXR NTE)) \
             ORDER(ORC ORDER_DETAIL(OBR NTE DG1 OBSERVATION(OBX)))",
        ),
        (
            "RAS_O17",
            "MSH PID ORC RXA RXA RXR OBX RXA RXR ORC RXA",
            "MSH PATIENT(PID) ORDER(ORC ADMINISTRATION(RXA RXA RXR OBSERVATION(OBX)) ADMINISTRATION(RXA RXR)) \
             ORDER(ORC ADMINISTRATION(RXA))",
        ),
        (
            "ADT_A01",
            "MSH EVN PID NK1 PV1 AL1 DG1 PR1 ROL PR1 IN1 IN2 IN1",
            "MSH EVN PID NK1 PV1 AL1 DG1 PROCEDURE(PR1 ROL) PROCEDURE(PR1) INSURANCE(IN1 IN2) INSURANCE(IN1)",
        ),
    ] {
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(grouped(structure, segments), expected, "{structure}");
    }
}

#[test]
fn messages_that_break_the_structure_are_grouped_by_what_they_have() {
    for (structure, segments, expected) in [
        // Orders without ORC.
        ("RDE_O11", "MSH PID RXE RXR RXE NTE", "MSH PATIENT(PID) ORDER(RXE RXR) ORDER(RXE NTE)"),
        // RXR after RXC, and RXC twice.
        (
            "OMP_O09",
            "MSH PID ORC RXO RXC RXC RXR ORC RXO",
            "MSH PATIENT(PID) ORDER(ORC RXO COMPONENT(RXC) COMPONENT(RXC) RXR) ORDER(ORC RXO)",
        ),
        // Own segments stay where they are.
        (
            "RDE_O11",
            "MSH ZA1 PID ZA2 ORC ZA3 RXE RXR ZA4 ORC ZA5",
            "MSH ZA1 PATIENT(PID ZA2) ORDER(ORC ZA3 RXE RXR ZA4) ORDER(ORC ZA5)",
        ),
        // A note after the timing.
        ("RDE_O11", "MSH ORC RXE TQ1 NTE RXR", "MSH ORDER(ORC RXE TIMING_ENCODED(TQ1) NTE RXR)"),
        // Two patients where one is allowed.
        ("RDE_O11", "MSH PID ORC RXE PID ORC RXE", "MSH PATIENT(PID) ORDER(ORC RXE) PATIENT(PID) ORDER(ORC RXE)"),
        // ORC twice without anything between.
        ("RDE_O11", "MSH ORC ORC RXE", "MSH ORDER(ORC) ORDER(ORC RXE)"),
        // Resources in another order.
        (
            "SIU_S12",
            "MSH SCH RGS AIP AIG AIS",
            "MSH SCH RESOURCES(RGS PERSONNEL_RESOURCE(AIP) GENERAL_RESOURCE(AIG) SERVICE(AIS))",
        ),
        ("RDE_O11", "MSH", "MSH"),
        ("ADT_A39", "MSH MRG MRG", "MSH PATIENT(MRG) PATIENT(MRG)"),
    ] {
        assert_eq!(grouped(structure, segments), expected, "{segments}");
    }
}

#[test]
fn without_a_structure_there_is_only_the_whole() {
    let found = Groups::find(None, [*b"MSH", *b"ORC"].into_iter());
    assert_eq!(found.repetitions, [Repetition { node: 0, first: 0, last: 2, parent: None }]);
    assert_eq!(found.homes, [0, 0]);
}

#[test]
fn any_segments_in_any_order_are_placed_in_any_structure() {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(limit).unwrap()).unwrap()
    };
    let names = [
        "PID", "ORC", "OBR", "OBX", "NTE", "RXE", "RXR", "IN1", "TQ1", "ZZZ", "PV1", "FT1", "AL1", "RGS", "AIS", "MRG",
    ];
    for structure in grammar::structure_names() {
        for _ in 0..50 {
            let count = below(30);
            let segments: Vec<&str> =
                std::iter::once("MSH").chain((0..count).map(|_| names[below(names.len())])).collect();
            grouped(structure, &segments.join(" "));
        }
    }
}
