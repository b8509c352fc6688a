"""dapo-mini: DAPO over EfficientNet-Lite0 and MiniLM, for machines without CLIP weights.

judge.py      the model, its weights, and the judge of pictures
vision.py     the trained network over the frozen stages (stages.py)
minilm.py     the text tower
"""
