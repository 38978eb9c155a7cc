//! Mappings that build on others.

use super::*;

const BASE: &str = r#"
name = 'orders'
version = 1
from = 'hl7v2 RDE^O11'
to = 'fhir Patient'
[let]
number = 'ORC-2.1'
label = '$number | upper'
[set]
"identifier[0].value" = '$label'
"identifier[0].use" = '"usual"'
"name[0].text" = 'PID-5.1.1'
[[for]]
each = 'ORDER'
to = 'contact'
set = { "name.text" = 'ORC-2.1', id = '"base"' }
[[for.for]]
each = 'NTE'
to = 'telecom'
set = { value = 'NTE-3' }
"#;

/// The findings of two mappings, and what the one called `local` makes of two orders.
fn built(local: &str) -> (Option<String>, Findings) {
    let local = format!("name = 'local'\nversion = 1\n{local}");
    let source = |name: &str, text: &str| Arc::new(SourceText::new(name, text));
    // Files come in the order of their names: the base after what builds on it.
    let files = [source("mappings/local.toml", &local), source("mappings/orders.toml", BASE)];
    let (read, mut findings) = MappingFiles::read(&files, &[], &table_sources(), &[]);
    findings.settle();
    let mapping = read.mappings.get("local");
    let outputs = mapping.map(|mapping| mapping.run(&fixture("hl7v2/rde_o11_two_orders.hl7"), &context()).unwrap());
    (outputs.map(|outputs| String::from_utf8(outputs[0].body.to_vec()).unwrap()), findings)
}

fn made(local: &str) -> Json {
    let (made, findings) = built(local);
    assert!(findings.is_empty(), "{findings}");
    serde_json::from_str(&made.unwrap()).unwrap()
}

#[test]
fn a_mapping_that_says_nothing_more_does_what_its_base_does() {
    let json = made("base = 'orders'\n");
    assert_eq!(json["identifier"][0].to_string(), r#"{"value":"RX88-1","use":"usual"}"#);
    assert_eq!(json["contact"].as_array().unwrap().len(), 2);
}

#[test]
fn own_rules_stand_in_the_place_of_those_of_the_base_and_new_ones_behind() {
    let json = made("base = 'orders'\n[set]\n\"identifier[0].use\" = '\"official\"'\nactive = 'true'\n");
    assert_eq!(json["identifier"][0].to_string(), r#"{"value":"RX88-1","use":"official"}"#);
    let elements: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(elements, ["resourceType", "identifier", "name", "active", "contact"]);
}

#[test]
fn names_of_the_base_take_other_meanings_and_see_new_ones() {
    let json = made("base = 'orders'\n[let]\nprefix = '\"X-\"'\nnumber = 'concat($prefix, ORC-2.1)'\n");
    assert_eq!(json["identifier"][0]["value"], "X-RX88-1");
}

#[test]
fn a_block_with_the_same_each_and_to_adds_to_that_of_the_base() {
    let json = made(
        "base = 'orders'\n[[for]]\neach = 'ORDER'\nto = 'contact'\nset = { id = '\"own\"', gender = '\"male\"' }\n[[for.for]]\neach = 'NTE'\nto = 'telecom'\nset = { rank = '1' }\n",
    );
    assert_eq!(json["contact"].as_array().unwrap().len(), 2);
    assert_eq!((&json["contact"][1]["id"], &json["contact"][1]["gender"]), (&Json::from("own"), &Json::from("male")));
    assert_eq!(json["contact"][0]["telecom"][0]["rank"], 1);
    assert!(json["contact"][0]["telecom"][0]["value"].is_string());
}

#[test]
fn what_is_left_out_is_not_there() {
    let json = made("base = 'orders'\nwithout = ['contact', 'name[0].text']\n");
    assert!(json.get("contact").is_none() && json.get("name").is_none(), "{json}");
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let cases = [
        ("base = 'oders'\n", (3, 149)),
        ("base = 'local'\n", (3, 149)),
        ("base = 'orders'\nwithout = ['contacts']\n", (4, 149)),
        ("base = 'orders'\n[set]\nactve = 'true'\n", (5, 123)),
        ("base = 'orders'\n[let]\nunseen = 'ORC-1'\n", (5, 122)),
        (
            "base = 'orders'\n[[for]]\neach = 'ORDER'\nto = 'contact'\nwhen = 'ORC-1'\nset = { gender = '\"male\"' }\n",
            (7, 149),
        ),
        (
            "base = 'orders'\n[[for]]\neach = 'ORC'\nto = 'contact'\nwithout = ['id']\nset = { gender = '\"male\"' }\n",
            (7, 149),
        ),
        ("from = 'hl7v2 RDE^O11'\nto = 'fhir Patient'\nwithout = ['name']\n[set]\nactive = 'true'\n", (5, 149)),
        ("base = 'orders'\nfrom = 'hl7v2 RDE^O11'\n", (4, 102)),
    ];
    for (local, expected) in cases {
        let (_, findings) = built(local);
        let told: Vec<_> =
            findings.iter().map(|finding| (&*finding.file, finding.line, finding.code.number())).collect();
        assert_eq!(told, [("mappings/local.toml", expected.0, expected.1)], "{local}: {findings}");
    }
}

#[test]
fn a_mistake_of_the_base_is_told_once_and_in_its_file() {
    let source = |name: &str, text: &str| Arc::new(SourceText::new(name, text));
    let broken = BASE.replace("'ORC-2.1', id", "'ORX-2.1', id");
    let local = "name = 'local'\nversion = 1\nbase = 'orders'\n[set]\nactive = 'true'\n";
    let files = [source("mappings/local.toml", local), source("mappings/orders.toml", &broken)];
    let (_, mut findings) = MappingFiles::read(&files, &[], &[], &[]);
    findings.settle();
    let told: Vec<_> = findings.iter().map(|finding| (&*finding.file, finding.code.number())).collect();
    assert_eq!(told, [("mappings/orders.toml", 120)], "{findings}");
}

#[test]
fn a_table_can_stand_in_the_mapping_that_needs_it() {
    let table = "[table.local_uses]\nunknown = 'hold'\n[table.local_uses.codes]\nNW = 'official'\n";
    let json =
        made(&format!("base = 'orders'\n[set]\n\"identifier[0].use\" = 'ORC-1 | table(\"local_uses\")'\n{table}"));
    assert_eq!(json["identifier"][0]["use"], "official");
    let twice = format!("base = 'orders'\n{}", table.replace("local_uses", "order_control"));
    let (_, findings) = built(&twice);
    assert_eq!(findings.iter().map(|finding| finding.code.number()).collect::<Vec<_>>(), [106], "{findings}");
}
