//! The input of an encoder: pictures with their times, and sound beside them.
use super::format::PictureShape;
use crate::beside::{PictureExtras, SoundFormat, SoundPacket};
use crate::ffmpeg::nut::{NutContent, NutPacket, NutStream, NutWriter};
use crossbeam_channel::{Receiver, Sender};
use mattebox_core::frame::Timestamp;
use std::io::{self, Write};
use std::sync::Arc;

/// The units of time in a second, as in MPEG. A frame of every usual rate lasts a whole number of
/// units.
pub(super) const TIME_UNITS: u32 = 90_000;
/// The shortest distance of two pictures in microseconds: streams have times in milliseconds.
const CLOSEST: i64 = 1000;

/// The parameters before the first picture.
#[derive(Debug)]
pub(super) struct EncoderInputHead {
    pub(super) shape: PictureShape,
    pub(super) pixel_aspect: Option<(u32, u32)>,
    pub(super) sound: Option<Arc<SoundFormat>>,
    pub(super) fps: f64,
}

/// A picture, and the sound before it.
#[derive(Debug, Clone)]
pub(super) struct EncoderPiece {
    /// Its samples. `None`: there is only sound.
    pub(super) samples: Option<Vec<u8>>,
    /// Microseconds since the first.
    pub(super) micros: i64,
    pub(super) sound: Vec<SoundPacket>,
}

impl EncoderPiece {
    /// Bytes of its picture.
    pub(super) fn len(&self) -> usize {
        self.samples.as_ref().map_or(0, Vec::len)
    }
}

/// The clock of a video, which begins at 0.
#[derive(Debug, Default)]
pub(super) struct VideoClock {
    first: Option<Timestamp>,
    last: Option<i64>,
}

impl VideoClock {
    /// The time of a picture in microseconds since the first, always later than the one before.
    pub(super) fn picture(&mut self, time: Timestamp) -> i64 {
        let first = *self.first.get_or_insert(time);
        let since = time.0.saturating_sub(first.0).max(0);
        let micros = match self.last {
            Some(last) => since.max(last.saturating_add(CLOSEST)),
            None => since,
        };
        self.last = Some(micros);
        micros
    }

    /// Sound by the same clock. Sound before the first picture is left out.
    pub(super) fn sound(&self, mut sound: Vec<SoundPacket>) -> Vec<SoundPacket> {
        let first = self.first.map_or(0, |first| first.0);
        for packet in &mut sound {
            packet.time = Timestamp(packet.time.0.saturating_sub(first));
        }
        sound.retain(|packet| packet.time.0 >= 0);
        sound
    }
}

impl EncoderInputHead {
    pub(super) fn new(
        shape: PictureShape,
        beside: &PictureExtras,
        fps: f64,
        takes_sound: bool,
    ) -> Self {
        let sound = beside.sound_format.clone().filter(|_| takes_sound);
        EncoderInputHead {
            shape,
            pixel_aspect: beside.pixel_aspect,
            sound,
            fps,
        }
    }

    fn streams(&self) -> Vec<NutStream> {
        let video = NutStream {
            codec_tag: match self.shape.alpha {
                true => b"RGBA".to_vec(),
                false => b"RGB\x18".to_vec(),
            },
            time_base: (1, TIME_UNITS),
            decode_delay: 0,
            codec_private: vec![],
            content: NutContent::Video {
                width: self.shape.width,
                height: self.shape.height,
                pixel_aspect: self.pixel_aspect.unwrap_or((1, 1)),
            },
        };
        let sound = self.sound.as_ref().map(|format| format.stream.clone());
        std::iter::once(video).chain(sound).collect()
    }

    /// The rate as a fraction: those of NTSC are 1/1.001 of a whole number.
    fn frame_rate(&self) -> (u32, u32) {
        let whole = self.fps.round();
        if (self.fps - whole).abs() < 1e-6 {
            return (whole as u32, 1);
        }
        let ntsc = (self.fps * 1.001).round();
        match (self.fps * 1.001 - ntsc).abs() < 1e-4 {
            true => (ntsc as u32 * 1000, 1001),
            false => ((self.fps * 1000.0).round().max(1.0) as u32, 1000),
        }
    }
}

/// Sends pieces to the encoder until there are no more, or it takes no more.
pub(super) fn feed(
    to: impl Write,
    description: &EncoderInputHead,
    pieces: &Receiver<EncoderPiece>,
    used: &Sender<Vec<u8>>,
) -> io::Result<()> {
    let streams = description.streams();
    let has_sound = streams.len() > 1;
    let mut to = NutWriter::new(to, streams, Some(description.frame_rate()))?;
    for piece in pieces {
        for packet in piece.sound.iter().filter(|_| has_sound) {
            let header = NutPacket {
                stream: 1,
                micros: packet.time.0,
                is_key: packet.is_key,
            };
            to.write(header, &packet.bytes)?;
        }
        if let Some(samples) = piece.samples {
            let header = NutPacket {
                stream: 0,
                micros: piece.micros,
                is_key: true,
            };
            to.write(header, &samples)?;
            let _ = used.try_send(samples);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_begin_at_zero_and_always_rise() {
        let mut clock = VideoClock::default();
        let times = [5_000_000, 5_040_000, 5_040_000, 5_039_000, 5_080_000];
        let shown = times.map(|time| clock.picture(Timestamp(time)));
        assert_eq!(shown, [0, 40_000, 41_000, 42_000, 80_000]);
        let sound = [4_999_999, 5_000_000, 5_100_000].map(|time| SoundPacket {
            time: Timestamp(time),
            bytes: vec![],
            is_key: true,
        });
        let heard: Vec<i64> = clock
            .sound(sound.to_vec())
            .iter()
            .map(|s| s.time.0)
            .collect();
        assert_eq!(heard, [0, 100_000]);
    }

    #[test]
    fn rates_are_exact() {
        let rate = |fps| {
            let shape = PictureShape {
                width: 1,
                height: 1,
                alpha: false,
            };
            EncoderInputHead::new(shape, &PictureExtras::default(), fps, false).frame_rate()
        };
        assert_eq!(rate(25.0), (25, 1));
        assert_eq!(rate(30_000.0 / 1001.0), (30_000, 1001));
        assert_eq!(rate(24_000.0 / 1001.0), (24_000, 1001));
        assert_eq!(rate(12.5), (12_500, 1000));
        assert_eq!(rate(0.2), (200, 1000));
    }
}
