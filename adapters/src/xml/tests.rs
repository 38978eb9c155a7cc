use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Tree, Unreadable> {
    Document::read(Bytes::copy_from_slice(text.as_bytes())).map(|document| document.tree().clone())
}

fn content(text: &str) -> Json {
    read(text).unwrap().content
}

fn reason(bytes: &[u8]) -> &'static str {
    Document::read(Bytes::copy_from_slice(bytes)).err().unwrap().reason
}

fn frame<'f>(root: &'f str, namespaces: &'f Namespaces) -> Frame<'f> {
    Frame { root, namespace: None, namespaces }
}

#[test]
fn elements_attributes_and_texts_are_read() {
    let table = [
        ("<a/>", json!("")),
        ("<a>قرص &amp; &#x645;&#x631;&lt;</a>", json!("قرص & مر<")),
        ("<a><![CDATA[<b> & c]]></a>", json!("<b> & c")),
        ("<a x='1' y=\"&quot;2&#10;\">t</a>", json!({"@x": "1", "@y": "\"2\n", "#text": "t"})),
        ("<a><b>1</b><c/><b>2</b></a>", json!({"b": ["1", "2"], "c": ""})),
        ("<a>\n  one <b>1</b>\n  two\n</a>", json!({"b": "1", "#text": "one two"})),
        ("<?xml version='1.0'?><!-- x --><?p i?><a>1<!-- y -->2</a>\n<!-- z -->", json!("12")),
        ("<a>\r\nx\r</a>", json!("\nx\n")),
        ("<n:a xmlns:n='urn:n'><n:b m:c='1' xmlns:m='urn:m'/></n:a>", json!({"b": {"@c": "1"}})),
    ];
    for (text, expected) in table {
        assert_eq!(content(text), expected, "{text}");
    }
    assert_eq!(read("<Claim.Submission/>").unwrap().name, "Claim.Submission");
}

#[test]
fn a_prefix_tells_two_namespaces_apart() {
    let text = "<o xmlns='urn:one' xmlns:t='urn:two'><id>1</id><t:id t:k='2'>3</t:id></o>";
    let document = Document::read(Bytes::from(text)).unwrap();
    assert_eq!(document.tree().content, json!({"id": ["1", {"@k": "2", "#text": "3"}]}));
    let two = Namespaces::new(vec![("two".to_owned(), "urn:two".to_owned())]);
    let tree = document.tree_with(&two).unwrap();
    assert_eq!(tree.content, json!({"id": "1", "two:id": {"@two:k": "2", "#text": "3"}}));
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let table = [
        ("", "the XML document has no root element"),
        ("text", "a text outside the root element"),
        ("<a><b></a></b>", "the XML is not well-formed"),
        ("<a>", "an XML element begins and does not end"),
        ("<a><b>", "an XML element begins and does not end"),
        ("<a/><b/>", "the XML document has two root elements"),
        ("</a>", "the XML is not well-formed"),
        ("<a", "the XML is not well-formed"),
        ("<a b=1/>", "an attribute that is not well-formed, or written twice"),
        ("<a b='1' b='2'/>", "an attribute that is not well-formed, or written twice"),
        ("<a b='<'/>", "`<` stands in an attribute"),
        ("<1/>", "a name that XML cannot have"),
        ("<a>&</a>", "the XML is not well-formed"),
        ("<a>&nbsp;</a>", "an entity that XML does not define"),
        ("<a b='&x;'/>", "an attribute with an entity or character that XML does not have"),
        ("<a>&#0;</a>", "a character reference that cannot be read"),
        ("<a>&#x1;</a>", "a character that XML cannot have"),
        ("<a>\u{1}</a>", "a character that XML cannot have"),
        ("<a>]]></a>", "`]]>` stands in a text"),
        ("<n:a/>", "an XML prefix that no namespace was given"),
        ("<a/><?xml version='1.0'?>", "an XML declaration that is not that of XML 1.0"),
        ("<?xml version='1.1'?><a/>", "an XML declaration that is not that of XML 1.0"),
        ("<a><!-- -- --></a>", "the XML is not well-formed"),
    ];
    for (text, expected) in table {
        assert_eq!(reason(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn hostile_documents_are_refused_before_they_grow() {
    let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]><l>&b;</l>";
    assert_eq!(reason(laughs.as_bytes()), "the XML document has a document type (DTD)");
    let outside = "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>";
    assert_eq!(reason(outside.as_bytes()), "the XML document has a document type (DTD)");
    let deep = "<a>".repeat(100_000);
    assert_eq!(reason(deep.as_bytes()), "XML elements stand more than 64 deep");
    let wide: String = (0..100_000).map(|number| format!(" a{number}=''")).collect();
    assert_eq!(reason(format!("<a{wide}/>").as_bytes()), "an XML element has more than 64 attributes");
    let bindings: String = (0..100_000).map(|number| format!(" xmlns:a{number}='u'")).collect();
    assert_eq!(reason(format!("<a{bindings}/>").as_bytes()), "the XML is not well-formed");
    let many = format!("<a>{}</a>", "<b/>".repeat(200_000));
    assert_eq!(reason(many.as_bytes()), "the XML document has more than 200,000 elements and attributes");
    let long = format!("<{}/>", "a".repeat(257));
    assert_eq!(reason(long.as_bytes()), "an XML name is longer than 256 bytes");
    let large = vec![b' '; BYTES_MAX + 1];
    assert_eq!(reason(&large), "the XML document is larger than 16 MiB");
}

#[test]
fn encodings_are_those_that_are_declared() {
    let arabic = |label: &str, bytes: &[u8]| {
        [format!("<?xml version=\"1.0\" encoding=\"{label}\"?><a>").as_bytes(), bytes, b"</a>"].concat()
    };
    let text = |bytes: Vec<u8>| Document::read(bytes.into()).map(|document| document.tree().content.clone());
    assert_eq!(text(arabic("windows-1256", &[0xDE, 0xD1, 0xD5])), Ok(json!("قرص")));
    assert_eq!(text(arabic("utf-8", "قرص".as_bytes())), Ok(json!("قرص")));
    assert_eq!(text(["\u{FEFF}".as_bytes(), "<a>قرص</a>".as_bytes()].concat()), Ok(json!("قرص")));
    let wide: Vec<u8> =
        "\u{FEFF}<?xml version='1.0' encoding='UTF-16'?><a>قرص</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(text(wide), Ok(json!("قرص")));
    for (label, bytes, expected) in [
        ("utf-8", &[0xDE, 0xD1][..], "the XML document is not in the encoding that it declares"),
        ("klingon", b"x", "the XML document declares an encoding that is not known"),
        ("utf-16", b"x", "the XML document declares an encoding that is not known"),
    ] {
        assert_eq!(reason(&arabic(label, bytes)), expected, "{label}");
    }
}

#[test]
fn what_is_written_has_its_order_its_namespaces_and_its_escapes() {
    let two = Namespaces::new(vec![("t".to_owned(), "urn:t".to_owned())]);
    let tree = json!({"z": {"@k": "\"<\n", "#text": "a & b"}, "t:list": ["1", 2, true], "none": null, "empty": {}});
    let written = write(Frame { root: "a", namespace: Some("urn:a"), namespaces: &two }, &tree).unwrap();
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a xmlns=\"urn:a\" xmlns:t=\"urn:t\">\
        <z k=\"&quot;&lt;&#10;\">a &amp; b</z><t:list>1</t:list><t:list>2</t:list><t:list>true</t:list><empty/></a>\n";
    assert_eq!(written, expected);
    let none = Namespaces::default();
    for (wrong, why) in [
        (json!({"a b": "x"}), Unwritable::Name),
        (json!({"p:a": "x"}), Unwritable::Name),
        (json!({"@xmlns": "urn:x"}), Unwritable::Name),
        (json!({"a": "\u{B}"}), Unwritable::Character),
        (json!({"@a": ["x"]}), Unwritable::Attribute),
    ] {
        assert_eq!(write(frame("r", &none), &wrong), Err(why), "{wrong}");
    }
}

/// Trees as reading gives them.
fn trees() -> impl Strategy<Value = Json> {
    let text = "[^\u{0}-\u{8}\u{B}\u{C}\u{E}-\u{1F}\u{FFFE}\u{FFFF}]{0,12}";
    let leaf = text.prop_map(Json::String);
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let elements = proptest::collection::btree_map("[a-z_][a-z0-9.-]{0,6}", inner, 1..5);
        let attributes = proptest::collection::btree_map("@[a-z]{1,6}", text.prop_map(Json::String), 0..3);
        (attributes, elements)
            .prop_map(|(attributes, elements)| Json::Object(attributes.into_iter().chain(elements).collect()))
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(tree in trees()) {
        let none = Namespaces::default();
        let written = write(frame("root", &none), &tree).unwrap();
        let back = read(&written).unwrap();
        prop_assert_eq!(&back.content, &tree, "{}", written);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::read(bytes.into());
    }

    #[test]
    fn nothing_like_xml_makes_it_panic(text in "(<[a/!?]|>|&[a-z#x0-9]{0,3};|\"|'|=|[a-z: ]|--|\\]\\]>|<!\\[CDATA\\[){0,40}") {
        let _ = read(&text);
    }
}
