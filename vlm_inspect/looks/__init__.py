"""Looking at a part again: which places are worth it, and how they are enlarged.

look.py          one step of an examination: what was shown, what was answered, what it cost
second_look.py   chooses the places and asks about them
windows.py       a long clip asked about window by window, and one opinion of all answers
zoom.py          cuts a place out of the part at its full resolution
"""
