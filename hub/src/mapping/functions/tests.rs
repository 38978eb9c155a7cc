use super::*;
use crate::mapping::interned::Interned;
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
        assert!(!function.parameters.is_empty() || function.name == "null", "{}", function.name);
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
            "PID|||1^^^H1&1.2.3.4&ISO^MR",
            "PID-3 | identifier",
            r#"{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:oid:1.2.3.4","value":"1"}"#,
        ),
        (
            "PID|||1^^^&1.2.3.4&ISO^WARD",
            "PID-3 | identifier",
            r#"{"type":{"text":"WARD"},"system":"urn:oid:1.2.3.4","value":"1"}"#,
        ),
        ("PID|||1^^^H 1^MR", "PID-3.1 | identifier", r#"{"value":"1"}"#),
        ("ORC|NW|12^HIS", "ORC-2 | identifier", r#"{"system":"urn:hl7v2:KASR_ALAINY:HIS","value":"12"}"#),
        ("ORC|NW|12", "ORC-2 | identifier", r#"{"system":"urn:hl7v2:KASR_ALAINY:HIS","value":"12"}"#),
        (
            "ORC|NW|12^^6BA7B810-9DAD-11D1-80B4-00C04FD430C8^UUID",
            "ORC-2 | identifier",
            r#"{"system":"urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8","value":"12"}"#,
        ),
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
        ("RXE||5^^2.16.1.7", "RXE-2 | coding", r#"{"system":"urn:oid:2.16.1.7","code":"5"}"#),
        (
            "RXR|PO^By mouth",
            "RXR-1 | codeable_concept(\"routes\")",
            r#"{"coding":[{"system":"http://snomed.info/sct","code":"26643006","display":"Oral route"}],"text":"By mouth"}"#,
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

#[test]
fn money_keeps_its_digits_and_guesses_no_currency() {
    check(&[
        ("FT1|1||||||||||١٢٥٫٥٠", "FT1-11 | money", r#"{"value":125.50}"#),
        ("FT1|1||||||||||125.5", "FT1-11 | money(\"egp\")", r#"{"value":125.5,"currency":"EGP"}"#),
        ("FT1|1||||||||||125.5&USD^UP", "FT1-11 | money(\"EGP\")", r#"{"value":125.5,"currency":"USD"}"#),
        ("FT1|1||||||||||125.5^UP", "FT1-11 | money(\"EGP\")", r#"{"value":125.5,"currency":"EGP"}"#),
        ("ZFT|7^EGP", "ZFT-1 | money", r#"{"value":7,"currency":"EGP"}"#),
        ("FT1|1||||||||||&EGP", "FT1-11 | money", ""),
        (r#"{"total":{"value":1.50,"currency":"EGP"}}"#, "total | money", r#"{"value":1.50,"currency":"EGP"}"#),
        (r#"{"total":1.50}"#, "money(total, \"EGP\")", r#"{"value":1.50,"currency":"EGP"}"#),
    ]);
    refused(&[
        ("FT1|1||||||||||a lot", "FT1-11 | money", 151),
        ("FT1|1||||||||||1&pound", "FT1-11 | money", 151),
        ("FT1|1||||||||||1|£", "money(FT1-11, FT1-12.1)", 151),
    ]);
}

#[test]
fn patterns_find_what_they_are_for_and_nothing_else() {
    check(&[
        ("RXE||0201^Amoxicillin 500 mg", r#"RXE-2.2 | regex("[0-9]+")"#, r#""500""#),
        ("RXE||0201^Amoxicillin 500 mg", r#"RXE-2.2 | regex("^([A-Z]\w+) (?:\d+)", 1)"#, r#""Amoxicillin""#),
        ("RXE||0201^Amoxicillin 500 mg", r#"RXE-2.2 | regex("(x)?mg", 1)"#, ""),
        ("RXE||0201^Amoxicillin", r#"RXE-2.2 | regex("[0-9]+")"#, ""),
        ("RXE||0201^قرص ٥٠٠", r#"RXE-2.2 | regex("\p{Arabic}+")"#, r#""قرص""#),
        ("ORC|NW|a.b", r#"ORC-2.1 | matches("^a\\.b$")"#, "true"),
        ("ORC|NW|axb", r#"ORC-2.1 | matches("^a\.b$")"#, "false"),
        ("ORC|NW|", r#"ORC-2.1 | matches("x")"#, ""),
    ]);
}

#[test]
fn a_pattern_that_would_take_for_ever_by_trial_and_error_ends() {
    let text = format!("ORC|NW|{}!", "a".repeat(50_000));
    check(&[(text.as_str(), r#"ORC-2.1 | matches("^(a+)+$")"#, "false")]);
}

/// What is wrong with an expression, and where its caret begins, counted from 1.
fn finding(expression: &str) -> (u16, usize, String) {
    use crate::mapping::compile::{Compiler, Ground};
    let source = std::sync::Arc::new(crate::finding::SourceText::new("test", format!("'{expression}'")));
    let tables = shipped_tables();
    let interned = Interned::default();
    let mut compiler = Compiler::new(&source, &tables, &interned);
    let kind = crate::mapping::PathKind::Hl7;
    let ground = Ground { message: "RDE^O11", ..Ground::of(kind) };
    let text = crate::finding::Text::new(expression.to_owned(), 0..source.text().len());
    assert!(compiler.expression(&text, ground).is_none(), "{expression}");
    let found = compiler.findings.iter().next().unwrap();
    (found.code.number(), found.column, found.message.clone())
}

#[test]
fn what_is_written_out_is_checked_when_the_mapping_is_loaded() {
    for (expression, column, part) in [
        (r#"ORC-2 | regex("a(b")"#, 18, "unclosed group"),
        (r#"ORC-2 | matches("a\\d(")"#, 23, "unclosed group"),
        (r#"ORC-2 | regex("(?=x)")"#, 17, "look-around"),
        (r#"ORC-2 | regex("(a)\1")"#, 20, "backreferences"),
        (r#"ORC-2 | regex("(\w{1000}){1000}")"#, 17, "1048576 bytes"),
        (r#"ORC-2 | regex("(a)", 2)"#, 23, "no group 2"),
        ("ORC-2 | regex(ORC-3)", 16, "pattern in quotes"),
        (r#"FT1-11 | money("LE")"#, 17, "no currency"),
        ("ORC-2 | substring(0)", 20, "from 1"),
        (r#"ORC-2 | split("-", 1.5)"#, 21, "from 1"),
        (r#"ZID-1 | identifier("XX")"#, 21, "no type"),
    ] {
        let (code, at, message) = finding(expression);
        assert_eq!((code, at), (115, column), "{expression}: {message}");
        assert!(message.contains(part), "{expression}: {message}");
    }
}

#[test]
fn times_of_day_and_instants() {
    check(&[
        ("ZTM|09", "ZTM-1 | time", r#""09:00:00""#),
        ("ZTM|٠٩٣٠", "ZTM-1 | time", r#""09:30:00""#),
        ("ZTM|093015.25+0200", "ZTM-1 | time", r#""09:30:15.25""#),
        ("ZTM|0000", "ZTM-1 | time", r#""00:00:00""#),
        ("ZTM|9:30", "concat(\"0\", ZTM-1) | time", r#""09:30:00""#),
        ("ZTM|202611050929", "ZTM-1 | time", r#""09:29:00""#),
        ("ZTM|20261105", "ZTM-1 | time", ""),
        ("ZTM|2026-11-05", "ZTM-1 | time", ""),
        ("ZTM|2026-11-05 09:29", "ZTM-1 | time", r#""09:29:00""#),
        ("ZTM|20261105", "ZTM-1 | instant", ""),
        ("ZTM|20261105092955.123Z", "ZTM-1 | instant", r#""2026-11-05T09:29:55.123+00:00""#),
        ("ZTM|202611050929-0500", "ZTM-1 | instant", r#""2026-11-05T09:29:00-05:00""#),
        ("ZTM|202611", "ZTM-1 | hl7_date", r#""202611""#),
        ("ZTM|2026-11-05T09:29:00Z", "ZTM-1 | hl7_date", r#""20261105""#),
    ]);
    refused(&[
        ("ZTM|2560", "ZTM-1 | time", 151),
        ("ZTM|930", "ZTM-1 | time", 151),
        ("ZTM|20261305", "ZTM-1 | instant", 151),
        ("ZTM|x", "ZTM-1 | hl7_date", 151),
    ]);
}

#[test]
fn letters_are_counted_not_bytes() {
    check(&[
        ("NTE|1||محمد أحمد", "NTE-3 | substring(6)", r#""أحمد""#),
        ("NTE|1||محمد", "NTE-3 | substring(1, 2)", r#""مح""#),
        ("NTE|1||محمد", "NTE-3 | substring(9)", ""),
        ("NTE|1||محمد", "NTE-3 | substring(2, 99)", r#""حمد""#),
    ]);
}

#[test]
fn a_table_is_read_from_right_to_left() {
    let coding = |system: &str, code: &str| format!(r#"{{"r":{{"system":"{system}","code":"{code}"}}}}"#);
    let expression = "r | table_reverse(\"routes\")";
    check(&[
        (&coding("http://snomed.info/sct", "26643006"), expression, r#""PO""#),
        (&coding("urn:other", "26643006"), expression, r#""26643006""#),
        (r#"{"r":"26643006"}"#, expression, r#""PO""#),
        (
            r#"{"r":{"coding":[{"system":"x","code":"1"},{"system":"http://snomed.info/sct","code":"26643006"}]}}"#,
            expression,
            r#""PO""#,
        ),
        (r#"{"r":"cancel"}"#, "r | table_reverse(\"order_control\")", r#""CA""#),
        (r#"{"r":{"text":"only words"}}"#, expression, ""),
    ]);
    refused(&[(r#"{"r":"dance"}"#, "r | table_reverse(\"order_control\")", 152)]);
}

#[test]
fn codes_are_taken_by_their_system() {
    check(&[
        ("RXE||1^A^L^2^B^99X^^^^3^C^99Y", "RXE-2 | code_of(\"urn:hl7v2:KASR_ALAINY:99Y\")", r#""3""#),
        ("RXE||1^A^L", "RXE-2 | codeable_concept | code_of", r#""1""#),
        ("RXE||1^A^L", "RXE-2 | code_of(\"urn:none\")", ""),
        (r#"{"c":[{"system":"a","code":"1"},{"system":"b","code":"2"}]}"#, "c[*] | code_of(\"b\")", r#"["2"]"#),
        (r#"{"c":{"text":"words"}}"#, "c | code_of", ""),
    ]);
}

#[test]
fn older_and_wider_forms_of_people_are_read() {
    check(&[
        ("PID|||||||||||||(206)3345232", "PID-13 | telecom", r#"{"system":"phone","value":"(206)3345232"}"#),
        (
            "PID|||||||||||||^PRN^PH^^1^555^5551212",
            "PID-13 | telecom",
            r#"{"system":"phone","value":"+1 555 5551212","use":"home"}"#,
        ),
        (
            "PID|||||||||||||(02)2345^WPN^PH^a@b.eg",
            "PID-13 | telecom",
            r#"{"system":"phone","value":"(02)2345","use":"work"}"#,
        ),
        ("PID|||||||||||||^^^a@b.eg", "PID-13 | telecom", r#"{"system":"email","value":"a@b.eg"}"#),
        ("PID|||||||||||||a@b.eg^NET", "PID-13 | telecom", r#"{"system":"email","value":"a@b.eg"}"#),
        ("PID|||||||||||||^PRN^PH", "PID-13 | telecom", ""),
        (
            "PID|||||||||||&شارع النيل&12^^الجيزة^^^^M",
            "PID-11 | address",
            r#"{"type":"postal","line":["12 شارع النيل"],"city":"الجيزة"}"#,
        ),
        (
            "PID|||||حسن&ال^علي^^^^MD",
            "PID-5 | human_name",
            r#"{"text":"علي حسن","family":"حسن","given":["علي"],"suffix":["MD"]}"#,
        ),
        ("PV1|1|I|^^^KASR^^^^^Main hall", "PV1-3 | location_name", r#""Main hall, KASR""#),
        ("PV1|1|I|ICU^^3", "PV1-3 | location_name", r#""ICU-3""#),
        ("PV1|1|I|^^^KASR", "PV1-3 | location_name", r#""KASR""#),
    ]);
}

#[test]
fn licences_and_authorities_are_identifiers() {
    check(&[
        (
            "PID||||||||||||||||||||DL-77^الجيزة^20300101",
            "PID-20 | identifier",
            r#"{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"DL"}]},"value":"DL-77","period":{"end":"2030-01-01"},"assigner":{"display":"الجيزة"}}"#,
        ),
        (
            "PRD||||||||٥٥^LN^EG^20300101",
            "PRD-7 ?? PRD-8 | identifier(\"PLN\")",
            r#"{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"LN"}]},"value":"55","period":{"end":"2030-01-01"},"assigner":{"display":"EG"}}"#,
        ),
        ("ZHD|x", "MSH-4 | identifier", r#"{"value":"KASR_ALAINY"}"#),
    ]);
}
