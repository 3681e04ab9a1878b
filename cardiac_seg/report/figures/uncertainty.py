"""Figures of uncertainty: predicted Dice, risk and coverage."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cardiac_seg.drawing.styles import SCORES
from cardiac_seg.report.figures.elements import (
    DOUBLE,
    SINGLE,
    new_axes,
    select_rows,
    select_value,
)
from cardiac_seg.system.numbers import number_text


def quality_scatter(quality: pd.DataFrame, quality_agreement: pd.DataFrame) -> Figure | None:
    """True Dice against what predicts it without a reference, a dot a case.

    Args:
        quality: dice, pairwise_dice, boundary_entropy, predicted_dice.
        quality_agreement: score, spearman, pearson.
    """
    scores = [s for s in SCORES if s in quality and quality[s].notna().any()]
    if not scores:
        return None
    figure, panels = new_axes(
        DOUBLE if len(scores) > 1 else SINGLE, 2.5, 1, len(scores), sharey=True
    )
    for axes, score in zip(panels, scores, strict=True):
        axes.plot(quality[score], quality.dice, "o", ms=3, mfc="none", color="black", mew=0.6)
        pearson, spearman = (
            number_text(select_value(quality_agreement, column, score=score), 2)
            for column in ("pearson", "spearman")
        )
        name, meaning, _ = SCORES[score]
        axes.set_title(f"Pearson r {pearson}, Spearman {spearman}")
        axes.set_xlabel(f"{name} ({meaning})")
        axes.xaxis.set_major_locator(MaxNLocator(5))
    panels[0].set_ylabel("True Dice of the ensemble")
    return figure


def risk_coverage_curves(
    risk_coverage: pd.DataFrame, quality_agreement: pd.DataFrame
) -> Figure | None:
    """Mean error of the cases kept, most trusted first; AURC in the legend.

    Args:
        risk_coverage: score, coverage, risk.
        quality_agreement: score, aurc.
    """
    scores = [s for s in SCORES if len(select_rows(risk_coverage, score=s).dropna())]
    if not scores:
        return None
    figure, (axes,) = new_axes(SINGLE, 2.5)
    for score in scores:
        name, _, style = SCORES[score]
        rows = select_rows(risk_coverage, score=score).sort_values("coverage")
        label = f"{number_text(select_value(quality_agreement, 'aurc', score=score), 4)}  {name}"
        axes.plot(rows.coverage, rows.risk, **style, linewidth=1.2, label=label)
    axes.set(xlim=(0, 1.01), xlabel="Coverage (share of the cases kept)")
    axes.set_ylabel("Risk (mean of 1 − Dice)")
    figure.legend(title="AURC", loc="outside upper center", ncols=2)
    return figure
