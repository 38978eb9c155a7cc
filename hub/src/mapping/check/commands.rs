//! Which commands a mapping can give.

use crate::mapping::plan::Op;
use crate::mapping::tables::Row;

/// Every command that an expression can give, as far as it is written out or in a table.
pub(super) fn commands_of(op: &Op, commands: &mut Vec<String>) {
    match op {
        Op::Text(text) => commands.push(text.clone()),
        Op::Call(call) => {
            if let Some(table) = &call.table {
                commands.extend(table.rows().filter_map(|(_, row)| match row {
                    Row::Text(text) => Some(text.clone()),
                    Row::Number(_) | Row::Boolean(_) | Row::Coding(_) => None,
                }));
            } else if matches!(call.function.name, "default" | "required") {
                call.arguments.iter().for_each(|argument| commands_of(argument, commands));
            }
        }
        Op::FirstOf(parts) => parts.iter().for_each(|part| commands_of(part, commands)),
        Op::If { value, otherwise, .. } => {
            commands_of(value, commands);
            otherwise.iter().for_each(|otherwise| commands_of(otherwise, commands));
        }
        Op::Number(_)
        | Op::Boolean(_)
        | Op::Variable(_)
        | Op::Field { .. }
        | Op::Part { .. }
        | Op::Json { .. }
        | Op::Joined(_)
        | Op::Compare { .. }
        | Op::In { .. }
        | Op::Exists(_)
        | Op::Not(_)
        | Op::And(_)
        | Op::Or(_) => {}
    }
}
