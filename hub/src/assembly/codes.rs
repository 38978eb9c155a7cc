//! Codes of tables, added to a running hub.
//!
//! In come a table, a code and what it stands for; out goes the table's file with a row more, and the hub on the
//! configuration that has it. Promised: the file is whole at any time, and is not touched if the configuration
//! would have errors with the row (H7). Refused: tables that the configuration of now does not have.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::reload::off_the_runtime;
use super::{Assembly, StartError};
use crate::admin::{CodeError, NewCode, ReloadError};
use crate::mapping::{RowError, add_row};
use crate::routes::Configuration;

impl Assembly {
    /// Adds a code to the file of its table, and reloads. Gives the hash of the configuration.
    pub(super) async fn add_code(&self, new: &NewCode) -> Result<String, CodeError> {
        let _one = self.reloading.lock().await;
        // Names of files are those that were loaded: a name from outside leads nowhere else.
        let name = self.hub.live.load().configuration.tables.get(&new.table).cloned().ok_or(CodeError::NoTable)?;
        let path = self.routes_file.parent().unwrap_or(Path::new(".")).join(&name);
        let path = fs::canonicalize(path).map_err(unwritable)?;
        let text = fs::read_to_string(&path).map_err(unwritable)?;
        let changed = add_row(&text, &new.table, &new.code, &new.row).map_err(|error| match error {
            RowError::Exists => CodeError::Exists,
            RowError::NotATable => CodeError::NotATable,
        })?;
        let (routes, with) = (self.routes_file.clone(), changed.clone());
        let loaded = off_the_runtime(move || Configuration::load_with(&routes, &name, &with)).await;
        let loaded = loaded.map_err(|findings| CodeError::Reload(ReloadError::Findings(findings)))?;
        let written = tokio::task::spawn_blocking(move || replace(&path, &changed)).await;
        written.map_err(io::Error::other).and_then(|written| written).map_err(unwritable)?;
        fail::fail_point!("codes.after_write");
        self.take_up(Ok(loaded)).await.map_err(|error| CodeError::Reload(told(error)))
    }
}

/// Why a reload changed nothing, for whoever asked; the rest is in the log.
pub(super) fn told(error: StartError) -> ReloadError {
    match error {
        StartError::Configuration(findings) => ReloadError::Findings(findings),
        other => {
            tracing::error!(error = %other, "the configuration stays as it was");
            ReloadError::Part
        }
    }
}

fn unwritable(error: io::Error) -> CodeError {
    tracing::error!(%error, "the file of a table cannot be changed");
    CodeError::Unwritable
}

/// Replaces a file at once. Its new text is on disk under another name first, which no configuration reads.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let new = folder.join(format!(".{}.new", name.to_string_lossy()));
    let mut file = File::create(&new)?;
    file.set_permissions(fs::metadata(path)?.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_who_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
