"""How things are timed side by side: A, B, A, B, ..., and the ratios of neighbours."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")
Clock = Callable[[], float]


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, and how far they reach."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median, smallest and largest of some numbers."""
    return Spread(median(values), min(values), max(values))


def ratios(first: Sequence[float], second: Sequence[float]) -> Spread:
    """How many times as long the first takes, round by round.

    What slows the machine for a while slows both sides of a round, and leaves their ratio alone.

    Args:
        first, second: Seconds, one of each round.
    """
    return spread([a / b for a, b in zip(first, second, strict=True)])


def alternate(*sides: Callable[[], T], rounds: int) -> list[list[T]]:
    """Measures A, B, A, B, ...

    Args:
        sides: Each makes one measurement, warm already.
        rounds: How often each does.

    Returns:
        A list for each side, an entry a round.
    """
    measured = [[] for _ in sides]
    for _ in range(rounds):
        for results, side in zip(measured, sides, strict=True):
            results.append(side())
    return measured


def repeated(
    function: Callable[[], object], clock: Clock = time.perf_counter
) -> Callable[[int], float]:
    """Work that can be done any number of times: from a count to the seconds it took.

    The function is called once before: that compiles, reads and fills caches.
    """
    function()

    def work(count: int) -> float:
        began = clock()
        for _ in range(count):
            function()
        return clock() - began

    return work


def filling(work: Callable[[int], float], seconds: float) -> Callable[[], float]:
    """A warm measurement, long enough for the clock and for short disturbances.

    Args:
        work: Does a number of units; returns the seconds it took. Warm already.
        seconds: How long a measurement should last at least, about.

    Returns:
        Makes one measurement; returns the seconds of one unit.
    """
    units = max(1, round(seconds / max(work(1), 1e-6)))
    return lambda: work(units) / units
