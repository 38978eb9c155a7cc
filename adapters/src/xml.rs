//! XML (1.0, with namespaces) as a tree of names and texts.
//!
//! In come bytes; out goes a document whose tree mappings read as they read JSON: an element is its text, or an object
//! of its elements, its attributes (`@name`) and its own text (`#text`); elements of one name beside each other are a
//! list. Names are local names, unless a namespace was given a prefix. In comes such a tree; out goes well-formed XML.
//! Promised: what is read takes memory in proportion to its size. Refused: document types and with them every entity
//! but the five of XML, bytes that are not in the declared encoding, what is not well-formed, what is over a limit.

mod read;
mod write;

use std::borrow::Cow;

use bytes::Bytes;
use encoding_rs::Encoding;
use serde_json::Value as Json;

pub use self::write::{Frame, Unwritable, is_name, write};
use crate::Unreadable;

/// Largest document in bytes.
pub const BYTES_MAX: usize = 16 << 20;

/// Name of an element's own text where it has attributes or elements too.
pub const TEXT: &str = "#text";

/// Bytes in which an XML declaration is looked for.
const DECLARATION_BYTES_MAX: usize = 256;

/// A document that was read.
pub struct Document {
    bytes: Bytes,
    tree: Tree,
}

/// The root of a document, and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Its name, as paths would write it.
    pub name: String,
    /// Its content.
    pub content: Json,
}

/// Namespaces with the prefixes that paths have for them. Elements and attributes of other namespaces, and of none,
/// go by their local names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(Vec<(String, String)>);

impl Namespaces {
    /// Namespaces from pairs of prefix and URI.
    pub fn new(pairs: Vec<(String, String)>) -> Namespaces {
        Namespaces(pairs)
    }

    /// Prefixes with their URIs, in the order in which they were given.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(prefix, uri)| (prefix.as_str(), uri.as_str()))
    }

    /// The prefix of a namespace.
    fn prefix(&self, uri: &[u8]) -> Option<&str> {
        self.pairs().find(|(_, known)| known.as_bytes() == uri).map(|(prefix, _)| prefix)
    }
}

impl Document {
    /// Reads a document.
    pub fn read(bytes: Bytes) -> Result<Document, Unreadable> {
        let tree = read::read(&text_of(&bytes)?, &Namespaces::default())?;
        Ok(Document { bytes, tree })
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The document by local names.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The document with prefixes for some of its namespaces.
    pub fn tree_with(&self, namespaces: &Namespaces) -> Result<Cow<'_, Tree>, Unreadable> {
        if namespaces.0.is_empty() {
            return Ok(Cow::Borrowed(&self.tree));
        }
        read::read(&text_of(&self.bytes)?, namespaces).map(Cow::Owned)
    }
}

/// The bytes as text: by their byte order mark, else by the encoding that the document declares, else as UTF-8.
pub fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    if bytes.len() > BYTES_MAX {
        return Err(Unreadable { reason: "the XML document is larger than 16 MiB", at: BYTES_MAX });
    }
    let (encoding, mark) = match Encoding::for_bom(bytes) {
        Some(found) => found,
        None => (declared(bytes)?, 0),
    };
    let body = bytes.get(mark..).unwrap_or_default();
    encoding.decode_without_bom_handling_and_without_replacement(body).ok_or_else(|| {
        let valid = if encoding == encoding_rs::UTF_8 { std::str::from_utf8(body).err() } else { None };
        let at = valid.map_or(mark, |error| mark.saturating_add(error.valid_up_to()));
        Unreadable { reason: "the XML document is not in the encoding that it declares", at }
    })
}

/// What `<?xml ... encoding="..."?>` says; UTF-8 if it says nothing.
fn declared(bytes: &[u8]) -> Result<&'static Encoding, Unreadable> {
    let start = bytes.get(..bytes.len().min(DECLARATION_BYTES_MAX)).unwrap_or_default();
    let text: String = start.iter().map(|byte| char::from(*byte)).collect();
    let declaration = text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>"));
    let Some((_, label)) = declaration.and_then(|(inside, _)| inside.split_once("encoding")) else {
        return Ok(encoding_rs::UTF_8);
    };
    let label = label.trim_start().strip_prefix('=').map(str::trim_start).unwrap_or_default();
    let label = label.split(['"', '\'']).nth(1).unwrap_or_default();
    // A declaration that reads as ASCII is not in UTF-16, whatever it says.
    Encoding::for_label(label.as_bytes())
        .filter(|encoding| encoding.is_ascii_compatible())
        .ok_or(Unreadable { reason: "the XML document declares an encoding that is not known", at: 0 })
}

#[cfg(test)]
mod tests;
