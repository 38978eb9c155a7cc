use super::*;
use crate::hl7v2::charset::CharsetRule;
use crate::hl7v2::message::Document;

const TWO_ORDERS: &str = concat!(
    "MSH|^~\\&|HIS|H1|HUB|NDP|2026||RDE^O11|1|P|2.5\r",
    "PID|1||28001010100013^^^EGNID^NI~77^^^H1^MR~78^^^H2^MR||ALI^MONA\r",
    "ZPI|of the patient\r",
    "NTE|1||of the patient\r",
    "IN1|1|A|PAYER-A\r",
    "IN2|first\r",
    "IN1|2|B|PAYER-B|||||||||||||||||||||||||||||||||POLICY-B\r",
    "ORC|NW|R1^HIS\r",
    "RXE||D1|1||TAB\r",
    "NTE|1||take one\r",
    "NTE|2||after a meal\r",
    "RXR|PO\r",
    "ZOR|of the first order\r",
    "ORC|NW|R2^HIS\r",
    "RXE||D2|2||TAB\r",
);

struct Read(Document);

impl Read {
    fn new(text: &str) -> Read {
        Read(Document::read(text.as_bytes().to_vec().into(), CharsetRule::default()).unwrap())
    }

    fn message(&self) -> Message<'_> {
        self.0.message()
    }

    fn text(&self, scope: &Scope, path: &str) -> String {
        self.message().find(scope, &Path::parse(path).unwrap()).text().into_owned()
    }

    fn whole(&self, path: &str) -> String {
        self.text(&self.message().whole(), path)
    }

    fn all(&self, scope: &Scope, path: &str) -> Vec<String> {
        let found = self.message().find_all(scope, &Path::parse(path).unwrap());
        found.iter().map(|value| value.text().into_owned()).collect()
    }

    fn groups(&self, within: &Scope, name: &str) -> Vec<Scope> {
        self.message().groups(within, name)
    }
}

#[test]
fn the_first_value_of_a_path_is_found_in_the_whole_message() {
    let read = Read::new(TWO_ORDERS);
    for (path, expected) in [
        ("MSH-9.2", "O11"),
        ("PID-3", "28001010100013"),
        ("PID-3.1", "28001010100013"),
        ("PID-3[2].1", "77"),
        ("PID-3[3].4", "H2"),
        ("PID-3[4].1", ""),
        ("PID-3[.5 = \"MR\"].1", "77"),
        ("PID-3[.5 = \"MR\"].4", "H1"),
        ("PID-3[.4 = \"H2\"].1", "78"),
        ("PID-3[.5 != \"NI\"].1", "77"),
        ("PID-3[.5 = \"XX\"].1", ""),
        ("PID-5.2", "MONA"),
        ("PID-99", ""),
        ("NTE-3", "of the patient"),
        ("NTE[2]-3", "take one"),
        ("NTE[9]-3", ""),
        ("OBX-5", ""),
        ("ORC[2]-2.1", "R2"),
        ("ORDER.ORC-2", "R1"),
        ("ORDER[2].ORC-2", "R2"),
        ("ORDER.NTE[2]-3", "after a meal"),
        ("ORDER[2].NTE-3", ""),
        ("ORDER[3].ORC-2", ""),
        ("PATIENT.INSURANCE[2].IN1-3", "PAYER-B"),
        ("INSURANCE.IN1-3", "PAYER-A"),
        ("PATIENT.ORDER.ORC-2", ""),
        ("NOWHERE.ORC-2", ""),
    ] {
        assert_eq!(read.whole(path), expected, "{path}");
    }
}

#[test]
fn values_of_two_insurances_never_mix() {
    let read = Read::new(TWO_ORDERS);
    assert_eq!(read.whole("IN1-3"), "PAYER-A");
    assert_eq!(read.whole("IN1-36"), "", "the first insurance has no policy, and the second is not asked");
    assert_eq!(read.whole("INSURANCE.IN1-36"), "");
    assert_eq!(read.whole("IN1[*]-36"), "POLICY-B", "every one was asked for");
}

#[test]
fn all_values_of_a_path_are_found() {
    let read = Read::new(TWO_ORDERS);
    let whole = read.message().whole();
    for (path, expected) in [
        ("PID-3.1", vec!["28001010100013", "77", "78"]),
        ("PID-3[*].5", vec!["NI", "MR", "MR"]),
        ("PID-3[2].1", vec!["77"]),
        ("PID-3[.5 = \"MR\"].1", vec!["77", "78"]),
        ("NTE-3", vec!["of the patient", "take one", "after a meal"]),
        ("ORDER.NTE-3", vec!["take one", "after a meal"]),
        ("ORDER.ORC-2.1", vec!["R1", "R2"]),
        ("ORDER[2].ORC-2.1", vec!["R2"]),
        ("ORDER[*].RXE-2", vec!["D1", "D2"]),
        ("IN1-36", vec!["POLICY-B"]),
        ("PID-99", vec![]),
        ("OBX-5", vec![]),
    ] {
        assert_eq!(read.all(&whole, path), expected, "{path}");
    }
    assert_eq!(read.message().find_all(&whole, &Path::parse("RXE").unwrap()).len(), 2, "whole segments");
}

#[test]
fn inside_an_order_a_path_means_that_order_or_what_stands_around_it() {
    let read = Read::new(TWO_ORDERS);
    let orders = read.groups(&read.message().whole(), "ORDER");
    let [first, second] = orders[..] else { panic!("two orders") };
    for (path, in_first, in_second) in [
        ("ORC-2.1", "R1", "R2"),
        ("RXE-2", "D1", "D2"),
        ("RXR-1", "PO", ""),
        ("NTE-3", "take one", ""),
        ("PID-3[.5 = \"NI\"].1", "28001010100013", "28001010100013"),
        ("PID-5.1", "ALI", "ALI"),
        ("MSH-10", "1", "1"),
        ("PATIENT.INSURANCE[2].IN1-3", "PAYER-B", "PAYER-B"),
        ("IN1-3", "PAYER-A", "PAYER-A"),
        ("ZPI-1", "of the patient", "of the patient"),
        ("ZOR-1", "of the first order", ""),
        ("ORDER.ORC-2.1", "R1", "R2"),
        ("ORDER[2].ORC-2.1", "R2", "R2"),
        ("OBX-5", "", ""),
    ] {
        assert_eq!(read.text(&first, path), in_first, "{path} in the first");
        assert_eq!(read.text(&second, path), in_second, "{path} in the second");
    }
    assert_eq!(read.all(&first, "NTE-3"), ["take one", "after a meal"]);
    assert_eq!(read.all(&second, "NTE-3"), Vec::<String>::new());
    assert_eq!(read.all(&second, "PID-3[*].5"), ["NI", "MR", "MR"]);
}

#[test]
fn inside_one_segment_a_path_means_that_segment_or_what_stands_around_it() {
    let read = Read::new(TWO_ORDERS);
    let orders = read.groups(&read.message().whole(), "ORDER");
    let notes = read.groups(&orders[0], "NTE");
    assert_eq!(notes.len(), 2);
    assert_eq!(read.text(&notes[1], "NTE-3"), "after a meal");
    assert_eq!(read.text(&notes[1], "ORC-2.1"), "R1");
    assert_eq!(read.text(&notes[1], "PID-5.1"), "ALI");
    assert_eq!(read.groups(&orders[1], "NTE").len(), 0);
    assert_eq!(read.groups(&notes[0], "ORDER").len(), 0);
    assert_eq!(read.groups(&read.message().whole(), "NTE").len(), 3);
}

#[test]
fn results_belong_to_the_patient_above_them() {
    let read = Read::new(concat!(
        "MSH|^~\\&|L|L|H|N|2026||ORU^R01|1|P|2.5\r",
        "PID|1||P1\rOBR|1|O1\rOBX|1|NM|A||1\rNTE|1||note\rOBX|2|NM|B||2\r",
        "PID|2||P2\rOBR|1|O2\rOBX|1|NM|A||3\r",
    ));
    let whole = read.message().whole();
    let seen: Vec<[String; 4]> = read
        .groups(&whole, "OBSERVATION")
        .iter()
        .map(|scope| ["PID-3", "OBR-2", "OBX-5", "NTE-3"].map(|path| read.text(scope, path)))
        .collect();
    assert_eq!(seen, [["P1", "O1", "1", "note"], ["P1", "O1", "2", ""], ["P2", "O2", "3", ""]]);
    let patients = read.groups(&whole, "PATIENT_RESULT");
    assert_eq!(patients.iter().map(|patient| read.groups(patient, "OBSERVATION").len()).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn a_message_of_unknown_structure_has_segments_but_no_groups() {
    let read = Read::new("MSH|^~\\&|A|B|C|D|2026||ZZZ^Z99|1\rORC|1\rORC|2\r");
    let whole = read.message().whole();
    assert_eq!(read.whole("ORC[2]-1"), "2");
    assert_eq!(read.whole("ORDER.ORC-1"), "");
    assert_eq!(read.groups(&whole, "ORC").len(), 2);
    assert_eq!(read.groups(&whole, "ORDER").len(), 0);
    let second = read.groups(&whole, "ORC")[1];
    assert_eq!((read.text(&second, "ORC-1"), read.text(&second, "MSH-10")), ("2".to_owned(), "1".to_owned()));
    let unknown = read.message().try_groups(&whole, "ORDER").unwrap_err();
    assert_eq!(unknown.to_string(), "a message of unknown structure has no group ORDER");
}

#[test]
fn an_unknown_group_is_an_error_that_can_be_reported() {
    let read = Read::new(TWO_ORDERS);
    let whole = read.message().whole();
    assert_eq!(read.message().try_groups(&whole, "ORDER").map(|scopes| scopes.len()), Ok(2));
    assert_eq!(read.message().try_groups(&whole, "OBX").map(|scopes| scopes.len()), Ok(0));
    assert_eq!(read.message().try_groups(&whole, "OBSERVATION").map(|scopes| scopes.len()), Ok(0));
    let unknown = read.message().try_groups(&whole, "ORDRE").unwrap_err();
    assert_eq!(unknown.to_string(), "RDE_O11 has no group ORDRE");
}

#[test]
fn a_second_message_in_the_same_index_has_groups_of_its_own() {
    let mut index = crate::hl7v2::index::Index::new();
    let first = index.read(TWO_ORDERS.as_bytes()).unwrap();
    assert_eq!(first.groups(&first.whole(), "ORDER").len(), 2);
    let text = TWO_ORDERS.replace("ORC|NW|R2^HIS\r", "").replace("RDE^O11", "ORU^R01");
    let second = index.read(text.as_bytes()).unwrap();
    assert_eq!(second.groups(&second.whole(), "ORDER").len(), 0);
    assert_eq!(second.groups(&second.whole(), "PATIENT_RESULT").len(), 1);
}
