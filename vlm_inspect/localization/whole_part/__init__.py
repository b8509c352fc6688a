"""What the memory of places does not see: what lies beside the part, and the colour, size and light of all of it.

usual_part.py     START: how the references are in this, and what a part has otherwise
looking.py        a photo made small, the part in it and its background
surroundings.py   what stands out from the plain background beside the part
colour.py         the mean colour of the part, as hue and strength
traits.py         its size, lightness and contrast
next_part.py      how far the next normal part may lie from its references
"""
