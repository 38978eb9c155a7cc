//! Mappings from and to XML, CSV and JSON of any kind.

use adapters::{csv, xml};

use super::*;

fn xml_document(text: &str) -> Document {
    Document::Xml(xml::Document::read(text.as_bytes().to_vec().into()).unwrap())
}

fn csv_document(text: &str) -> Document {
    Document::Csv(csv::Document::read(text.as_bytes().to_vec().into()).unwrap())
}

fn json_document(text: &str) -> Document {
    Document::Json(serde_json::from_str(text).unwrap())
}

fn mapping(head: &str, body: &str) -> Arc<Mapping> {
    compile("mappings/m.toml", &format!("name = 'm'\nversion = 1\n{head}\n{body}"))
}

/// All outputs as texts.
fn run(mapping: &Mapping, document: &Document) -> Vec<String> {
    let outputs = mapping.run(document, &context()).unwrap();
    outputs.into_iter().map(|output| String::from_utf8(output.body.to_vec()).unwrap()).collect()
}

/// The codes and messages of what is wrong with a mapping.
fn wrong(text: &str, samples: &[Arc<SourceText>]) -> Vec<(u16, String)> {
    let text = format!("name = 'm'\nversion = 1\n{text}");
    let source = Arc::new(SourceText::new("mappings/m.toml", text));
    let (_, findings) = MappingFiles::read(&[source], &[], &[], samples);
    findings.iter().map(|one| (one.code.number(), one.message.clone())).collect()
}

#[test]
fn xml_becomes_json_by_paths_with_attributes_and_repetitions() {
    let mapping = mapping(
        "from = 'xml claims'\nto = 'json'",
        r#"
        [set]
        version = '@version'
        first = 'claim.id'
        all = 'claim[*].id'
        kind = 'claim[0].id.@kind'
        second = 'claim[@n = "2"].id'
        note = 'claim[1]."my-note"'
        odd-name = 'claim[id = "B"].my-note | upper'
        [[for]]
        each = "claim[*]"
        to = "claims"
        set = { n = '@n', id = 'id', of = '$.@version' }
        "#,
    );
    let document = xml_document(
        "<claims version='3'><claim n='1'><id kind='k'>A</id></claim><claim n='2'><id>B</id><my-note>x</my-note></claim></claims>",
    );
    let expected = r#"{"version":"3","first":"A","all":["A","B"],"kind":"k","second":"B","note":"x","odd-name":"X","claims":[{"n":"1","id":"A","of":"3"},{"n":"2","id":"B","of":"3"}]}"#;
    assert_eq!(run(&mapping, &document), [expected]);
    let error = mapping.run(&xml_document("<other/>"), &context()).unwrap_err();
    assert_eq!(
        (error.code, error.reason),
        (codes::WRONG_FORMAT, "the XML document has another root element than the mapping reads")
    );
    assert_eq!(mapping.run(&json_document("{}"), &context()).unwrap_err().code, codes::WRONG_FORMAT);
}

#[test]
fn a_declared_prefix_tells_namespaces_apart() {
    let mapping = mapping(
        "from = 'xml o:order'\nto = 'xml o:copy'\n[xml]\nnamespace = 'urn:none'\nnamespaces = { o = 'urn:o', p = 'urn:p' }",
        "[set]\n'o:one' = 'o:id'\n'two' = 'p:id'\n'two.@p:kind' = 'p:id.@kind'\n",
    );
    let document = xml_document("<x:order xmlns:x='urn:o'><x:id>1</x:id><id xmlns='urn:p' kind='k'>2</id></x:order>");
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<o:copy xmlns=\"urn:none\" xmlns:o=\"urn:o\" xmlns:p=\"urn:p\">\
        <o:one>1</o:one><two p:kind=\"k\">2</two></o:copy>\n";
    assert_eq!(run(&mapping, &document), [expected]);
}

#[test]
fn xml_is_written_in_the_order_of_the_file_with_attributes_and_text() {
    let mapping = mapping(
        "from = 'json'\nto = 'xml claim'",
        r#"
        [set]
        z = 'z'
        "@version" = '"1"'
        "amount" = 'amount'
        "amount.@currency" = '"EGP"'
        "payer.id" = 'payer'
        "codes[0]" = '"first"'
        [[for]]
        each = "items[*]"
        to = "item"
        set = { "." = 'name', "@n" = '$index' }
        "#,
    );
    let document = json_document(
        r#"{"z": "<&>", "amount": 1.50, "items": [{"name": "قرص"}, {"name": "b \"q\""}], "payer": null}"#,
    );
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<claim version=\"1\"><z>&lt;&amp;&gt;</z>\
        <amount currency=\"EGP\">1.50</amount><codes>first</codes><item n=\"1\">قرص</item><item n=\"2\">b \"q\"</item></claim>\n";
    assert_eq!(run(&mapping, &document), [expected]);
    let error = mapping.run(&json_document(r#"{"z": "a\u000b"}"#), &context()).unwrap_err();
    assert_eq!(error.reason, "a text has a character that XML cannot have");
}

#[test]
fn a_row_of_csv_is_an_output_and_knows_its_number() {
    let mapping = mapping(
        "from = 'csv'\nto = 'csv'\neach = 'row'\nwhen = '.\"Trade name\"'",
        "[csv]\nseparator = ';'\n[set]\nrow = '$row'\n'the name' = '.\"Trade name\"'\nout = '$index'\nfirst = '$.row[0].GTIN'",
    );
    let document = csv_document("Trade name;GTIN\nA;1\n;2\n\"B;C\";3\n");
    let head = "row;the name;out;first\r\n";
    assert_eq!(run(&mapping, &document), [format!("{head}1;A;1;1\r\n"), format!("{head}3;\"B;C\";2;1\r\n")]);
    let error = mapping.run(&csv_document("a;b\n1\n"), &context()).unwrap_err();
    assert_eq!(error.reason, "a row has more or fewer columns than the first");
}

#[test]
fn blocks_write_rows_with_the_columns_of_the_file() {
    let mapping = mapping(
        "from = 'json'\nto = 'csv'",
        r#"
        [csv]
        guard = true
        [[for]]
        each = "a[*]"
        to = "row"
        set = { x = 'x', "y z" = 'y' }
        [[for]]
        each = "b[*]"
        [[for.for]]
        each = "c[*]"
        to = "row"
        set = { w = 'w', x = '"b"' }
        "#,
    );
    let document = json_document(r#"{"a": [{"x": "=1+1"}, {"y": "2"}], "b": [{"c": [{"w": 1}, {"w": 2}]}]}"#);
    assert_eq!(run(&mapping, &document), ["x,y z,w\r\n'=1+1,,\r\n,2,\r\nb,,1\r\nb,,2\r\n"]);
    assert_eq!(run(&mapping, &json_document("{}")), ["x,y z,w\r\n"]);
}

#[test]
fn what_of_a_document_went_nowhere_is_told_by_its_path() {
    let mapping = mapping("from = 'xml r'\nto = 'json'", "[set]\na = 'a'\nb = 'list[1].b'");
    let document =
        xml_document("<r x='1'><a k='2'>t</a><list><b>1</b></list><list><b>2</b><c/></list><d e='3'>4</d></r>");
    let (_, lineage) = mapping.explain(&document, &context()).unwrap();
    let nowhere: Vec<&str> = lineage.nowhere.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(nowhere, ["@x", "a.@k", "list[0].b", "list[1].c", "d.@e", "d"]);
    let written: Vec<_> =
        lineage.written.iter().map(|one| (one.target.as_str(), one.sources[0].path.as_str())).collect();
    assert_eq!(written, [("a", "a"), ("b", "list[1].b")]);
    let rows = super::formats::mapping("from = 'csv'\nto = 'json'\neach = 'row'", "[set]\na = 'a'\nn = '$row'");
    let (_, of_rows) = rows.explain(&csv_document("a,b c\n1,2\n"), &context()).unwrap();
    let unread: Vec<&str> = of_rows.nowhere.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(unread, ["row[0].\"b c\""]);
}

#[test]
fn texts_of_xml_and_csv_are_held_against_what_takes_them() {
    let of = |from: &str, rule: &str| wrong(&format!("from = '{from}'\nto = 'fhir Patient'\n[set]\n{rule}"), &[]);
    for from in ["xml r", "csv"] {
        for (rule, code) in [
            ("multipleBirthInteger = 'a'", 124),
            ("active = 'a'", 124),
            ("maritalStatus = 'a'", 124),
            ("'identifier[0]' = 'a'", 124),
            ("gender = 'a | reference(\"x\")'", 115),
            ("birthDate = 'a[*]'", 118),
        ] {
            assert_eq!(of(from, rule).iter().map(|(found, _)| *found).collect::<Vec<_>>(), [code], "{from} {rule}");
        }
        for rule in ["birthDate = 'a | date'", "maritalStatus = 'a | codeable_concept'", "'name[0].text' = 'a.b'"] {
            assert_eq!(of(from, rule), [], "{from} {rule}");
        }
    }
}

#[test]
fn an_outline_finds_slips_of_the_pen_and_what_is_missing() {
    let sample = |name: &str, text: &str| Arc::new(SourceText::new(format!("mappings/{name}"), text));
    let samples = [
        sample("samples/r.xml", "<r v='1'><a><b>1</b></a><a/></r>"),
        sample("samples/r.csv", "Trade name,GTIN\n"),
        sample("samples/r.json", r#"{"list": [{"x": 1}], "one": {"y": 2}}"#),
        sample("samples/bad.xml", "<r>"),
    ];
    let of = |text: &str| wrong(text, &samples).into_iter().map(|(code, _)| code).collect::<Vec<_>>();
    let from = |from: &str, outline: &str, rule: &str| {
        of(&format!("from = '{from}'\noutline = {outline}\nto = 'json'\n[set]\n{rule}"))
    };
    for (format, outline, rule, expected) in [
        ("xml r", "'samples/r.xml'", "x = 'a[1].b'\ny = '@v'", vec![]),
        ("xml r", "'samples/r.xml'", "x = 'a.c'", vec![123]),
        ("xml r", "'samples/r.xml'", "x = '@v[0]'", vec![123]),
        ("xml r", "['a[*].b', 'c?']", "x = 'a[1].b'\ny = 'c'", vec![]),
        ("xml r", "['a[*].b', 'c?']", "x = 'c[0]'", vec![123]),
        ("xml r", "['a[*].b', 'c..d']", "x = 'a[1].b'", vec![146]),
        ("xml r", "'samples/no.xml'", "x = 'a'", vec![146]),
        ("xml r", "'samples/bad.xml'", "x = 'a'", vec![146]),
        ("csv", "'samples/r.csv'", "x = 'row[0].GTIN'\ny = 'row[0].\"Trade name\"'", vec![]),
        ("csv", "['GTIN']", "x = 'row[0].gtin'", vec![123]),
        ("csv", "['GTIN']", "x = 'rows[0].GTIN'", vec![123]),
        ("json", "'samples/r.json'", "x = 'list[0].x'\ny = 'one.y'", vec![]),
        ("json", "'samples/r.json'", "x = 'one[0].y'", vec![123]),
        ("json", "'samples/r.json'", "x = 'list[0].z'", vec![123]),
        ("fhir Patient", "['a']", "x = 'gender'", vec![102]),
    ] {
        assert_eq!(from(format, outline, rule), expected, "{format} {outline} {rule}");
    }
    let to = |to: &str, outline: &str, rules: &str| {
        of(&format!("from = 'json'\nto = '{to}'\ntarget_outline = {outline}\n{rules}"))
    };
    let block = |set: &str| format!("[set]\nid = '\"1\"'\n[[for]]\neach = 'x'\nto = 'item'\nset = {{ {set} }}");
    for (format, outline, rules, expected) in [
        ("xml r", "['id', 'item[*].code', 'item[*].text?']", block("code = 'c | required'"), vec![]),
        ("xml r", "['id', 'item[*].code', 'item[*].text?']", block("text = 'c'"), vec![125]),
        ("xml r", "['id', 'item[*].code', 'item[*].text?']", block("code = 'c'"), vec![125]),
        ("xml r", "['id', 'item.code']", block("code = 'c | required'"), vec![124]),
        ("json", "['id', 'item[*].code?']", block("cod = 'c'"), vec![123]),
        ("json", "['id', 'item[*]?']", "[set]\nid = 'x'".to_owned(), vec![125]),
        ("csv", "['id', 'name?']", "[set]\nid = 'x | required'\nnam = 'y'".to_owned(), vec![123]),
        ("csv", "['id', 'name?']", "[set]\nname = 'y'".to_owned(), vec![125]),
    ] {
        assert_eq!(to(format, outline, &rules), expected, "{format} {outline} {rules}");
    }
}

#[test]
fn what_cannot_be_written_is_told_before_it_is() {
    for (text, code) in [
        ("from = 'json'\nto = 'csv'\n[set]\na = 'x[*]'", 118),
        ("from = 'json'\nto = 'csv'\n[set]\na = 'x | codeable_concept'", 115),
        ("from = 'json'\nto = 'csv'\n[[for]]\neach = 'x'\nto = 'line'\nset = { a = 'y' }", 112),
        ("from = 'json'\nto = 'csv'\n[set]\nb = 'x'\n[[for]]\neach = 'x'\nto = 'row'\nset = { a = 'y' }", 105),
        ("from = 'json'\nto = 'xml r'\n[set]\n'@a' = 'x[*]'", 118),
        ("from = 'json'\nto = 'xml r'\n[set]\n'a b' = 'x'", 112),
        ("from = 'json'\nto = 'xml r'\n[set]\n'1a' = 'x'", 112),
        ("from = 'json'\nto = 'xml r'\n[set]\n'a[*]' = 'x'", 112),
        ("from = 'json'\nto = 'xml r'\n[set]\n'p:a' = 'x'", 105),
        ("from = 'json'\nto = 'json'\n[set]\n'.' = 'x'", 112),
        ("from = 'json'\nto = 'json'\n[csv]\nheader = false\n[set]\na = 'x'", 102),
        ("from = 'csv'\nto = 'json'\n[csv]\nseparator = 'x'\n[set]\na = 'x'", 105),
        ("from = 'csv'\nto = 'json'\n[csv]\ncharset = 'klingon'\n[set]\na = 'x'", 105),
        ("from = 'csv'\nto = 'json'\n[csv]\ncolumns = ['x']\n[set]\na = 'x'", 105),
        ("from = 'json'\nto = 'json'\n[set]\na = '$row'", 110),
        ("from = 'json'\nto = 'json'\n[[entry]]\nresource = 'Patient'\nset = { active = 'true' }", 124),
    ] {
        assert_eq!(wrong(text, &[]).iter().map(|(found, _)| *found).collect::<Vec<_>>(), [code], "{text}");
    }
}
