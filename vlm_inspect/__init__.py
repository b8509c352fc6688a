"""Judge one part, photo, scan, clip or curve, rule by rule: OK, NG or REVIEW, with places and reasons."""
