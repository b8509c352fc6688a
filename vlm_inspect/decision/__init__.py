"""From the model's opinion and the measured evidence to the outcome.

fusion.py       verdict + evidence + thresholds -> inspection; the order of what decides
defects.py      the defects of model, heatmap and measurements as one list
events.py       the events of a clip
thresholds.py   the scores between which lies doubt, and the weights of model and heatmap
"""
