"""Taking `hla.dat` out of a zip from outside, without trusting the zip.

In: a zip file, the name of the member wanted, a place for it. Out: what the member says (`flatfacts.py`).

The zip is refused as a whole if a member's path leads out of it, or if the wanted member is there twice, is
encrypted, is larger than bounds or than its header says, or fails its checksum. No other member is
written, and the wanted one only where the caller says.
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from gfe_assets.errors import ReleaseRefused
from gfe_assets.source.gitobjects import CHUNK

MAX_UNPACKED = 4 << 30
"""Bytes that a flat file may have (4 GiB); that of release 3.64.0 has about 0.4 GB."""
MAX_RATIO = 200
"""How many times larger than its packed form a flat file may be; real ones are 13 times larger."""
_SMALL = 64 << 20
"""Bytes below which the ratio does not matter: short repetitive files pack far better than real ones."""
_ADVICE = "; get the file again, or wait until the source is corrected"


def unpacked(archive: Path, member: str, release: str) -> Iterator[bytes]:
    """The content of one member, in pieces.

    Raises:
        ReleaseRefused: the file is no zip or not one to trust; the message says why.
    """
    try:
        with zipfile.ZipFile(archive) as pack:
            info = _wanted(pack, member, release)
            with pack.open(info) as stream:
                yield from _bounded(stream, info.file_size, f"{member} in the zip of release {release}")
    except zipfile.BadZipFile as error:
        raise ReleaseRefused(f"release {release} is refused: {_no_zip(archive, error)}{_ADVICE}") from None
    except (zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ReleaseRefused(
            f"release {release} is refused: {member} in its zip cannot be unpacked: {error}{_ADVICE}"
        ) from None


def _wanted(pack: zipfile.ZipFile, member: str, release: str) -> zipfile.ZipInfo:
    names = [info.filename for info in pack.infolist()]
    # orig_filename keeps what ZipInfo cuts or replaces: bytes after a NUL, and backslashes on Windows
    if outside := [info.orig_filename for info in pack.infolist() if _leads_out(info.orig_filename)]:
        raise ReleaseRefused(f"release {release} is refused: its zip holds a path that leads outside: {outside[0]!r}{_ADVICE}")
    found = [info for info in pack.infolist() if info.filename == member]
    if len(found) != 1:
        listing = ", ".join(repr(name) for name in names[:5]) + (", …" if len(names) > 5 else "")
        count = f"{len(found)} members named {member}" if found else f"no {member}"
        raise ReleaseRefused(f"release {release} is refused: its zip holds {count} (it holds {listing or 'nothing'}){_ADVICE}")
    info = found[0]
    if info.flag_bits & 1:
        raise ReleaseRefused(f"release {release} is refused: {member} in its zip is encrypted{_ADVICE}")
    if info.file_size > MAX_UNPACKED or (info.file_size > _SMALL and info.file_size > MAX_RATIO * max(1, info.compress_size)):
        raise ReleaseRefused(
            f"release {release} is refused: {member} would unpack from {info.compress_size:,} to {info.file_size:,} bytes, "
            f"more than {MAX_UNPACKED:,} bytes or {MAX_RATIO} times its packed size{_ADVICE}"
        )
    return info


def _bounded(stream: IO[bytes], size: int, what: str) -> Iterator[bytes]:
    done = 0
    while chunk := stream.read(CHUNK):
        done += len(chunk)
        if done > size:
            raise zipfile.BadZipFile(f"{what} is larger than the {size:,} bytes that its header says")
        yield chunk
    if done != size:
        raise zipfile.BadZipFile(f"{what} has {done:,} bytes where its header says {size:,}")


def _leads_out(name: str) -> bool:
    windows = PureWindowsPath(name)
    return PurePosixPath(name).is_absolute() or bool(windows.drive or windows.root) or ".." in windows.parts or "\0" in name


def _no_zip(archive: Path, error: zipfile.BadZipFile) -> str:
    if zipfile.is_zipfile(archive):
        return f"its zip is damaged: {error}"
    with archive.open("rb") as stream:
        start = stream.read(40)
    if not start:
        return "its zip is empty"
    return f"its zip is no zip file or was cut short (it begins with {start!r})"
