//! The tutorial: what it tells to write is what the hub takes, and what it says that the hub says is said.

use std::fs;

use hub_tests::Fallible;
use hub_tests::folder::{Folder, workspace};
use hub_tests::hub::command;

const MAPPING: &str = "mappings/luxor_to_prescription.toml";
const OK: i32 = 0;
const EXIT_CONFIGURATION: i32 = 78;

/// The blocks of one language in the tutorial, in their order.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let start = format!("```{language}\n");
    text.split(&start).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

struct Luxor(Folder);

impl Luxor {
    fn hub(&self, arguments: &[&str], exit: i32) -> Fallible<String> {
        let routes = self.0.path().join("routes.toml").display().to_string();
        let output = command(&[&["--routes", &routes], arguments].concat())?;
        let said = format!("{}{}", String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        Ok(said)
    }
}

#[test]
fn what_the_tutorial_tells_to_write_is_checked_tested_and_explained_as_it_says() -> Fallible<()> {
    let tutorial = fs::read_to_string(workspace().join("docs/tutorial.md"))?;
    let toml = blocks(&tutorial, "toml");
    let [route, mapping, rules, expected] = toml.as_slice() else { panic!("{} blocks of TOML", toml.len()) };
    let folder = Folder::new("tutorial")?;
    folder.copy_configuration()?;
    let routes = fs::read_to_string(folder.path().join("routes.toml"))?;
    folder.write("routes.toml", format!("{routes}\n{route}\n"))?;
    folder.write(MAPPING, format!("{mapping}\n"))?;
    let luxor = Luxor(folder);
    assert!(luxor.hub(&["check"], OK)?.contains("no findings"));
    assert!(luxor.hub(&["test", "--only", "luxor"], OK)?.contains("1 test passed"));

    let lines: Vec<&str> = mapping.lines().skip_while(|line| !line.starts_with("MSH")).take(7).collect();
    luxor.0.write("luxor.hl7", lines.join("\n"))?;
    let sample = luxor.0.path().join("luxor.hl7").display().to_string();
    let explain = ["explain", "--source", "luxor", &sample];
    let before = luxor.hub(&explain, OK)?;
    assert!(before.contains("\n ZRX-1") && before.contains("rde_o11_to_prescription.toml:47"), "{before}");

    let (head, test) = mapping.split_once("\n[[test]]").ok_or("the mapping has no test")?;
    let whole = format!("{head}\n{rules}\n\n[[test]]{test}\n{expected}\n");
    luxor.0.write(MAPPING, &whole)?;
    let slip = luxor.hub(&["check"], EXIT_CONFIGURATION)?;
    assert!(slip.contains("luxor_to_prescription.toml:9:2") && slip.contains("`courseOfTherapyType`?"), "{slip}");

    luxor.0.write(MAPPING, whole.replace("courseOfTherapyTypes", "courseOfTherapyType"))?;
    assert!(luxor.hub(&["check"], OK)?.contains("no findings"));
    assert!(luxor.hub(&["test", "--only", "luxor"], OK)?.contains("1 test passed"));
    let after = luxor.hub(&explain, OK)?;
    assert!(!after.contains("\n ZRX-1") && after.contains("luxor_to_prescription.toml:14"), "{after}");
    Ok(())
}
