"""The method in use, chosen on development patients, and the fit of its predicted Dice."""

import pandas as pd

from cardiac_seg.metrics.expected_dice import fit_predicted_dice
from cardiac_seg.run.metrics_file import bounds_text
from cardiac_seg.system.log import log


def choose_method(
    summary: dict[str, dict], candidates: list[str], control: str, wanted: str = "auto"
) -> tuple[str, bool]:
    """The best combination that is shown to be better than the control, or the configured one.

    Shown: cross-fitted over development patients, the paired 95 % interval of its Dice minus the
    control's lies above 0. Where none is, the control stands: the largest of many differences
    within the noise is no reason to change masks.

    Args:
        summary: Method -> its scores with the difference to the control, as
            `pipeline.scores.summarize` gives them under `methods`.
        candidates: The combinations to choose from, the simplest first: of equals it is taken.
        control: The method that stands otherwise.
        wanted: `auto`, or the method that the configuration names.

    Returns:
        The method, and whether the data chose it.
    """
    gains = {method: summary[method][f"against_{control}"] for method in candidates}
    if wanted != "auto" and gains:
        return wanted, False
    shown = [m for m, gain in gains.items() if gain["interval_95"] and gain["interval_95"][0] > 0]
    if gains and not shown:
        best = max(gains, key=lambda m: gains[m]["difference"])
        log.info(
            "no combination is shown to be better than %s, which stands; the best: %s, %+.4f %s",
            control,
            best,
            gains[best]["difference"],
            bounds_text(gains[best]["interval_95"], "+"),
        )
    dice = {method: summary[method]["mean_foreground_dice"] for method in gains}
    return max(shown, key=dice.__getitem__, default=control), True


def fit_review(cases: pd.DataFrame, method: str, threshold: dict | None) -> dict[str, float]:
    """What turns the method's expected Dice into its predicted Dice, see `fit_predicted_dice`.

    Args:
        cases: `case`, `method`, `dice` and `expected_dice` of the development cases.
        method: The method in use.
        threshold: Its `choose_threshold`; None where it is no learner.
    """
    fitted = fit_predicted_dice(cases[cases.method == method])
    if threshold is not None:
        # The scores are those of acting on all of `act_below`; a threshold leaves some optimism.
        fitted["optimism"] += threshold["expected_dice_change"] - threshold["dice_change"]
    return fitted
