//! Secrets, by reference: a file or a variable that holds them.
//!
//! In come references of `hub.toml`; out go texts that are never shown. Refused: a secret that is written into the
//! settings, and the finding hides it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::finding::{Entry, Finding, SourceText, codes};

/// Longest file with a secret, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The content of a file, without white space round it.
    File(PathBuf),
    /// The content of an environment variable.
    Variable(String),
}

impl Reference {
    /// Reads it. An error names the file or the variable.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Reference::Variable(name) => std::env::var(name).map_err(|_| format!("the variable `{name}` is not set")),
            Reference::File(path) => {
                read_file(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
            }
        }
        .map(|text| text.trim().to_owned())
    }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path)
}

/// `{ file = "..." }` or `{ env = "..." }`, with the place of the name. Relative paths start at `folder`.
pub(super) fn read_reference(entry: &Entry<'_>, folder: &Path) -> Option<(Reference, Range<usize>)> {
    let (reader, key) = (entry.reader(), &entry.key.value);
    if let Some(literal) = entry.as_text() {
        // The finding shows the line, so the secret is taken out of it.
        let text = reader.source().text();
        let hidden = "*".repeat(literal.span.len());
        let masked = [text.get(..literal.span.start)?, &hidden, text.get(literal.span.end..)?].concat();
        let source = Arc::new(SourceText::new(reader.source().name().to_owned(), masked));
        let finding = Finding::error(codes::BAD_VALUE, &source, literal.span, "a secret is named here, not written");
        reader.report(
            finding.with_help(format!("write `{key} = {{ file = \"FILE\" }}` or `{key} = {{ env = \"VARIABLE\" }}`")),
        );
        return None;
    }
    let Some(mut named) = entry.as_section(format!("`{key}`")) else {
        entry.wrong("`{ file = \"FILE\" }` or `{ env = \"VARIABLE\" }`");
        return None;
    };
    let file = named.text("file");
    let variable = named.text("env");
    if file.is_some() == variable.is_some() {
        reader.error(codes::BAD_VALUE, entry.key.span.clone(), format!("`{key}` has either `file` or `env`"));
    }
    named.finish();
    let of_file = file.map(|path| (Reference::File(folder.join(path.value)), path.span));
    of_file.or(variable.map(|name| (Reference::Variable(name.value), name.span)))
}
