"""Clips judged by what happens in them: every frame is looked at, small, against normal clips.

features.py    what is kept of a frame: coarse grey values, dense optical flow over small cells
camera.py      where the camera stands: a shake is taken out, a camera that moves is told (camera_words.py)
motion.py      how something moves at a place, against how things normally move there
speed.py       how fast something moves, against how fast things normally move that far from the camera
appearance.py  how a place looks, against how it normally looks
durations.py   how long a place stays in one state, against how long it normally does: order and length of cycles
grid.py        what they share: places, smoothing, the score of a frame
normality.py   all together, learned from stretches of normal clips, with the tolerance of each
curve.py       the score of every frame of a clip, piece by piece in constant memory, resumed where it broke off
events.py      stretches of the curve beyond tolerance: start, peak, end, box and track
frame_choice.py which frames are shown: before, at and after events, beside normal ones
localizer.py   all of it as a localizer
"""
