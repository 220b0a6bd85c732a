//! Reads files that settings name, each up to a limit: a device may have no end.
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The largest network or background picture in bytes.
pub const MAX_BINARY: u64 = 512 << 20;
/// The largest settings file in bytes.
pub const MAX_SETTINGS: u64 = 1 << 20;
/// The largest file of a token or a password in bytes.
pub const MAX_SECRET: u64 = 64 << 10;

/// The content of a file, a pipe or a device, at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_open(&File::open(path)?, limit)
}

/// The text of a file of at most `limit` bytes.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    text(read(path, limit)?)
}

/// The text of a file with a token, a password or a key, without line ends behind it. A file that
/// every user of this machine can read is refused. Files on a read-only mount are not, such as the
/// secrets of containers: their mode cannot be changed, and a container has no other users.
pub fn read_secret(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let there = file.metadata()?;
        let is_open = there.is_file() && there.permissions().mode() & 0o004 != 0;
        if is_open && !is_on_read_only_mount(&file) {
            let message = "every user of this machine can read it: run `chmod 600` on it";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
    }
    let secret = text(read_open(&file, MAX_SECRET)?)?;
    Ok(secret.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(unix)]
fn is_on_read_only_mount(file: &File) -> bool {
    let mount = rustix::fs::fstatvfs(file);
    mount.is_ok_and(|mount| mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn read_open(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let limit = match limit >> 20 {
            0 => format!("{} kB", limit >> 10),
            mega => format!("{mega} MB"),
        };
        let message = format!("it is larger than {limit}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    let no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is no text (UTF-8)");
    String::from_utf8(bytes).map_err(no_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_endless_file_is_read_up_to_the_limit() {
        let endless = Path::new("/dev/zero");
        for limit in [MAX_SECRET, MAX_SETTINGS] {
            let error = read(endless, limit).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{error}");
        }
        assert!(read_secret(endless).is_err() && read_text(endless, 9).is_err());
    }

    #[test]
    fn a_file_as_large_as_the_limit_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "123456").unwrap();
        assert_eq!(read_text(&path, 6).unwrap(), "123456");
        assert!(read_text(&path, 5).is_err());
        fs::write(&path, b"\xff").unwrap();
        assert!(read_text(&path, 5).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_every_user_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "secret \r\n").unwrap();
        let allow = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o644, 0o604, 0o444, 0o664] {
            allow(mode);
            let error = read_secret(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{mode:o}: {error}");
        }
        for mode in [0o600, 0o640, 0o400] {
            allow(mode);
            assert_eq!(read_secret(&path).unwrap(), "secret ");
        }
    }
}
