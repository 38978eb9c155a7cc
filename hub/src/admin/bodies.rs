//! Bodies in JSON, for those who asked to see them.
//!
//! In come raw bytes; out goes their text, and the bytes themselves where the text does not say them all.

use adapters::hl7v2::{CharsetRule, Document};
use adapters::{Format, xml};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

/// The character set of a body that is no HL7 v2.
const UTF_8: &str = "UNICODE UTF-8";

/// A body.
#[derive(Debug, Serialize)]
pub(super) struct Body {
    /// As it is named in MSH-18.
    pub charset: &'static str,
    /// What people read.
    pub text: String,
    /// The raw bytes, if `text` in UTF-8 is not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl Body {
    /// A body with its text in the character set that it is found to be in.
    pub fn of(bytes: &Bytes, format: Format) -> Body {
        let (charset, text) = match format {
            Format::Hl7v2 => match Document::read(bytes.clone(), CharsetRule::default()) {
                Ok(document) => {
                    let charset = document.charset().used;
                    (charset.name(), charset.decode(bytes).into_owned())
                }
                Err(_) => (UTF_8, String::from_utf8_lossy(bytes).into_owned()),
            },
            Format::Xml => match xml::text_of(bytes) {
                Ok(text) => (UTF_8, text.into_owned()),
                Err(_) => (UTF_8, String::from_utf8_lossy(bytes).into_owned()),
            },
            Format::FhirJson | Format::Json | Format::Csv => (UTF_8, String::from_utf8_lossy(bytes).into_owned()),
        };
        let base64 = (text.as_bytes() != &bytes[..]).then(|| STANDARD.encode(bytes));
        Body { charset, text, base64 }
    }
}
