//! A folder for one test, under `target/tests`: empty at the start, and left there for whoever looks into a failure.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Fallible;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// A folder of a test.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it anew.
    pub fn new(name: &str) -> Fallible<Folder> {
        let path = target().join("tests").join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A folder in it, made if it is not there.
    pub fn folder(&self, name: &str) -> Fallible<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Writes a file in it and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Fallible<PathBuf> {
        let path = self.0.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)?;
        Ok(path)
    }

    /// Copies the repository's mappings of prescriptions and its tables into it, where routes of a test expect them.
    /// The others would only be compiled at each start and each reload.
    pub fn copy_mappings(&self) -> Fallible<()> {
        self.copy_mappings_if(|name| name.starts_with("mappings/tables/") || name.contains("prescription"))
    }

    /// Copies the shipped routes and all mappings into it.
    pub fn copy_configuration(&self) -> Fallible<()> {
        self.write("routes.toml", fs::read(workspace().join("routes.toml"))?)?;
        self.copy_mappings_if(|_| true)
    }

    fn copy_mappings_if(&self, wanted: impl Fn(&str) -> bool) -> Fallible<()> {
        for file in files_under(&workspace().join("mappings"))? {
            let name = file.strip_prefix(workspace())?.to_string_lossy().into_owned();
            if wanted(&name) {
                self.write(&name, fs::read(&file)?)?;
            }
        }
        Ok(())
    }
}

/// All files in a folder and its folders.
pub fn files_under(folder: &Path) -> Fallible<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(files_under(&path)?) } else { files.push(path) }
    }
    Ok(files)
}
