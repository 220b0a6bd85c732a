//! The files of still frames, for the frames after them that are the same.
//!
//! With `skip_still` a camera's state stays as it is while nothing moves, so that a frame whose
//! samples are those of an earlier one has that one's matte, picture and file. Cameras give such
//! frames more often than one would think: what encodes video leaves out a picture that is like the
//! one before, and what shows a screen or a photo sends the same again.
//!
//! A file is kept under a hash of everything that it depends on. So it makes no difference which
//! thread made it, for which camera, or whether it is still there: a frame has the same file either
//! way.
use super::tools::ToolKey;
use image::RgbImage;
use mattebox_core::{compose::Background, matte::CoarseMatte};
use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use xxhash_rust::xxh3::Xxh3;

/// What all files together may take, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// How many there may be.
const MAX_FILES: usize = 4096;
/// How many still frames are remembered without their files.
const MAX_GLIMPSES: usize = 4096;

/// The files of still frames that were used last.
#[derive(Debug)]
pub struct StillFiles {
    /// Other in every process, so that it is hard to prepare pictures with the same hash.
    seed: u64,
    files: Mutex<StillFileSlots>,
}

/// Everything that a file depends on, as 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StillKey(u128);

#[derive(Debug, Default)]
struct StillFileSlots {
    bytes: usize,
    /// What the last still frames looked like: a file is kept for a frame that looks like one of
    /// them, so that noise costs next to nothing.
    glimpses: VecDeque<u64>,
    /// The one that was used last is the last.
    kept: VecDeque<(StillKey, Arc<[u8]>)>,
}

impl Default for StillFiles {
    fn default() -> Self {
        StillFiles {
            seed: RandomState::new().hash_one(0),
            files: Mutex::default(),
        }
    }
}

impl StillFiles {
    /// The key of a frame's file. `None`: no frame looked like it.
    pub(super) fn key(
        &self,
        tools: &ToolKey,
        picture: &RgbImage,
        coarse: &CoarseMatte,
        background: &Background,
    ) -> Option<StillKey> {
        let mut glimpse = Xxh3::with_seed(self.seed);
        coarse.for_each_sample(|part| glimpse.update(part));
        if !self.files().saw(glimpse.digest()) {
            return None;
        }
        let mut hash = Xxh3::with_seed(self.seed);
        hash.update(format!("{tools:?}").as_bytes());
        coarse.for_each_part(|part| hash.update(part));
        hash.update(picture);
        let (kind, content): (u8, &[u8]) = match background {
            Background::Color(colour) => (0, colour),
            Background::Transparent => (1, &[]),
            Background::Blur { sigma } => (2, &sigma.to_ne_bytes()),
            Background::Picture(picture) => (3, picture),
        };
        hash.update(&[kind]);
        hash.update(content);
        Some(StillKey(hash.digest128()))
    }

    /// A file that is kept.
    pub(super) fn get(&self, key: StillKey) -> Option<Arc<[u8]>> {
        let mut files = self.files();
        let at = files.kept.iter().rposition(|(other, _)| *other == key)?;
        let used = files.kept.remove(at)?;
        let file = used.1.clone();
        files.kept.push_back(used);
        Some(file)
    }

    /// Keeps a file. Those that were not used for the longest time go.
    pub(super) fn keep(&self, key: StillKey, file: &[u8]) {
        let mut files = self.files();
        if file.len() > MAX_BYTES || files.kept.iter().any(|(other, _)| *other == key) {
            return;
        }
        files.bytes += file.len();
        files.kept.push_back((key, file.into()));
        while (files.bytes > MAX_BYTES || files.kept.len() > MAX_FILES)
            && let Some((_, gone)) = files.kept.pop_front()
        {
            files.bytes -= gone.len();
        }
    }

    fn files(&self) -> MutexGuard<'_, StillFileSlots> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StillFileSlots {
    /// Whether a frame looked like this before.
    fn saw(&mut self, glimpse: u64) -> bool {
        if self.glimpses.contains(&glimpse) {
            return true;
        }
        if self.glimpses.len() >= MAX_GLIMPSES {
            self.glimpses.pop_front();
        }
        self.glimpses.push_back(glimpse);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_the_longest_time_goes() {
        let files = StillFiles::default();
        let third = vec![0; MAX_BYTES / 3];
        for key in [1, 2, 3] {
            files.keep(StillKey(key), &third);
        }
        assert!(files.get(StillKey(1)).is_some());
        files.keep(StillKey(4), &third);
        files.keep(StillKey(5), &vec![0; MAX_BYTES + 1]);
        let there = [1, 2, 3, 4, 5].map(|key| files.get(StillKey(key)).is_some());
        assert_eq!(there, [true, false, true, true, false]);
        assert!(files.files().bytes <= MAX_BYTES);
    }
}
