//! One camera's newest pictures, encoded once for all viewers.
//!
//! A thread of the pipeline offers each frame. It only copies, and only the views that have
//! viewers. The thread of [`super::registry`] encodes the last offer. A viewer gets the newest
//! picture whenever it is ready for one: a slow viewer misses frames and does not slow down others.
use super::{checkerboard, cutout};
use bytes::Bytes;
use image::{GrayImage, RgbImage};
use mattebox_core::{
    codec::{self, Crop, EncodeError, Encoder, Filter, ImageFormat, JpegEncoder},
    compose::Composed,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;

/// The width of small pictures in pixels, at most.
pub const TILE_WIDTH: u32 = 480;
/// Quality of the JPEG files for viewers: fine enough to judge an edge.
const JPEG_QUALITY: u8 = 85;
/// Without viewers a camera keeps a picture that is at most this old, so that a page begins with
/// one.
const KEEP: Duration = Duration::from_secs(1);

/// Threads finish frames out of order by no more than this. A number further back means that the
/// source began again.
const REORDERED: u64 = 64;

/// A view of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The frame with its new background.
    Picture,
    /// The same, at most [`TILE_WIDTH`] wide.
    Tile,
    /// The matte as grey.
    Matte,
    /// The people over a checkerboard.
    Checkerboard,
    /// The frame as it came, with the room.
    Raw,
    /// The people cut out: their colours times alpha over black, and the matte below them.
    Overlay,
}

impl View {
    /// All of them.
    pub const ALL: [View; 6] = [
        View::Picture,
        View::Tile,
        View::Matte,
        View::Checkerboard,
        View::Raw,
        View::Overlay,
    ];

    /// Its name in addresses and headers.
    pub fn name(self) -> &'static str {
        match self {
            View::Picture => "picture",
            View::Tile => "tile",
            View::Matte => "matte",
            View::Checkerboard => "checkerboard",
            View::Raw => "raw",
            View::Overlay => "overlay",
        }
    }
}

/// A picture for viewers.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The frame's number.
    pub number: u64,
    /// When the frame was captured, if known.
    pub captured: Option<SystemTime>,
    /// A JPEG file.
    pub jpeg: Bytes,
    /// When it was encoded.
    at: Instant,
}

/// A frame as a thread of the pipeline offers it.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The frame's number.
    pub number: u64,
    /// When it was captured, if known.
    pub captured: Option<SystemTime>,
    /// The picture as it came, if known.
    pub raw: Option<&'a RgbImage>,
    /// Its matte, if known.
    pub alpha: Option<&'a GrayImage>,
    /// The picture with its new background.
    pub composed: &'a Composed,
    /// The picture without a background, if that view has a viewer.
    pub cut_out: Option<&'a Composed>,
}

/// A copy of the wanted parts of an offer.
#[derive(Debug, Default)]
struct CopiedFrame {
    number: u64,
    captured: Option<SystemTime>,
    composed: Option<Composed>,
    cut_out: Option<Composed>,
    alpha: Option<GrayImage>,
    raw: Option<RgbImage>,
}

/// One camera's newest pictures.
#[derive(Debug)]
pub struct Previews {
    /// Views for which a viewer waits. The next picture of the view goes to all waiting viewers and
    /// clears the flag. A viewer that is busy or limits its rate does not wait.
    wanted: [AtomicBool; View::ALL.len()],
    newest: [watch::Sender<Option<Arc<Preview>>>; View::ALL.len()],
    /// The last offer, until it is encoded.
    offered: Mutex<Option<CopiedFrame>>,
    /// The number of the newest frame that was copied, and the time when a frame was last taken.
    last: Mutex<(Option<u64>, Option<Instant>)>,
    /// The last picture before it was encoded, for files without loss.
    still: Mutex<Option<Arc<Composed>>>,
}

impl Default for Previews {
    fn default() -> Self {
        Previews {
            wanted: Default::default(),
            newest: std::array::from_fn(|_| watch::Sender::new(None)),
            offered: Mutex::default(),
            last: Mutex::default(),
            still: Mutex::default(),
        }
    }
}

/// A viewer of one view of one camera. Frames are copied and encoded while a viewer waits.
#[derive(Debug)]
pub struct Viewer {
    previews: Arc<Previews>,
    view: View,
    newest: watch::Receiver<Option<Arc<Preview>>>,
}

impl Viewer {
    /// A viewer whose first picture is the one that is there, if it is recent.
    pub fn new(previews: Arc<Previews>, view: View) -> Self {
        let mut newest = previews.newest[view as usize].subscribe();
        // Only these two views are kept up to date without viewers: others may be old.
        if matches!(view, View::Picture | View::Tile) {
            newest.mark_changed();
        }
        Viewer {
            previews,
            view,
            newest,
        }
    }

    /// A viewer whose first picture is the next one.
    pub fn newcomer(previews: Arc<Previews>) -> Self {
        let newest = previews.newest[View::Tile as usize].subscribe();
        Viewer {
            previews,
            view: View::Tile,
            newest,
        }
    }

    /// Waits for a picture that it has not seen. `None`: there will be no more.
    pub async fn next(&mut self) -> Option<Arc<Preview>> {
        self.previews.wanted[self.view as usize].store(true, Relaxed);
        loop {
            self.newest.changed().await.ok()?;
            if let Some(shot) = self.newest.borrow_and_update().clone() {
                return Some(shot);
            }
        }
    }
}

impl Previews {
    /// Whether a viewer waits for this view.
    pub(super) fn is_wanted(&self, view: View) -> bool {
        self.wanted[view as usize].load(Relaxed)
    }

    /// Whether a viewer waits, or the picture that is kept is old.
    pub(super) fn wants(&self) -> bool {
        let is_old = || {
            let last = lock(&self.last).1;
            last.is_none_or(|at| at.elapsed() >= KEEP)
        };
        View::ALL.into_iter().any(|view| self.is_wanted(view)) || is_old()
    }

    /// Whether frame `number` is to be offered: it is wanted, and not older than the last offer.
    pub(super) fn takes(&self, number: u64) -> bool {
        let is_wanted = self.wants();
        let mut last = lock(&self.last);
        if !is_wanted || is_older(number, last.0) {
            return false;
        }
        last.1 = Some(Instant::now());
        true
    }

    /// Copies the wanted views of a frame. True if there is something to encode.
    pub(super) fn offer(&self, offer: Offer<'_>) -> bool {
        let wants = |view| self.is_wanted(view);
        let checkerboard = wants(View::Checkerboard);
        let copied = CopiedFrame {
            number: offer.number,
            captured: offer.captured,
            composed: Some(offer.composed.clone()),
            alpha: offer
                .alpha
                .filter(|_| checkerboard || wants(View::Matte))
                .cloned(),
            raw: offer
                .raw
                .filter(|_| checkerboard || wants(View::Raw))
                .cloned(),
            cut_out: offer.cut_out.filter(|_| wants(View::Overlay)).cloned(),
        };
        let mut offered = lock(&self.offered);
        let newest = &mut lock(&self.last).0;
        // A newer frame may have been copied while this one was composed.
        if is_older(offer.number, *newest) {
            return false;
        }
        *newest = Some(offer.number);
        *offered = Some(copied);
        true
    }

    /// The newest picture without loss.
    pub fn still(&self) -> Option<Arc<Composed>> {
        lock(&self.still).clone()
    }

    /// The newest picture of a view.
    pub fn newest(&self, view: View) -> Option<Arc<Preview>> {
        self.newest[view as usize].borrow().clone()
    }

    /// Whether a view that is kept up to date has no recent picture.
    fn is_due(&self, view: View) -> bool {
        let is_kept = matches!(view, View::Picture | View::Tile);
        is_kept
            && self.newest[view as usize]
                .borrow()
                .as_ref()
                .is_none_or(|shot| shot.at.elapsed() >= KEEP)
    }

    /// Encodes the last offer for the viewers.
    pub(super) fn encode(&self, tools: &mut PreviewTools) {
        let Some(copied) = lock(&self.offered).take() else {
            return;
        };
        let CopiedFrame {
            number,
            captured,
            composed,
            cut_out,
            alpha,
            raw,
        } = copied;
        let composed = composed.map(Arc::new);
        // Before the previews: a viewer that gets one may ask for the still picture at once.
        *lock(&self.still) = composed.clone();
        for view in View::ALL {
            if !self.is_wanted(view) && !self.is_due(view) {
                continue;
            }
            let encoded = match (view, composed.as_deref(), &alpha, &raw) {
                (View::Picture, Some(composed), ..) => tools.composed(composed, u32::MAX),
                (View::Tile, Some(composed), ..) => tools.composed(composed, TILE_WIDTH),
                (View::Matte, _, Some(alpha), _) => tools.gray(alpha),
                (View::Checkerboard, _, Some(alpha), Some(raw)) => {
                    tools.rgb(&checkerboard::behind(raw, alpha))
                }
                (View::Raw, .., Some(raw)) => tools.rgb(raw),
                (View::Overlay, ..) => match &cut_out {
                    Some(Composed::Rgba(clear)) => tools.rgb(&cutout::stacked(clear)),
                    _ => continue,
                },
                // A viewer that came after the copy gets the next picture.
                _ => continue,
            };
            match encoded {
                Ok(jpeg) => {
                    self.wanted[view as usize].store(false, Relaxed);
                    self.newest[view as usize].send_replace(Some(Arc::new(Preview {
                        number,
                        captured,
                        jpeg,
                        at: Instant::now(),
                    })));
                }
                Err(error) => tracing::debug!("a picture for viewers cannot be encoded: {error}"),
            }
        }
    }
}

/// Encoders and buffers of the thread that encodes.
pub(super) struct PreviewTools {
    jpeg: JpegEncoder,
    gray: Encoder,
    bytes: Vec<u8>,
}

impl Default for PreviewTools {
    fn default() -> Self {
        PreviewTools {
            jpeg: JpegEncoder::new(JPEG_QUALITY),
            gray: Encoder::new(ImageFormat::Jpeg, JPEG_QUALITY),
            bytes: Vec::new(),
        }
    }
}

impl PreviewTools {
    /// JPEG has no transparency: a checkerboard shows it.
    fn composed(&mut self, picture: &Composed, max_width: u32) -> Result<Bytes, EncodeError> {
        match picture {
            Composed::Rgb(picture) if picture.width() <= max_width => self.rgb(picture),
            Composed::Rgb(picture) => {
                let small = Self::shrink(picture, max_width);
                self.rgb(&small)
            }
            Composed::Rgba(picture) => {
                let opaque = checkerboard::under(picture);
                let small = if opaque.width() > max_width {
                    Self::shrink(&opaque, max_width)
                } else {
                    opaque
                };
                self.rgb(&small)
            }
        }
    }

    fn rgb(&mut self, picture: &RgbImage) -> Result<Bytes, EncodeError> {
        self.jpeg.encode(picture, &mut self.bytes)?;
        Ok(Bytes::copy_from_slice(&self.bytes))
    }

    fn gray(&mut self, picture: &GrayImage) -> Result<Bytes, EncodeError> {
        self.gray.encode_gray(picture, &mut self.bytes)?;
        Ok(Bytes::copy_from_slice(&self.bytes))
    }

    fn shrink(picture: &RgbImage, width: u32) -> RgbImage {
        let height = (u64::from(picture.height()) * u64::from(width)
            / u64::from(picture.width().max(1)))
        .max(1) as u32;
        codec::scale(picture, width, height, Filter::Bilinear, Crop::Nothing)
    }
}

/// Whether a newer frame came before this one: threads finish frames out of order. A source that
/// begins again counts from 0.
fn is_older(number: u64, newest: Option<u64>) -> bool {
    newest.is_some_and(|newest| number < newest && newest - number < REORDERED)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, Rgb, Rgba, RgbaImage};

    fn offer(previews: &Previews, number: u64) -> bool {
        if !previews.takes(number) {
            return false;
        }
        let raw = RgbImage::from_pixel(960, 540, Rgb([200, 0, 0]));
        let alpha = GrayImage::from_pixel(960, 540, Luma([0]));
        let composed = Composed::Rgb(RgbImage::from_pixel(960, 540, Rgb([0, 200, 0])));
        let cut_out = Composed::Rgba(RgbaImage::from_pixel(960, 540, Rgba([200, 0, 0, 0])));
        previews.offer(Offer {
            number,
            captured: None,
            raw: Some(&raw),
            alpha: Some(&alpha),
            composed: &composed,
            cut_out: Some(&cut_out),
        })
    }

    fn want(previews: &Previews, view: View) {
        previews.wanted[view as usize].store(true, Relaxed);
    }

    fn middle(previews: &Previews, view: View) -> (u32, [u8; 3]) {
        let jpeg = previews.newest(view).expect("a picture").jpeg.clone();
        let picture =
            mattebox_core::codec::decode(&jpeg, &Default::default()).expect("a JPEG file");
        (picture.width(), picture.get_pixel(picture.width() / 2, 1).0)
    }

    #[test]
    fn without_viewers_one_picture_a_second_is_kept() {
        let previews = Previews::default();
        assert!(offer(&previews, 0));
        assert!(!offer(&previews, 1), "less than a second later");
        previews.encode(&mut PreviewTools::default());
        assert_eq!(middle(&previews, View::Tile).0, TILE_WIDTH);
        assert!(
            previews.newest(View::Raw).is_none() && previews.newest(View::Matte).is_none(),
            "a view without viewers is not encoded"
        );
        assert_eq!(previews.still().expect("kept").dimensions(), (960, 540));
    }

    #[test]
    fn each_view_shows_its_part_of_the_frame() {
        let previews = Arc::new(Previews::default());
        View::ALL.into_iter().for_each(|view| want(&previews, view));
        assert!(offer(&previews, 0) && offer(&previews, 1));
        previews.encode(&mut PreviewTools::default());
        let near = |(_, [r, g, b]): (u32, [u8; 3]), want: [u8; 3]| {
            [r, g, b].iter().zip(want).all(|(a, b)| a.abs_diff(b) < 8)
        };
        assert!(near(middle(&previews, View::Picture), [0, 200, 0]));
        assert!(near(middle(&previews, View::Raw), [200, 0, 0]));
        assert!(near(middle(&previews, View::Matte), [0, 0, 0]));
        let [r, g, b] = middle(&previews, View::Checkerboard).1;
        assert!(
            r.abs_diff(g) < 8 && g.abs_diff(b) < 8 && r > 100,
            "no trace of the room: {:?}",
            [r, g, b]
        );
        assert!(
            near(middle(&previews, View::Overlay), [0, 0, 0]),
            "no trace of the room"
        );
        assert!(!offer(&previews, 2), "no viewer waits any more");
    }

    #[test]
    fn a_busy_viewer_gets_the_newest_picture_when_it_is_ready() {
        let previews = Arc::new(Previews::default());
        let mut viewer = Viewer::new(previews.clone(), View::Matte);
        assert!(offer(&previews, 0), "the one that is kept");
        assert!(!offer(&previews, 1), "the viewer has not asked yet");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let shot = runtime.block_on(async {
            let frames = async {
                for number in 2..5 {
                    assert!(offer(&previews, number));
                }
                previews.encode(&mut PreviewTools::default());
            };
            futures_util::future::join(viewer.next(), frames).await.0
        });
        assert_eq!(shot.expect("a picture").number, 4);
        assert!(!offer(&previews, 5));
    }

    #[test]
    fn a_frame_is_shown_even_if_others_come_while_it_is_composed() {
        let previews = Previews::default();
        let picture = Composed::Rgb(RgbImage::new(8, 4));
        let made = |number| Offer {
            number,
            captured: None,
            raw: None,
            alpha: None,
            composed: &picture,
            cut_out: None,
        };
        assert!(previews.takes(0), "the one that is kept");
        assert!(!previews.takes(1), "no viewer looks");
        assert!(previews.offer(made(0)));
        want(&previews, View::Picture);
        assert!(previews.takes(2) && previews.takes(3));
        assert!(previews.offer(made(3)));
        assert!(!previews.offer(made(2)), "a newer one is there");
    }

    #[test]
    fn an_older_frame_does_not_follow_a_newer_one() {
        let previews = Arc::new(Previews::default());
        want(&previews, View::Picture);
        assert!(offer(&previews, 7));
        assert!(!offer(&previews, 6));
        assert!(offer(&previews, 8));
    }
}
