//! What finds people in a small picture of fixed size, whatever runs it.
use mattebox_net::Executor;

/// A network of one thread: a picture in, for each pixel the confidence that it shows a person out.
///
/// It gives the same bytes for the same picture on one machine. A network that cannot answer
/// panics: the engine then counts the frame as failed, and the room is never shown.
pub trait Network: Send {
    /// Width of the picture and of the answer in pixels, at least 1.
    fn width(&self) -> usize;

    /// Height of the picture and of the answer in pixels, at least 1.
    fn height(&self) -> usize;

    /// Runs the network. `picture` is RGB, 0..=1, `[height][width][3]`; `confidence` is
    /// `[height][width]`. Every value of `confidence` is written; values outside 0..=1 and NaN are
    /// the caller's to mend.
    fn run(&mut self, picture: &[f32], confidence: &mut [f32]);

    /// Whether it is little more than half sure of hair: its confidence is then pushed towards 0
    /// and 1.
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
