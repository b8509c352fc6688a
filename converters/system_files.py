"""Files and folders that an operating system leaves between samples, and that are none themselves."""

from pathlib import Path

_NAMES = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "iconcache.db", "folder.jpg.db"),
        *("picasa.ini", "icon\r"),
        *("__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle"),
    }
)


def is_system_file(path: Path) -> bool:
    """Return whether a name is hidden (".DS_Store", "._part.png", "~$parts.csv") or a system's own ("Thumbs.db")."""
    return path.name.startswith((".", "~$")) or path.name.lower() in _NAMES
