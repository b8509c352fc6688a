"""One small function per measurable check, by kind of sample, and how two scans are brought together.

registry.py     READ FIRST: every measure by name, with its unit, kind and one line on what it is
scan.py         sizes, holes, flatness, spacing and deviation of a point cloud
mesh.py         volume, area and through holes of a closed mesh
image.py        parts, colour, sharpness, brightness, coverage
foreground.py   what of a photograph is part, and what background
video.py        frozen and black seconds
series.py       extremes, RMS, peaks, dominant frequency
channel_names.py  names of a curve's channels, as they are compared
alignment.py    the pose that lays one scan onto another (orientations.py: its starts; icp.py: its last steps)
surface.py      a cloud as a surface of small planes, and distances to it
"""
