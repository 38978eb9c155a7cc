//! `each`: what a mapping or a block goes through.

use adapters::hl7v2::{self, Path};

use super::Checker;
use crate::finding::{Text, codes, did_you_mean, one_of};
use crate::mapping::compile::Ground;
use crate::mapping::expression::{ExpressionError, PathKind};
use crate::mapping::fields::{DataType, datatype};
use crate::mapping::json_path::JsonPath;
use crate::mapping::plan::Each;

impl Checker<'_> {
    /// `ORDER`, `NTE`, `ORDER_DETAIL.NTE`, `PID-3` or `dosageInstruction[*]`.
    pub(super) fn each(&mut self, text: &Text, ground: Ground<'_>) -> Option<Each> {
        if ground.kind == PathKind::Json {
            return self.each_item(text, ground);
        }
        if !text.value.contains('-') {
            return self.each_group(text, ground);
        }
        let (from_root, path_text) = from_root(&text.value);
        match Path::parse(path_text) {
            Ok(path) if path.component().is_none() => {
                let datatype = path.field().map_or(DataType::Unknown, |field| datatype(path.segment(), field));
                Some(Each::Field { path, datatype, from_root })
            }
            Ok(_) => {
                let help = Some("leave the component out".to_owned());
                self.report(codes::SOURCE_PATH, text.span.clone(), "only whole fields repeat".to_owned(), help);
                None
            }
            Err(error) => {
                let start = error.at.saturating_add(text.value.len().saturating_sub(path_text.len()));
                let span = start..start.saturating_add(error.len);
                self.report_inside(
                    codes::SOURCE_PATH,
                    text,
                    ExpressionError { span, message: error.message, help: error.help },
                );
                None
            }
        }
    }

    fn each_item(&mut self, text: &Text, ground: Ground<'_>) -> Option<Each> {
        let path = JsonPath::parse(&text.value).map_err(|error| self.report_inside(codes::SOURCE_PATH, text, error));
        let path = path.ok()?;
        if let Err(astray) = ground.lead(&path) {
            let place = text.place(&self.compiler.source, &astray.span);
            self.report(codes::NO_ELEMENT, place, astray.message, astray.help);
            return None;
        }
        Some(Each::Items(path))
    }

    fn each_group(&mut self, text: &Text, ground: Ground<'_>) -> Option<Each> {
        let (from_root, path) = from_root(&text.value);
        let structures = ground.structures;
        let exists = |structure: &&str, name: &str| match name.len() {
            3 => name.starts_with('Z') || hl7v2::grammar::segment_exists(structure, None, name),
            _ => hl7v2::grammar::group_exists(structure, name),
        };
        let is_known = |name: &&str| match structures {
            [] => name.len() == 3,
            _ => structures.iter().any(|structure| exists(structure, name)),
        };
        if let Some(name) = path.split('.').find(|name| !is_known(name)) {
            let groups: Vec<&str> =
                structures.iter().flat_map(|structure| hl7v2::grammar::groups_of(structure)).collect();
            let help = did_you_mean(name, groups.iter().copied()).or_else(|| {
                (!groups.is_empty())
                    .then(|| format!("groups of {} are {}", ground.message, one_of(groups.iter().copied())))
            });
            let message = format!("{} has no group or segment {name}", ground.message);
            self.report(codes::NOT_IN_MESSAGE, text.span.clone(), message, help);
            return None;
        }
        Some(Each::Group { names: path.split('.').map(str::to_owned).collect(), from_root })
    }
}

/// `$.NTE` is looked for in the whole message, `NTE` in the group in hand.
fn from_root(text: &str) -> (bool, &str) {
    text.strip_prefix("$.").map_or((false, text), |rest| (true, rest))
}
