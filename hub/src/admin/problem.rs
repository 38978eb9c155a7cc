//! Errors as problem documents (RFC 9457), each with its `HUBnnnn` code.
//!
//! Promised: the text is chosen here, by the kind of the error; what a database, a path or a body said is
//! not in it (S24 of the fault plan).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::Value;

use super::control::{CodeError, ReloadError};
use crate::journey::dead_letter::ReplayError;
use crate::store::{Cause, StoreError};

/// The media type of a problem document.
pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Problem(Box<Document>);

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Value>,
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of a kind.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str) -> Problem {
        let kind = format!("urn:hub:error:{code}");
        Problem(Box::new(Document { kind, title, status, code, detail: None, findings: None }))
    }

    /// The same problem with words about this occurrence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Problem {
        self.0.detail = Some(detail.into());
        self
    }

    /// A parameter that cannot be taken.
    pub fn parameter(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "HUB0801", "a parameter is wrong").with_detail(detail)
    }

    /// Nothing is there.
    pub fn not_found(detail: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "HUB0802", "there is no such thing").with_detail(detail)
    }

    /// A request that may come from another site.
    pub fn foreign(detail: &str) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "HUB0805", "the request may come from another web site").with_detail(detail)
    }

    /// More watchers than the limit.
    pub fn too_many_taps() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "HUB0806", "the tap has as many watchers as it may have")
    }

    /// No answer in time.
    pub fn too_slow() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "HUB0807", "the hub did not answer in time")
    }

    /// What stands for an answer of the framework that has a status and no words of ours.
    pub fn of_status(status: StatusCode) -> Problem {
        match status {
            StatusCode::NOT_FOUND => Problem::not_found("nothing is served at this address"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Problem::new(status, "HUB0803", "this address is not used with this method")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(status, "HUB0804", "the body is over the limit"),
            status if status.is_client_error() => Problem::new(status, "HUB0808", "the request cannot be taken"),
            status => Problem::new(status, "HUB0800", "the hub failed to answer"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.code, self.0.title)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.0.status).insert_header((CONTENT_TYPE, PROBLEM_JSON)).body(self.to_json())
    }
}

impl Problem {
    /// The document.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| format!("{{\"code\":\"{}\"}}", self.0.code))
    }
}

impl From<StoreError> for Problem {
    /// The error's own text goes to the log and ends here.
    fn from(error: StoreError) -> Problem {
        tracing::error!(%error, "the store could not answer");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.reason())
    }
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Problem {
        let (status, code, title) = match error {
            ReplayError::Unknown => (StatusCode::NOT_FOUND, "HUB0404", "there is no such message or delivery"),
            ReplayError::Refused => {
                (StatusCode::CONFLICT, "HUB0405", "it was refused when it came; its sender has to send it again")
            }
            ReplayError::NotEnded => (StatusCode::CONFLICT, "HUB0406", "it is still on its way"),
            ReplayError::Held => (StatusCode::CONFLICT, "HUB0411", "it is held until a table has its code"),
            ReplayError::NotDead => (StatusCode::CONFLICT, "HUB0407", "it is not a dead letter"),
            ReplayError::TooOften => (StatusCode::CONFLICT, "HUB0408", "it has as many runs as it may have"),
            ReplayError::RunRefused(Cause { code, reason }) => {
                let problem = Problem::new(StatusCode::CONFLICT, "HUB0409", "the new run was refused");
                return problem.with_detail(format!("{code} {reason}"));
            }
            ReplayError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "HUB0410", "the hub is going down"),
            ReplayError::Store(error) => return error.into(),
        };
        Problem::new(status, code, title)
    }
}

impl From<CodeError> for Problem {
    fn from(error: CodeError) -> Problem {
        let (status, code, title) = match error {
            CodeError::NoTable => (StatusCode::NOT_FOUND, "HUB0814", "there is no such table"),
            CodeError::Exists => (StatusCode::CONFLICT, "HUB0815", "the table has the code already"),
            CodeError::NotATable | CodeError::Unwritable => {
                let problem = Problem::new(StatusCode::CONFLICT, "HUB0816", "the file of the table cannot be changed");
                return problem.with_detail("`hub check` or the log says why");
            }
            CodeError::Reload(error) => return error.into(),
        };
        Problem::new(status, code, title)
    }
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Problem {
        match error {
            ReloadError::Findings(findings) => {
                let title = "the configuration has errors, and was not taken";
                let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "HUB0809", title);
                problem.0.findings = Some(findings.to_json());
                problem
            }
            ReloadError::Part => {
                let title = "a part could not be built as the configuration says, and nothing was changed";
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "HUB0810", title).with_detail("the log says which")
            }
        }
    }
}
