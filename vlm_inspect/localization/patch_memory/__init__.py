"""The patch memory: how unlike the references every place of a picture is, seen by several networks and layers.

channels.py         what a score is: `Channel`, `ViewScores`, `ChannelWeights`, and `ChannelMemory`, the seam
eyes.py             which networks judge, at which size, by which channels
memory.py           `PatchMemory`: all networks of a key together; levels.py: what a new part will score
network_memory.py   one network's banks (layer_bank.py) over one framing (grids.py)
scores.py           what is said of one view; copies.py: the only reference, changed a little
storing.py          a memory as an entry of the cache
"""
