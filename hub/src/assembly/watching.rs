//! Watches the files of the configuration, and reloads when they have changed and come to rest.
//!
//! The files are looked at, not listened to: an editor that writes by renaming, a network folder and a
//! mounted volume are all seen the same way.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::{Assembly, StartError};

/// How often the files are looked at. A change is taken up when two looks see the same.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Files that are looked at, at most.
const FILES_MAX: usize = 10_000;

/// What the files look like from outside: path, time of change, size.
type Look = Vec<(std::path::PathBuf, Option<SystemTime>, u64)>;

/// Watches until `stop` is true.
pub async fn watch_files(assembly: Arc<Assembly>, mut stop: watch::Receiver<bool>) {
    let mut loaded = look(&assembly.routes_file);
    let mut before = loaded.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let now = look(&assembly.routes_file);
        if now != loaded && now == before {
            loaded.clone_from(&now);
            reload_and_tell(&assembly).await;
        }
        before = now;
    }
}

/// Reloads, and writes into the log what came of it.
pub async fn reload_and_tell(assembly: &Assembly) {
    match assembly.reload().await {
        Ok(_) => {}
        Err(StartError::Configuration(findings)) => {
            for finding in findings.iter() {
                tracing::error!(?finding, "the configuration stays as it was");
            }
        }
        Err(error) => tracing::error!(%error, "the configuration stays as it was"),
    }
}

fn look(routes_file: &Path) -> Look {
    let mut seen = Look::new();
    add(&mut seen, routes_file);
    let folder = routes_file.parent().unwrap_or(Path::new(".")).join("mappings");
    let mut folders = vec![folder];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if seen.len() >= FILES_MAX {
                return seen;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                add(&mut seen, &path);
            }
        }
    }
    seen.sort();
    seen
}

fn add(seen: &mut Look, path: &Path) {
    let metadata = std::fs::metadata(path).ok();
    let changed = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    seen.push((path.to_owned(), changed, metadata.map_or(0, |metadata| metadata.len())));
}
