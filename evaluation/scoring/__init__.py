"""From the records and maps of a run to `results.json`: images, pixels, defect types.

results.py       READ FIRST: the document, class by class
item_places.py   what is kept of an item: item_map.py (images), scan_map.py, clip_scores.py, type_map.py
place_scores.py  a class by its ground truth: pixel_scores.py, list_scores.py (points, frames), pixel_types.py
type_scores.py   kinds of defects item by item
"""
