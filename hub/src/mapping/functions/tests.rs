use super::*;
use crate::mapping::testing::{evaluate, shipped_tables};

#[test]
fn every_example_gives_what_the_documentation_says() {
    let tables = shipped_tables();
    for function in catalogue() {
        let example = &function.example;
        let given = evaluate(example.given, example.expression, &tables)
            .unwrap_or_else(|problem| panic!("{}: {problem}", function.name));
        assert_eq!(given, example.gives, "{}", function.name);
    }
}

#[test]
fn every_function_says_what_it_does_and_shows_itself() {
    let mut names: Vec<&str> = catalogue().map(|function| function.name).collect();
    for function in catalogue() {
        assert!(function.doc.ends_with('.'), "{}", function.name);
        assert!(function.example.expression.contains(function.name), "{}", function.name);
        assert!(!function.parameters.is_empty(), "{}", function.name);
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "no name is used twice");
}

/// Runs a table of segments, expressions and results.
fn check(rows: &[(&str, &str, &str)]) {
    let tables = shipped_tables();
    for (given, expression, expected) in rows {
        let result = evaluate(given, expression, &tables);
        assert_eq!(result.as_deref(), Ok(*expected), "{expression} of {given}");
    }
}

/// Runs a table of segments and expressions that refuse.
fn refused(rows: &[(&str, &str, u16)]) {
    let tables = shipped_tables();
    for (given, expression, code) in rows {
        let problem = evaluate(given, expression, &tables).unwrap_err();
        assert!(problem.starts_with(&format!("HUB{code:04}")), "{expression} of {given}: {problem}");
    }
}

#[test]
fn identifiers_carry_their_authority() {
    check(&[
        (
            "PID|||1^^^H1&1.2.3&ISO^MR",
            "PID-3 | identifier",
            r#"{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:oid:1.2.3","value":"1"}"#,
        ),
        (
            "PID|||1^^^&1.2.3&ISO^WARD",
            "PID-3 | identifier",
            r#"{"type":{"coding":[{"system":"urn:hl7v2:KASR_ALAINY:HL70203","code":"WARD"}]},"system":"urn:oid:1.2.3","value":"1"}"#,
        ),
        ("PID|||1^^^H 1^MR", "PID-3.1 | identifier", r#"{"value":"1"}"#),
        ("ORC|NW|12^HIS", "ORC-2 | identifier", r#"{"system":"urn:hl7v2:KASR_ALAINY:HIS","value":"12"}"#),
        ("ORC|NW|12", "ORC-2 | identifier", r#"{"system":"urn:hl7v2:KASR_ALAINY:HIS","value":"12"}"#),
        ("ORC|NW|12^^A1B2^UUID", "ORC-2 | identifier", r#"{"system":"urn:uuid:a1b2","value":"12"}"#),
        ("ORC|NW|12^ LAB 1", "ORC-2 | identifier", r#"{"system":"urn:hl7v2:KASR_ALAINY:LAB%201","value":"12"}"#),
        (
            "PID|||٢٨٠٠١٠١٠١٠٠٠١٣^^^^NI",
            "PID-3 | identifier",
            r#"{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NI"}]},"system":"http://mohp.gov.eg/national-id","value":"28001010100013"}"#,
        ),
        (
            "ZID|7^^^X^MR",
            "ZID-1 | identifier",
            r#"{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:hl7v2:KASR_ALAINY:X","value":"7"}"#,
        ),
        ("ZID|7^X", "ZID-1 | identifier(\"CX\")", r#"{"system":"urn:hl7v2:KASR_ALAINY:HIS","value":"7"}"#),
        ("ORC|NW|\"\"", "ORC-2 | identifier", ""),
    ]);
}

#[test]
fn the_same_number_of_two_hospitals_stays_apart() {
    let tables = shipped_tables();
    let of = |facility: &str| {
        let message = format!("MSH|^~\\&|HIS|{facility}|NDP|EG|2026||RDE^O11|1|P|2.5.1\rORC|NW|12^HIS\r");
        evaluate(&message, "ORC-2 | identifier", &tables).unwrap()
    };
    assert_ne!(of("H1"), of("H2"));
}

#[test]
fn coded_fields_keep_every_coding_and_the_text() {
    check(&[
        (
            "RXE||EDA-MED-00123^AUGMENTIN^EDA^622^أوجمنتين^GTIN",
            "RXE-2 | codeable_concept",
            r#"{"coding":[{"system":"http://eda.mohp.gov.eg/medications","code":"EDA-MED-00123","display":"AUGMENTIN"},{"system":"https://www.gs1.org/gtin","code":"622","display":"أوجمنتين"}],"text":"AUGMENTIN"}"#,
        ),
        ("RXE||^Paracetamol 500 mg", "RXE-2 | codeable_concept", r#"{"text":"Paracetamol 500 mg"}"#),
        (
            "RXE||5^Five^99LOC",
            "RXE-2 | coding",
            r#"{"system":"urn:hl7v2:KASR_ALAINY:99LOC","code":"5","display":"Five"}"#,
        ),
        // HL7's table has PO and has no MTH: that code is the hospital's own.
        (
            "RXR|PO^^HL70162",
            "RXR-1 | coding",
            r#"{"system":"http://terminology.hl7.org/CodeSystem/v2-0162","code":"PO"}"#,
        ),
        ("RXR|MTH^^HL70163", "RXR-1 | coding", r#"{"system":"urn:hl7v2:KASR_ALAINY:HL70163","code":"MTH"}"#),
        ("RXR|1^^HL79999", "RXR-1 | coding", r#"{"system":"urn:hl7v2:KASR_ALAINY:HL79999","code":"1"}"#),
        ("RXE||5^^2.16.1", "RXE-2 | coding", r#"{"system":"urn:oid:2.16.1","code":"5"}"#),
        (
            "RXR|PO^By mouth",
            "RXR-1 | codeable_concept(\"routes\")",
            r#"{"coding":[{"system":"http://snomed.info/sct","code":"26643006","display":"Oral route"},{"code":"PO","display":"By mouth"}],"text":"By mouth"}"#,
        ),
        ("RXR|ZZ", "RXR-1 | codeable_concept(\"routes\")", r#"{"coding":[{"code":"ZZ"}]}"#),
        (
            "RXR|^^^26643006^Oral route^SCT",
            "RXR-1 | codeable_concept(\"routes\")",
            r#"{"coding":[{"system":"http://snomed.info/sct","code":"26643006","display":"Oral route"}],"text":"Oral route"}"#,
        ),
    ]);
}

#[test]
fn numbers_are_read_in_any_digits_and_refused_when_they_are_none() {
    check(&[
        ("RXE|||١٫٥٠", "RXE-3 | decimal", "1.50"),
        ("RXE|||0,5", "RXE-3 | decimal", "0.5"),
        ("RXE|||14.00", "RXE-3 | integer", "14"),
        ("RXE|||۱۴", "RXE-3 | integer", "14"),
        ("RXE||||", "RXE-3 | decimal", ""),
        (
            "RXE|||1||TAB",
            "quantity(RXE-3, RXE-5)",
            r#"{"value":1,"unit":"TAB","system":"http://unitsofmeasure.org","code":"{tablet}"}"#,
        ),
        ("RXE|||1||spoon", "quantity(RXE-3, RXE-5)", r#"{"value":1,"unit":"spoon"}"#),
        ("RXE|||1", "quantity(RXE-3)", r#"{"value":1}"#),
        (
            "TQ1|1|2.5^mg&milligram&UCUM",
            "TQ1-2 | quantity",
            r#"{"value":2.5,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}"#,
        ),
        (
            "RXE|||2",
            "quantity(RXE-3, \"ml\")",
            r#"{"value":2,"unit":"ml","system":"http://unitsofmeasure.org","code":"mL"}"#,
        ),
    ]);
    refused(&[
        ("RXE|||one", "RXE-3 | decimal", 151),
        ("RXE|||1.5", "RXE-3 | integer", 151),
        ("RXE|||1,000,5", "RXE-3 | decimal", 151),
        ("RXE|||x||mg", "quantity(RXE-3, RXE-5)", 151),
        ("PID||||||||||||||||||||||||maybe", "PID-24 | boolean", 151),
    ]);
}

#[test]
fn people_are_read_from_both_of_their_types() {
    check(&[
        (
            "ORC|NW|||||||||12345^حسن^علي^^^د^^^SYND",
            "ORC-10 | human_name",
            r#"{"text":"د علي حسن","family":"حسن","given":["علي"],"prefix":["د"]}"#,
        ),
        ("PID|||||\"\"^Only", "PID-5 | human_name", r#"{"text":"Only","given":["Only"]}"#),
        (
            "PID|||||محمد أحمد عبد الرحمن",
            "PID-5 | human_name",
            r#"{"text":"محمد أحمد عبد الرحمن","family":"محمد أحمد عبد الرحمن"}"#,
        ),
        ("PID|||||||||||||^NET^Internet^a@b.eg", "PID-13 | telecom", r#"{"system":"email","value":"a@b.eg"}"#),
        ("PID|||||||||||||01012345678", "PID-13 | telecom", r#"{"system":"phone","value":"01012345678"}"#),
        (
            "PID|||||A^B~C^D",
            "PID-5[*] | human_name",
            r#"[{"text":"B A","family":"A","given":["B"]},{"text":"D C","family":"C","given":["D"]}]"#,
        ),
    ]);
}

#[test]
fn repeat_patterns_become_timings() {
    let repeat = |pattern: &str| {
        let json = evaluate(&format!("TQ1|1||{pattern}"), "TQ1-3.1 | timing", &shipped_tables()).unwrap();
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["repeat"].to_string()
    };
    assert_eq!(repeat("Q8H"), r#"{"frequency":1,"period":8,"periodUnit":"h"}"#);
    assert_eq!(repeat("q30m"), r#"{"frequency":1,"period":30,"periodUnit":"min"}"#);
    assert_eq!(repeat("5ID"), r#"{"frequency":5,"period":1,"periodUnit":"d"}"#);
    assert_eq!(repeat("QHS"), r#"{"when":["HS"]}"#);
    assert_eq!(repeat("ACM"), r#"{"when":["ACM"]}"#);
    assert_eq!(repeat("Q0H"), "null");
    assert_eq!(repeat("whenever"), "null");
    let code_of = |pattern: &str| {
        let expression = "TQ1-3.1 | timing | element(\"code\")";
        evaluate(&format!("TQ1|1||{pattern}"), expression, &shipped_tables()).unwrap()
    };
    let coded = |system: &str, code: &str, text: &str| {
        format!(
            r#"{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/{system}","code":"{code}"}}],"text":"{text}"}}"#
        )
    };
    assert_eq!(code_of("Q8H"), coded("v3-GTSAbbreviation", "Q8H", "Q8H"));
    assert_eq!(code_of("once"), coded("v2-0335", "Once", "once"));
    // Made by the rules of table 0335, and no codes of it.
    assert_eq!(code_of("Q30M"), r#"{"text":"Q30M"}"#);
    assert_eq!(code_of("ACM"), r#"{"text":"ACM"}"#);
}

#[test]
fn tables_decide_about_unknown_codes() {
    refused(&[("ORC|ZZ", "ORC-1 | table(\"order_control\")", 152), ("ORC||", "ORC-1 | required", 150)]);
    check(&[
        ("TQ1|1||||||||Q", "TQ1-9.1 | table(\"priority\")", r#""routine""#),
        ("ORC||", "ORC-1 | table(\"order_control\")", ""),
    ]);
}

#[test]
fn null_is_told_from_empty_and_gives_nothing() {
    check(&[
        ("ORC|NW|\"\"", "is_null(ORC-2)", "true"),
        ("ORC|NW|\"\"", "ORC-2 exists", "false"),
        ("ORC|NW|\"\"", "ORC-2 | text", ""),
        ("ORC|NW|", "is_null(ORC-2)", "false"),
    ]);
}

#[test]
fn the_pseudonym_depends_on_the_key() {
    let value = evaluate("PID|||1", "PID-3.1 | hmac", &shipped_tables()).unwrap();
    assert_eq!(value.len(), 66);
    let other = evaluate("PID|||2", "PID-3.1 | hmac", &shipped_tables()).unwrap();
    assert_ne!(value, other);
}

/// The documentation of one function.
fn section(function: &Function) -> String {
    let example = &function.example;
    let language = if example.given.starts_with('{') { "json" } else { "text" };
    let mut section = format!("\n### {}\n\n{}\n\n", function.name, function.doc);
    section.push_str(&format!("`{}` gives {}", function.signature(), function.returns.word()));
    section.push_str(if function.may_fail { ", or refuses the message.\n" } else { ".\n" });
    section
        .push_str(&format!("\n```{language}\n{}\n{}\n-> {}\n```\n", example.given, example.expression, example.gives));
    section
}

#[test]
fn the_documentation_lists_every_function_with_its_example() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/mapping-language.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mark = text.find("<!-- functions").unwrap();
    let end = mark + text[mark..].find("-->").unwrap() + 4;
    let sections: String = catalogue().map(section).collect();
    if std::env::var_os("HUB_WRITE_GOLDEN").is_some() {
        std::fs::write(path, format!("{}{sections}", &text[..end])).unwrap();
    }
    let documented = std::fs::read_to_string(path).unwrap();
    assert_eq!(&documented[end..], sections, "HUB_WRITE_GOLDEN=1 writes the part anew");
}
