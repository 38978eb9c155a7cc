//! The files of a configuration, read from disk.
//!
//! In comes the path of `routes.toml`; out go its text and those of `mappings/` beside it. Promised:
//! names do not depend on where the folder is, so that equal files give an equal hash on every machine.
//! Refused: files over a limit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::finding::{Finding, Findings, SourceText, codes};

/// Largest file of a configuration in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Most files of a configuration.
const FILES_MAX: usize = 1_000;

/// The folder of the tables.
const TABLES: &str = "mappings/tables";

/// The extension of rules and tables.
const TOML: &str = "toml";

/// Those of samples.
const SAMPLES: [&str; 3] = ["csv", "json", "xml"];

/// The texts of a configuration.
pub(super) struct Files {
    pub routes: Arc<SourceText>,
    pub mappings: Vec<Arc<SourceText>>,
    /// What mappings share: the files in the folders of `mappings/`, but for the tables.
    pub fragments: Vec<Arc<SourceText>>,
    pub tables: Vec<Arc<SourceText>>,
    /// Samples of documents that outlines are taken from.
    pub samples: Vec<Arc<SourceText>>,
    /// The folder of `routes.toml`.
    pub root: PathBuf,
}

impl Files {
    /// Reads all files. What cannot be read is in the findings.
    pub fn read(routes_file: &Path) -> (Files, Findings) {
        let mut findings = Findings::new();
        let root = routes_file.parent().map(Path::to_owned).unwrap_or_default();
        let name = routes_file
            .file_name()
            .map_or_else(|| "routes.toml".to_owned(), |name| name.to_string_lossy().into_owned());
        let routes = read_file(routes_file, name, &mut findings);
        let mappings = read_folder(&root, "mappings", &[TOML], &mut findings);
        let mut folders = folders_of(&root, "mappings");
        folders.retain(|folder| folder != TABLES);
        let mut all = |kinds: &[&str]| -> Vec<Arc<SourceText>> {
            folders.iter().flat_map(|folder| read_folder(&root, folder, kinds, &mut findings)).collect()
        };
        let (fragments, samples) = (all(&[TOML]), all(&SAMPLES));
        let tables = read_folder(&root, TABLES, &[TOML], &mut findings);
        (Files { routes, mappings, fragments, tables, samples, root }, findings)
    }

    /// Another text for the file of this name.
    pub fn replace(&mut self, name: &str, text: &str) {
        for file in self.mappings.iter_mut().chain(&mut self.tables).filter(|file| file.name() == name) {
            *file = Arc::new(SourceText::new(name, text));
        }
    }

    /// Every file, `routes.toml` first, the others by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<SourceText>> {
        let shared = self.fragments.iter().chain(&self.tables).chain(&self.samples);
        std::iter::once(&self.routes).chain(&self.mappings).chain(shared)
    }
}

/// The folders of a folder, by name.
fn folders_of(root: &Path, folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return Vec::new() };
    let folders = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names.iter().map(|name| format!("{folder}/{name}")).collect()
}

/// The files of a folder with one of these extensions, by name. A folder that is not there has none.
fn read_folder(root: &Path, folder: &str, kinds: &[&str], findings: &mut Findings) -> Vec<Arc<SourceText>> {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file() && path.extension().is_some_and(|kind| kinds.iter().any(|one| kind == *one)))
        .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')))
        .collect();
    paths.sort();
    if paths.len() > FILES_MAX {
        let source = Arc::new(SourceText::new(folder, ""));
        findings.push(Finding::error(
            codes::TOO_LARGE,
            &source,
            0..0,
            format!("there are more than {FILES_MAX} files"),
        ));
        paths.truncate(FILES_MAX);
    }
    let name = |path: &Path| format!("{folder}/{}", path.file_name().unwrap_or_default().to_string_lossy());
    paths.iter().map(|path| read_file(path, name(path), findings)).collect()
}

fn read_file(path: &Path, name: String, findings: &mut Findings) -> Arc<SourceText> {
    let text = std::fs::metadata(path).map_err(|error| error.to_string()).and_then(|metadata| {
        if metadata.len() > FILE_BYTES_MAX {
            return Err(format!("the file is larger than {FILE_BYTES_MAX} bytes"));
        }
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    });
    match text {
        Ok(text) => Arc::new(SourceText::new(name, text)),
        Err(problem) => {
            let source = Arc::new(SourceText::new(name, ""));
            let message = format!("the file cannot be read: {problem}");
            findings.push(Finding::error(codes::FILE_UNREADABLE, &source, 0..0, message));
            source
        }
    }
}
