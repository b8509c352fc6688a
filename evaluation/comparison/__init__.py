"""`vlm-inspect compare`: whether one run beats another on the same items."""
