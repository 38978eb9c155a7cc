//! Codes that messages are held for: the list, a row for one of them, and the end of what waits for one.
//!
//! A code is content of a message. It is in the answers here, since somebody has to say what it means, and in no
//! line of the log (H10).

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller;
use super::control::NewCode;
use super::guard::json;
use super::problem::Problem;
use super::query::Parameters;
use super::server::Api;
use crate::journey::hold::CODE_CHARS_MAX;
use crate::mapping::NewRow;
use crate::store::{AwaitedCode, CodeFilter, CodeKey, CodeLine};

/// Codes of a page if nobody says how many.
const PAGE_STANDARD: usize = 100;
/// Codes of a page at most.
const PAGE_MAX: usize = 1_000;
/// A page of codes, by table, code and source.
#[derive(Debug, Serialize)]
struct Page {
    codes: Vec<CodeRow>,
    /// Runs that wait behind others and lack no code themselves.
    behind: u64,
    /// The cursor of the next page; none: there is no more.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct CodeRow {
    table: String,
    code: String,
    source: String,
    messages: u64,
    oldest: String,
    newest: String,
}

/// `GET /api/v1/codes`.
pub(super) async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::read(request.query_string(), &["table", "source", "limit", "cursor"])?;
    let page = api
        .control
        .store()
        .held_codes(CodeFilter {
            table: parameters.text("table").map(str::to_owned),
            source: parameters.text("source").map(str::to_owned),
            after: parameters.read_by("cursor", "the `next` of a page", key_of)?,
            limit: parameters.limit(PAGE_STANDARD, PAGE_MAX)?,
        })
        .await?;
    let last = page.codes.last().filter(|_| page.more);
    let next = last.map(|line| cursor_of(&line.key));
    let page = Page { codes: page.codes.iter().map(row_of).collect(), behind: page.behind, next };
    json(StatusCode::OK, &page)
}

fn row_of(line: &CodeLine) -> CodeRow {
    CodeRow {
        table: line.key.code.table.to_string(),
        code: line.key.code.code.to_string(),
        source: line.key.source.to_string(),
        messages: line.messages,
        oldest: line.oldest.to_rfc3339(),
        newest: line.newest.to_rfc3339(),
    }
}

fn cursor_of(key: &CodeKey) -> String {
    URL_SAFE_NO_PAD.encode(json!([&*key.code.table, &*key.code.code, &*key.source]).to_string())
}

fn key_of(cursor: &str) -> Option<CodeKey> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (table, code, source): (String, String, String) = serde_json::from_slice(&text).ok()?;
    let code = AwaitedCode { table: table.into(), code: code.into() };
    Some(CodeKey { code, source: source.into() })
}

/// What is to be added: a value or a coding.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Addition {
    table: String,
    code: String,
    value: Option<String>,
    coding: Option<CodingRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodingRow {
    system: String,
    code: String,
    display: Option<String>,
}

/// `POST /api/v1/codes`: a row more in the file of a table, and the configuration again.
pub(super) async fn add(api: web::Data<Api>, request: HttpRequest, body: web::Bytes) -> Result<HttpResponse, Problem> {
    let shape = "the body must be JSON with `table`, `code`, and `value` or `coding` (`system`, `code`, `display`)";
    let addition: Addition = serde_json::from_slice(&body).map_err(|_| Problem::parameter(shape))?;
    let new = addition.into_code().ok_or_else(|| Problem::parameter(shape))?;
    let is_long = |text: &String| text.chars().count() > CODE_CHARS_MAX;
    let columns = match &new.row {
        NewRow::Value(value) => vec![value],
        NewRow::Coding { system, code, display } => [system, code].into_iter().chain(display).collect(),
    };
    if columns.into_iter().chain([&new.code]).any(is_long) {
        return Err(Problem::parameter(format!("a code and its row have {CODE_CHARS_MAX} characters at most")));
    }
    tracing::info!(table = %new.table, by = %caller::of(&request), "a code is added to a table");
    let configuration = api.control.add_code(&new).await?;
    json(StatusCode::OK, &json!({ "configuration": configuration }))
}

impl Addition {
    fn into_code(self) -> Option<NewCode> {
        let row = match (self.value, self.coding) {
            (Some(value), None) => NewRow::Value(value),
            (None, Some(CodingRow { system, code, display })) => NewRow::Coding { system, code, display },
            (Some(_), Some(_)) | (None, None) => return None,
        };
        Some(NewCode { table: self.table, code: self.code, row })
    }
}

/// Which code is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    table: String,
    code: String,
    source: Option<String>,
}

/// `POST /api/v1/codes/refuse`: what waits for the code becomes dead letters.
pub(super) async fn refuse(
    api: web::Data<Api>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let shape = "the body must be JSON with `table`, `code`, and perhaps `source`";
    let asked: Refused = serde_json::from_slice(&body).map_err(|_| Problem::parameter(shape))?;
    tracing::info!(table = %asked.table, by = %caller::of(&request), "a code of a table is refused");
    let code = AwaitedCode { table: asked.table.into(), code: asked.code.into() };
    let refused = api.control.refuse_code(&code, asked.source.as_deref()).await?;
    json(StatusCode::OK, &json!({ "refused": refused }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_its_code_whatever_its_letters() {
        let code = AwaitedCode { table: "routes".into(), code: "a/b \"ق\n".into() };
        let key = CodeKey { code, source: "ward".into() };
        assert_eq!(key_of(&cursor_of(&key)), Some(key));
        for wrong in ["", "x", "!!", "W10"] {
            assert_eq!(key_of(wrong), None, "{wrong}");
        }
    }
}
