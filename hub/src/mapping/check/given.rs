//! What an expression can give, as far as that is known before a message comes.

use crate::mapping::plan::{Call, Leaf, Op, Variable};
use crate::mapping::tables::{Row, Unknown};

/// One of the things that an expression may give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// A text that is written out, here or in a table.
    Literal(String),
    /// Some text.
    Text,
    /// The null of HL7 v2.
    Null,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A FHIR data type with elements.
    Structure(&'static str),
    /// A reference to a resource of this type.
    Reference(String),
    /// Anything.
    Unknown,
}

/// Everything that the expression can give.
pub(super) fn given(op: &Op) -> Vec<Given> {
    let mut found = Vec::new();
    gather(op, &mut found);
    found
}

fn gather(op: &Op, found: &mut Vec<Given>) {
    match op {
        Op::Text(text) => found.push(Given::Literal(text.clone())),
        Op::Number(_) => found.push(Given::Number),
        Op::Boolean(_) | Op::Compare { .. } | Op::In { .. } | Op::Exists(_) | Op::Not(_) | Op::And(_) | Op::Or(_) => {
            found.push(Given::Boolean);
        }
        Op::Name { op, .. } => gather(op, found),
        Op::Attempt(value) => gather(value, found),
        Op::Variable(Variable::Index) => found.push(Given::Number),
        Op::Place | Op::Variable(_) | Op::Field { .. } | Op::Part { .. } | Op::Joined(_) => found.push(Given::Text),
        Op::Json { leaf, .. } => found.push(match leaf {
            Leaf::Unknown => Given::Unknown,
            Leaf::Text => Given::Text,
            Leaf::Number => Given::Number,
            Leaf::Boolean => Given::Boolean,
            Leaf::Structure(name) => Given::Structure(name),
        }),
        Op::FirstOf(parts) => parts.iter().for_each(|part| gather(part, found)),
        Op::If { value, otherwise, .. } => {
            gather(value, found);
            otherwise.iter().for_each(|otherwise| gather(otherwise, found));
        }
        Op::Call(call) => gather_call(call, found),
    }
}

fn gather_call(call: &Call, found: &mut Vec<Given>) {
    let mut of_arguments = |count: usize| call.arguments.iter().take(count).for_each(|part| gather(part, found));
    match call.function.name {
        "first" | "last" | "required" => of_arguments(1),
        "default" => of_arguments(2),
        "table" => of_table(call, found),
        "table_reverse" => of_codes(call, found),
        "codeable_concept" => found.push(Given::Structure("CodeableConcept")),
        "coding" => found.push(Given::Structure("Coding")),
        "identifier" => found.push(Given::Structure("Identifier")),
        "quantity" => found.push(Given::Structure("Quantity")),
        "human_name" => found.push(Given::Structure("HumanName")),
        "address" => found.push(Given::Structure("Address")),
        "telecom" => found.push(Given::Structure("ContactPoint")),
        "timing" => found.push(Given::Structure("Timing")),
        "money" => found.push(Given::Structure("Money")),
        "reference" => found.push(match call.arguments.get(1) {
            Some(Op::Text(resource)) => Given::Reference(resource.clone()),
            Some(_) | None => Given::Structure("Reference"),
        }),
        "integer" | "decimal" | "count" => found.push(Given::Number),
        "boolean" | "is_null" | "matches" => found.push(Given::Boolean),
        "element" => found.push(Given::Unknown),
        "null" => found.push(Given::Null),
        _ => found.push(Given::Text),
    }
}

fn of_table(call: &Call, found: &mut Vec<Given>) {
    let Some(table) = &call.table else { return found.push(Given::Unknown) };
    found.extend(table.rows().map(|(_, row)| of_row(row)));
    match table.unknown() {
        Unknown::Reject | Unknown::Hold | Unknown::Nothing => {}
        Unknown::Pass => found.push(Given::Text),
        Unknown::Default(row) => found.push(of_row(row)),
    }
}

fn of_codes(call: &Call, found: &mut Vec<Given>) {
    let Some(table) = &call.table else { return found.push(Given::Text) };
    found.extend(table.rows().map(|(code, _)| Given::Literal(code.to_owned())));
    if matches!(table.unknown(), Unknown::Pass) {
        found.push(Given::Text);
    }
}

fn of_row(row: &Row) -> Given {
    match row {
        Row::Text(text) => Given::Literal(text.clone()),
        Row::Number(_) => Given::Number,
        Row::Boolean(_) => Given::Boolean,
        Row::Coding(_) => Given::Structure("Coding"),
    }
}

/// Whether the expression gives something whatever the message says, or refuses the message. Where the message has
/// what the `guards` name, their fields give something too. Whoever wrote `required` into a branch has thought of it.
pub(super) fn is_sure(op: &Op, guards: &[String]) -> bool {
    let all_sure = |part: &Op| is_sure(part, guards);
    match op {
        Op::Text(text) => !text.is_empty(),
        Op::Number(_) | Op::Boolean(_) | Op::Variable(_) | Op::Place => true,
        Op::Name { op, .. } => is_sure(op, guards),
        Op::Compare { .. } | Op::In { .. } | Op::Exists(_) | Op::Not(_) | Op::And(_) | Op::Or(_) => true,
        Op::Field { .. } | Op::Json { .. } => key(op).is_some_and(|key| guards.contains(&key)),
        Op::Part { .. } | Op::Attempt(_) => false,
        Op::Joined(parts) | Op::FirstOf(parts) => parts.iter().any(all_sure),
        Op::If { value, otherwise, .. } => {
            let branches = || std::iter::once(&**value).chain(otherwise.as_deref());
            branches().any(is_required) || otherwise.is_some() && branches().all(all_sure)
        }
        Op::Call(call) => match call.function.name {
            "required" | "count" | "null" => true,
            "default" => call.arguments.iter().any(all_sure),
            // These may find nothing in what there is.
            "regex" | "substring" | "code_of" | "table_reverse" | "time" | "instant" => false,
            _ if call.table.as_ref().is_some_and(|table| *table.unknown() == Unknown::Nothing) => false,
            _ => call.arguments.first().is_some_and(all_sure),
        },
    }
}

/// Whether it gives something only if a condition of its own holds.
pub(super) fn is_asked(op: &Op) -> bool {
    match op {
        Op::If { otherwise: None, .. } => true,
        Op::Name { op, .. } => is_asked(op),
        Op::Attempt(value) => is_asked(value),
        Op::Call(call) => call.arguments.first().is_some_and(is_asked),
        _ => false,
    }
}

fn is_required(op: &Op) -> bool {
    match op {
        Op::Call(call) => call.function.name == "required",
        Op::Name { op, .. } => is_required(op),
        _ => false,
    }
}

/// What a condition says is there: fields that it names, and those that it asks for together with others.
pub(super) fn guards_of(condition: &Op, guards: &mut Vec<String>) {
    match condition {
        Op::Field { .. } | Op::Json { .. } => guards.extend(key(condition)),
        Op::Exists(value) => guards_of(value, guards),
        Op::Name { op, .. } => guards_of(op, guards),
        Op::And(parts) => parts.iter().for_each(|part| guards_of(part, guards)),
        _ => {}
    }
}

/// A source field by its name, whatever repetition or component of it.
fn key(op: &Op) -> Option<String> {
    match op {
        Op::Field { path, .. } => Some(format!("{}-{}", path.segment(), path.field()?)),
        Op::Json { path, .. } => Some(path.to_string()),
        _ => None,
    }
}
