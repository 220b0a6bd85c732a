"""The inputs of the commands, which FFmpeg makes of the sample clip. Each is made when a row first
needs it."""

from __future__ import annotations

import pathlib
import re

from processes import ROOT, answer

CLIP = ROOT / "samples/person.mp4"
FRAMES = 12
# Of the raw frames for Python.
WIDTH, HEIGHT = 320, 180

LOSSLESS = "-c:v ffv1"
# Name: file or folder, and the arguments of FFmpeg that make it.
RECIPES = {
    "odd": (
        "odd.mkv",
        f"-i {CLIP} -frames:v {FRAMES} -vf hflip,scale=333:187,format=bgr0 {LOSSLESS} odd.mkv",
    ),
    "still": (
        "still.mkv",
        f"-i {CLIP} -frames:v 16 -vf scale=160:90,tpad=start=6:start_mode=clone {LOSSLESS} "
        "still.mkv",
    ),
    "mjpeg": (
        "mjpeg.mkv",
        f"-i {CLIP} -frames:v {FRAMES} -vf scale=320:-2 -c:v mjpeg -q:v 3 mjpeg.mkv",
    ),
    "image": ("image.png", "-f lavfi -i testsrc2=size=400x300 -frames:v 1 image.png"),
    # Shorter than the clip, so that it begins again.
    "video": (
        "video.mkv",
        f"-f lavfi -i testsrc2=size=200x150:rate=25 -frames:v 5 {LOSSLESS} video.mkv",
    ),
    "pictures": (
        "pictures",
        f"-i {CLIP} -frames:v {FRAMES} -vf scale={WIDTH}:{HEIGHT} -q:v 3 pictures/%03d.jpg",
    ),
    # The same frames without loss: as one video, and as the encoded pictures inside it.
    "lossless": (
        "lossless.mkv",
        f"-i {CLIP} -frames:v {FRAMES} -vf scale={WIDTH}:{HEIGHT},format=rgb24 -c:v png "
        "lossless.mkv",
    ),
    "pngs": ("pngs", "-i lossless.mkv -c:v copy pngs/%03d.png"),
    "raw": (
        "raw.rgb",
        f"-i {CLIP} -frames:v {FRAMES} -vf scale={WIDTH}:{HEIGHT} -f rawvideo -pix_fmt rgb24 "
        "raw.rgb",
    ),
}


class Inputs:
    """A folder of inputs."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def path(self, name: str) -> pathlib.Path:
        """The path of an input, which is made if it is not there."""
        if name == "clip":
            return CLIP
        if name == "mixed":
            return self._mixed()
        if name == "pngs":
            self.path("lossless")
        file, arguments = RECIPES[name]
        if not (self.folder / file).exists():
            self._ffmpeg(file, arguments)
        return self.folder / file

    def fill_in(self, spec: str, **more: str) -> list[str]:
        """The words of a row, with inputs in place of `{name}`."""
        names = set(re.findall(r"(?<!\{)\{(\w+)\}(?!\})", spec)) - set(more)
        paths = {name: str(self.path(name)) for name in names}
        return [word.format(**paths, **more) for word in spec.split()]

    def encoded(self, name: str) -> list[bytes]:
        """The encoded frames of a folder of pictures."""
        return [path.read_bytes() for path in sorted(self.path(name).iterdir())]

    def _ffmpeg(self, file: str, arguments: str) -> None:
        if "/%" in arguments:
            (self.folder / file).mkdir()
        answer(["ffmpeg", "-nostdin", "-loglevel", "error", *arguments.split()], cwd=self.folder)

    def _mixed(self) -> pathlib.Path:
        """A folder with JPEG, PNG and WebP pictures of several sizes, and one that is cut off."""
        folder = self.folder / "mixed"
        if not folder.exists():
            folder.mkdir()
            for number, (size, ending) in enumerate(
                [("320:180", "jpg"), ("333:187", "png"), ("160:90", "webp"), ("91:160", "jpg")]
            ):
                command = [
                    "ffmpeg",
                    "-nostdin",
                    "-loglevel",
                    "error",
                    "-i",
                    CLIP,
                    "-frames:v",
                    "1",
                    "-vf",
                    f"scale={size}",
                ]
                answer([*command, folder / f"{number}.{ending}"])
            (folder / "4.jpg").write_bytes((folder / "0.jpg").read_bytes()[:3000])
            (folder / "5.png").write_bytes((folder / "1.png").read_bytes())
        return folder
