"""What an input was, byte for byte: the digest in every record."""

import hashlib
from pathlib import Path

from converters.errors import ConversionError
from converters.system_files import is_system_file


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder of frames, as 64 hexadecimal digits.

    A folder's digest covers the names and contents of the files directly in it, in the order of their names; what a
    system left there (".DS_Store", "Thumbs.db") does not count. A file is read in pieces, so that a long clip does not
    fill the memory.

    Raises:
        ConversionError: missing or unreadable.
    """
    try:
        if not path.is_dir():
            return _digest_file(path)
        total = hashlib.sha256()
        files = (entry for entry in path.iterdir() if entry.is_file() and not is_system_file(entry))
        for entry in sorted(files, key=lambda file: file.name):
            total.update(f"{entry.name}\0{_digest_file(entry)}\n".encode(errors="surrogateescape"))
        return total.hexdigest()
    except OSError as fault:
        raise ConversionError(f"{path}: cannot be read: {fault.strerror or fault}") from fault


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
