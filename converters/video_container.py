"""Which container a video file is, told from its first bytes, and whether all of it is there."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp"})
_PREFIXES = {
    b"\x1aE\xdf\xa3": "matroska",
    b"FLV\x01": "flv",
    b"\x00\x00\x01\xba": "mpeg",
    b"\x00\x00\x01\xb3": "mpeg",
    b"OggS": "ogg",
    b"0&\xb2u\x8ef\xcf\x11": "asf",
}
_MATROSKA_SEGMENT = 0x18538067


def identify_container(path: Path) -> str | None:
    """Tell mp4 (and mov), avi, matroska (and webm), flv, mpeg, mpegts, ogg or asf; None for any other file.

    Only what is told here is ever given to the decoder: it would follow the addresses in a playlist.
    """
    with path.open("rb") as file:
        head = file.read(400)
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "mpegts"
    return next((name for prefix, name in _PREFIXES.items() if head.startswith(prefix)), None)


def missing_bytes(path: Path, container: str) -> int:
    """Return how many bytes the outer structure announces beyond the end of the file; 0 where it tells nothing.

    A player shows the part that is there without a word; an inspection of half a clip would be one of another clip.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if container == "mp4":
            end = _mp4_end(file, size)
        elif container == "avi":
            end = _avi_end(file, size)
        elif container == "matroska":
            end = _matroska_end(file)
        else:
            end = size
    return max(0, end - size)


def _mp4_end(file: BinaryIO, size: int) -> int:
    """End of the last box; a size of 1 means that 64 bits follow, 0 that the box reaches to the end of the file."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        if not kind.isalnum() and kind not in _MP4_BOXES:
            return size  # no box: what follows the last one is not ours to judge
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8:
            return size
        position += length
    return position


def _avi_end(file: BinaryIO, size: int) -> int:
    """End of the last RIFF chunk; large files have several, an unfinished recording has a length of 0."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        magic, length = struct.unpack("<4sI", file.read(8))
        if magic != b"RIFF" or length in {0, 0xFFFFFFFF}:
            return size
        position += 8 + length + length % 2
    return position - 1 if position == size + 1 else position  # writers may leave out the last padding byte


def _matroska_end(file: BinaryIO) -> int:
    """End of the segment; 0 where its length is unknown, as in a live recording."""
    position = 0
    for _ in range(2):
        file.seek(position)
        element, used = _vint(file.read(12), keep_marker=True)
        file.seek(position + used)
        length, more = _vint(file.read(12), keep_marker=False)
        if not used or not more:
            return 0
        if element == _MATROSKA_SEGMENT:
            unknown = (1 << 7 * more) - 1
            return 0 if length == unknown else position + used + more + length
        position += used + more + length
    return 0


def _vint(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """A variable-length integer (RFC 8794, section 4) and the bytes it takes; 0 bytes where there is none."""
    if not data or not data[0]:
        return 0, 0
    count = 9 - data[0].bit_length()
    if len(data) < count:
        return 0, 0
    value = int.from_bytes(data[:count], "big")
    return (value if keep_marker else value & ((1 << 7 * count) - 1)), count


_MOST_INDEX = 2**28
"""Largest index of an mp4 that is looked at, in bytes; that of a day of film is a tenth of it."""


def shown_share(path: Path) -> float:
    """Return which share of an mp4's (or mov's) film its edit list shows; 1.0 where it has none.

    A tool that trims without coding anew keeps all packets and writes which part of them to play (ISO 14496-12, 8.6.6).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        for kind, start, end in _boxes_of_file(file, size):
            if kind == b"moov" and end - start <= _MOST_INDEX:
                file.seek(start)
                return _share_of_movie(file.read(end - start))
    return 1.0


def _share_of_movie(movie: bytes) -> float:
    scale = _scale_and_duration(_inner(movie, b"mvhd"))[0]
    for kind, track in _boxes(movie):
        media = _inner(track, b"mdia") if kind == b"trak" else b""
        if _inner(media, b"hdlr")[8:12] != b"vide":
            continue
        media_scale, duration = _scale_and_duration(_inner(media, b"mdhd"))
        played = sum(length for length, start in _edits(_inner(_inner(track, b"edts"), b"elst")) if start >= 0)
        if played and scale and media_scale and duration:
            return min(1.0, (played / scale) / (duration / media_scale))
    return 1.0


def _boxes_of_file(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content and end of the outer boxes."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length, kind, at = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, at = int.from_bytes(head[8:16], "big"), 16
        end = position + length if length else size
        if length and length < at:
            return
        yield kind, position + at, min(end, size)
        position = end


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes in another one's content."""
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8:
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + length]
        at += length


def _inner(data: bytes, wanted: bytes) -> bytes:
    return next((content for kind, content in _boxes(data) if kind == wanted), b"")


def _scale_and_duration(header: bytes) -> tuple[int, int]:
    """Ticks a second and length in ticks, of a movie or media header; zeros where there is none."""
    layout, at = (">IQ", 20) if header[:1] == b"\x01" else (">II", 12)
    return struct.unpack_from(layout, header, at) if len(header) >= at + struct.calcsize(layout) else (0, 0)


def _edits(content: bytes) -> Iterator[tuple[int, int]]:
    """Length in ticks of the movie, and start in ticks of the media (-1: a gap), of each entry of an edit list."""
    layout = struct.Struct(">Qqi" if content[:1] == b"\x01" else ">Iii")
    count = min(int.from_bytes(content[4:8], "big"), max(0, len(content) - 8) // layout.size)
    for k in range(count):
        length, start, _ = layout.unpack_from(content, 8 + k * layout.size)
        yield length, start
