//! One camera's newest pictures, encoded once for all who look.
//!
//! A thread of the pipeline offers each frame; it only copies, and only what somebody looks at. The thread of [`super::registry`] encodes what
//! was offered last. Viewers get the newest picture whenever they are ready for one: a slow one misses frames, and costs nobody anything.
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
/// Of what viewers are sent. Fine enough to judge an edge.
const JPEG_QUALITY: u8 = 85;
/// A camera that nobody looks at keeps a picture that is at most so old, so that a page begins with one.
const KEEP: Duration = Duration::from_secs(1);

/// Threads finish frames out of their order by no more than this; a number further back is a source that begins again.
const REORDERED: u64 = 64;

/// What can be looked at.
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
    /// The people cut out: their colours times alpha over black, and below them the matte. What is
    /// no person is black in it.
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

/// A picture as it is sent.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The frame's number.
    pub number: u64,
    /// When the frame was captured, where that is known.
    pub captured: Option<SystemTime>,
    /// A JPEG file.
    pub jpeg: Bytes,
    /// When it was encoded.
    at: Instant,
}

/// What a thread of the pipeline offers of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The frame's number.
    pub number: u64,
    /// When it was captured, where that is known.
    pub captured: Option<SystemTime>,
    /// As it came, where it is known.
    pub raw: Option<&'a RgbImage>,
    /// Its matte, where it is known.
    pub alpha: Option<&'a GrayImage>,
    /// With its new background.
    pub composed: &'a Composed,
    /// Without any, if somebody looks at that.
    pub cut_out: Option<&'a Composed>,
}

/// A copy of what is wanted of an offer.
#[derive(Debug, Default)]
struct Copied {
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
    /// Somebody waits for a picture. Whoever does gets the next that is encoded, so that it is not wanted any more then; a viewer that is busy, or has
    /// seen enough for the moment, wants nothing.
    wanted: [AtomicBool; View::ALL.len()],
    newest: [watch::Sender<Option<Arc<Preview>>>; View::ALL.len()],
    /// What is not encoded yet.
    offered: Mutex<Option<Copied>>,
    /// The number of the newest frame that was copied, and when one was last taken.
    last: Mutex<(Option<u64>, Option<Instant>)>,
    /// What was last encoded, for whoever wants it without loss.
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

/// Somebody who looks at one view of one camera. While one waits, frames are copied and encoded.
#[derive(Debug)]
pub struct Viewer {
    previews: Arc<Previews>,
    view: View,
    newest: watch::Receiver<Option<Arc<Preview>>>,
}

impl Viewer {
    /// A viewer, for whom the picture that is there is the first.
    pub fn new(previews: Arc<Previews>, view: View) -> Self {
        let mut newest = previews.newest[view as usize].subscribe();
        // What somebody saw long ago is no picture of now: only the two kinds that are kept up to date may begin with what is there.
        if matches!(view, View::Picture | View::Tile) {
            newest.mark_changed();
        }
        Viewer {
            previews,
            view,
            newest,
        }
    }

    /// A viewer for whom only what comes from now on counts.
    pub fn newcomer(previews: Arc<Previews>) -> Self {
        let newest = previews.newest[View::Tile as usize].subscribe();
        Viewer {
            previews,
            view: View::Tile,
            newest,
        }
    }

    /// Waits for a picture that it has not seen. `None`: there will be none.
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
    /// Whether somebody waits for a view.
    pub(super) fn is_wanted(&self, view: View) -> bool {
        self.wanted[view as usize].load(Relaxed)
    }

    /// Whether anyone looks, or the picture that is kept has grown old.
    pub(super) fn wants(&self) -> bool {
        let is_old = || {
            let last = lock(&self.last).1;
            last.is_none_or(|at| at.elapsed() >= KEEP)
        };
        View::ALL.into_iter().any(|view| self.is_wanted(view)) || is_old()
    }

    /// Whether frame `number` is to be offered: one that is wanted, and not older than one that
    /// was.
    pub(super) fn takes(&self, number: u64) -> bool {
        let is_wanted = self.wants();
        let mut last = lock(&self.last);
        if !is_wanted || is_older(number, last.0) {
            return false;
        }
        last.1 = Some(Instant::now());
        true
    }

    /// Takes a copy of what is wanted of a frame. True if there is something to encode.
    pub(super) fn offer(&self, offer: Offer<'_>) -> bool {
        let wants = |view| self.is_wanted(view);
        let checkerboard = wants(View::Checkerboard);
        let copied = Copied {
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

    /// The newest small or large picture.
    pub fn newest(&self, view: View) -> Option<Arc<Preview>> {
        self.newest[view as usize].borrow().clone()
    }

    /// Whether a view that begins with what is there has nothing recent.
    fn is_due(&self, view: View) -> bool {
        let is_kept = matches!(view, View::Picture | View::Tile);
        is_kept
            && self.newest[view as usize]
                .borrow()
                .as_ref()
                .is_none_or(|shot| shot.at.elapsed() >= KEEP)
    }

    /// Encodes what was offered last, for those who look.
    pub(super) fn encode(&self, tools: &mut PreviewTools) {
        let Some(copied) = lock(&self.offered).take() else {
            return;
        };
        let Copied {
            number,
            captured,
            composed,
            cut_out,
            alpha,
            raw,
        } = copied;
        let composed = composed.map(Arc::new);
        // Whoever waits for a picture may look for this one as soon as it is published.
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
                // Whoever began to look after the copy was made gets the next.
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

/// What the encoding thread works with.
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
    /// JPEG cannot be transparent: what is shows a checkerboard.
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

/// Whether a frame comes after one that is newer: threads finish frames out of their order. A
/// source that begins again counts from 0.
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
    fn nobody_looks_and_one_picture_a_second_is_kept() {
        let previews = Previews::default();
        assert!(offer(&previews, 0));
        assert!(!offer(&previews, 1), "less than a second later");
        previews.encode(&mut PreviewTools::default());
        assert_eq!(middle(&previews, View::Tile).0, TILE_WIDTH);
        assert!(
            previews.newest(View::Raw).is_none() && previews.newest(View::Matte).is_none(),
            "what nobody looks at is not made"
        );
        assert_eq!(previews.still().expect("kept").dimensions(), (960, 540));
    }

    #[test]
    fn each_view_is_what_it_says() {
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
            "nothing of the room: {:?}",
            [r, g, b]
        );
        assert!(
            near(middle(&previews, View::Overlay), [0, 0, 0]),
            "nothing of the room"
        );
        assert!(!offer(&previews, 2), "all have what they waited for");
    }

    #[test]
    fn a_viewer_that_is_busy_wants_nothing_and_gets_the_newest_when_it_is_ready() {
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
    fn a_frame_is_shown_although_others_come_while_it_is_composed() {
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
