"""PromptAD as the VAND 3.0 report describes it: learned prompts in vision and text space, and a convolutional head.

`settings.py` holds every choice, `net.py` the tensors, `losses.py` the six losses, `words.py` the sentences. It is
trained by `training/methods/promptad.py`; `judge.py`: `load_promptad(file, encoder)` returns a judge.
"""
