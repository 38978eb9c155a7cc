//! What the tests of a mapping expect: paths that can be read, errors that there are.

use adapters::hl7v2::Path;

use super::{COMMAND, Checker};
use crate::finding::{Code, codes, one_of};
use crate::mapping::expression::ExpressionError;
use crate::mapping::json_path::JsonPath;
use crate::mapping::parse::DeclaredTest;
use crate::mapping::plan::TargetFormat;

impl Checker<'_> {
    pub(super) fn test(&mut self, test: &DeclaredTest, to: &TargetFormat) {
        for expectation in test.expect.iter().flatten().filter(|expectation| expectation.path.value != COMMAND) {
            let (path, wrong) = (
                &expectation.path,
                match to {
                    TargetFormat::Fhir(_) | TargetFormat::Json | TargetFormat::Xml(_) | TargetFormat::Csv => {
                        JsonPath::parse(&expectation.path.value).err()
                    }
                    TargetFormat::Hl7v2(_) => Path::parse(&expectation.path.value).err().map(|error| ExpressionError {
                        span: error.at..error.at.saturating_add(error.len),
                        message: error.message,
                        help: error.help,
                    }),
                },
            );
            if let Some(error) = wrong {
                self.report_inside(codes::TARGET_PATH, path, error);
            }
        }
        if let Some(expected) = &test.expect_error {
            let known: Vec<String> =
                codes::ALL.iter().filter(|code| (150..170).contains(&code.number())).map(Code::to_string).collect();
            if !known.contains(&expected.value) {
                let message = format!("`{}` is no error of a mapping", expected.value);
                let help = format!("errors are {}", one_of(known.iter().map(String::as_str)));
                self.report(codes::BAD_VALUE, expected.span.clone(), message, Some(help));
            }
        }
    }
}
