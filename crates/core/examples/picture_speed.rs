//! Measures the time of compositing, encoding and decoding on one core.
//!
//! `picture_speed PICTURE ALPHA [WIDTH]`: two pictures of one frame, scaled to WIDTH (640 if left
//! out). All are timed in turn, 60 times, so that a busy machine slows all alike. Prints the least
//! and the median time in milliseconds.
use image::{GrayImage, Luma, RgbImage};
use mattebox_core::codec::{
    self, Decoder, Encoder, ImageFormat, JpegEncoder, Limits, PictureFormat,
};
use mattebox_core::compose::{Background, BackgroundSpec, Composed, Compositor, cover};
use mattebox_core::matte::Matte;
use mattebox_net::SimdLevel;
use std::{env, error::Error, fs, hint::black_box, sync::Arc, time::Instant};

const ROUNDS: usize = 60;

type PictureTask<'a> = (String, Box<dyn FnMut() -> usize + 'a>);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (Some(picture), Some(alpha)) = (args.first(), args.get(1)) else {
        return Err("usage: picture_speed PICTURE ALPHA [WIDTH]".into());
    };
    let width = args.get(2).map_or(Ok(640), |w| w.parse())?;
    let read = |path: &str| -> Result<RgbImage, Box<dyn Error>> {
        let picture = codec::decode(&fs::read(path)?, &Limits::default())?;
        Ok(cover(
            &picture,
            width,
            picture.height() * width / picture.width(),
        ))
    };
    let picture = read(picture)?;
    let alpha = read(alpha)?;
    let alpha = GrayImage::from_fn(alpha.width(), alpha.height(), |x, y| {
        Luma([alpha.get_pixel(x, y).0[0]])
    });
    let mixed = alpha.iter().filter(|a| (1..255).contains(*a)).count();
    println!(
        "{}x{}, {:.1} % mixed pixels",
        picture.width(),
        picture.height(),
        100.0 * mixed as f64 / alpha.len() as f64
    );

    let matte = Matte::from(alpha.clone());
    let gray = Background::Color(BackgroundSpec::GRAY);
    let mut composed = [Composed::default(), Composed::default()];
    let mut compositor = Compositor::new(SimdLevel::best())?;
    compositor.compose(&picture, &matte, &gray, true, &mut composed[0]);
    compositor.compose(
        &picture,
        &matte,
        &Background::Transparent,
        true,
        &mut composed[1],
    );
    let mut files = [Vec::new(), Vec::new(), Vec::new()];
    JpegEncoder::new(80).encode(&picture, &mut files[0])?;
    Encoder::new(ImageFormat::Png, 0).encode(&Composed::Rgb(picture.clone()), &mut files[1])?;
    Encoder::new(ImageFormat::WebP, 0).encode(&Composed::Rgb(picture.clone()), &mut files[2])?;

    let mut work: Vec<PictureTask<'_>> = Vec::new();
    for level in SimdLevel::available() {
        for (name, background, cleanup) in [
            ("gray, no clean-up", gray.clone(), false),
            ("gray", gray.clone(), true),
            ("transparent", Background::Transparent, true),
            (
                "picture",
                Background::Picture(Arc::new(picture.clone())),
                true,
            ),
            (
                "blur",
                Background::Blur {
                    sigma: BackgroundSpec::DEFAULT_SIGMA,
                },
                true,
            ),
        ] {
            if level != SimdLevel::best() && name != "gray" && name != "blur" {
                continue;
            }
            let mut compositor = Compositor::new(level)?;
            let mut out = Composed::default();
            let picture = &picture;
            let matte = &matte;
            let run = move || {
                compositor.compose(picture, matte, &background, cleanup, &mut out);
                out.as_raw().len()
            };
            work.push((format!("compose {name} ({level})"), Box::new(run)));
        }
    }

    for (kind, composed) in ["rgb", "rgba"].into_iter().zip(&composed) {
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Jpeg] {
            if kind == "rgb" || format.has_alpha() {
                let mut encoder = Encoder::new(format, 80);
                let mut file = Vec::new();
                let run = move || {
                    encoder
                        .encode(composed, &mut file)
                        .map_or(0, |()| file.len())
                };
                work.push((format!("encode {kind} as {format}"), Box::new(run)));
            }
        }
        for (compression, filters) in [
            (png::DeflateCompression::FdeflateUltraFast, &FILTERS[..]),
            (
                png::DeflateCompression::Level(1),
                &[png::Filter::Sub, png::Filter::Up, png::Filter::Adaptive][..],
            ),
            (
                png::DeflateCompression::NoCompression,
                &[png::Filter::NoFilter][..],
            ),
        ] {
            for &filter in filters {
                let run =
                    move || png_with(composed, compression, filter).map_or(0, |file| file.len());
                work.push((
                    format!("  png {kind}, {compression:?}, {filter:?}"),
                    Box::new(run),
                ));
            }
        }
    }

    for file in &files {
        let mut decoder = Decoder::default();
        let mut out = RgbImage::default();
        let run = move || {
            decoder
                .decode_into(file, &Limits::default(), &mut out)
                .map_or(0, |()| file.len())
        };
        work.push((
            format!(
                "decode {}",
                PictureFormat::of(file).map_or("?", PictureFormat::name)
            ),
            Box::new(run),
        ));
    }

    let mut times = vec![Vec::with_capacity(ROUNDS); work.len()];
    let mut bytes = vec![0; work.len()];
    for _ in 0..ROUNDS {
        for (i, (_, run)) in work.iter_mut().enumerate() {
            let start = Instant::now();
            bytes[i] = black_box(run());
            times[i].push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    for (((name, _), times), bytes) in work.iter().zip(&mut times).zip(bytes) {
        times.sort_by(f64::total_cmp);
        println!(
            "{name:48} {:7.3} least {:7.3} median {bytes:9} bytes",
            times[0],
            times[ROUNDS / 2]
        );
    }
    Ok(())
}

const FILTERS: [png::Filter; 6] = [
    png::Filter::NoFilter,
    png::Filter::Sub,
    png::Filter::Up,
    png::Filter::Avg,
    png::Filter::Paeth,
    png::Filter::Adaptive,
];

fn png_with(
    picture: &Composed,
    compression: png::DeflateCompression,
    filter: png::Filter,
) -> Result<Vec<u8>, png::EncodingError> {
    let (width, height) = picture.dimensions();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(if matches!(picture, Composed::Rgba(_)) {
        png::ColorType::Rgba
    } else {
        png::ColorType::Rgb
    });
    encoder.set_deflate_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.as_raw())?;
    writer.finish()?;
    Ok(file)
}
