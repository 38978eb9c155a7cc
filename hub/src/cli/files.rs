//! Files of messages that commands are given.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;

use super::Exit;
use super::output::Failure;

/// Largest file in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Reads a whole file; `-` is standard input.
pub fn read(path: &Path) -> Result<Bytes, Failure> {
    let fail = |error: std::io::Error| Failure::new(Exit::Io, format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX.saturating_add(1);
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(fail)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > FILE_BYTES_MAX) {
        return Err(Failure::new(Exit::Failed, format!("{} is over {FILE_BYTES_MAX} bytes", path.display())));
    }
    Ok(bytes.into())
}
