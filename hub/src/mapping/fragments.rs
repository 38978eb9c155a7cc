//! Rules that several mappings share.
//!
//! In come the files in the folders below `mappings/`; out go fragments by name. Promised: a fragment is called like
//! its file. Refused: two of one name. What is in a fragment is checked where it is used, for it depends on the
//! message it is used for.

use std::cell::Cell;
use std::sync::Arc;

use indexmap::IndexMap;

use super::files::stem;
use super::parse::{DeclaredFragment, parse_fragment};
use crate::finding::{Finding, Findings, SourceText, codes};

/// All fragments of a configuration.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    by_name: IndexMap<String, Fragment>,
}

#[derive(Debug)]
struct Fragment {
    declared: DeclaredFragment,
    is_used: Cell<bool>,
}

impl Fragments {
    pub fn read(files: &[Arc<SourceText>]) -> (Fragments, Findings) {
        let mut findings = Findings::new();
        let mut fragments = Fragments::default();
        for source in files {
            let (declared, found) = parse_fragment(source);
            findings.extend(found);
            let Some(declared) = declared else { continue };
            let name = declared.name.value.clone();
            let expected = source.name().strip_prefix("mappings/").and_then(|path| path.strip_suffix(".toml"));
            if expected != Some(name.as_str()) {
                let message = format!("the fragment is called `{name}` and its file is not");
                let finding = Finding::error(codes::BAD_VALUE, source, declared.name.span.clone(), message);
                let path = expected.or_else(|| stem(source.name())).unwrap_or_default();
                findings.push(finding.with_help(format!("call it `{path}`, or move the file")));
            }
            fragments.by_name.insert(name, Fragment { declared, is_used: Cell::new(false) });
        }
        (fragments, findings)
    }

    /// A fragment, which from now on counts as used.
    pub fn find(&self, name: &str) -> Option<&DeclaredFragment> {
        let found = self.by_name.get(name)?;
        found.is_used.set(true);
        Some(&found.declared)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Warns of those that no mapping uses.
    pub fn unused(&self) -> Findings {
        let mut findings = Findings::new();
        for fragment in self.by_name.values().filter(|fragment| !fragment.is_used.get()) {
            let name = &fragment.declared.name;
            let message = format!("no mapping uses the fragment `{}`", name.value);
            findings.push(Finding::warning(codes::UNUSED, &fragment.declared.body.origin, name.span.clone(), message));
        }
        findings
    }
}
