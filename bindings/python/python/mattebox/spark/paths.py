"""Names of files and folders: paths of this machine, and for the checkpoint any file system that
Spark has.

An address is never taken for a path, which would make a folder called ``s3a:`` of
``s3a://bucket/x``.
"""

from __future__ import annotations

import os
import re

# A scheme, as RFC 3986 has it (section 3.1).
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_OWN_NAME = "for a folder or file with a colon in its name write ./NAME"


class NotAPath(ValueError):
    """The text names no file or folder that can be used here. The message says how to write one."""


def local(text: str) -> str:
    """The absolute path of a file or folder of this machine, because executors have another working
    folder.

    ``file:///PATH`` is the same as ``/PATH``. The folder may be one of a shared file system that is
    mounted on every machine.
    """
    scheme, rest = _split(text)
    if not scheme:
        return os.path.abspath(text)
    if scheme.lower() == "file":
        return _of_file_url(text, rest)
    if scheme.lower() == "topic":
        raise NotAPath(
            "results go to a topic with --publish-frames NAME; beside them every frame has its "
            "file, in a folder"
        )
    raise NotAPath(
        f"{scheme}: is an address, and files are read and written by path only: give a folder or "
        "file that is there on every machine (a mounted "
        f"one, as by NFS), and copy from there; {_OWN_NAME}"
    )


def checkpoint(text: str) -> str:
    """The folder of Spark's checkpoint: an absolute path, or an address on a file system that Spark
    has."""
    scheme, rest = _split(text)
    if not scheme:
        return os.path.abspath(text)
    if scheme.lower() == "file":
        return _of_file_url(text, rest)
    return text


def _split(text: str) -> tuple[str, str]:
    """Scheme and rest; the scheme may be empty."""
    if not text.strip():
        raise NotAPath("it is empty: give a path")
    match = _SCHEME.match(text)
    if match is None:
        return "", text
    if len(match[1]) == 1:
        raise NotAPath(
            f"{match[1]}: is a drive of Windows, and the job runs on Linux: give a path such as "
            f"/data/output; {_OWN_NAME}"
        )
    return match[1], text[match.end() :]


def _of_file_url(text: str, rest: str) -> str:
    host, path = "", rest
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        path = slash + path
    if host.lower() not in ("", "localhost") or not path.startswith("/"):
        raise NotAPath(
            f"{text} names no file of this machine: write the path alone, or file:///PATH"
        )
    if "%" in path or "?" in path or "#" in path:
        raise NotAPath(
            f"{text} has %, ? or #, which mean something else in an address: write the path alone"
        )
    return os.path.abspath(path)
