//! The mappings and tables of a configuration.
//!
//! In come the texts of `mappings/*.toml`, of `mappings/tables/*.toml`, of fragments in the other folders below
//! `mappings/`, and samples beside them; out go compiled mappings by name.
//! Promised: every file is read, whatever is wrong with another. Refused: two mappings of one name.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::bases::Bases;
use super::check::{Shared, check};
use super::compile::{Compiler, Ground};
use super::expression::PathKind;
use super::fragments::Fragments;
use super::interned::Interned;
use super::parse::parse;
use super::plan::Mapping;
use super::run::Question;
use super::tables::Tables;
use crate::finding::{Finding, Findings, SourceText, Text, codes};

/// Tables that functions read by themselves, named by no expression.
const IMPLICIT_TABLES: [&str; 2] = ["systems", "units"];

/// Everything below `mappings/`.
#[derive(Debug, Default)]
pub(crate) struct MappingFiles {
    /// Mappings that compiled, by name.
    pub mappings: IndexMap<String, Arc<Mapping>>,
    /// Names of all mappings, also of those that did not.
    pub names: Vec<String>,
    pub tables: Tables,
    fragments: Fragments,
    interned: Interned,
    /// Tables that a mapping or a question names.
    used_tables: BTreeSet<String>,
}

impl MappingFiles {
    /// Compiles all mappings.
    pub fn read(
        mapping_files: &[Arc<SourceText>],
        fragment_files: &[Arc<SourceText>],
        table_files: &[Arc<SourceText>],
        samples: &[Arc<SourceText>],
    ) -> (MappingFiles, Findings) {
        let (tables, mut findings) = Tables::read(table_files);
        let (fragments, fragment_findings) = Fragments::read(fragment_files);
        findings.extend(fragment_findings);
        let mut files = MappingFiles { tables, fragments, ..MappingFiles::default() };
        files.used_tables.extend(IMPLICIT_TABLES.map(str::to_owned));
        let mut bases = Bases::default();
        for source in mapping_files {
            let (declared, found) = parse(source);
            let is_whole = !found.has_errors();
            findings.extend(found);
            let Some(mut declared) = declared else {
                files.names.extend(stem(source.name()).map(str::to_owned));
                continue;
            };
            findings.extend(files.called(source, &declared.name));
            for (name, table) in declared.tables.drain(..) {
                findings.extend(files.tables.add(source, name, table));
            }
            bases.add(declared, is_whole);
        }
        for (name, is_whole) in bases.names() {
            let (declared, found) = bases.whole(&name, &files.names);
            let is_whole = is_whole && !found.has_errors();
            findings.extend(found);
            let Some(declared) = declared else { continue };
            let checked = check(&declared, files.shared(samples));
            // What is missing may be what could not be read.
            if is_whole && !checked.findings.has_errors() {
                findings.extend(checked.missing);
            }
            findings.extend(checked.findings);
            files.used_tables.extend(checked.used_tables);
            if let Some(mapping) = checked.mapping {
                files.mappings.insert(name, Arc::new(mapping));
            }
        }
        (files, findings)
    }

    /// Takes the name of a mapping, which is that of its file.
    fn called(&mut self, source: &Arc<SourceText>, text: &Text) -> Findings {
        let (mut findings, name) = (Findings::new(), &text.value);
        if self.names.contains(name) {
            let message = format!("there are two mappings called `{name}`");
            findings.push(Finding::error(codes::DUPLICATE, source, text.span.clone(), message));
        }
        if stem(source.name()) != Some(name.as_str()) {
            let message = format!("the mapping is called `{name}` and its file is not");
            let finding = Finding::error(codes::BAD_VALUE, source, text.span.clone(), message);
            findings.push(finding.with_help(format!("rename the file to `{name}.toml`, or the mapping")));
        }
        self.names.push(name.clone());
        findings
    }

    fn shared<'s>(&'s self, samples: &'s [Arc<SourceText>]) -> Shared<'s> {
        Shared { fragments: &self.fragments, tables: &self.tables, interned: &self.interned, samples }
    }

    /// Compiles a question of documents of one kind. What is wrong with it is added to `findings`.
    pub fn question(
        &mut self,
        text: &Text,
        kind: PathKind,
        source: &Arc<SourceText>,
        findings: &mut Findings,
    ) -> Option<Question> {
        let mut compiler = Compiler::new(source, &self.tables, &self.interned);
        let ground = Ground { is_condition: true, ..Ground::of(kind) };
        let compiled = compiler.condition(text, ground);
        findings.extend(compiler.findings);
        self.used_tables.extend(compiler.used_tables);
        compiled.map(|compiled| Question { op: compiled.op })
    }

    /// Warns of tables and fragments that nothing names. A mapping without a route is no mistake: a route may come.
    pub fn unused(&self) -> Findings {
        let mut findings = Findings::new();
        for (source, name) in self.tables.places().filter(|(_, name)| !self.used_tables.contains(&name.value)) {
            let message = format!("no mapping and no route uses the table `{}`", name.value);
            findings.push(Finding::warning(codes::UNUSED, source, name.span.clone(), message));
        }
        findings.extend(self.fragments.unused());
        findings
    }
}

/// The name of a file without folder and `.toml`.
pub(super) fn stem(name: &str) -> Option<&str> {
    name.rsplit('/').next()?.strip_suffix(".toml")
}
