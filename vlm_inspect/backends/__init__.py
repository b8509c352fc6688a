"""Models, however they are reached."""
