//! What one thread needs to make a file of a record, with its buffers.
use crate::{
    row::{Row, Status},
    settings::Settings,
};
use image::RgbImage;
use mattebox_core::{
    codec::Decoder,
    compose::Backdrop,
    frame::{FrameNumber, Timestamp},
    maker::Maker,
    matte::MatteState,
};
use mattebox_net::SimdError;
use mattebox_store::{FrameDir, OnExisting, Outcome, StoreError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Decoder, network and encoder of one thread.
pub(crate) struct Tools {
    decoder: Decoder,
    maker: Maker,
    backdrop: Backdrop,
    unpacked: Vec<u8>,
    picture: RgbImage,
}

/// A frame's file, and what it may do to a file that is there.
pub(crate) struct Target<'a> {
    pub(crate) files: &'a FrameDir,
    pub(crate) number: FrameNumber,
    pub(crate) on_existing: OnExisting,
}

impl Tools {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SimdError> {
        Ok(Tools {
            decoder: Decoder::default(),
            maker: Maker::new(&settings.recipe)?,
            backdrop: settings.backdrop.clone(),
            unpacked: Vec::new(),
            picture: RgbImage::default(),
        })
    }

    /// Makes a frame's file. An error is the disk's: what cannot be a frame is a row.
    pub(crate) fn make(
        &mut self,
        settings: &Settings,
        frame: &mattebox_wire::FrameRecord<'_>,
        target: &Target<'_>,
        state: &mut MatteState,
    ) -> Result<Row, StoreError> {
        let Tools {
            decoder,
            maker,
            backdrop,
            unpacked,
            picture,
        } = self;
        let bytes = match frame.picture(unpacked) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Row::dead(error.code(), error.to_string())),
        };
        if let Err(error) = decoder.decode_into(bytes, &settings.limits, picture) {
            return Ok(Row::dead(
                mattebox_wire::picture_code(&error),
                error.to_string(),
            ));
        }
        maker.segment(picture, frame.time, state);
        maker.refine(picture);
        let (width, height) = picture.dimensions();
        maker.compose(picture, &backdrop.fit(width, height), None);
        let encoded = match maker.encode() {
            Ok(encoded) => encoded,
            Err(error) => return Ok(Row::dead("not-encodable", error.to_string())),
        };
        let extension = settings.recipe.format.extension();
        let status =
            match target
                .files
                .write(target.number, extension, encoded, target.on_existing)?
            {
                Outcome::Written => Status::Written,
                Outcome::Skipped => Status::Kept,
            };
        Ok(Row {
            status,
            camera: None,
            frame: None,
            time: None,
            latency_us: Some(age_us(frame.time)),
            size: (width, height),
            bytes: encoded.len(),
            path: Some(
                target
                    .files
                    .path(target.number, extension)
                    .to_string_lossy()
                    .into_owned(),
            ),
            fault: None,
            picture: settings.picture.then(|| encoded.to_vec()),
            headers: Vec::new(),
        })
    }
}

/// How long ago a frame was taken, in microseconds.
fn age_us(time: Timestamp) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    i64::try_from(now)
        .unwrap_or(i64::MAX)
        .saturating_sub(time.0)
}
