//! A line of the journal, as JSON.
use mattebox_core::frame::{Block, CameraId, SessionKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version that is written, and the newest one that is read.
const VERSION: u32 = 1;

/// Why bytes are no line.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LineError {
    /// They are not a line of any version.
    #[error("it is not a line of a journal of names: {0}")]
    Damaged(String),
    /// A newer version of the program wrote it.
    #[error(
        "it has version {0}, this program reads up to version {VERSION}: upgrade this program first"
    )]
    Version(u32),
}

/// One entry of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalEntry {
    /// A session begins a block.
    Begin {
        /// The session.
        session: SessionKey,
        /// Its block.
        block: Block,
        /// The partition that has its frames.
        by: String,
    },
    /// Another partition has frames of a session, too.
    Join {
        /// The session.
        session: SessionKey,
        /// The partition.
        by: String,
    },
    /// A block ends at another name than before.
    End {
        /// The session.
        session: SessionKey,
        /// The first number of the block.
        first: u64,
        /// The name after its last one.
        end: u64,
        /// The partition that has its frames.
        by: String,
    },
}

impl JournalEntry {
    /// A session begins a block.
    pub fn begin(session: &SessionKey, block: Block, by: &str) -> Self {
        JournalEntry::Begin {
            session: session.clone(),
            block,
            by: by.to_owned(),
        }
    }
}

/// Entries that one writer has appended together for a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalLine {
    /// The camera.
    pub camera: CameraId,
    /// In their order.
    pub entries: Vec<JournalEntry>,
}

#[derive(Serialize, Deserialize)]
struct RawLine {
    version: u32,
    camera: String,
    entries: Vec<RawEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "entry")]
enum RawEntry {
    Begin {
        session: String,
        first: u64,
        base: i64,
        start: u64,
        end: u64,
        by: String,
    },
    Join {
        session: String,
        by: String,
    },
    End {
        session: String,
        first: u64,
        end: u64,
        by: String,
    },
}

impl JournalLine {
    /// The line as JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let raw = RawLine {
            version: VERSION,
            camera: self.camera.to_string(),
            entries: self.entries.iter().map(RawEntry::from).collect(),
        };
        serde_json::to_vec(&raw).unwrap_or_default()
    }

    /// Reads the bytes of [`JournalLine::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LineError> {
        let damaged = |error: &dyn ToString| LineError::Damaged(error.to_string());
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(bytes).map_err(|e| damaged(&e))?;
        if version > VERSION {
            return Err(LineError::Version(version));
        }
        let raw: RawLine = serde_json::from_slice(bytes).map_err(|e| damaged(&e))?;
        let entries = raw.entries.into_iter().map(RawEntry::checked);
        Ok(JournalLine {
            camera: raw.camera.parse().map_err(|e| damaged(&e))?,
            entries: entries
                .collect::<Option<_>>()
                .ok_or_else(|| damaged(&"a session or block is impossible"))?,
        })
    }
}

impl From<&JournalEntry> for RawEntry {
    fn from(entry: &JournalEntry) -> Self {
        match entry {
            JournalEntry::Begin { session, block, by } => RawEntry::Begin {
                session: session.to_string(),
                first: block.first,
                base: block.base,
                start: block.start,
                end: block.end,
                by: by.clone(),
            },
            JournalEntry::Join { session, by } => RawEntry::Join {
                session: session.to_string(),
                by: by.clone(),
            },
            JournalEntry::End {
                session,
                first,
                end,
                by,
            } => RawEntry::End {
                session: session.to_string(),
                first: *first,
                end: *end,
                by: by.clone(),
            },
        }
    }
}

impl RawEntry {
    fn checked(self) -> Option<JournalEntry> {
        match self {
            RawEntry::Begin {
                session,
                first,
                base,
                start,
                end,
                by,
            } => {
                let session = session.parse().ok()?;
                let block = Block {
                    first,
                    base,
                    start,
                    end,
                };
                block.name(first)?;
                Some(JournalEntry::Begin { session, block, by })
            }
            RawEntry::Join { session, by } => Some(JournalEntry::Join {
                session: session.parse().ok()?,
                by,
            }),
            RawEntry::End {
                session,
                first,
                end,
                by,
            } => Some(JournalEntry::End {
                session: session.parse().ok()?,
                first,
                end,
                by,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> JournalLine {
        let session = SessionKey::Named("s".to_owned());
        let block = Block {
            first: 5,
            base: -3,
            start: 2,
            end: 10_002,
        };
        JournalLine {
            camera: "cam01".parse().unwrap(),
            entries: vec![
                JournalEntry::begin(&session, block, "t/0"),
                JournalEntry::Join {
                    session: session.clone(),
                    by: "t/1".to_owned(),
                },
                JournalEntry::End {
                    session,
                    first: 5,
                    end: 9,
                    by: "t/0".to_owned(),
                },
            ],
        }
    }

    #[test]
    fn a_line_reads_back() {
        assert_eq!(JournalLine::from_bytes(&line().to_bytes()), Ok(line()));
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let text = String::from_utf8(line().to_bytes()).unwrap();
        let newer = text.replace("\"version\":1", "\"version\":2");
        assert_eq!(
            JournalLine::from_bytes(newer.as_bytes()),
            Err(LineError::Version(2))
        );
        for damaged in ["", "{}", &text[..text.len() - 1], "[1]"] {
            let read = JournalLine::from_bytes(damaged.as_bytes());
            assert!(matches!(read, Err(LineError::Damaged(_))), "{damaged}");
        }
        let impossible = text.replace("\"start\":2", "\"start\":7");
        assert!(JournalLine::from_bytes(impossible.as_bytes()).is_err());
    }
}
