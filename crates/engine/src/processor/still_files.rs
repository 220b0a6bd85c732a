//! The files of still frames, for equal frames after them.
//!
//! With `skip_still` a camera's state does not change while nothing moves. A frame with the same
//! pixels as an earlier one then has its matte, picture and file. Such frames are frequent: a video
//! encoder repeats a picture that is like the one before, and a camera that shows a screen or a
//! photo sends the same picture again.
//!
//! A file is kept under a hash of everything that it depends on. So a frame has the same file
//! whether it is kept or made again, by any thread and for any camera.
use super::tools::ToolKey;
use image::RgbImage;
use mattebox_core::{compose::Background, matte::CoarseMatte};
use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use xxhash_rust::xxh3::Xxh3;

/// The size of all files together in bytes, at most.
const MAX_BYTES: usize = 64 << 20;
/// The number of files, at most.
const MAX_FILES: usize = 4096;
/// Still frames that are remembered without their files, at most.
const MAX_GLIMPSES: usize = 4096;

/// The last used files of still frames.
#[derive(Debug)]
pub struct StillFiles {
    /// Random in every process, so that it is hard to prepare pictures with the same hash.
    seed: u64,
    files: Mutex<StillFileSlots>,
}

/// Everything that a file depends on, as 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StillKey(u128);

#[derive(Debug, Default)]
struct StillFileSlots {
    bytes: usize,
    /// Hashes of the last still frames at the network's size. A file is kept only for a frame whose
    /// hash is among them, so that noisy frames cost little.
    glimpses: VecDeque<u64>,
    /// The files in the order of their last use.
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
    /// The key of a frame's file. `None`: no earlier frame looked like it.
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

    /// Keeps a file, in the place of those that were not used for the longest time.
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
    /// Whether an earlier frame looked like this.
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
    fn the_file_that_was_not_used_for_the_longest_time_is_dropped() {
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
