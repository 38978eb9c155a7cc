//! Tree to text.

use std::fmt::Write;

use serde_json::Value as Json;

use super::{Namespaces, TEXT};

/// The root element of a document that is written.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    /// Its name, with its prefix if it has one.
    pub root: &'f str,
    /// The namespace of names without a prefix.
    pub namespace: Option<&'f str>,
    /// Those of prefixes.
    pub namespaces: &'f Namespaces,
}

/// Why a tree is no XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// An element or attribute would have a name that XML does not allow.
    #[error("a name that XML cannot have")]
    Name,
    /// A text has a character that XML cannot have, even as a reference.
    #[error("a text has a character that XML cannot have")]
    Character,
    /// An attribute would have parts.
    #[error("an attribute with parts")]
    Attribute,
}

/// Writes a document: elements and attributes in the order of the tree, nothing for what is null.
pub fn write(frame: Frame<'_>, content: &Json) -> Result<String, Unwritable> {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let declared = frame.namespace.map(|uri| ("xmlns".to_owned(), uri));
    let prefixed = frame.namespaces.pairs().map(|(prefix, uri)| (format!("xmlns:{prefix}"), uri));
    let mut head = String::new();
    for (name, uri) in declared.into_iter().chain(prefixed) {
        attribute(&mut head, &name, uri)?;
    }
    let mut writer = Writer { out: &mut out, namespaces: frame.namespaces };
    writer.element(frame.root, &head, content)?;
    out.push('\n');
    Ok(out)
}

struct Writer<'w> {
    out: &'w mut String,
    namespaces: &'w Namespaces,
}

impl Writer<'_> {
    fn element(&mut self, name: &str, head: &str, content: &Json) -> Result<(), Unwritable> {
        self.check(name)?;
        self.out.push('<');
        self.out.push_str(name);
        self.out.push_str(head);
        let fields = content.as_object();
        for (key, value) in fields.into_iter().flatten() {
            if let (Some(own), false) = (key.strip_prefix('@'), value.is_null()) {
                self.check(own)?;
                attribute(self.out, own, &scalar(value).ok_or(Unwritable::Attribute)?)?;
            }
        }
        let start = self.out.len();
        self.out.push('>');
        match fields {
            None => self.children(TEXT, content)?,
            Some(fields) => fields.iter().try_for_each(|(key, value)| self.children(key, value))?,
        }
        if self.out.len() == start.saturating_add(1) {
            self.out.truncate(start);
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
        Ok(())
    }

    /// What stands under one name: one element, several, or text.
    fn children(&mut self, name: &str, value: &Json) -> Result<(), Unwritable> {
        match value {
            _ if name.starts_with('@') => Ok(()),
            Json::Null => Ok(()),
            Json::Array(items) => items.iter().try_for_each(|item| self.children(name, item)),
            Json::Object(_) | Json::Bool(_) | Json::Number(_) | Json::String(_) if name != TEXT => {
                self.element(name, "", value)
            }
            Json::Object(_) => Err(Unwritable::Name),
            Json::Bool(_) | Json::Number(_) | Json::String(_) => {
                escape(self.out, &scalar(value).unwrap_or_default(), false)
            }
        }
    }

    /// A name that XML allows, of no prefix or of one that is declared.
    fn check(&self, name: &str) -> Result<(), Unwritable> {
        let is_declared = match name.split_once(':') {
            None => name != "xmlns",
            Some((prefix, _)) => prefix == "xml" || self.namespaces.pairs().any(|(known, _)| known == prefix),
        };
        if is_declared && is_name(name) { Ok(()) } else { Err(Unwritable::Name) }
    }
}

fn attribute(out: &mut String, name: &str, value: &str) -> Result<(), Unwritable> {
    // Writing into a text cannot fail.
    let _ = write!(out, " {name}=\"");
    escape(out, value, true)?;
    out.push('"');
    Ok(())
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Bool(boolean) => Some(boolean.to_string()),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A text so that a reader gets it back as it is: a carriage return, and in an attribute every line end and tab, would
/// be made a blank or a line feed.
fn escape(out: &mut String, text: &str, in_attribute: bool) -> Result<(), Unwritable> {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if in_attribute => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' if in_attribute => out.push_str("&#10;"),
            '\t' if in_attribute => out.push_str("&#9;"),
            _ if is_char(letter) => out.push(letter),
            _ => return Err(Unwritable::Character),
        }
    }
    Ok(())
}

/// A character that XML 1.0 documents may have (section 2.2).
pub(super) fn is_char(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

/// A name that XML 1.0 allows (section 2.3), with one prefix at most.
pub fn is_name(text: &str) -> bool {
    let is_start = |letter: char| {
        matches!(letter, 'A'..='Z' | 'a'..='z' | '_' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
            | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
            | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
            | '\u{10000}'..='\u{EFFFF}')
    };
    let is_inside = |letter: char| {
        is_start(letter)
            || matches!(letter, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
    };
    let is_part = |part: &str| part.starts_with(is_start) && part.chars().all(is_inside);
    match text.split_once(':') {
        None => is_part(text),
        Some((prefix, local)) => is_part(prefix) && is_part(local),
    }
}
