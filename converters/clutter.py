"""Files that systems and programs leave in folders, and that are no input."""

_NAMES = frozenset(
    {
        "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini", "zbthumbnail.info",
        "__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir",
    }
)  # fmt: skip


def is_clutter(name: str) -> bool:
    """Tell by its name what Windows, macOS, a NAS or an open editor left: Thumbs.db, desktop.ini, .DS_Store, ~$part."""
    return name.startswith((".", "~$")) or name.lower() in _NAMES
