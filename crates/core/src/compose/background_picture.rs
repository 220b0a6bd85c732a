//! One background picture for all cameras and threads of a process.
use super::cover;
use crate::codec::{self, DecodeError, Limits};
use image::RgbImage;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicU32, Ordering::Relaxed},
};

/// Fitted copies that no camera uses any more are kept up to this many bytes: some sizes may
/// return.
const UNUSED_BYTES: usize = 32 << 20;
/// The decoded picture is dropped after this many frames in a row with a known size.
const QUIET_FRAMES: u32 = 24;

/// All pictures that the process still uses.
static PICTURES: Mutex<Vec<Weak<BackgroundPicture>>> = Mutex::new(Vec::new());

/// A background picture that all cameras and threads share.
///
/// It keeps the file's bytes, and a copy for each size of frame. The decoded picture, which is many
/// times as large, is dropped as soon as sizes stop changing. A new size decodes the same bytes
/// again, even if the file has changed.
#[derive(Debug)]
pub struct BackgroundPicture {
    encoded: Box<[u8]>,
    limits: Limits,
    dimensions: (u32, u32),
    checksum: u32,
    decodes: AtomicU32,
    copies: Mutex<FittedCopies>,
}

#[derive(Debug, Default)]
struct FittedCopies {
    decoded: Option<Arc<RgbImage>>,
    /// Frames since the last one with a new size.
    quiet: u32,
    /// One copy for each size; the one used last is last.
    fitted: Vec<Arc<RgbImage>>,
}

impl BackgroundPicture {
    /// The picture in the bytes of a JPEG, PNG or WebP file. The same bytes give the same picture,
    /// as long as it is in use.
    pub fn open(encoded: Vec<u8>, limits: &Limits) -> Result<Arc<Self>, DecodeError> {
        // Locked while decoding: of several threads that open the same file, the first decodes it.
        let mut pictures = lock(&PICTURES);
        pictures.retain(|picture| picture.strong_count() > 0);
        let is_same = |there: &Arc<Self>| there.limits == *limits && *there.encoded == *encoded;
        if let Some(there) = pictures.iter().filter_map(Weak::upgrade).find(is_same) {
            return Ok(there);
        }
        let decoded = codec::decode(&encoded, limits)?;
        let picture = Arc::new(BackgroundPicture {
            checksum: crc32fast::hash(&encoded),
            encoded: encoded.into(),
            limits: *limits,
            dimensions: decoded.dimensions(),
            decodes: AtomicU32::new(1),
            copies: Mutex::new(FittedCopies {
                decoded: Some(Arc::new(decoded)),
                ..FittedCopies::default()
            }),
        });
        pictures.push(Arc::downgrade(&picture));
        Ok(picture)
    }

    /// A checksum of its file, CRC-32.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Width and height of the picture itself.
    pub fn dimensions(&self) -> (u32, u32) {
        self.dimensions
    }

    /// How often its bytes were decoded.
    pub fn decodes(&self) -> u32 {
        self.decodes.load(Relaxed)
    }

    /// The picture that covers a frame of `width` by `height`: see [`cover`]. All callers with the
    /// same size share it.
    pub fn fit(&self, width: u32, height: u32) -> Arc<RgbImage> {
        let mut copies = lock(&self.copies);
        let there = copies
            .fitted
            .iter()
            .position(|copy| copy.dimensions() == (width, height));
        let fitted = match there {
            Some(index) => {
                copies.rest();
                copies.fitted.remove(index)
            }
            None => {
                let decoded = copies.decoded.take().unwrap_or_else(|| self.decode());
                let is_fit = decoded.dimensions() == (width, height);
                let fitted = if is_fit {
                    decoded.clone()
                } else {
                    Arc::new(cover(&decoded, width, height))
                };
                (copies.decoded, copies.quiet) = (Some(decoded), 0);
                fitted
            }
        };
        copies.fitted.push(fitted.clone());
        copies.forget_unused();
        fitted
    }

    /// Drops the decoded picture, which is not needed soon.
    pub fn rest(&self) {
        lock(&self.copies).decoded = None;
    }

    /// Notes a frame with a known size.
    pub(super) fn fitted_again(&self) {
        // Only a hint: it does not wait while another size is made.
        if let Ok(mut copies) = self.copies.try_lock() {
            copies.rest();
        }
    }

    fn decode(&self) -> Arc<RgbImage> {
        self.decodes.fetch_add(1, Relaxed);
        // Cannot fail: the same bytes were decoded before, within the same limits. An empty picture
        // would become a black background.
        Arc::new(codec::decode(&self.encoded, &self.limits).unwrap_or_default())
    }
}

impl FittedCopies {
    fn rest(&mut self) {
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet >= QUIET_FRAMES {
            self.decoded = None;
        }
    }

    /// Drops copies that no camera uses, the longest unused first, until the rest is small enough.
    /// The newest stays.
    fn forget_unused(&mut self) {
        let mut bytes = 0;
        let mut keep: Vec<bool> = Vec::with_capacity(self.fitted.len());
        for copy in self.fitted.iter().rev() {
            let is_used = Arc::strong_count(copy) > 1;
            if !is_used {
                bytes += copy.as_raw().len();
            }
            keep.push(is_used || bytes <= UNUSED_BYTES);
        }
        let mut keep = keep.into_iter().rev();
        self.fitted.retain(|_| keep.next().unwrap_or(true));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::{Encoder, ImageFormat},
        compose::{Background, Composed, FittedBackground},
    };
    use image::Rgb;

    /// A PNG file with stripes. Tests of one process share the pictures, so each uses another
    /// width.
    fn file(width: u32, height: u32) -> Vec<u8> {
        let picture =
            RgbImage::from_fn(width, height, |x, y| Rgb([(x * 3) as u8, (y * 5) as u8, 7]));
        let mut bytes = Vec::new();
        Encoder::new(ImageFormat::Png, 80)
            .encode(&Composed::Rgb(picture), &mut bytes)
            .unwrap();
        bytes
    }

    fn fit(fitted: &mut FittedBackground, width: u32, height: u32) -> Arc<RgbImage> {
        match fitted.fit(width, height) {
            Background::Picture(picture) => picture,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn eight_cameras_decode_a_picture_once_and_share_each_size() {
        let bytes = file(641, 400);
        let open = |_| BackgroundPicture::open(bytes.clone(), &Limits::default()).unwrap();
        let pictures: Vec<_> = (0..8).map(open).collect();
        let mut backdrops: Vec<_> = pictures
            .iter()
            .cloned()
            .map(FittedBackground::picture)
            .collect();
        for (width, height) in [(320, 180), (64, 64)] {
            let fitted: Vec<_> = backdrops
                .iter_mut()
                .map(|fitted| fit(fitted, width, height))
                .collect();
            assert!(fitted.iter().all(|copy| Arc::ptr_eq(copy, &fitted[0])));
        }
        assert!(
            pictures
                .iter()
                .all(|picture| Arc::ptr_eq(picture, &pictures[0]))
        );
        assert_eq!(pictures[0].decodes(), 1);
    }

    #[test]
    fn the_decoded_picture_is_dropped_and_a_new_size_has_the_same_pixels() {
        let bytes = file(643, 400);
        let whole = codec::decode(&bytes, &Limits::default()).unwrap();
        let picture = BackgroundPicture::open(bytes, &Limits::default()).unwrap();
        let mut fitted = FittedBackground::picture(picture.clone());
        for _ in 0..=QUIET_FRAMES {
            assert_eq!(*fit(&mut fitted, 320, 180), cover(&whole, 320, 180));
        }
        assert!(
            lock(&picture.copies).decoded.is_none(),
            "only the fitted copy is left"
        );
        assert_eq!(*fit(&mut fitted, 100, 50), cover(&whole, 100, 50));
        assert_eq!(*fit(&mut fitted, 643, 400), whole);
        assert_eq!(
            picture.decodes(),
            2,
            "it is not decoded for each of several new sizes"
        );
    }

    #[test]
    fn always_new_sizes_do_not_fill_the_memory() {
        let picture = BackgroundPicture::open(file(645, 400), &Limits::default()).unwrap();
        let mut fitted = FittedBackground::picture(picture.clone());
        let used = fit(&mut FittedBackground::picture(picture.clone()), 16, 16);
        for side in 0..64 {
            fit(&mut fitted, 1000 + side, 1000);
        }
        let copies = lock(&picture.copies);
        let bytes: usize = copies.fitted.iter().map(|copy| copy.as_raw().len()).sum();
        assert!(bytes <= UNUSED_BYTES + (4 << 20), "{bytes} bytes");
        assert!(
            copies.fitted.iter().any(|copy| Arc::ptr_eq(copy, &used)),
            "a copy that a camera uses stays"
        );
        assert_eq!(picture.decodes(), 1);
    }

    #[test]
    fn an_unused_picture_is_dropped() {
        let bytes = file(647, 400);
        let picture = BackgroundPicture::open(bytes.clone(), &Limits::default()).unwrap();
        picture.rest();
        let copy = picture.fit(8, 8);
        assert_eq!((picture.decodes(), Arc::strong_count(&picture)), (2, 1));
        let gone = Arc::downgrade(&picture);
        drop(picture);
        assert!(gone.upgrade().is_none() && Arc::strong_count(&copy) == 1);
    }

    #[test]
    fn other_bytes_than_a_picture_are_refused() {
        assert!(BackgroundPicture::open(b"no picture".to_vec(), &Limits::default()).is_err());
    }
}
