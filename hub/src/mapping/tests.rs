use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::Document;
use adapters::hl7v2::{self, CharsetRule};
use serde_json::Value as Json;

use super::testing::{context, shipped_tables};
use super::*;
use crate::finding::{Findings, SourceText, codes};

mod bases;
mod formats;
mod sources;
mod targets;

fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn shipped(name: &str) -> Arc<Mapping> {
    let file = format!("mappings/{name}.toml");
    let text = std::fs::read_to_string(workspace().join(&file)).unwrap();
    compile(&file, &text)
}

/// Compiles a mapping that must have no findings.
fn compile(file: &str, text: &str) -> Arc<Mapping> {
    let tables: Vec<Arc<SourceText>> = table_sources();
    let (files, findings) = MappingFiles::read(&[Arc::new(SourceText::new(file, text))], &[], &tables, &[]);
    assert!(findings.is_empty(), "{findings}");
    Arc::clone(files.mappings.values().next().unwrap())
}

fn table_sources() -> Vec<Arc<SourceText>> {
    let _ = shipped_tables();
    let folder = workspace().join("mappings/tables");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| format!("mappings/tables/{}", path.file_name().unwrap().to_string_lossy());
    paths.iter().map(|path| Arc::new(SourceText::new(name(path), std::fs::read_to_string(path).unwrap()))).collect()
}

fn message(path: &Path) -> Document {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Document::Hl7v2(hl7v2::Document::read(bytes.into(), CharsetRule::default()).unwrap())
}

fn fixture(name: &str) -> Document {
    let path = workspace().join("tests/fixtures").join(name);
    if name.ends_with(".json") {
        return Document::Json(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
    }
    message(&path)
}

/// A mapping with the rules of `set`, from RDE^O11 to a resource.
fn small(set: &str) -> Arc<Mapping> {
    let head = "name = 'small'\nversion = 1\nfrom = 'hl7v2 RDE^O11'\nto = 'fhir Patient'\n";
    compile("mappings/small.toml", &format!("{head}{set}"))
}

fn run_small(set: &str, document: &Document) -> String {
    let outputs = small(set).run(document, &context()).unwrap();
    String::from_utf8(outputs[0].body.to_vec()).unwrap()
}

fn compare_golden(name: &str, found: &str) {
    let path = workspace().join("tests/fixtures/golden").join(name);
    if std::env::var_os("HUB_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(found, expected, "{name}: look at the difference; HUB_WRITE_GOLDEN=1 writes the file anew");
}

#[test]
fn every_order_of_the_fixtures_gives_the_golden_prescription() {
    let mapping = shipped("rde_o11_to_prescription");
    let mut names: Vec<String> = std::fs::read_dir(workspace().join("tests/fixtures/hl7v2"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("rde_") && name.ends_with(".hl7"))
        .collect();
    names.sort();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let result = mapping.run(&fixture(&format!("hl7v2/{name}")), &context());
        let found = match result {
            Err(error) => format!("{error}\n"),
            Ok(outputs) => outputs
                .iter()
                .map(|output| {
                    let json: Json = serde_json::from_slice(&output.body).unwrap();
                    let command = output.command.as_deref().unwrap_or("-");
                    format!("command: {command}\n{}\n", serde_json::to_string_pretty(&json).unwrap())
                })
                .collect(),
        };
        compare_golden(&format!("prescription/{}", name.replace(".hl7", ".txt")), &found);
    }
}

#[test]
fn the_answer_to_a_hospital_is_the_golden_message() {
    let mapping = shipped("prescription_event_to_rre_o12");
    let outputs = mapping.run(&fixture("events/prescription_issued.json"), &context()).unwrap();
    let message = String::from_utf8(outputs[0].body.to_vec()).unwrap();
    compare_golden("rre_o12_issued.txt", &message.replace('\r', "\n"));
    assert_eq!((outputs[0].resource_type.as_str(), &outputs[0].command), ("RRE^O12", &None));
}

#[test]
fn orders_of_other_senders_are_mapped() {
    let mapping = shipped("rde_o11_to_prescription");
    let tests = workspace().join("tests");
    for name in ["fixtures/corpus/RDE-O11-01.hl7", "fixtures/corpus/RDE-O25-01.hl7", "bench/rde_o11.hl7"] {
        let outputs = mapping.run(&message(&tests.join(name)), &context());
        let outputs = outputs.unwrap_or_else(|error| panic!("{name}: {error}"));
        for output in outputs {
            let json: Json = serde_json::from_slice(&output.body).unwrap();
            for element in ["status", "intent", "subject", "medicationCodeableConcept", "identifier"] {
                assert!(!json[element].is_null(), "{name}: {element}");
            }
        }
    }
}

#[test]
fn messages_of_every_kind_are_mapped_or_refused_and_never_panic() {
    let mapping = shipped("rde_o11_to_prescription");
    let corpus = workspace().join("tests/fixtures/corpus");
    let mut count = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "hl7") {
            let _ = mapping.run(&message(&path), &context());
            let _ = mapping.explain(&message(&path), &context());
            count += 1;
        }
    }
    assert_eq!(count, 59);
}

#[test]
fn the_same_message_gives_the_same_bytes() {
    let mapping = shipped("rde_o11_to_prescription");
    let first = mapping.run(&fixture("hl7v2/rde_o11_two_orders.hl7"), &context()).unwrap();
    for _ in 0..3 {
        assert!(mapping.run(&fixture("hl7v2/rde_o11_two_orders.hl7"), &context()).unwrap() == first);
    }
    let anew = shipped("rde_o11_to_prescription");
    assert!(anew.run(&fixture("hl7v2/rde_o11_two_orders.hl7"), &context()).unwrap() == first);
}

#[test]
fn watching_a_run_does_not_change_what_it_gives() {
    let mapping = shipped("rde_o11_to_prescription");
    let document = fixture("hl7v2/rde_o11_new.hl7");
    let (outputs, _) = mapping.explain(&document, &context()).unwrap();
    assert!(outputs == mapping.run(&document, &context()).unwrap());
}

#[test]
fn lineage_tells_where_every_element_came_from_and_what_went_nowhere() {
    let mapping = shipped("rde_o11_to_prescription");
    let document = fixture("hl7v2/rde_o11_new.hl7");
    let (_, lineage) = mapping.explain(&document, &context()).unwrap();
    let mut found = String::new();
    for written in &lineage.written {
        let sources: Vec<&str> = written.sources.iter().map(|source| source.path.as_str()).collect();
        let functions: Vec<String> = written.functions.iter().map(Called::to_string).collect();
        let functions = functions.join(", ");
        found.push_str(&format!("{} <- {} [{functions}] {}\n", written.target, sources.join(", "), written.rule));
    }
    found.push_str("nowhere:\n");
    found.extend(lineage.nowhere.iter().map(|nowhere| format!("{}\n", nowhere.path)));
    compare_golden("rde_o11_new.lineage.txt", &found);
    let Document::Hl7v2(document) = &document else { unreachable!() };
    for written in &lineage.written {
        for span in written.sources.iter().flat_map(|source| &source.spans) {
            assert!(span.end <= document.bytes().len() && !span.is_empty(), "{written:?}");
        }
    }
}

#[test]
fn lineage_of_an_event_names_what_went_nowhere() {
    let mapping = shipped("prescription_event_to_rre_o12");
    let (_, lineage) = mapping.explain(&fixture("events/prescription_issued.json"), &context()).unwrap();
    let nowhere: Vec<&str> = lineage.nowhere.iter().map(|nowhere| nowhere.path.as_str()).collect();
    assert!(nowhere.contains(&"data.authoredOn") && nowhere.contains(&"specversion"), "{nowhere:?}");
    assert!(!nowhere.contains(&"data.identifier[0].value"), "{nowhere:?}");
}

#[test]
fn no_error_shows_what_the_message_says() {
    let mapping = shipped("rde_o11_to_prescription");
    let text = std::fs::read_to_string(workspace().join("tests/fixtures/hl7v2/rde_o11_new.hl7")).unwrap();
    for (from, to) in
        [("ORC|NW", "ORC|CANARY"), ("|G|14|", "|CANARY|14|"), ("|14|", "|CANARY|"), ("20261105092900", "CANARY")]
    {
        let bytes = text.replacen(from, to, 1).into_bytes();
        let document = Document::Hl7v2(hl7v2::Document::read(bytes.into(), CharsetRule::default()).unwrap());
        let error = mapping.run(&document, &context()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("CANARY"), "{shown}");
        assert!(error.source.is_some() && error.rule.line > 1, "{shown}");
    }
}

#[test]
fn a_held_code_is_an_error_of_its_own_class() {
    let table =
        Arc::new(SourceText::new("mappings/tables/held.toml", "name = 'held'\nunknown = 'hold'\n[codes]\nCA = 'a'\n"));
    let text = "name = 'm'\nversion = 1\nfrom = 'hl7v2 RDE^O11'\nto = 'fhir Patient'\n[set]\n\"identifier[0].value\" = 'ORC-1 | table(\"held\")'\n";
    let (files, findings) =
        MappingFiles::read(&[Arc::new(SourceText::new("mappings/m.toml", text))], &[], &[table], &[]);
    assert!(findings.is_empty(), "{findings}");
    let error = files.mappings["m"].run(&fixture("hl7v2/rde_o11_new.hl7"), &context()).unwrap_err();
    assert_eq!((error.class(), error.held.as_ref().map(|held| held.code.as_str())), (Class::Hold, Some("NW")));
    assert!(!format!("{error:?} {error}").contains("NW"), "{error:?}");
}

#[test]
fn a_document_of_another_format_is_refused() {
    let mapping = shipped("rde_o11_to_prescription");
    let error = mapping.run(&Document::Json(Json::Null), &context()).unwrap_err();
    assert_eq!(error.code.number(), 156);
}

#[test]
fn rules_below_a_structure_are_laid_over_it() {
    let set = "[set]\n\"identifier[0]\" = 'ORC-2 | identifier'\n\"identifier[0].use\" = '\"official\"'\n\"identifier[0].value\" = '\"other\"'\n";
    let json = run_small(set, &fixture("hl7v2/rde_o11_new.hl7"));
    assert_eq!(
        json,
        r#"{"resourceType":"Patient","identifier":[{"system":"urn:hl7v2:KASR_ALAINY:HIS","value":"other","use":"official"}]}"#
    );
}

#[test]
fn a_list_and_its_items_come_together_with_those_of_blocks() {
    let set = "[set]\n\"name[0].given\" = 'PID-5[*].2'\n\"name[1].text\" = '\"second\"'\n[[for]]\neach = 'PID-5'\nto = 'name'\nset = { \"given[0]\" = '.2' }\n";
    let json = run_small(set, &fixture("hl7v2/rde_o11_new.hl7"));
    assert_eq!(
        json,
        r#"{"resourceType":"Patient","name":[{"given":["محمد","MOHAMED"]},{"text":"second"},{"given":["محمد"]},{"given":["MOHAMED"]}]}"#
    );
}

#[test]
fn what_is_empty_is_not_there_and_items_close_up() {
    let set = "[set]\nmanagingOrganization.reference = 'ORC-27'\n\"maritalStatus.coding[0].code\" = 'ORC-27'\n\"maritalStatus.coding[3].code\" = 'ORC-1'\nmanagingOrganization.display = '\"  \"'\n";
    let json = run_small(set, &fixture("hl7v2/rde_o11_new.hl7"));
    assert_eq!(json, r#"{"resourceType":"Patient","maritalStatus":{"coding":[{"code":"NW"}]}}"#);
}

#[test]
fn blocks_nest_and_conditions_leave_repetitions_out() {
    let set = "[[for]]\neach = 'ORDER'\nto = 'contact'\n[for.set]\nname.text = 'ORC-2.1'\n[[for.for]]\neach = 'NTE'\nto = 'telecom'\nwhen = 'NTE-2 = \"P\"'\nset = { value = 'NTE-3', id = 'ORC-2.1' }\n";
    let json: Json = serde_json::from_str(&run_small(set, &fixture("hl7v2/rde_o11_two_orders.hl7"))).unwrap();
    assert_eq!(json["contact"][0]["telecom"][0]["id"], "RX88-1");
    assert_eq!(json["contact"][1].to_string(), r#"{"name":{"text":"RX88-2"}}"#);
}

#[test]
fn variables_of_the_context_can_be_written() {
    let set = "[set]\nid = '$message_id'\nlanguage = '$source'\ndeceasedDateTime = '$received_at'\n";
    let json = run_small(set, &fixture("hl7v2/rde_o11_new.hl7"));
    assert_eq!(
        json,
        r#"{"resourceType":"Patient","id":"01J0000000000000000000TEST","language":"kasr-al-ainy","deceasedDateTime":"2026-11-05T09:30:15.123+02:00"}"#
    );
}

#[test]
fn an_answer_has_a_control_id_that_follows_from_its_message() {
    let mapping = shipped("prescription_event_to_rre_o12");
    let event = fixture("events/prescription_issued.json");
    let id = |message_id: &str| {
        let outputs = mapping.run(&event, &Context { message_id: message_id.to_owned(), ..context() }).unwrap();
        let document = hl7v2::Document::read(outputs[0].body.clone(), CharsetRule::default()).unwrap();
        document.message().header().control_id().text().into_owned()
    };
    assert_eq!(id("a"), id("a"));
    assert_ne!(id("a"), id("b"));
    assert_eq!(id("a").len(), 20);
}

#[test]
fn text_that_would_divide_a_field_is_escaped_in_hl7() {
    let text = "name = 'm'\nversion = 1\nfrom = 'event'\nto = 'hl7v2 RRE^O12'\n[set]\n\"MSA-1\" = '\"AA\"'\n\"MSA-2\" = '\"1\"'\n\"NTE-3\" = 'note'\n\"PID-3.1\" = 'ids[*] | required'\n\"PID-5\" = '\"A\"'\n\"ORC-1\" = '\"OK\"'\n";
    let mapping = compile("mappings/m.toml", text);
    let note = "a|b^c~d\\e&f\nnext\rMSH|x";
    let document = Document::Json(serde_json::json!({ "note": note, "ids": ["1", "2"] }));
    let outputs = mapping.run(&document, &context()).unwrap();
    let message = hl7v2::Document::read(outputs[0].body.clone(), CharsetRule::default()).unwrap();
    let message = message.message();
    let read = |path: &str| message.find(&message.whole(), &hl7v2::Path::parse(path).unwrap()).text().into_owned();
    assert_eq!(read("NTE-3").replace('\r', "\n"), note.replace('\r', "\n"));
    assert_eq!((read("PID-3[1].1"), read("PID-3[2].1")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(message.segments().count(), 5);
}

#[test]
fn a_decimal_of_an_event_keeps_its_digits() {
    let head = "name = 'm'\nversion = 1\nfrom = 'event'\nto = 'fhir Patient'\n";
    let rule = "[set]\n\"extension[0].url\" = '\"urn:d\"'\n\"extension[0].valueDecimal\" = 'data.value'\n";
    let mapping = compile("mappings/m.toml", &format!("{head}{rule}"));
    for digits in ["1.50", "0.10", "12345678901234567890.123"] {
        let event = serde_json::from_str(&format!(r#"{{"data":{{"value":{digits}}}}}"#)).unwrap();
        let outputs = mapping.run(&Document::Json(event), &context()).unwrap();
        let body = String::from_utf8(outputs[0].body.to_vec()).unwrap();
        assert!(body.contains(&format!(r#""valueDecimal":{digits}"#)), "{digits}: {body}");
    }
}

#[test]
fn two_choices_of_one_resource_are_no_choice_written_twice() {
    let set = "[set]\ndeceasedDateTime = 'ORC-9 | datetime'\nmultipleBirthBoolean = 'PID-24 = \"Y\"'\n";
    let json = run_small(set, &fixture("hl7v2/rde_o11_new.hl7"));
    assert!(json.contains("deceasedDateTime") && json.contains(r#""multipleBirthBoolean":false"#), "{json}");
}

/// A mapping to a Bundle with a fragment for each file that is given.
fn bundle(rules: &str, fragments: &[(&str, &str)]) -> (Option<Arc<Mapping>>, Findings) {
    let head = "name = 'm'\nversion = 1\nfrom = 'hl7v2 RDE^O11'\nto = 'fhir Bundle'\n";
    let source = |name: &str, text: &str| Arc::new(SourceText::new(name, text));
    let fragments: Vec<_> = fragments.iter().map(|(name, text)| source(name, text)).collect();
    let mapping = source("mappings/m.toml", &format!("{head}{rules}"));
    let (files, mut findings) = MappingFiles::read(&[mapping], &fragments, &table_sources(), &[]);
    findings.settle();
    (files.mappings.values().next().map(Arc::clone), findings)
}

const PATIENT: (&str, &str) = (
    "mappings/common/patient.toml",
    "fragment = 'common/patient'\nfrom = 'hl7v2'\nto = 'fhir Patient'\nneeds = ['number']\n[let]\nuse = '\"official\"'\n[set]\nactive = 'true'\n\"identifier[0].use\" = '$use'\n\"identifier[0].value\" = '$number'\n",
);

#[test]
fn entries_of_a_bundle_refer_to_each_other_by_place() {
    let text = r#"
[let]
patient = 'urn("patient")'
[set]
type = '"collection"'
[[entry]]
resource = "Patient"
url = '$patient'
use = "common/patient"
with = { number = 'PID-3.1' }
set = { active = 'false' }
[[for]]
each = "ORDER"
let = { order = 'urn("order")', number = 'ORC-2.1' }
[[for.entry]]
resource = "Basic"
url = '$order'
set = { code.text = '$number | required', subject.reference = '$patient' }
[[for.for]]
each = "NTE"
[[for.for.entry]]
resource = "Basic"
set = { code.text = '$index + " of " + $number', subject.reference = '$order' }
"#;
    let (mapping, findings) = bundle(text, &[PATIENT]);
    assert!(findings.is_empty(), "{findings}");
    let output = mapping.unwrap().run(&fixture("hl7v2/rde_o11_two_orders.hl7"), &context()).unwrap();
    let json: Json = serde_json::from_slice(&output[0].body).unwrap();
    let entries = json["entry"].as_array().unwrap();
    let patient = &entries[0];
    assert_eq!(patient["resource"]["active"], false, "an own rule wins");
    assert_eq!(patient["resource"]["identifier"][0]["use"], "official");
    let texts: Vec<&str> =
        entries[1..].iter().map(|entry| entry["resource"]["code"]["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["RX88-1", "1 of RX88-1", "RX88-2"]);
    assert_eq!(entries[1]["resource"]["subject"]["reference"], patient["fullUrl"]);
    assert_eq!(entries[2]["resource"]["subject"]["reference"], entries[1]["fullUrl"]);
    let mut urls: Vec<&str> = entries.iter().map(|entry| entry["fullUrl"].as_str().unwrap()).collect();
    urls.sort_unstable();
    urls.dedup();
    assert_eq!(urls.len(), entries.len());
}

#[test]
fn mistakes_with_names_and_fragments_are_found() {
    let patient = "[set]\ntype = '\"collection\"'\n[[entry]]\nresource = 'Patient'\n";
    let cases = [
        ("use = 'common/patient'\n", codes::FRAGMENT_UNFIT, "needs `number`"),
        ("use = 'common/patinet'\nwith = { number = 'PID-3' }\n", codes::UNKNOWN_FRAGMENT, "no fragment"),
        ("use = 'common/patient'\nwith = { nmuber = 'PID-3', number = 'PID-3' }\n", codes::FRAGMENT_UNFIT, "`nmuber`"),
        ("set = { active = 'true' }\nwith = { number = 'PID-3' }\n", codes::UNKNOWN_KEY, "none is used"),
        ("set = { gender = '$gender' }\n", codes::EXPRESSION, "there is no `$gender`"),
        ("let = { number = 'PID-3' }\nset = { active = 'true' }\n", codes::UNUSED, "nothing uses"),
        ("let = { index = 'PID-3' }\nset = { active = 'true' }\n", codes::DUPLICATE, "has a meaning"),
        ("set = { actve = 'true' }\n", codes::NO_ELEMENT, "actve"),
        (
            "[[for]]\neach = 'NTE'\nafter = 'ORC'\n[[for.entry]]\nresource = 'Basic'\nset = { code.text = '\"x\"' }\n",
            codes::UNKNOWN_KEY,
            "`after`",
        ),
        (
            "[[entry.for]]\neach = 'PID-13'\nto = 'telecom'\n[[entry.for.for]]\neach = 'NTE'\nto = 'x'\nset = { a = '.1' }\n",
            codes::SOURCE_PATH,
            "is relative",
        ),
    ];
    for (text, code, message) in cases {
        let (_, findings) = bundle(&format!("{patient}{text}"), &[PATIENT]);
        let found = findings.iter().any(|finding| finding.code == code && finding.message.contains(message));
        assert!(found, "{text}: {findings}");
    }
    let (_, unknown_list) = bundle("[[for]]\neach = 'NTE'\nto = 'entri'\nuse = 'common/patient'\n", &[PATIENT]);
    assert!(unknown_list.iter().all(|finding| finding.code != codes::FRAGMENT_UNFIT), "{unknown_list}");
    let own = "fragment = 'common/patient'\nfrom = 'hl7v2'\nto = 'fhir Patient'\nuse = 'common/patient'\n";
    let (_, findings) = bundle(&format!("{patient}use = 'common/patient'\n"), &[(PATIENT.0, own)]);
    assert!(findings.iter().any(|finding| finding.message.contains("uses itself")), "{findings}");
    let wrong = PATIENT.1.replace("active = 'true'", "actve = 'true'");
    let given = format!("{patient}use = 'common/patient'\nwith = {{ number = 'PID-3' }}\n");
    let (_, of_fragment) = bundle(&given, &[(PATIENT.0, &wrong)]);
    let places: Vec<_> = of_fragment.iter().map(|finding| (finding.file.as_str(), finding.line)).collect();
    assert_eq!(places, [(PATIENT.0, 8)], "in the fragment's own file");
}

#[test]
fn a_value_that_cannot_be_read_is_nothing_when_it_is_attempted_and_goes_nowhere() {
    let mapping = small("[set]\nbirthDate = 'attempt(PID-7 | date)'\n");
    let message = "MSH|^~\\&|HIS|K|||20261105||RDE^O11|1|P|2.5.1\rPID|||1||||20261340\r";
    let document = Document::Hl7v2(hl7v2::Document::read(message.as_bytes().into(), CharsetRule::default()).unwrap());
    let (outputs, lineage) = mapping.explain(&document, &context()).unwrap();
    assert_eq!(String::from_utf8_lossy(&outputs[0].body), "{\"resourceType\":\"Patient\"}");
    assert!(lineage.nowhere.iter().any(|one| one.path == "PID-7"), "{lineage:?}");
}
