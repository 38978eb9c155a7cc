use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rows(text: &[u8], options: &Options) -> Result<Json, Unreadable> {
    Document::read(Bytes::copy_from_slice(text)).and_then(|document| document.rows(options))
}

fn read(text: &str) -> Json {
    rows(text.as_bytes(), &Options::default()).unwrap()
}

#[test]
fn the_first_row_names_the_columns() {
    let table = [
        ("a,b\r\n1,2\r\n3,\r\n", json!([{"$row": 1, "a": "1", "b": "2"}, {"$row": 2, "a": "3", "b": ""}])),
        ("\u{FEFF}a\nقرص", json!([{"$row": 1, "a": "قرص"}])),
        (
            "Trade name, b ,\n\"x, \"\"y\"\"\nz\",6\" nail,3",
            json!([{"$row": 1, "Trade name": "x, \"y\"\nz", "b": "6\" nail", "3": "3"}]),
        ),
        ("a,b", json!([])),
        ("", json!([])),
        ("a\n\n1\n\n", json!([{"$row": 1, "a": "1"}])),
    ];
    for (text, expected) in table {
        assert_eq!(read(text), json!({ "row": expected }), "{text}");
    }
}

#[test]
fn a_file_is_read_as_its_mapping_says() {
    let semicolons = Options { separator: b';', header: false, ..Options::default() };
    let found = rows(b"1;2,5", &semicolons).unwrap();
    assert_eq!(found, json!({"row": [{"$row": 1, "1": "1", "2": "2,5"}]}));
    let named = Options { columns: vec!["a".to_owned(), "b".to_owned()], ..semicolons.clone() };
    assert_eq!(rows(b"1;2", &named).unwrap(), json!({"row": [{"$row": 1, "a": "1", "b": "2"}]}));
    assert!(rows(b"1;2;3", &named).is_err());
    let arabic = Options { charset: Encoding::for_label(b"windows-1256").unwrap(), ..Options::default() };
    assert_eq!(rows(&[b'a', b'\n', 0xDE, 0xD1, 0xD5], &arabic).unwrap()["row"][0]["a"], "قرص");
}

#[test]
fn what_cannot_be_read_for_sure_is_refused_at_its_place() {
    let table: [(&[u8], &str, usize); 7] = [
        (b"a,b\n1,2\n1\n", "a row has more or fewer columns than the first", 8),
        (b"a,b\n1,2,3\n", "a row has more or fewer columns than the first", 4),
        (b"a,b\n1,\"2\n3,4\n", "a quote begins and does not end", 6),
        (b"a\n\"1\"2\n", "something stands behind a closing quote", 5),
        (b"a, a\n1,2\n", "two columns of the CSV file have one name", 0),
        (b"$row\n1\n", "two columns of the CSV file have one name", 0),
        (b"a\n\xDE\n", "the CSV file is not in its character set", 2),
    ];
    for (text, reason, at) in table {
        assert_eq!(rows(text, &Options::default()), Err(Unreadable { reason, at }), "{}", text.escape_ascii());
    }
    let wide = vec![b','; 1_000];
    assert_eq!(rows(&wide, &Options::default()).unwrap_err().reason, "the CSV file has more than 1,000 columns");
    let long = [b"a,b\n".to_vec(), b"1,2\n".repeat(500_000)].concat();
    assert_eq!(rows(&long, &Options::default()).unwrap_err().reason, "the CSV file has more than 1,000,000 values");
    let large = vec![b'x'; BYTES_MAX + 1];
    assert_eq!(rows(&large, &Options::default()).unwrap_err().reason, "the CSV file is larger than 16 MiB");
}

#[test]
fn what_is_written_is_quoted_where_it_must_be_and_guarded_where_it_shall_be() {
    let columns = ["a".to_owned(), "b c".to_owned()];
    let row: Json = serde_json::from_str(r#"{"b c": "x, \"y\"", "a": 1.50, "other": "not a column"}"#).unwrap();
    let written = write(&columns, &[&row, &json!({})], &Options::default()).unwrap();
    assert_eq!(written, "a,b c\r\n1.50,\"x, \"\"y\"\"\"\r\n,\r\n");
    let guarded = Options { header: false, guard: true, mark: true, ..Options::default() };
    for (text, expected) in
        [("=1+1", "'=1+1"), ("-5.2", "-5.2"), ("-cmd", "'-cmd"), ("@x", "'@x"), ("قرص", "قرص"), ("+20100", "+20100")]
    {
        let line = write(&["a".to_owned()], &[&json!({ "a": text })], &guarded).unwrap();
        assert_eq!(line, format!("\u{FEFF}{expected}\r\n"));
    }
    assert_eq!(write(&["a".to_owned()], &[&json!({"a": "=1"})], &Options::default()).unwrap(), "a\r\n=1\r\n");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        table in proptest::collection::vec(proptest::collection::vec(any::<String>(), 3), 0..6),
        separator in prop::sample::select(vec![b',', b';', b'\t', b'|']),
    ) {
        let columns = ["a".to_owned(), "b c".to_owned(), "ج".to_owned()];
        let options = Options { separator, ..Options::default() };
        let written: Vec<Json> = table
            .iter()
            .map(|values| Json::Object(columns.iter().cloned().zip(values.iter().map(|value| json!(value))).collect()))
            .collect();
        let text = write(&columns, &written.iter().collect::<Vec<_>>(), &options).unwrap();
        let found = rows(text.as_bytes(), &options).unwrap();
        let back = found["row"].as_array().unwrap();
        prop_assert_eq!(back.len(), written.len());
        for (number, (one, other)) in back.iter().zip(&written).enumerate() {
            prop_assert_eq!(&one["$row"], &json!(number + 1));
            for column in &columns {
                prop_assert_eq!(&one[column], &other[column], "{}", text);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = rows(&bytes, &Options::default());
    }
}
