//! Every code that the hub may show has a page, and every page has a code.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hub::finding::codes;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files_under(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(files_under(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

/// The codes in a text, comments apart: those may speak of ranges.
fn codes_in(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.match_indices("HUB").map(move |(at, _)| line.get(at..at + 7)))
        .flatten()
        .filter(|code| code.bytes().skip(3).all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

fn codes_in_sources() -> io::Result<BTreeSet<String>> {
    let mut found: BTreeSet<String> = codes::ALL.iter().map(ToString::to_string).collect();
    for folder in ["hub/src", "adapters/src"] {
        for path in files_under(&root().join(folder))? {
            if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(codes_in(&fs::read_to_string(path)?));
            }
        }
    }
    Ok(found)
}

fn pages() -> io::Result<BTreeSet<String>> {
    let pages = files_under(&root().join("docs/errors"))?;
    Ok(pages.iter().filter_map(|page| Some(page.file_stem()?.to_str()?.to_owned())).collect())
}

#[test]
fn every_code_in_the_sources_has_a_page_and_every_page_has_a_code() -> io::Result<()> {
    let (codes, pages) = (codes_in_sources()?, pages()?);
    assert!(codes.len() > 100, "only {} codes were found", codes.len());
    let without_page: Vec<_> = codes.difference(&pages).collect();
    let without_code: Vec<_> = pages.difference(&codes).collect();
    assert!(without_page.is_empty(), "codes without a page: {without_page:?}");
    assert!(without_code.is_empty(), "pages without a code: {without_code:?}");
    Ok(())
}

#[test]
fn every_page_begins_with_its_code_and_says_what_to_do() -> io::Result<()> {
    for code in pages()? {
        let text = fs::read_to_string(root().join(format!("docs/errors/{code}.md")))?;
        let title = text.lines().next().and_then(|line| line.strip_prefix(&format!("# {code}: ")));
        assert!(title.is_some_and(|title| !title.trim().is_empty()), "{code} does not begin with its code and title");
        let advice = text.split_once("## What to do").map(|(_, rest)| rest.trim());
        assert!(advice.is_some_and(|advice| !advice.is_empty()), "{code} does not say what to do");
    }
    Ok(())
}

#[test]
fn a_code_is_found_in_a_text_and_not_in_a_comment() {
    let text = "let a = \"HUB0101 x\";\n    /// HUB0102\n// HUB0103\nf(\"HUBx\", \"HUB01\", \"HUB0104\")";
    assert_eq!(codes_in(text), ["HUB0101", "HUB0104"]);
}
