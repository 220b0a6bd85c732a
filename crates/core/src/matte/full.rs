//! A matte at the size of its picture, and its plain parts.
//!
//! Most of a matte is 0 or 255, and the refiner knows these parts before it writes a pixel. It
//! notes them in an [`Outline`], so that compositing reads alpha only near a person's edge: at
//! 3840x2160 a matte is 8 MB, more than the caches hold.
use image::GrayImage;

/// How much of each pixel of a picture is person: 0 is room, 255 is person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matte {
    pub(super) alpha: GrayImage,
    pub(super) outline: Outline,
}

/// The plain parts of a matte's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Row after row, from left to right.
    runs: Vec<AlphaRun>,
    /// For each row, the end of its runs.
    ends: Vec<usize>,
}

/// A run of pixels of a row. It begins where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AlphaRun {
    pub(crate) kind: AlphaRunKind,
    pub(crate) end: usize,
}

/// The known alpha of a run's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlphaRunKind {
    /// All are 0.
    Room,
    /// All are 255.
    Person,
    /// Not known.
    Open,
}

impl Matte {
    /// How much of each pixel is person.
    pub fn alpha(&self) -> &GrayImage {
        &self.alpha
    }

    /// Takes the alpha out.
    pub fn into_alpha(self) -> GrayImage {
        self.alpha
    }

    /// Width and height in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        self.alpha.dimensions()
    }

    /// Whether no pixel shows a person.
    pub fn is_blank(&self) -> bool {
        let width = self.alpha.width() as usize;
        let rows = self.alpha.chunks_exact(width.max(1));
        rows.enumerate().all(|(y, alpha)| {
            let mut start = 0;
            self.outline.row(y).iter().all(|run| {
                let pixels = std::mem::replace(&mut start, run.end)..run.end;
                match run.kind {
                    AlphaRunKind::Room => true,
                    AlphaRunKind::Person => pixels.is_empty(),
                    AlphaRunKind::Open => alpha[pixels].iter().all(|&a| a == 0),
                }
            })
        })
    }

    /// The runs of row `y`. They cover it.
    pub(crate) fn runs(&self, y: usize) -> &[AlphaRun] {
        self.outline.row(y)
    }

    /// Gives the matte a size. Write its rows next, each with its runs.
    pub(super) fn begin(&mut self, width: u32, height: u32) {
        if self.alpha.dimensions() != (width, height) {
            self.alpha = GrayImage::new(width, height);
        }
        self.outline.runs.clear();
        self.outline.ends.clear();
    }

    /// Sets all pixels to room.
    pub(super) fn clear(&mut self) {
        self.alpha.fill(0);
        self.outline
            .all(AlphaRunKind::Room, self.alpha.dimensions());
    }
}

impl From<GrayImage> for Matte {
    /// A matte whose runs are all open.
    fn from(alpha: GrayImage) -> Self {
        let mut outline = Outline::default();
        outline.all(AlphaRunKind::Open, alpha.dimensions());
        Matte { alpha, outline }
    }
}

impl Outline {
    fn row(&self, y: usize) -> &[AlphaRun] {
        let start = y.checked_sub(1).map_or(0, |above| self.ends[above]);
        &self.runs[start..self.ends[y]]
    }

    fn all(&mut self, kind: AlphaRunKind, (width, height): (u32, u32)) {
        self.runs.clear();
        self.ends.clear();
        for _ in 0..height {
            self.push(kind, width as usize);
            self.end_row();
        }
    }

    /// Adds a run that ends before pixel `end` of the row, or makes the one before it longer.
    pub(super) fn push(&mut self, kind: AlphaRunKind, end: usize) {
        let of_row = self.ends.last().copied().unwrap_or(0);
        let start = self.runs[of_row..].last().map_or(0, |run| run.end);
        if end <= start {
            return;
        }
        match self.runs[of_row..].last_mut() {
            Some(last) if last.kind == kind => last.end = end,
            _ => self.runs.push(AlphaRun { kind, end }),
        }
    }

    /// Adds a run of pixels that all are `alpha`, which is 0 or 255.
    pub(super) fn push_plain(&mut self, alpha: u8, end: usize) {
        let kind = match alpha {
            0 => AlphaRunKind::Room,
            255 => AlphaRunKind::Person,
            _ => AlphaRunKind::Open,
        };
        self.push(kind, end);
    }

    /// Ends a row.
    pub(super) fn end_row(&mut self) {
        self.ends.push(self.runs.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    #[test]
    fn neighbours_of_one_kind_are_one_run() {
        let mut outline = Outline::default();
        for (alpha, end) in [(0, 3), (0, 3), (0, 5), (255, 5), (255, 9), (7, 10)] {
            outline.push_plain(alpha, end);
        }
        outline.end_row();
        outline.push(AlphaRunKind::Open, 10);
        outline.end_row();
        let run = |kind, end| AlphaRun { kind, end };
        let first = [
            run(AlphaRunKind::Room, 5),
            run(AlphaRunKind::Person, 9),
            run(AlphaRunKind::Open, 10),
        ];
        assert_eq!(outline.row(0), first);
        assert_eq!(outline.row(1), [run(AlphaRunKind::Open, 10)]);
    }

    #[test]
    fn one_pixel_of_a_person_is_not_blank() {
        let mut alpha = GrayImage::new(5, 3);
        assert!(Matte::from(alpha.clone()).is_blank());
        assert!(Matte::default().is_blank());
        alpha.put_pixel(4, 2, Luma([1]));
        let mut matte = Matte::from(alpha);
        assert!(!matte.is_blank());
        matte.clear();
        assert!(matte.is_blank());
        assert_eq!(
            matte.runs(2),
            [AlphaRun {
                kind: AlphaRunKind::Room,
                end: 5
            }]
        );
    }
}
