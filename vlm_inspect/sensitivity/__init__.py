"""What references can tell: which defects planted on them would be found, and how far normal parts go.

normal_scores.py   what the left-out references say of the next normal part
weights.py         which channels of a memory see planted defects, and how much each counts
bounds.py          the scores below which a part is OK and above which it is NG
probability.py     P(anomalous) of a score
pod.py             probability of detection over size, with its confidence bound
"""
