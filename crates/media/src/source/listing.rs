//! The files of a folder, a pattern or a numbered sequence of pictures, in order.
use super::sequence::{self, NumberedFiles};
use mattebox_core::codec::PictureFormat;
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Extensions of pictures that this program decodes.
const EXTENSIONS: &[&str] = &[
    "jpg", "jpeg", "jfif", "jpe", "png", "webp", "tif", "tiff", "bmp", "gif",
];
/// Extensions of videos, which are only read as single sources.
const VIDEOS: &[&str] = &[
    "3gp", "avi", "flv", "m2ts", "m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts",
    "mxf", "ts", "webm", "wmv",
];
/// Extensions of raw photos.
const RAW: &[&str] = &[
    "arw", "cr2", "cr3", "dng", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "srw",
];
/// Extensions of other pictures. FFmpeg reads some of them, one by one.
const OTHERS: &[&str] = &[
    "dpx", "exr", "hdr", "ico", "j2k", "jp2", "jxl", "pbm", "pgm", "pnm", "ppm", "psd", "qoi",
    "sgi", "svg", "tga",
];
/// Bytes of a file that are searched for a second picture.
const MAX_LOOK: u64 = 64 << 20;
/// The most files that a message names.
const MAX_NAMED: usize = 3;

/// The pictures at a path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// All of them, in order.
    pub(super) paths: Vec<PathBuf>,
    /// Those of them that only FFmpeg may read, with their format.
    pub(super) by_ffmpeg: Vec<(PathBuf, PictureFormat)>,
    /// The files that are not read, and why.
    pub(super) left_out: Vec<LeftOutFile>,
    /// A note for the user.
    pub(super) note: Option<String>,
}

/// Why a path gives no pictures. The text follows the name of the source.
#[derive(Debug, Error)]
pub(super) enum ListingError {
    #[error("the folder cannot be read: {0}")]
    Folder(#[source] io::Error),
    #[error(
        "the folder holds no pictures (files that end in {}){}",
        EXTENSIONS.join(", "), but(.0)
    )]
    NoPictures(Vec<LeftOutFile>),
    #[error("the pattern has a mistake: {0}")]
    Pattern(#[source] glob::PatternError),
    #[error("the pattern cannot be followed: {0}")]
    Match(#[source] glob::GlobError),
    #[error("no file matches the pattern")]
    NoMatch,
    #[error("no picture matches the pattern{}", but(.0))]
    NoPictureMatches(Vec<LeftOutFile>),
    #[error("there is no folder {}", .0.display())]
    NoFolder(PathBuf),
    #[error("no file in {} has such a name with a number", .0.display())]
    NoNumberedFile(PathBuf),
}

/// A file that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOutFile {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// The kind of a file, by its name and its first bytes.
enum FileKind {
    /// A picture that this program decodes, at least by its name.
    Picture,
    /// A picture that FFmpeg may read.
    ByFfmpeg(PictureFormat),
    /// A file that a person may miss, and why it is not read.
    Other(String),
    /// A text, a database or the like, which no person misses.
    Unrelated,
}

/// The pictures at `path`, in natural order (`2.png` before `10.png`): those in a folder, those
/// that match a pattern, those of a numbered sequence, or a single file. `None` if it is something
/// else, such as a video, or does not exist.
pub(super) fn find(path: &Path) -> Option<Result<Listing, ListingError>> {
    match path.metadata() {
        Ok(there) if there.is_dir() => Some(in_folder(path)),
        Ok(there) if there.is_file() => single(path).map(Ok),
        Ok(_) => None,
        Err(_) => {
            let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']));
            match (sequence::find(path), pattern) {
                (Ok(NumberedFiles::NoNumber) | Err(_), Some(pattern)) => Some(matching(pattern)),
                (Ok(NumberedFiles::Pictures(listing)), _) => Some(Ok(listing)),
                (Ok(NumberedFiles::NoNumber | NumberedFiles::NoPictures), _) => None,
                (Err(error), None) => Some(Err(error)),
            }
        }
    }
}

/// A single file. `None` if it is for FFmpeg: a video, or an animation that FFmpeg plays.
fn single(path: &Path) -> Option<Listing> {
    let head = head(path);
    let format = PictureFormat::of(&head);
    let listing = |note| Listing {
        paths: vec![path.to_owned()],
        note,
        ..Listing::default()
    };
    match format {
        Some(format @ (PictureFormat::Avif | PictureFormat::Heic)) => {
            let by_ffmpeg = vec![(path.to_owned(), format)];
            let picture = Listing {
                by_ffmpeg,
                ..listing(None)
            };
            (!is_sequence_of_pictures(&head)).then_some(picture)
        }
        Some(PictureFormat::Png) if is_animated_png(path) => None,
        Some(PictureFormat::Gif) if is_animated_gif(path) => None,
        Some(PictureFormat::WebP) if is_animated_webp(&head) => {
            let note = "an animation in WebP: only its first picture is read. Convert it to a \
                video for all of them";
            Some(listing(Some(note.to_owned())))
        }
        // A file of Motion JPEG begins like one picture.
        Some(PictureFormat::Jpeg) | None => is_picture_by_name(path).then(|| listing(None)),
        Some(_) => Some(listing(None)),
    }
}

/// Whether a file among others is a picture, and its format if only FFmpeg may read it.
pub(super) fn kind_of(path: &Path) -> (bool, Option<PictureFormat>) {
    match kind(path) {
        FileKind::Picture => (true, None),
        FileKind::ByFfmpeg(format) => (true, Some(format)),
        FileKind::Other(_) | FileKind::Unrelated => (false, None),
    }
}

fn kind(path: &Path) -> FileKind {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let is_in = |known: &[&str]| {
        known
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    };
    if is_in(EXTENSIONS) {
        return FileKind::Picture;
    }
    if is_in(VIDEOS) {
        return FileKind::Other("a video: give it as a separate source".to_owned());
    }
    let raw = PictureFormat::Raw;
    if is_in(RAW) {
        return FileKind::Other(format!("{} is not read: {}", raw.name(), raw.conversion()));
    }
    match PictureFormat::of(&head(path)) {
        Some(format) if format.is_decoded() => FileKind::Picture,
        Some(format) => FileKind::ByFfmpeg(format),
        None if is_in(OTHERS) => FileKind::Other(
            "of a format that is not read in a folder: convert it to PNG".to_owned(),
        ),
        None if is_in(&["heic", "heif", "hif", "avif"]) => {
            FileKind::Other("damaged, or of another format than its name".to_owned())
        }
        None => FileKind::Unrelated,
    }
}

/// Whether FFmpeg may read a single file of a numbered sequence.
pub(super) fn is_for_ffmpeg(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    OTHERS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

fn is_picture_by_name(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// The first bytes of a file; none if it cannot be read.
fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    let _ = File::open(path)
        .and_then(|file| file.take(PictureFormat::HEAD as u64).read_to_end(&mut head));
    head
}

/// Whether the brand of a media file is that of an image sequence (ISO/IEC 23008-12).
fn is_sequence_of_pictures(head: &[u8]) -> bool {
    const BRANDS: [&[u8]; 6] = [b"avis", b"msf1", b"hevc", b"hevx", b"hevm", b"hevs"];
    head.get(8..12).is_some_and(|major| BRANDS.contains(&major))
}

/// Whether the animation flag is set (RFC 9649, 2.7.1).
fn is_animated_webp(head: &[u8]) -> bool {
    head.get(12..16) == Some(b"VP8X") && head.get(20).is_some_and(|flags| flags & 2 != 0)
}

/// Whether there is a chunk `acTL` before the pixels (PNG, third edition, 11.3.6.1).
fn is_animated_png(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let _ = File::open(path).and_then(|file| file.take(MAX_LOOK).read_to_end(&mut bytes));
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let (Some(length), Some(kind)) = (rest.first_chunk::<4>(), rest.get(4..8)) {
        match kind {
            b"acTL" => return true,
            b"IDAT" => return false,
            _ => {}
        }
        let end = (u32::from_be_bytes(*length) as usize).saturating_add(12);
        rest = rest.get(end..).unwrap_or_default();
    }
    false
}

/// Whether there is a second picture (GIF89a, 15 to 27).
fn is_animated_gif(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let _ = File::open(path).and_then(|file| file.take(MAX_LOOK).read_to_end(&mut bytes));
    let table = |flags: u8| match flags & 0x80 {
        0 => 0,
        _ => 3 << ((flags & 7) + 1),
    };
    let Some(flags) = bytes.get(10) else {
        return false;
    };
    let mut at = 13 + table(*flags);
    let mut pictures = 0;
    while let Some(block) = bytes.get(at) {
        at += match block {
            0x21 => 2,
            0x2c => {
                pictures += 1;
                let flags = bytes.get(at + 9).copied().unwrap_or_default();
                11 + table(flags)
            }
            _ => break,
        };
        if pictures > 1 {
            return true;
        }
        // Sub-blocks with their lengths, up to an empty one.
        while let Some(length) = bytes.get(at) {
            at += 1 + usize::from(*length);
            if *length == 0 {
                break;
            }
        }
    }
    false
}

fn in_folder(folder: &Path) -> Result<Listing, ListingError> {
    let entries = fs::read_dir(folder).map_err(ListingError::Folder)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(ListingError::Folder)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_file() {
            paths.push(path);
        }
    }
    let listing = sorted(paths, false);
    match listing.paths.is_empty() {
        true => Err(ListingError::NoPictures(listing.left_out)),
        false => Ok(listing),
    }
}

fn matching(pattern: &str) -> Result<Listing, ListingError> {
    let matches = glob::glob(pattern).map_err(ListingError::Pattern)?;
    let mut paths = Vec::new();
    for path in matches {
        let path = path.map_err(ListingError::Match)?;
        if path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(ListingError::NoMatch);
    }
    let listing = sorted(paths, true);
    match listing.paths.is_empty() {
        true => Err(ListingError::NoPictureMatches(listing.left_out)),
        false => Ok(listing),
    }
}

/// The pictures among files, in natural order. With `all` every other file is listed as left out,
/// because a pattern has asked for it.
fn sorted(mut files: Vec<PathBuf>, all: bool) -> Listing {
    alphanumeric_sort::sort_path_slice(&mut files);
    let mut listing = Listing::default();
    for path in files {
        match kind(&path) {
            FileKind::Picture => listing.paths.push(path),
            FileKind::ByFfmpeg(format) => {
                listing.by_ffmpeg.push((path.clone(), format));
                listing.paths.push(path);
            }
            FileKind::Other(reason) => listing.left_out.push(LeftOutFile { path, reason }),
            FileKind::Unrelated if all => listing.left_out.push(LeftOutFile {
                path,
                reason: "no picture".to_owned(),
            }),
            FileKind::Unrelated => {}
        }
    }
    listing
}

/// The end of a message about a source without pictures.
pub(super) fn but(left_out: &[LeftOutFile]) -> String {
    match left_out {
        [] => String::new(),
        some => format!(", but {}", describe(some)),
    }
}

/// Describes files that are left out, by reason: the first names, the number of others, and the
/// reason.
pub(super) fn describe(left_out: &[LeftOutFile]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for file in left_out {
        if !reasons.contains(&file.reason.as_str()) {
            reasons.push(&file.reason);
        }
    }
    let groups = reasons.iter().map(|reason| {
        let of_reason = || left_out.iter().filter(|file| file.reason == *reason);
        let names: Vec<_> = of_reason()
            .take(MAX_NAMED)
            .map(|file| file.path.file_name().unwrap_or_default().to_string_lossy())
            .collect();
        let more = match of_reason().count().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more} ({reason})", names.join(", "))
    });
    groups.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let listing = find(path).unwrap().unwrap();
        let names = listing
            .paths
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        names.collect()
    }

    #[test]
    fn pictures_are_found_in_natural_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "10.png",
            "2.PNG",
            "1.jpg",
            "notes.txt",
            ".hidden.png",
            "a.webp",
            "clip.mp4",
        ] {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        fs::create_dir(folder.path().join("3.png")).unwrap();
        assert_eq!(names(folder.path()), ["1.jpg", "2.PNG", "10.png", "a.webp"]);
        assert_eq!(
            names(&folder.path().join("*[0-9].*")),
            ["1.jpg", "2.PNG", "10.png"]
        );
        assert_eq!(names(&folder.path().join("10.png")), ["10.png"]);
    }

    #[test]
    fn every_format_of_pictures_is_found_by_name_or_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        for name in ["1.jfif", "2.JPE", "3.tif", "4.TIFF", "5.bmp", "6.gif"] {
            write(name, b"x");
        }
        write("7", b"\xff\xd8\xff\xe0");
        write("8.dat", b"II*\0\x08\0\0\0");
        write("9.heif", b"\0\0\0\x10ftypavif\0\0\0\0");
        assert_eq!(
            names(folder.path()),
            [
                "1.jfif", "2.JPE", "3.tif", "4.TIFF", "5.bmp", "6.gif", "7", "8.dat", "9.heif"
            ]
        );
        let listing = find(folder.path()).unwrap().unwrap();
        let avif = (folder.path().join("9.heif"), PictureFormat::Avif);
        assert_eq!(listing.by_ffmpeg, [avif]);
        assert_eq!(listing.left_out, []);
    }

    #[test]
    fn left_out_files_are_named_except_texts_and_hidden_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "1.png", "a.cr2", "b.NEF", "c.mov", "d.mp4", "e.psd", "f.txt", "g", ".h.mov", "h.avi",
            "i.mkv", "j.heic",
        ] {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        let listing = find(folder.path()).unwrap().unwrap();
        let text = describe(&listing.left_out);
        assert!(
            text.starts_with("a.cr2, b.NEF (a raw photo is not read: "),
            "{text}"
        );
        assert!(
            text.contains("c.mov, d.mp4, h.avi and 1 more (a video"),
            "{text}"
        );
        assert!(
            text.contains("e.psd (of a format") && text.contains("j.heic (damaged"),
            "{text}"
        );
        for silent in ["f.txt", "g,", ".h.mov"] {
            assert!(!text.contains(silent), "{text}");
        }
        let all = find(&folder.path().join("*")).unwrap().unwrap();
        assert!(describe(&all.left_out).contains("f.txt, g (no picture)"));
    }

    #[test]
    fn animations_alone_are_for_ffmpeg_if_it_plays_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let chunk = |kind: &[u8]| [&[0, 0, 0, 1], kind, &[7, 0, 0, 0, 0]].concat();
        let signature = b"\x89PNG\r\n\x1a\n";
        let png = |kinds: [&[u8]; 2]| [&signature[..], &chunk(kinds[0]), &chunk(kinds[1])].concat();
        assert!(find(&write("a.png", &png([b"acTL", b"IDAT"]))).is_none());
        assert!(find(&write("b.png", &png([b"IDAT", b"acTL"]))).is_some());
        let gif = |pictures: usize| {
            let picture = b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
            let head = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff";
            [&head[..], &picture.repeat(pictures), b";"].concat()
        };
        assert!(find(&write("c.gif", &gif(1))).is_some());
        assert!(find(&write("d.gif", &gif(2))).is_none());
        let webp = b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\0\0\0\0\0\0";
        let listing = find(&write("e.webp", webp)).unwrap().unwrap();
        assert!(listing.note.unwrap().contains("first picture"));
        assert!(find(&write("f.avif", b"\0\0\0\x10ftypavis\0\0\0\0")).is_none());
        // Among other files its first picture is read.
        assert_eq!(names(folder.path()).len(), 6);
    }

    #[test]
    fn missing_pictures_and_other_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        for (path, words) in [
            (folder.path().to_owned(), "holds no pictures"),
            (folder.path().join("*.png"), "no file matches"),
            (folder.path().join("[.png"), "mistake"),
        ] {
            let error = find(&path).unwrap().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(find(&folder.path().join("missing.png")).is_none());
        fs::write(folder.path().join("a.mp4"), b"x").unwrap();
        assert!(find(&folder.path().join("a.mp4")).is_none());
        let error = find(folder.path()).unwrap().unwrap_err().to_string();
        assert!(error.contains("but a.mp4 (a video"), "{error}");
    }
}
