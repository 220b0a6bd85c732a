//! The files of this machine that a source reads.
use super::{SourceSpec, listing, spec};
use mattebox_store::pending::folder_of;
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// The longest playlist that is read, in bytes.
const MAX_PLAYLIST: u64 = 16 << 20;
/// The most levels of playlists in playlists.
const MAX_DEPTH: usize = 32;

/// A file of this machine that a source reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFile {
    /// A file, a device, or a folder all of whose pictures are read.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

/// The files of this machine that a source reads, as far as they are known before it is opened:
/// every picture of a folder, pattern or numbered sequence, the files of a playlist, and files in a
/// filter graph.
pub fn files(spec: &SourceSpec) -> Vec<SourceFile> {
    let paths = match spec {
        SourceSpec::Stdin => return vec![SourceFile::Stdin],
        SourceSpec::Url(_) => Vec::new(),
        SourceSpec::Device(device) if device.starts_with('/') => vec![device.into()],
        SourceSpec::Device(number) => vec![format!("/dev/video{number}").into()],
        SourceSpec::Lavfi(address) => in_graph(spec::graph(address)),
        SourceSpec::Path(path) => match listing::find(path) {
            Some(found) => std::iter::once(path.clone())
                // A pattern is not a file itself.
                .filter(|path| path.exists())
                .chain(found.unwrap_or_default().paths)
                .collect(),
            None if path.exists() => with_playlist(path, MAX_DEPTH),
            None => sequence(path),
        },
    };
    paths.into_iter().map(SourceFile::Path).collect()
}

/// A file, and those that it lists if it is a playlist (HLS, or FFmpeg's own).
fn with_playlist(path: &Path, depth: usize) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    let text = if depth > 0 { playlist(path) } else { None };
    for line in text.iter().flat_map(|text| text.split(['\n', '\r'])) {
        for name in named_in(line.trim()) {
            let name = name
                .strip_prefix("file:")
                .map(|name| name.strip_prefix("//").unwrap_or(name))
                .unwrap_or(&name);
            let listed = path.parent().unwrap_or(Path::new("")).join(name);
            if listed.is_file() && !paths.contains(&listed) {
                paths.extend(with_playlist(&listed, depth - 1));
            }
        }
    }
    paths
}

/// The text of a file that is a playlist.
fn playlist(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let mut begin = [0; 8];
    file.read_exact(&mut begin).ok()?;
    if !begin.starts_with(b"ffconcat") && !begin.starts_with(b"#EXTM3U") {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_PLAYLIST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The files that a line of a playlist may name: a bare line, the text after `file`, and quoted
/// texts.
fn named_in(line: &str) -> Vec<String> {
    let plain = |name: &str| name.replace(['\'', '\\'], "");
    let mut names: Vec<String> = line
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    match line.strip_prefix("file") {
        Some(name) => {
            names.extend([plain(name.trim()), line.to_owned()]);
            // A comment may follow.
            names.extend(name.split_whitespace().next().map(plain));
        }
        None if line.starts_with('#') => {}
        None => names.push(line.to_owned()),
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The pictures of a numbered sequence such as `frame_%06d.tif`.
fn sequence(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let Some((before, rest)) = name.split_once('%') else {
        return Vec::new();
    };
    let Some(after) = rest
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .strip_prefix('d')
    else {
        return Vec::new();
    };
    let folder = folder_of(path);
    // In FFmpeg's patterns a percent sign is written as two.
    let folder = folder.to_string_lossy().replace("%%", "%");
    let is_one = |name: &str| {
        let number = name
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after));
        number.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let entries = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_one))
        .map(|entry| entry.path())
        .collect()
}

/// Files that a filter graph names, as in `movie=clip.mp4`.
fn in_graph(graph: &str) -> Vec<PathBuf> {
    let graph = graph.replace(['\'', '\\'], "");
    let words = graph.split(['=', ',', ';', '[', ']', '|']);
    // A colon ends an option, unless it is part of the name.
    let names = words.flat_map(|word| word.split(':').chain([word]));
    let paths = names
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(PathBuf::from);
    paths
        .flat_map(|path| {
            if path.is_file() {
                with_playlist(&path, MAX_DEPTH)
            } else {
                sequence(&path)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_that_are_read_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [
            "p/1.jpg",
            "p/2.png",
            "p/notes.txt",
            "s/f_0001.tif",
            "s/f_0002.tif",
            "s/f_x.tif",
            "it's.mp4",
            "b.ts",
        ] {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), b"x").unwrap();
        }
        let hls =
            "#EXTM3U\n#EXT-X-MAP:URI=\"it's.mp4\"\n#EXTINF:2,\nb.ts\nhttp://h/c.ts\nmissing.ts\n";
        fs::write(path("a.m3u8"), hls).unwrap();
        fs::write(
            path("list"),
            "ffconcat version 1.0\nfile 'it'\\''s.mp4'\nfile a.m3u8\nduration 3\n",
        )
        .unwrap();
        let found = |text: String| {
            let mut names: Vec<String> = files(&text.parse().unwrap())
                .into_iter()
                .map(|file| match file {
                    SourceFile::Path(path) => path
                        .strip_prefix(folder.path())
                        .unwrap_or(&path)
                        .display()
                        .to_string(),
                    SourceFile::Stdin => "stdin".to_owned(),
                })
                .collect();
            names.sort();
            names.dedup();
            names.join(" ")
        };
        let at = |name: &str| found(path(name).display().to_string());
        assert_eq!(at("b.ts"), "b.ts");
        assert_eq!(at("p"), "p p/1.jpg p/2.png");
        assert!(at("p/*.jpg").ends_with("p/1.jpg") && !at("p/*.jpg").contains("2.png"));
        assert_eq!(at("s/f_%04d.tif"), "s/f_0001.tif s/f_0002.tif");
        assert_eq!(at("a.m3u8"), "a.m3u8 b.ts it's.mp4");
        assert_eq!(at("list"), "a.m3u8 b.ts it's.mp4 list");
        assert_eq!(
            found(format!(
                "lavfi:movie={}:loop=0,fps=5",
                path("b.ts").display()
            )),
            "b.ts"
        );
        assert_eq!(
            found(format!("lavfi:movie={}", path("a.m3u8").display())),
            "a.m3u8 b.ts it's.mp4"
        );
        assert_eq!(
            found(format!(
                "lavfi:movie={}:f=image2",
                path("s/f_%04d.tif").display()
            )),
            "s/f_0001.tif s/f_0002.tif"
        );
        assert_eq!(found("lavfi:testsrc=size=64x64".to_owned()), "");
        assert_eq!(
            (found("-".to_owned()), found("7".to_owned())),
            ("stdin".to_owned(), "/dev/video7".to_owned())
        );
        assert_eq!(found("rtsp://h/a.mp4".to_owned()) + &at("missing.mp4"), "");
    }
}
