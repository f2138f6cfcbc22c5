"""Is it faster, or is that noise? The rule.

Rounds of one result take turns over its cases, so a slow moment of the machine hits all of them, and two cases of one
result are compared round by round (`paired_ratio`, Student's t). Two results were measured at different times and are
compared as two groups (`unpaired_ratio`, Welch's t). Both work on logarithms, so that swapping the sides swaps the
verdict. A difference is called if all of this holds:

    there are at least three rounds on each side
    the 99 % confidence interval of the ratio doesn't hold 1
    the ratio is farther from 1 than 3 %: durations are kept in steps of 1.2 %
    paired: every single round says the same; unpaired: each side's median lies outside the other side's rounds

What the rule can't know is what changed between two results (heat, other programs): rounds show the noise within one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["faster", "slower", "no difference beyond noise", "too few rounds to tell"]
_LEAST_ROUNDS = 3
_LEAST_DIFFERENCE = math.log(1.03)
_T_99 = {
    **{1: 63.657, 2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032, 6: 3.707, 7: 3.499, 8: 3.355, 9: 3.250, 10: 3.169},
    **{12: 3.055, 15: 2.947, 20: 2.845, 30: 2.750, 60: 2.660, 120: 2.617},
}
"""Two-sided 99 % points of Student's t by degrees of freedom; between two rows the wider one counts."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """New over old, geometric means, with its 99 % confidence interval. Over 1 is faster.

    With fewer than three rounds on a side `low` and `high` are what single rounds give instead.
    """

    ratio: float
    low: float
    high: float
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def paired_ratio(new: Sequence[float], old: Sequence[float]) -> Ratio:
    """Of rates measured in the same rounds, in order; a round that only one side has doesn't count.

    Raises: ValueError if there is no common round or a rate isn't positive.
    """
    news, olds = _logs(new, old)
    both = min(len(news), len(olds))
    news, olds = news[:both], olds[:both]
    ratios = [a - b for a, b in zip(news, olds, strict=True)]
    if both < _LEAST_ROUNDS:
        return _undecided(statistics.fmean(ratios), min(ratios), max(ratios))
    error = statistics.stdev(ratios) / math.sqrt(both)
    return _decided(statistics.fmean(ratios), _t_99(both - 1) * error, min(ratios) > 0 or max(ratios) < 0)


def unpaired_ratio(new: Sequence[float], old: Sequence[float]) -> Ratio:
    """Of rates measured at different times.

    Raises: ValueError if a side is empty or a rate isn't positive.
    """
    news, olds = _logs(new, old)
    difference = statistics.fmean(news) - statistics.fmean(olds)
    if min(len(news), len(olds)) < _LEAST_ROUNDS:
        return _undecided(difference, min(news) - max(olds), max(news) - min(olds))
    errors = [statistics.variance(logs) / len(logs) for logs in (news, olds)]
    weights = [error**2 / (len(logs) - 1) for error, logs in zip(errors, (news, olds), strict=True)]
    freedom = sum(errors) ** 2 / sum(weights) if sum(weights) else math.inf  # Welch and Satterthwaite
    return _decided(difference, _t_99(freedom) * math.sqrt(sum(errors)), _apart(news, olds))


def _logs(new: Sequence[float], old: Sequence[float]) -> tuple[list[float], list[float]]:
    if not new or not old:
        raise ValueError("expected at least one round on both sides, got none")
    return [math.log(a) for a in new], [math.log(b) for b in old]


def _t_99(freedom: float) -> float:
    return _T_99[max(row for row in _T_99 if row <= max(freedom, 1))]


def _apart(news: list[float], olds: list[float]) -> bool:
    return not (min(olds) <= statistics.median(news) <= max(olds) or min(news) <= statistics.median(olds) <= max(news))


def _undecided(difference: float, low: float, high: float) -> Ratio:
    return Ratio(math.exp(difference), math.exp(low), math.exp(high), "too few rounds to tell")


def _decided(difference: float, margin: float, unanimous: bool) -> Ratio:
    verdict: Verdict = "no difference beyond noise"
    if unanimous and abs(difference) > max(margin, _LEAST_DIFFERENCE):
        verdict = "faster" if difference > 0 else "slower"
    return Ratio(math.exp(difference), math.exp(difference - margin), math.exp(difference + margin), verdict)
