//! `hub.ready.json` in the data folder: where a running hub is reached.
//!
//! In come the hub's addresses; out goes a file that other commands read. Promised: the file is there
//! whole or not at all, and follows the addresses when a reload changes them. Refused: nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Its name in the data folder.
const NAME: &str = "hub.ready.json";
/// Its name while it is written.
const NEW_NAME: &str = "hub.ready.json.new";

/// Each source with its address.
type Sources = Vec<(String, SocketAddr)>;

/// What the hub that runs on a data folder says of itself.
pub(super) fn read(data: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(data.join(NAME)).ok()?).ok()
}

/// The file of this hub, as long as it runs.
pub(super) struct ReadyFile {
    path: PathBuf,
    new_path: PathBuf,
    http: SocketAddr,
    told: Mutex<Sources>,
}

impl ReadyFile {
    /// Says for the first time where the hub is reached.
    pub(super) fn write(data: &Path, http: SocketAddr, sources: Sources) -> std::io::Result<ReadyFile> {
        let file = ReadyFile { path: data.join(NAME), new_path: data.join(NEW_NAME), http, told: Mutex::default() };
        file.tell(&sources)?;
        *file.told.lock().unwrap_or_else(PoisonError::into_inner) = sources;
        Ok(file)
    }

    /// Says it again if it has changed.
    pub(super) fn follow(&self, sources: Sources) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if sources == *told {
            return;
        }
        if let Err(error) = self.tell(&sources) {
            tracing::warn!(%error, "cannot say where the hub is reached now");
        }
        *told = sources;
    }

    /// The hub is not reached any more.
    pub(super) fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    fn tell(&self, sources: &Sources) -> std::io::Result<()> {
        let mllp: serde_json::Map<_, _> =
            sources.iter().map(|(name, address)| (name.clone(), address.to_string().into())).collect();
        let ready = serde_json::json!({ "pid": std::process::id(), "mllp": mllp, "http": self.http.to_string() });
        std::fs::write(&self.new_path, ready.to_string())?;
        std::fs::rename(&self.new_path, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, port: u16) -> (String, SocketAddr) {
        (name.to_owned(), ([127, 0, 0, 1], port).into())
    }

    #[test]
    fn the_file_follows_the_addresses_and_goes_with_the_hub() {
        let folder = tempfile::tempdir().unwrap();
        let http = ([127, 0, 0, 1], 8080).into();
        let file = ReadyFile::write(folder.path(), http, vec![source("a", 2575)]).unwrap();
        let read = || -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(folder.path().join(NAME)).unwrap()).unwrap()
        };
        assert_eq!(read()["mllp"], serde_json::json!({ "a": "127.0.0.1:2575" }));
        assert_eq!(read()["http"], "127.0.0.1:8080");
        file.follow(vec![source("a", 2575), source("b", 2576)]);
        assert_eq!(read()["mllp"], serde_json::json!({ "a": "127.0.0.1:2575", "b": "127.0.0.1:2576" }));
        file.remove();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
