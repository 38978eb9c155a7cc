//! A FHIR resource as the text it was written in, element by element.
//!
//! In comes JSON; out go typed elements, and the resource with some elements set. What is not set stays
//! as it was written, byte for byte: `1.50` does not become `1.5`, for in FHIR the two differ (FHIR R4
//! section 2.24.0.1). Refused is what is no JSON object, and an object that names an element twice (two
//! readers would see two resources). Nothing of it shows in Debug output (H10).

use std::fmt;

use indexmap::IndexMap;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};

/// Most elements that one object may have. A MedicationRequest has 40.
const ELEMENTS_MAX: usize = 256;

/// One JSON object whose elements keep their text and their order.
#[derive(Clone)]
pub struct Resource(IndexMap<String, Box<RawValue>>);

/// An element is not what the standard says, or the whole is no object. Holds no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{element} cannot be read")]
pub struct UnreadableElement {
    /// The element's name, or `resource` for the whole.
    pub element: &'static str,
}

impl Resource {
    /// Reads a JSON object.
    pub fn read(bytes: &[u8]) -> Result<Resource, UnreadableElement> {
        serde_json::from_slice(bytes).map_err(|_| UnreadableElement { element: "resource" })
    }

    /// An object without elements.
    pub fn empty() -> Resource {
        Resource(IndexMap::new())
    }

    /// The element `name`, if it is there and not `null`.
    pub fn element<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, UnreadableElement> {
        let Some(raw) = self.0.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map_err(|_| UnreadableElement { element: name })
    }

    /// The text of the element `name`.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|raw| raw.get())
    }

    /// Sets the element `name`, in its place if it was there, else as the last.
    pub fn set(&mut self, name: &'static str, value: &impl Serialize) -> Result<(), UnreadableElement> {
        let raw = to_raw_value(value).map_err(|_| UnreadableElement { element: name })?;
        self.0.insert(name.to_owned(), raw);
        Ok(())
    }

    /// Takes over the element `name` from `other`, word for word, if it is there.
    pub fn take_over(&mut self, name: &'static str, other: &Resource) {
        if let Some(raw) = other.0.get(name) {
            self.0.insert(name.to_owned(), raw.clone());
        }
    }

    /// Takes the element `name` out.
    pub fn remove(&mut self, name: &str) {
        self.0.shift_remove(name);
    }

    /// The text of the whole.
    pub fn to_json(&self) -> Result<String, UnreadableElement> {
        serde_json::to_string(self).map_err(|_| UnreadableElement { element: "resource" })
    }

    /// Adds the content to `hash`: the same for the same elements, whatever their order and the white
    /// space between tokens.
    pub(super) fn add_to(&self, hash: &mut Sha256) {
        let mut elements: Vec<_> = self.0.iter().collect();
        elements.sort_by_key(|(name, _)| *name);
        for (name, raw) in elements {
            let content = without_white_space(raw.get());
            for part in [name.as_bytes(), content.as_slice()] {
                hash.update(part.len().to_be_bytes());
                hash.update(part);
            }
        }
    }
}

/// JSON without the white space between its tokens. Inside strings all is kept.
fn without_white_space(json: &str) -> Vec<u8> {
    let mut kept = Vec::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for byte in json.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_string = byte == b'"';
        }
        kept.push(byte);
    }
    kept
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resource([phi])")
    }
}

impl PartialEq for Resource {
    /// Equal if the same text would be written.
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(one, two)| one.0 == two.0 && one.1.get() == two.1.get())
    }
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, raw) in &self.0 {
            map.serialize_entry(name, raw)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Resource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Resource, A::Error> {
        let mut elements = IndexMap::new();
        while let Some((name, raw)) = access.next_entry::<String, Box<RawValue>>()? {
            if elements.insert(name, raw).is_some() {
                return Err(de::Error::custom("an element is named twice"));
            }
            if elements.len() > ELEMENTS_MAX {
                return Err(de::Error::custom("too many elements"));
            }
        }
        Ok(Resource(elements))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(text: &str) -> Vec<u8> {
        let mut hash = Sha256::new();
        Resource::read(text.as_bytes()).unwrap().add_to(&mut hash);
        hash.finalize().to_vec()
    }

    #[test]
    fn what_is_not_set_is_written_back_as_it_was() {
        let text = r#"{"b":1.50,"a":{"x" : [1e3, 0.10000000000000000000001]},"c":"\u0623"}"#;
        let mut resource = Resource::read(text.as_bytes()).unwrap();
        assert_eq!(resource.to_json().unwrap(), text);
        resource.set("a", &json!("new")).unwrap();
        resource.set("d", &json!([])).unwrap();
        assert_eq!(resource.to_json().unwrap(), r#"{"b":1.50,"a":"new","c":"\u0623","d":[]}"#);
    }

    #[test]
    fn a_stored_resource_is_read_back_with_its_decimals() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Row {
            resource: Resource,
        }
        let text = r#"{"resource":{"value":1.50}}"#;
        let row: Row = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&row).unwrap(), text);
    }

    #[test]
    fn what_is_no_object_or_names_an_element_twice_is_refused() {
        for text in ["", "[]", "1", "{", r#"{"a":1,"a":1}"#, r#"{"a":1} x"#, "{\"a\":\"\u{1}\"}"] {
            let refused = Resource::read(text.as_bytes()).unwrap_err();
            assert_eq!(refused.to_string(), "resource cannot be read", "{text}");
        }
        let many: String = (0..300).map(|n| format!(",\"e{n}\":1")).collect();
        assert!(Resource::read(format!("{{\"x\":1{many}}}").as_bytes()).is_err());
    }

    #[test]
    fn depth_without_end_is_an_error_and_no_crash() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        if let Ok(resource) = Resource::read(deep.as_bytes()) {
            assert!(resource.element::<serde_json::Value>("a").is_err());
        }
    }

    #[test]
    fn the_digest_is_of_the_content_and_not_of_its_layout() {
        let plain = digest(r#"{"a":{"x":[1,"b c"]},"d":"\"  \\"}"#);
        assert_eq!(plain, digest("{ \"d\" : \"\\\"  \\\\\" ,\n\"a\":{\"x\": [ 1,\t\"b c\" ] } }"));
        assert_ne!(plain, digest(r#"{"a":{"x":[1,"bc"]},"d":"\"  \\"}"#));
        assert_ne!(plain, digest(r#"{"a":{"x":[1.0,"b c"]},"d":"\"  \\"}"#));
        assert_ne!(digest(r#"{"a":1,"b":2}"#), digest(r#"{"a":1}"#));
    }

    #[test]
    fn an_element_that_is_null_or_missing_is_none_and_one_of_another_type_is_named() {
        let resource = Resource::read(br#"{"a":null,"b":7}"#).unwrap();
        assert_eq!(resource.element::<String>("a"), Ok(None));
        assert_eq!(resource.element::<String>("z"), Ok(None));
        assert_eq!(resource.element::<String>("b"), Err(UnreadableElement { element: "b" }));
    }

    #[test]
    fn debug_output_holds_nothing_of_a_resource() {
        let resource = Resource::read(br#"{"note":"canary"}"#).unwrap();
        assert_eq!(format!("{resource:?}"), "Resource([phi])");
    }
}
