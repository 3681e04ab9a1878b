"""Training curves."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cardiac_seg.drawing.styles import style_of
from cardiac_seg.meta.methods import Method
from cardiac_seg.report.figures.elements import DOUBLE, new_axes, select_rows


def training_curves(history: pd.DataFrame, members: list[Method]) -> Figure | None:
    """Loss and validation Dice by epoch, a line per training.

    Args:
        history: member, fold, epoch, loss, val_dice.
        members: In order.
    """
    members = [m for m in members if len(select_rows(history, member=m.name))]
    if not members:
        return None
    figure, panels = new_axes(DOUBLE, 2.3, 1, 2)
    for member in members:
        folds = list(select_rows(history, member=member.name).groupby("fold", sort=False))
        style = {k: style_of(member)[k] for k in ("color", "linestyle")}
        label = member.title + (f" ({len(folds)} trainings)" if len(folds) > 1 else "")
        for i, (_, rows) in enumerate(folds):
            for axes, column in zip(panels, ("loss", "val_dice"), strict=True):
                name = label if i == 0 else None
                # One epoch alone is no line.
                dot = {"marker": style_of(member)["marker"], "ms": 3} if len(rows) == 1 else {}
                axes.plot(rows.epoch, rows[column], **style, **dot, linewidth=0.8, label=name)
    panels[0].set(xlabel="Epoch", ylabel="Training loss")
    panels[1].set(xlabel="Epoch", ylabel="Validation Dice (network grid)")
    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(loc="upper right")
    return figure
