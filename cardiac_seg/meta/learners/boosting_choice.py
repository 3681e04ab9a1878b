"""How many rounds of boosting, and how large trees: what helps patients that were left out."""

from collections.abc import Callable, Iterable

import numpy as np

from cardiac_seg.meta.learners.log_mean import softmax
from cardiac_seg.meta.learners.tree_growth import Boosting, BoostingPixels
from cardiac_seg.meta.temperature import SMALLEST

GROUPS = 4  # of patients, each left out once
PATIENCE = 10  # rounds in which no group gains, after which none is tried
STANDARD_ERRORS = 2.0  # a gain is more than so many of its own, over patients; less may be chance


def choose(
    pixels: BoostingPixels,
    begin: Callable[[np.ndarray, int], Boosting],
    leaves: Iterable[int],
    rounds: int,
    seed: int,
) -> tuple[int, int]:
    """The leaves and rounds with the smallest log-loss of patients left out.

    Args:
        pixels: All that may be fitted on.
        begin: Boosting on some rows with trees of so many leaves.
        leaves: Candidates.
        rounds: At most.
        seed: Draws the groups.

    Returns:
        Leaves and rounds; 0 rounds, the mean itself, where no gain is shown.
    """
    leaves = list(leaves)
    patients = int(pixels.patients.max()) + 1
    if patients < 2:
        return leaves[0], 0
    drawn = np.random.default_rng(seed).permutation(patients)
    group = np.empty(patients, np.intp)
    group[drawn] = np.arange(patients) % min(GROUPS, patients)
    tables = {n: left_out_losses(pixels, begin, group, n, rounds) for n in leaves}
    best = min(leaves, key=lambda n: tables[n].sum(1).min())  # of equals the first
    table = tables[best]
    number = int(table.sum(1).argmin())
    return best, number if is_shown(table[0] - table[number]) else 0


def left_out_losses(
    pixels: BoostingPixels,
    begin: Callable[[np.ndarray, int], Boosting],
    group: np.ndarray,
    leaves: int,
    rounds: int,
) -> np.ndarray:
    """(rounds + 1, patients) weighted log-loss of each patient, by trees of the other groups.

    Args:
        pixels: All that may be fitted on.
        begin: See `choose`.
        group: (patients,) the group in which a patient is left out.
        leaves: Of a tree, at most.
        rounds: At most; fewer where no group gains any more.
    """
    of_pixel = group[pixels.patients]
    left_out = [np.flatnonzero(of_pixel == g) for g in range(group.max() + 1)]
    under_way = [begin(np.flatnonzero(of_pixel != g), leaves) for g in range(group.max() + 1)]

    def losses() -> np.ndarray:
        row = np.zeros(len(group))
        for rows, boosting in zip(left_out, under_way, strict=True):
            row += patient_losses(pixels, rows, boosting.scores)
        return row

    table, since = [losses()], 0
    best = by_group(table[0], group)
    while len(table) <= rounds and since < PATIENCE:
        for boosting in under_way:
            boosting.advance()
        table.append(losses())
        now = by_group(table[-1], group)
        since = 0 if (now < best).any() else since + 1
        best = np.minimum(best, now)
    return np.stack(table)


def patient_losses(pixels: BoostingPixels, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(patients,) sums over some of the pixels of weight times log-loss in nats.

    Args:
        pixels: All.
        rows: (some,) indices of those that count.
        scores: (classes, pixels).
    """
    probabilities = softmax(scores[:, rows].astype(np.float32), axis=0)
    true = probabilities[pixels.labels[rows], np.arange(len(rows))].astype(np.float64)
    losses = -np.log(np.maximum(true, SMALLEST)) * pixels.weights[rows]
    return np.bincount(pixels.patients[rows], losses, minlength=pixels.patients.max() + 1)


def by_group(losses: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(groups,) sums of (patients,) losses."""
    return np.bincount(group, losses)


def is_shown(gains: np.ndarray) -> bool:
    """Whether the patients' gains are more than what they vary by could make of none.

    Args:
        gains: (patients,) what each one's loss fell by, two patients at least.
    """
    return bool(gains.sum() > STANDARD_ERRORS * gains.std(ddof=1) * np.sqrt(len(gains)))
