//! The same prescription in the character sets that Egyptian systems send, with MSH-18 right, wrong and
//! missing: the same text each time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says so by failing")]

mod corpus;

use adapters::hl7v2::charset::{Confidence, Declared};
use adapters::hl7v2::{Charset, CharsetRule, Document, Path, edit::Editor};

fn document(name: &str) -> Document {
    let bytes = std::fs::read(format!("{}/{name}.hl7", corpus::FIXTURES)).unwrap();
    Document::read(bytes.into(), CharsetRule::default()).unwrap()
}

const PATHS: [&str; 8] = ["PID-5.1", "PID-5.3", "PID-11.1", "IN1-4", "AL1-5", "RXE-2.5", "RXE-7", "NTE-3"];

fn texts(document: &Document) -> Vec<String> {
    let message = document.message();
    let paths = PATHS.iter().map(|path| Path::parse(path).unwrap());
    paths.map(|path| message.find(&message.whole(), &path).text().into_owned()).collect()
}

#[test]
fn the_same_prescription_in_every_character_set_reads_the_same() {
    let expected = texts(&document("rde_o11_utf_8"));
    assert_eq!(expected[0], "السيد");
    assert_eq!(expected[7], "بعد الأكل\nلا يستخدم مع حساسية البنسلين");
    for (name, declared, used, disagrees) in [
        ("rde_o11_utf_8", Declared::Known(Charset::Utf8), Charset::Utf8, false),
        ("rde_o11_8859_6", Declared::Known(Charset::Iso8859_6), Charset::Iso8859_6, false),
        ("rde_o11_8859_6_undeclared", Declared::Nothing, Charset::Iso8859_6, false),
        ("rde_o11_windows_1256_undeclared", Declared::Nothing, Charset::Windows1256, false),
        ("rde_o11_windows_1256_said_to_be_latin_1", Declared::Known(Charset::Iso8859_1), Charset::Windows1256, true),
    ] {
        let document = document(name);
        let report = document.charset();
        assert_eq!((report.declared, report.used, report.disagrees), (declared, used, disagrees), "{name}");
        assert!(report.confidence != Confidence::Guess, "{name}");
        assert_eq!(texts(&document), expected, "{name}");
    }
}

#[test]
fn a_name_that_is_changed_stays_in_the_character_set_of_its_message() {
    for name in ["rde_o11_utf_8", "rde_o11_8859_6", "rde_o11_windows_1256_said_to_be_latin_1"] {
        let document = document(name);
        let mut editor = Editor::new(&document.message());
        editor.set(&Path::parse("PID-5.1").unwrap(), "عبد الرحمن").unwrap();
        let changed = Document::read(editor.finish().into(), CharsetRule::default()).unwrap();
        assert_eq!(changed.charset().used, document.charset().used);
        let mut expected = texts(&document);
        expected[0] = "عبد الرحمن".to_owned();
        assert_eq!(texts(&changed), expected, "{name}");
    }
}
