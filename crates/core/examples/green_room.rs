//! Measures the foreground clean-up: puts a person in front of a green room, cuts them out again
//! with a matte, and puts them on gray.
//!
//! `green_room PICTURES ALPHAS MATTES OUT`: three folders of numbered PNG files (the person, the
//! exact alpha to build the green room with, the matte to cut out with), and a folder for pictures.
//! `bench/green_room` makes the first two from the sample. Prints, over the mixed pixels of all
//! frames: the mean green excess `max(0, G - max(R, B))` and the mean distance from the person put
//! on gray directly.
use image::{GrayImage, Rgb, RgbImage, imageops};
use mattebox_core::codec::{self, Encoder, ImageFormat, Limits};
use mattebox_core::compose::{Background, BackgroundSpec, Composed, Compositor};
use mattebox_core::matte::Matte;
use mattebox_net::SimdLevel;
use std::{env, error::Error, fs, path::Path};

const ROOM: [u8; 3] = [0, 177, 64];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [pictures, alphas, mattes, out] = args.as_slice() else {
        return Err("usage: green_room PICTURES ALPHAS MATTES OUT".into());
    };
    fs::create_dir_all(out)?;
    let mut compositor = Compositor::new(SimdLevel::best())?;
    let gray = Background::Color(BackgroundSpec::GRAY);
    let mut totals = [GreenExcess::default(), GreenExcess::default()];
    for (i, ((picture, alpha), matte)) in read_all(pictures)?
        .iter()
        .zip(&read_all(alphas)?)
        .zip(&read_all(mattes)?)
        .enumerate()
    {
        let alpha = first_channel(alpha);
        let matte = first_channel(matte);
        let mut compose =
            |picture: &RgbImage, alpha: &GrayImage, background: &Background, cleanup| {
                let mut composed = Composed::default();
                let matte = Matte::from(alpha.clone());
                compositor.compose(picture, &matte, background, cleanup, &mut composed);
                match composed {
                    Composed::Rgb(picture) => picture,
                    Composed::Rgba(_) => unreachable!("the background is opaque"),
                }
            };
        let filmed = compose(picture, &alpha, &Background::Color(ROOM), false);
        let wanted = compose(picture, &alpha, &gray, false);
        for (cleanup, total) in [false, true].into_iter().zip(&mut totals) {
            let result = compose(&filmed, &matte, &gray, cleanup);
            total.add(&result, &wanted, &matte);
            if i == 30 {
                save(
                    out,
                    if cleanup { "after.png" } else { "before.png" },
                    &result,
                )?;
            }
        }
        if i == 30 {
            save(out, "filmed.png", &filmed)?;
        }
    }
    for (name, total) in ["before", "after"].iter().zip(&totals) {
        println!("{name:6} {total}");
    }
    Ok(())
}

#[derive(Default)]
struct GreenExcess {
    pixels: u64,
    excess: u64,
    distance: u64,
}

impl GreenExcess {
    fn add(&mut self, result: &RgbImage, wanted: &RgbImage, matte: &GrayImage) {
        for ((Rgb(c), Rgb(w)), a) in result.pixels().zip(wanted.pixels()).zip(matte.as_raw()) {
            if (1..255).contains(a) {
                self.pixels += 1;
                self.excess += u64::from(c[1].saturating_sub(c[0].max(c[2])));
                self.distance += c
                    .iter()
                    .zip(w)
                    .map(|(c, w)| u64::from(c.abs_diff(*w)))
                    .sum::<u64>();
            }
        }
    }
}

impl std::fmt::Display for GreenExcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let per = |v: u64| v as f64 / self.pixels as f64;
        write!(
            f,
            "green excess {:6.2}, distance {:6.2}, mixed pixels {}",
            per(self.excess),
            per(self.distance) / 3.0,
            self.pixels
        )
    }
}

fn read_all(folder: &str) -> Result<Vec<RgbImage>, Box<dyn Error>> {
    let mut paths: Vec<_> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    paths.sort();
    paths
        .iter()
        .map(|path| Ok(codec::decode(&fs::read(path)?, &Limits::default())?))
        .collect()
}

fn first_channel(picture: &RgbImage) -> GrayImage {
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        image::Luma([picture.get_pixel(x, y).0[0]])
    })
}

/// The head, enlarged four times so that single pixels can be seen.
fn save(folder: &str, name: &str, picture: &RgbImage) -> Result<(), Box<dyn Error>> {
    let head = imageops::crop_imm(picture, 265, 15, 130, 90).to_image();
    let large = imageops::resize(&head, 520, 360, imageops::FilterType::Nearest);
    let mut file = Vec::new();
    Encoder::new(ImageFormat::Png, 0).encode(&Composed::Rgb(large), &mut file)?;
    Ok(fs::write(Path::new(folder).join(name), file)?)
}
