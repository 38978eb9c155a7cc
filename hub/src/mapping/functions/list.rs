//! Functions of several values, and of tables.

use super::coded::codes_of;
use super::text::joined;
use super::{Arguments, Example, Function, Kind, Takes, one};
use crate::mapping::error::Fault;
use crate::mapping::value::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "first",
        parameters: &[one("values", Kind::Any)],
        returns: Kind::Any,
        doc: "The first of several values that is not empty.",
        example: Example { given: "PID|||1~2", expression: "PID-3[*].1 | first", gives: r#""1""# },
        may_fail: false,
        takes: Takes::Whole,
        run: |arguments| Ok(filled(arguments).into_iter().next().unwrap_or(Val::Absent)),
    },
    Function {
        name: "last",
        parameters: &[one("values", Kind::Any)],
        returns: Kind::Any,
        doc: "The last of several values that is not empty.",
        example: Example { given: "PID|||1~2", expression: "PID-3[*].1 | last", gives: r#""2""# },
        may_fail: false,
        takes: Takes::Whole,
        run: |arguments| Ok(filled(arguments).pop().unwrap_or(Val::Absent)),
    },
    Function {
        name: "attempt",
        // The compiler makes more of it than a call.
        parameters: &[one("value", Kind::Any)],
        returns: Kind::Any,
        doc: "The value, or nothing where a function in it cannot read what it is given and would refuse the message (HUB0151). `hub explain` counts the field as going nowhere then. For what is not worth refusing a message for.",
        example: Example {
            given: "PV1||I||||||||||||||||||||||||||||||||||||||||||20261340",
            expression: "attempt(PV1-44 | datetime) ?? \"unknown\"",
            gives: r#""unknown""#,
        },
        may_fail: false,
        takes: Takes::Whole,
        run: |arguments| Ok(arguments.take(0)),
    },
    Function {
        name: "count",
        parameters: &[one("values", Kind::Any)],
        returns: Kind::Number,
        doc: "How many values there are that are not empty.",
        example: Example { given: "PID|||1~2", expression: "PID-3[*] | count", gives: "2" },
        may_fail: false,
        takes: Takes::Whole,
        run: |arguments| Ok(Val::Number(filled(arguments).len().to_string().into())),
    },
    Function {
        name: "join",
        parameters: &[one("values", Kind::Any), one("between", Kind::Word)],
        returns: Kind::Text,
        doc: "The texts of several values with a text between them. `\\n` in it is a line end.",
        example: Example { given: "NTE|1||a~b", expression: "NTE-3[*] | join(\", \")", gives: r#""a, b""# },
        may_fail: false,
        takes: Takes::Whole,
        run: |arguments| {
            let between = arguments.word(1).unwrap_or_default();
            let values = filled(arguments);
            Ok(joined(values, &between))
        },
    },
    Function {
        name: "element",
        parameters: &[one("structure", Kind::Structure), one("name", Kind::Word)],
        returns: Kind::Any,
        doc: "One element of a structure that another function made.",
        example: Example {
            given: "PID|||||السيد^محمد",
            expression: "PID-5 | human_name | element(\"text\")",
            gives: r#""محمد السيد""#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: element,
    },
    Function {
        name: "table",
        parameters: &[one("value", Kind::Value), one("table", Kind::Table)],
        returns: Kind::Any,
        doc: "What the code stands for in a table of `mappings/tables/`. The table says what an unknown code does: the message is refused (HUB0152) or held (HUB0153), the code stands for itself, or a default stands for it.",
        example: Example { given: "ORC|NW", expression: "ORC-1 | table(\"order_control\")", gives: r#""create""# },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| match (arguments.text(0), arguments.table) {
            (Some(code), Some(table)) => table.look_up(super::text::trimmed(code)),
            (None, _) | (_, None) => Ok(Val::Absent),
        },
    },
    Function {
        name: "table_reverse",
        parameters: &[one("value", Kind::Any), one("table", Kind::Table)],
        returns: Kind::Text,
        doc: "The code of a table of `mappings/tables/` that stands for the value: `table` read from right to left. The value is a text, a number, true or false, or a coding or a concept, of which code and system count. Of several codes that stand for it, the first in the file is taken. Of a value that the table does not have, a table that rejects or holds unknown codes refuses the message (HUB0152), one that passes them gives the value or its code, and one with a default gives nothing.",
        example: Example {
            given: r#"{"route":{"coding":[{"system":"http://snomed.info/sct","code":"26643006"}]}}"#,
            expression: "route | table_reverse(\"routes\")",
            gives: r#""PO""#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: table_reverse,
    },
];

fn table_reverse<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let Some(table) = arguments.table else { return Ok(Val::Absent) };
    let value = arguments.take(0);
    let candidates = codes_of(&value);
    let known = candidates.iter().find_map(|(system, code)| table.code_for(system.as_deref(), code));
    match (known, candidates.into_iter().next()) {
        (Some(code), _) => Ok(Val::from(code)),
        (None, Some((_, code))) => table.without_row(code),
        (None, None) => Ok(Val::Absent),
    }
}

fn element<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let Some(name) = arguments.word(1) else { return Ok(Val::Absent) };
    Ok(match arguments.take(0) {
        Val::Object(fields) => fields.into_iter().find(|(key, _)| *key == name).map_or(Val::Absent, |(_, value)| value),
        Val::Json(json) => json.get(&*name).map_or(Val::Absent, Val::Json),
        Val::Absent | Val::Boolean(_) | Val::Text(_) | Val::Number(_) | Val::Field(_) | Val::List(_) => Val::Absent,
    })
}

fn filled<'r>(arguments: &mut Arguments<'r>) -> Vec<Val<'r>> {
    arguments.take(0).into_items().into_iter().filter(|value| !value.is_empty()).collect()
}
