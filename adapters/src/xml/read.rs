//! Text to tree.

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{LocalName, ResolveResult};
use quick_xml::reader::NsReader;
use quick_xml::{XmlVersion, escape};
use serde_json::map::Entry;
use serde_json::{Map, Value as Json};

use super::write::{is_char, is_name};
use super::{Namespaces, TEXT, Tree};
use crate::Unreadable;

/// Elements inside each other.
const DEPTH_MAX: usize = 64;

/// Elements and attributes of one document.
const NODES_MAX: usize = 200_000;

/// Attributes of one element.
const ATTRIBUTES_MAX: usize = 64;

/// Bytes of one name.
const NAME_BYTES_MAX: usize = 256;

/// An element that is open.
struct Open {
    name: String,
    fields: Map<String, Json>,
    text: String,
    has_elements: bool,
}

/// A document while it is read.
struct Reading<'n> {
    namespaces: &'n Namespaces,
    open: Vec<Open>,
    nodes: usize,
    root: Option<Tree>,
}

type Reason = &'static str;

/// Reads a whole document.
pub(super) fn read(text: &str, namespaces: &Namespaces) -> Result<Tree, Unreadable> {
    if let Some((at, _)) = text.char_indices().find(|(_, letter)| !is_char(*letter)) {
        return Err(Unreadable { reason: "a character that XML cannot have", at });
    }
    let mut reader = NsReader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.check_comments = true;
    reader.resolver_mut().set_max_declarations_per_element(ATTRIBUTES_MAX);
    let mut reading = Reading { namespaces, open: Vec::new(), nodes: 0, root: None };
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let unreadable = |reason| Unreadable { reason, at };
        let event = reader.read_event().map_err(|_| unreadable("the XML is not well-formed"))?;
        match event {
            Event::Eof => break,
            Event::Start(start) => {
                let name = reading.name(reader.resolver().resolve_element(start.name())).map_err(unreadable)?;
                let fields = reading.attributes(&start, &reader).map_err(unreadable)?;
                reading.begin(name, fields).map_err(unreadable)?;
            }
            Event::End(_) => reading.end().map_err(unreadable)?,
            Event::Text(part) => {
                let content = part.xml10_content().map_err(|_| unreadable("a text that cannot be read"))?;
                if content.contains("]]>") {
                    return Err(unreadable("`]]>` stands in a text"));
                }
                reading.text(&content).map_err(unreadable)?;
            }
            Event::CData(part) => {
                let content = part.xml10_content().map_err(|_| unreadable("a text that cannot be read"))?;
                if reading.open.is_empty() {
                    return Err(unreadable("a text outside the root element"));
                }
                reading.text(&content).map_err(unreadable)?;
            }
            Event::GeneralRef(reference) => reading.reference(&reference).map_err(unreadable)?,
            Event::Decl(declaration) => {
                let version = declaration.version().map_err(|_| unreadable("the XML declaration has no version"))?;
                if at != 0 || version.as_ref() != b"1.0" {
                    return Err(unreadable("an XML declaration that is not that of XML 1.0"));
                }
            }
            Event::DocType(_) => return Err(unreadable("the XML document has a document type (DTD)")),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Empty(_) => return Err(unreadable("the XML is not well-formed")),
        }
    }
    let at = text.len();
    if !reading.open.is_empty() {
        return Err(Unreadable { reason: "an XML element begins and does not end", at });
    }
    reading.root.ok_or(Unreadable { reason: "the XML document has no root element", at })
}

impl Reading<'_> {
    /// How paths write a name.
    fn name(&self, resolved: (ResolveResult<'_>, LocalName<'_>)) -> Result<String, Reason> {
        let (namespace, local) = resolved;
        let local = std::str::from_utf8(local.into_inner()).map_err(|_| "a name that XML cannot have")?;
        if local.len() > NAME_BYTES_MAX {
            return Err("an XML name is longer than 256 bytes");
        }
        if !is_name(local) || local.contains(':') {
            return Err("a name that XML cannot have");
        }
        match namespace {
            ResolveResult::Unknown(_) => Err("an XML prefix that no namespace was given"),
            ResolveResult::Unbound => Ok(local.to_owned()),
            ResolveResult::Bound(uri) => Ok(match self.namespaces.prefix(uri.into_inner()) {
                Some(prefix) => format!("{prefix}:{local}"),
                None => local.to_owned(),
            }),
        }
    }

    fn attributes(&mut self, start: &BytesStart<'_>, reader: &NsReader<&[u8]>) -> Result<Map<String, Json>, Reason> {
        let mut fields = Map::new();
        for (count, attribute) in start.attributes().enumerate() {
            if count >= ATTRIBUTES_MAX {
                return Err("an XML element has more than 64 attributes");
            }
            let attribute = attribute.map_err(|_| "an attribute that is not well-formed, or written twice")?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            self.count()?;
            let name = self.name(reader.resolver().resolve_attribute(attribute.key))?;
            let value = value_of(&attribute)?;
            if fields.insert(format!("@{name}"), Json::String(value)).is_some() {
                return Err("two attributes of one local name: give their namespaces prefixes");
            }
        }
        Ok(fields)
    }

    fn count(&mut self) -> Result<(), Reason> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > NODES_MAX {
            return Err("the XML document has more than 200,000 elements and attributes");
        }
        Ok(())
    }

    fn begin(&mut self, name: String, fields: Map<String, Json>) -> Result<(), Reason> {
        self.count()?;
        if self.open.len() >= DEPTH_MAX {
            return Err("XML elements stand more than 64 deep");
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err("the XML document has two root elements");
        }
        if let Some(above) = self.open.last_mut() {
            above.has_elements = true;
        }
        self.open.push(Open { name, fields, text: String::new(), has_elements: false });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Reason> {
        let Some(done) = self.open.pop() else { return Err("the XML is not well-formed") };
        let name = done.name.clone();
        let content = done.content();
        match self.open.last_mut() {
            None => self.root = Some(Tree { name, content }),
            Some(above) => add(&mut above.fields, name, content),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Reason> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.chars().all(char::is_whitespace) => {}
            None => return Err("a text outside the root element"),
        }
        Ok(())
    }

    /// `&lt;`, `&#x642;`
    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Reason> {
        if self.open.is_empty() {
            return Err("a text outside the root element");
        }
        let letter = reference.resolve_char_ref().map_err(|_| "a character reference that cannot be read")?;
        if let Some(letter) = letter {
            if !is_char(letter) {
                return Err("a character that XML cannot have");
            }
            return self.text(letter.encode_utf8(&mut [0; 4]));
        }
        let name = reference.decode().map_err(|_| "an entity that XML does not define")?;
        let text = escape::resolve_xml_entity(&name).ok_or("an entity that XML does not define")?;
        self.text(text)
    }
}

impl Open {
    /// The element as a value: its text, or an object when there is more to it.
    fn content(self) -> Json {
        let Open { mut fields, text, has_elements, .. } = self;
        if fields.is_empty() {
            return Json::String(text);
        }
        // Between elements, line ends and indents are no content.
        let own = if has_elements { text.split_whitespace().collect::<Vec<_>>().join(" ") } else { text };
        if !own.is_empty() {
            fields.insert(TEXT.to_owned(), Json::String(own));
        }
        Json::Object(fields)
    }
}

/// Adds an element; those of one name become a list.
fn add(fields: &mut Map<String, Json>, name: String, content: Json) {
    match fields.entry(name) {
        Entry::Vacant(place) => {
            place.insert(content);
        }
        Entry::Occupied(mut place) => match place.get_mut() {
            Json::Array(items) => items.push(content),
            first => {
                let one = std::mem::take(first);
                *first = Json::Array(vec![one, content]);
            }
        },
    }
}

fn value_of(attribute: &Attribute<'_>) -> Result<String, Reason> {
    if attribute.value.contains(&b'<') {
        return Err("`<` stands in an attribute");
    }
    let value = attribute.normalized_value(XmlVersion::Implicit1_0);
    let value = value.map_err(|_| "an attribute with an entity or character that XML does not have")?;
    if !value.chars().all(is_char) {
        return Err("a character that XML cannot have");
    }
    Ok(value.into_owned())
}
