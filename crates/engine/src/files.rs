//! Reads files that settings name.
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The largest network or background picture in bytes. A device may have no end.
const MAX_BYTES: u64 = 512 << 20;

/// The bytes of a file, a pipe or a device, up to a limit.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("it is larger than {} MiB", MAX_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}
