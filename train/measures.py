"""What a router is worth between a weak and a strong model: shares of calls and of the bill, with intervals.

Definitions are those of RouteLLM (arXiv 2406.18665): PGR is the part of the gap in quality that is recovered, APGR its mean over all shares
of calls to the strong model. Prompts of one score count as one step, so that a rule with three answers gets its exact expectation.
"""

import numpy as np


def curve(scores, weak, strong, weak_cost=None, strong_cost=None):
    """Share of calls, quality, and dollars, from all weak to all strong, by falling score."""
    scores = np.asarray(scores, float)
    order = np.argsort(-scores, kind="stable")
    steps = np.flatnonzero(np.diff(scores[order])) + 1
    at = np.concatenate([[0], steps, [len(scores)]])

    def path(low, high):
        low, high = np.asarray(low, float), np.asarray(high, float)
        gained = np.concatenate([[0], np.cumsum((high - low)[order])])
        return (low.sum() + gained[at]) / len(low)

    dollars = None if weak_cost is None else path(weak_cost, strong_cost)
    return at / len(scores), path(weak, strong), dollars


def least(x, y, wanted):
    """The least x at which y reaches a value, between points in a straight line."""
    there = np.flatnonzero(y >= wanted)
    if len(there) == 0:
        return float("nan")
    at = there[0]
    if at == 0:
        return float(x[0])
    part = (wanted - y[at - 1]) / (y[at] - y[at - 1])
    return float(x[at - 1] + part * (x[at] - x[at - 1]))


def measure(scores, weak, strong, weak_cost=None, strong_cost=None):
    """APGR, the share of calls for half and for four fifths of the gap, and the share of the bill for 90, 95 and 98 % of quality."""
    share, quality, dollars = curve(scores, weak, strong, weak_cost, strong_cost)
    low, high = np.mean(weak), np.mean(strong)
    recovered = (quality - low) / (high - low)
    told = {"apgr": float(np.trapezoid(recovered, share)), "cpt50": least(share, recovered, 0.5), "cpt80": least(share, recovered, 0.8)}
    if dollars is not None:
        bill = np.mean(strong_cost)
        told |= {f"bill{percent}": least(dollars, quality, percent / 100 * high) / bill for percent in (90, 95, 98)}
    return told


def intervals(scores, weak, strong, weak_cost=None, strong_cost=None, rounds=1000, seed=0):
    """95 % of what the same measures come to on prompts drawn again."""
    rng = np.random.default_rng(seed)
    columns = [None if c is None else np.asarray(c, float) for c in (scores, weak, strong, weak_cost, strong_cost)]
    drawn = []
    for _ in range(rounds):
        at = rng.integers(0, len(weak), len(weak))
        sample = [None if c is None else c[at] for c in columns]
        if abs(np.mean(sample[2]) - np.mean(sample[1])) > 1e-9:
            drawn.append(measure(*sample))
    return {name: np.nanpercentile([one[name] for one in drawn], [2.5, 97.5]) for name in drawn[0]}


SIMPLE = ("classify", "extract", "summarize briefly", "yes or no")
COMPLEX = ("analyze", "design", "architect", "compare and contrast", "debug")


def guides_rule(prompt):
    """The guide's keyword rule: simple, medium, complex."""
    text = prompt.lower()
    words = len(text.split())
    if any(word in text for word in SIMPLE) or words < 20:
        return 0.0
    return 1.0 if any(word in text for word in COMPLEX) or words > 200 else 0.5
