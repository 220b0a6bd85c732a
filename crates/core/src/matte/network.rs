//! The interface of a network that finds people in a small picture of fixed size.
use mattebox_net::Executor;

/// A network for one thread. It gives, for each pixel of a picture, the confidence that it shows a
/// person.
///
/// It gives the same bytes for the same picture on one machine. A network that fails panics: the
/// engine then counts the frame as failed, and the room is never shown.
pub trait Network: Send {
    /// Width of the picture and of the confidence in pixels, at least 1.
    fn width(&self) -> usize;

    /// Height of the picture and of the confidence in pixels, at least 1.
    fn height(&self) -> usize;

    /// Runs the network. `picture` is RGB, 0..=1, `[height][width][3]`; `confidence` is
    /// `[height][width]`. Every value of `confidence` is written; the caller handles values outside
    /// 0..=1 and NaN.
    fn run(&mut self, picture: &[f32], confidence: &mut [f32]);

    /// Whether its confidence in hair is little more than one half; then confidences are moved
    /// towards 0 and 1.
    fn is_half_sure_of_hair(&self) -> bool {
        false
    }
}

impl Network for Executor {
    fn width(&self) -> usize {
        self.model().input_width()
    }

    fn height(&self) -> usize {
        self.model().input_height()
    }

    fn run(&mut self, picture: &[f32], confidence: &mut [f32]) {
        Executor::run(self, picture, confidence);
    }

    fn is_half_sure_of_hair(&self) -> bool {
        true
    }
}
