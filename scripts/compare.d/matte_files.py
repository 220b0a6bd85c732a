"""Sends encoded frames to mattebox.Matte and writes files with the names of `mattebox run`.

matte_files.py MATTE PICTURES"""

from __future__ import annotations

import pathlib
import sys

from mattebox import Matte


def main() -> None:
    matte, out = Matte(matte=sys.argv[1]), pathlib.Path("output/cam01")
    out.mkdir(parents=True)
    for number, path in enumerate(sorted(pathlib.Path(sys.argv[2]).iterdir())):
        (out / f"frame_{number:06}.png").write_bytes(matte.process_jpeg(path.read_bytes()))


if __name__ == "__main__":
    main()
