use proptest::prelude::*;

use super::*;

/// The tree in one line, with a parenthesis round everything that belongs together.
fn shape(expression: &Expression) -> String {
    let list = |parts: &[Expression], sign: &str| parts.iter().map(shape).collect::<Vec<_>>().join(sign);
    match &expression.node {
        Node::Text(text) => format!("{text:?}"),
        Node::Number(number) => number.clone(),
        Node::Boolean(boolean) => boolean.to_string(),
        Node::Path(path) => format!("<{path}>"),
        Node::Variable(name) => format!("${name}"),
        Node::Call { name, arguments, .. } => format!("{name}({})", list(arguments, ", ")),
        Node::FirstOf(parts) => format!("({})", list(parts, " ?? ")),
        Node::Joined(parts) => format!("({})", list(parts, " + ")),
        Node::If { value, condition, otherwise } => {
            let otherwise = otherwise.as_ref().map_or_else(|| "-".to_owned(), |other| shape(other));
            format!("if({}, {}, {otherwise})", shape(condition), shape(value))
        }
        Node::Compare { left, comparison, right } => format!("({} {comparison:?} {})", shape(left), shape(right)),
        Node::In { value, among } => format!("({} in {})", shape(value), list(among, ", ")),
        Node::Exists(value) => format!("exists({})", shape(value)),
        Node::Not(value) => format!("not({})", shape(value)),
        Node::And(parts) => format!("({})", list(parts, " and ")),
        Node::Or(parts) => format!("({})", list(parts, " or ")),
    }
}

#[test]
fn what_binds_tighter_is_read_first() {
    let table = [
        (r#""active""#, r#""active""#),
        ("ORC-4 ?? ORC-2 | identifier", "identifier((<ORC-4> ?? <ORC-2>))"),
        (r#"PID-3[.5 = "NI"] | identifier | required"#, r#"required(identifier(<PID-3[.5 = "NI"]>))"#),
        (r#"ORC-1 | table("order_control")"#, r#"table(<ORC-1>, "order_control")"#),
        ("quantity(RXE-3, RXE-5) if RXE-3", "if(<RXE-3>, quantity(<RXE-3>, <RXE-5>), -)"),
        (r#"RXE-9 in ("G", "T")"#, r#"(<RXE-9> in "G", "T")"#),
        (r#"MSH-9.1 = "RDE" and MSH-9.2 = "O11""#, r#"((<MSH-9.1> Equal "RDE") and (<MSH-9.2> Equal "O11"))"#),
        (r#"ORC-1 | upper = "NW" or not ORC-3 exists"#, r#"((upper(<ORC-1>) Equal "NW") or not(exists(<ORC-3>)))"#),
        (
            r#""a" if PV1-2 = "I" else "b" if PV1 exists else "c""#,
            r#"if((<PV1-2> Equal "I"), "a", if(exists(<PV1>), "b", "c"))"#,
        ),
        (r#"PID-5.1 + " " + PID-5.2 ?? PID-9 | trim"#, r#"trim((<PID-5.1> + " " + (<PID-5.2> ?? <PID-9>)))"#),
        ("OBX[2]-5", "<OBX[2]-5>"),
        ("ORDER.ORC-2[*].1 exists", "exists(<ORDER.ORC-2[*].1>)"),
        ("RXE-3 > -1.5", "(<RXE-3> Greater -1.5)"),
        ("(ORC-2 ?? ORC-3).1", "error"),
        ("exists PID-3 and PID-5 not in ('x')", r#"(exists(<PID-3>) and not((<PID-5> in "x")))"#),
        ("$received_at | date", "date($received_at)"),
        (".1 | text", "text(<.1>)"),
        ("RXR-1 like \"P*\"", r#"(<RXR-1> Like "P*")"#),
    ];
    for (text, expected) in table {
        let parsed = Expression::parse(text, PathKind::Hl7).map_or_else(|_| "error".to_owned(), |tree| shape(&tree));
        assert_eq!(parsed, expected, "{text}");
    }
}

#[test]
fn paths_in_json_are_told_from_functions() {
    let table = [
        ("medicationCodeableConcept.coding[0].code", "<medicationCodeableConcept.coding[0].code>"),
        (r#"identifier[system = "x"].value ?? $.id"#, r#"(<identifier[system = "x"].value> ?? <$.id>)"#),
        ("repeat.count | integer", "integer(<repeat.count>)"),
        ("count(note[*])", "count(<note[*]>)"),
        (". | text", "text(<.>)"),
        ("text | text", "text(<text>)"),
    ];
    for (text, expected) in table {
        assert_eq!(shape(&Expression::parse(text, PathKind::Json).unwrap()), expected, "{text}");
    }
}

#[test]
fn a_mistake_is_found_at_its_place() {
    let table = [
        ("", 0..0),
        ("PID-3 |", 7..7),
        ("PID-3 | 5", 8..9),
        ("PID-3 == 'x'", 6..8),
        ("upper(PID-3", 11..11),
        ("PID-3[.5 = \"NI\"", 5..15),
        ("\"active", 0..7),
        ("PID-3 ; x", 6..7),
        ("active", 0..6),
        ("PID-3 PID-5", 6..11),
        ("x in ()", 0..1),
        ("PID-3 in ()", 0..11),
        ("$", 0..1),
    ];
    for (text, place) in table {
        assert_eq!(Expression::parse(text, PathKind::Hl7).unwrap_err().span, place, "{text}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    for text in [
        "(".repeat(9_000),
        "not ".repeat(4_000),
        "exists ".repeat(2_000),
        "1 if 1 else ".repeat(1_000),
        "a(".repeat(8_000),
    ] {
        assert!(Expression::parse(&text, PathKind::Hl7).is_err());
    }
    let long = vec!["PID-3"; 1_500].join(" ?? ");
    assert!(Expression::parse(&long, PathKind::Hl7).is_ok(), "a long chain is not deep");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_a_place_inside(text in "[ -~ء-ي]{0,60}", json: bool) {
        let kind = if json { PathKind::Json } else { PathKind::Hl7 };
        if let Err(error) = Expression::parse(&text, kind) {
            prop_assert!(error.span.start <= error.span.end && error.span.end <= text.len());
            prop_assert!(text.is_char_boundary(error.span.start) && text.is_char_boundary(error.span.end));
        }
    }

    #[test]
    fn any_mix_of_real_words_is_read_or_refused(words in prop::collection::vec(
        prop::sample::select(vec!["PID-3", "ORC-2.1", "|", "upper", "(", ")", ",", "if", "else", "and", "or", "not", "in",
            "exists", "=", "!=", "<", "??", "+", "\"x\"", "1.5", "true", "[", "]", "$source", "like", "quantity("]), 0..24)) {
        let text = words.join(" ");
        if let Ok(tree) = Expression::parse(&text, PathKind::Hl7) {
            prop_assert!(tree.span.end <= text.len());
        }
    }
}
