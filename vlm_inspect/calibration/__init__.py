"""From normal parts to thresholds with a stated overkill.

run.py         inspects parts known to be normal and sets the thresholds
conformal.py   the score that at most a stated share of normal parts exceeds
weights.py     how much model and heatmap count, learnt where anomalous parts are given
intervals.py   the exact interval of a rate

The file itself is `vlm_inspect/calibration_file.py`: an inspector reads it, too.
"""
