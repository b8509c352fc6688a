"""The patch memory: how unlike the references every place of a picture is, seen by several networks and layers.

channels.py   what a score is: `Channel`, `ViewScores`, `ChannelWeights`, and `ChannelMemory`, the seam
"""
