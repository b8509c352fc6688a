"""The commands of `vlm-inspect` that score and compare; each module holds one, and imports the rest when it runs."""
