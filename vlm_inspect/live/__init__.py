"""Live sources: a stream or a camera (or a recording), of which every event becomes one clip, a part like others.

buffer.py    frames that wait to be looked at
source.py    frames as they come, with their time; it connects again where the source drops
recording.py a clip in place of a live source: all of its frames, as fast as they can be looked at
scorer.py    how unusual each frame is, a few frames late, in constant memory
recorder.py  the last seconds in memory, and an event with what was before and after it as a clip on the disk
watching.py  the three together, in a thread of its own: events in, paths of clips out
"""
