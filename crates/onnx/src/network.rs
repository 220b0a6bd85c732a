//! One thread's run of an ONNX file.
use crate::{
    error::OnnxError,
    range::ColourRange,
    shapes::{ChannelOrder, InputLayout, ShapeText, is_mask},
};
use mattebox_core::matte::Network;
use ort::{inputs, session::Session, value::TensorRef};

/// The input, output and range of a network.
#[derive(Debug, Clone)]
pub(crate) struct OnnxPlan {
    /// Order and size of its picture; both sides are fixed.
    pub(crate) layout: InputLayout,
    /// Which of its outputs is the mask.
    pub(crate) output: usize,
    pub(crate) range: ColourRange,
}

/// A network that runs on one thread, the caller's.
pub struct OnnxNetwork {
    session: Session,
    plan: OnnxPlan,
    /// The picture as the network expects it.
    input: Vec<f32>,
}

impl OnnxNetwork {
    pub(crate) fn new(session: Session, plan: OnnxPlan) -> Self {
        OnnxNetwork {
            session,
            plan,
            input: Vec::new(),
        }
    }

    /// The answer to a picture, both as in [`Network::run`].
    pub(crate) fn answer(&mut self, picture: &[f32], answer: &mut [f32]) -> Result<(), OnnxError> {
        let OnnxPlan {
            layout,
            output,
            range,
        } = self.plan;
        arrange(layout.order, range, picture, &mut self.input);
        let refused = |error: ort::Error| OnnxError::Refused(error.message().to_owned());
        let input = TensorRef::from_array_view((layout.shape(), &*self.input)).map_err(refused)?;
        let outputs = self.session.run(inputs![input]).map_err(refused)?;
        let (shape, values) = outputs[output]
            .try_extract_tensor::<f32>()
            .map_err(refused)?;
        if !is_mask(shape, layout.size) || values.len() != answer.len() {
            return Err(OnnxError::Output {
                found: ShapeText(shape).to_string(),
                width: layout.size.0,
                height: layout.size.1,
            });
        }
        answer.copy_from_slice(values);
        Ok(())
    }
}

impl Network for OnnxNetwork {
    fn width(&self) -> usize {
        self.plan.layout.size.0
    }

    fn height(&self) -> usize {
        self.plan.layout.size.1
    }

    fn run(&mut self, picture: &[f32], confidence: &mut [f32]) {
        if let Err(error) = self.answer(picture, confidence) {
            panic!("the ONNX network gives no answer: {error}");
        }
    }
}

/// Makes `input` the picture in the order and range that a network expects.
fn arrange(order: ChannelOrder, range: ColourRange, picture: &[f32], input: &mut Vec<f32>) {
    let (mean, deviation) = range.mean_and_deviation();
    let seen = |colour: usize, v: f32| (v - mean[colour]) / deviation[colour];
    let pixels = picture.as_chunks::<3>().0;
    input.clear();
    match order {
        ChannelOrder::Planes => {
            for colour in 0..3 {
                input.extend(pixels.iter().map(|pixel| seen(colour, pixel[colour])));
            }
        }
        ChannelOrder::Pixels => {
            input.extend(
                pixels
                    .iter()
                    .flat_map(|&[r, g, b]| [seen(0, r), seen(1, g), seen(2, b)]),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stand_where_the_network_expects_them() {
        let picture = [0.0, 0.5, 1.0, 1.0, 0.5, 0.0];
        let mut input = Vec::new();
        arrange(
            ChannelOrder::Planes,
            ColourRange::Signed,
            &picture,
            &mut input,
        );
        assert_eq!(input, [-1.0, 1.0, 0.0, 0.0, 1.0, -1.0]);
        arrange(
            ChannelOrder::Pixels,
            ColourRange::Unit,
            &picture,
            &mut input,
        );
        assert_eq!(input, picture);
    }
}
