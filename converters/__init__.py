"""Any input file (image, scan, clip, curve) to 2-D views that know where their pixels come from."""
