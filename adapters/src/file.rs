//! A way out into a folder.
//!
//! In come parcels; out go files, whole or not at all: written under a hidden name, on disk before they are
//! renamed, the folder on disk before the verdict. Promised: the name follows from the idempotency key alone,
//! so that a repeat finds what an earlier attempt left and writes no second file (H3), as long as the reader
//! of the folder has not taken it away. Refused: another content under a name that is taken.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::limits::FileLimits;
use crate::{Parcel, Sink, Verdict};

/// The owner writes, its group reads: a file may hold patient data.
const FILE_MODE: u32 = 0o640;

/// The longest name that is made of a key alone, in bytes. File systems take 255.
const NAME_BYTES_MAX: usize = 200;

/// What is kept of a longer one before its hash.
const NAME_BYTES_KEPT: usize = 120;

/// Writes into one folder.
pub struct FileSink {
    folder: Arc<Path>,
    extension: String,
    limits: FileLimits,
    writers: Arc<Semaphore>,
}

/// What came of one attempt to write.
#[derive(Debug, PartialEq, Eq)]
enum Put {
    Written,
    AlreadyThere,
    /// Another content has the name.
    NameTaken,
    /// Another attempt is writing it.
    Busy,
}

impl FileSink {
    /// Files `*.extension` in `folder`, which must exist when something is delivered.
    pub fn new(folder: PathBuf, extension: &str, limits: FileLimits) -> FileSink {
        let writers = Arc::new(Semaphore::new(limits.writers_max.max(1)));
        FileSink { folder: folder.into(), extension: escape(extension.trim_start_matches('.')), limits, writers }
    }

    /// The name of the file that a delivery is written to.
    pub fn file_name(&self, idempotency_key: &str) -> String {
        let stem = stem(idempotency_key);
        if self.extension.is_empty() { stem } else { format!("{stem}.{}", self.extension) }
    }

    async fn put(&self, name: String, body: Bytes) -> Option<std::io::Result<Put>> {
        let permit = Arc::clone(&self.writers).acquire_owned().await.ok()?;
        let folder = Arc::clone(&self.folder);
        let writing = tokio::task::spawn_blocking(move || {
            // Held by the thread itself: a disk that hangs cannot use up more threads than this.
            let _permit = permit;
            put(&folder, &name, &body)
        });
        Some(writing.await.unwrap_or_else(|error| Err(std::io::Error::other(error))))
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn deliver(&self, parcel: &Parcel) -> Verdict {
        let putting = self.put(self.file_name(&parcel.idempotency_key), parcel.body.clone());
        match tokio::time::timeout(self.limits.write_deadline, putting).await {
            Ok(Some(Ok(Put::Written))) => Verdict::Delivered { answer: "written".to_owned() },
            Ok(Some(Ok(Put::AlreadyThere))) => Verdict::Delivered { answer: "was already there".to_owned() },
            Ok(Some(Ok(Put::NameTaken))) => {
                Verdict::Rejected { reason: "a file of this name has another content".to_owned() }
            }
            Ok(Some(Ok(Put::Busy))) => retry("another attempt is writing this file".to_owned()),
            Ok(Some(Err(error))) => retry(format!("cannot write: {}", error.kind())),
            Ok(None) => Verdict::default(),
            Err(_) => retry("writing took too long".to_owned()),
        }
    }
}

fn retry(reason: String) -> Verdict {
    Verdict::Retry { reason, after: None }
}

/// Writes `body` to `name` in `folder`. Blocks.
fn put(folder: &Path, name: &str, body: &[u8]) -> std::io::Result<Put> {
    let path = folder.join(name);
    if let Some(found) = find(folder, &path, body)? {
        return Ok(found);
    }
    let part = folder.join(format!(".{name}.part"));
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&part)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Put::Busy),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if !is_same_file(&file, &part)? {
        return Ok(Put::Busy);
    }
    let written = match find(folder, &path, body)? {
        Some(found) => Ok(found),
        None => write(&file, &part, &path, body).and_then(|()| sync_folder(folder)).map(|()| Put::Written),
    };
    if !matches!(written, Ok(Put::Written)) {
        // What it holds is of no use to the next attempt, and a full disk needs the space.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// What is there already. A file that an earlier attempt left is brought to disk before it counts.
fn find(folder: &Path, path: &Path, body: &[u8]) -> std::io::Result<Option<Put>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() != u64::try_from(body.len()).unwrap_or(u64::MAX) {
        return Ok(Some(Put::NameTaken));
    }
    let mut content = Vec::with_capacity(body.len());
    file.read_to_end(&mut content)?;
    if content != body {
        return Ok(Some(Put::NameTaken));
    }
    file.sync_all()?;
    sync_folder(folder)?;
    Ok(Some(Put::AlreadyThere))
}

/// Whether the file that was opened still has its name: another attempt may have finished with it.
fn is_same_file(file: &File, path: &Path) -> std::io::Result<bool> {
    let opened = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((opened.dev(), opened.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(mut file: &File, part: &Path, path: &Path, body: &[u8]) -> std::io::Result<()> {
    if file.metadata()?.len() > 0 {
        file.set_len(0)?;
    }
    file.write_all(body)?;
    file.sync_all()?;
    std::fs::rename(part, path)
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A name that stands for this key and no other.
fn stem(key: &str) -> String {
    let escaped = escape(key);
    if escaped.len() <= NAME_BYTES_MAX {
        return escaped;
    }
    let kept: String = escaped.chars().take(NAME_BYTES_KEPT).collect();
    let hash: String = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kept}~~{hash}")
}

/// Letters, digits, `-`, `_` and inner dots stay; other bytes become `~` and two hexadecimal digits.
fn escape(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && !name.is_empty());
        if is_plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("~{byte:02x}"));
        }
    }
    name
}

#[cfg(test)]
mod tests;
