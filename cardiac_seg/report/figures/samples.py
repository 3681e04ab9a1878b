"""Figures of single cases: samples, overlays, uncertainty; the saved masks, on the native grid."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiac_seg.drawing import overlays
from cardiac_seg.drawing.styles import ERRORS
from cardiac_seg.members.maps import read_maps
from cardiac_seg.meta.methods import Method, names_of
from cardiac_seg.pipeline.patient_measures import PatientMeasures
from cardiac_seg.report.figures.elements import DOUBLE, SMALL
from cardiac_seg.report.pictures import read_case_masks
from cardiac_seg.report.tables.columns import ENSEMBLE
from cardiac_seg.run.folder import REFERENCE_MASKS, Run
from cardiac_seg.run.scored_cases import read_test_cases
from cardiac_seg.system.numbers import number_text

HEIGHT = 300  # pixels of one tile


@dataclass(frozen=True)
class Sample:
    """One slice of a case: that with the most wrong pixels of the ensemble.

    Attributes:
        title: Why it is shown, and which it is.
        dice: Method -> mean Dice of the structures, from the table.
        view: The slice, cropped.
        masks: Method -> (height, width) labels in the view.
        entropy: (height, width) of the ensemble over log C.
    """

    title: str
    dice: dict[str, float]
    view: overlays.View
    masks: dict[str, np.ndarray]
    entropy: np.ndarray


def ranked_samples(
    run: Run, cases: pd.DataFrame, measures: list[PatientMeasures], methods: list[Method]
) -> list[Sample]:
    """The best, the median and the worst case by the ensemble's Dice."""
    dice = cases[cases.method == ENSEMBLE].groupby("case").dice.mean().dropna()
    ranked = dice.sort_values(ascending=False).index
    chosen = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    # With one or two cases, a case is shown once, under its first name.
    first: dict[str, str] = {}
    for name, at in chosen.items():
        if len(ranked):
            first.setdefault(ranked[at], name)
    titles = {case: f"{name}: {case}" for case, name in first.items()}
    return _samples(run, cases, measures, methods, titles)


def typical_samples(
    run: Run, cases: pd.DataFrame, measures: list[PatientMeasures], methods: list[Method]
) -> list[Sample]:
    """The median case of each ACDC group, or of each view and phase, by the ensemble's Dice."""
    keys = ["group"] if run.dataset.modality.ndim == 3 else ["view", "phase"]
    ensemble = cases[cases.method == ENSEMBLE].fillna(dict.fromkeys(keys, ""))
    dice = ensemble.groupby([*keys, "case"]).dice.mean().dropna().reset_index()
    titles = {}
    for values, rows in dice.groupby(keys):
        case = rows.sort_values("dice").case.iloc[len(rows) // 2]
        titles[case] = " ".join(run.dataset.group_title(v) for v in values if v) + f"\n{case}"
    return _samples(run, cases, measures, methods, titles)


def sample_figure(run: Run, samples: list[Sample], methods: list[Method]) -> Figure | None:
    """Image, reference, each method and the ensemble's errors, one row per case."""
    if not samples:
        return None
    columns = ["image", "reference", *(m.title for m in methods), "errors"]
    figure, grid = _grid(len(samples), len(columns), samples)
    for row, sample in zip(grid, samples, strict=True):
        image, anatomy = sample.view.image, run.dataset.anatomy
        shown = [overlays.grey(image), overlays.filled(image, sample.view.reference, anatomy)]
        shown += [overlays.filled(image, sample.masks[m.name], anatomy) for m in methods]
        shown += [overlays.errors(image, sample.view.reference, sample.masks[ENSEMBLE])]
        for axes, picture in zip(row, shown, strict=True):
            axes.imshow(picture)
        for axes, method in zip(row[2:], methods, strict=False):
            axes.set_xlabel(f"Dice {number_text(sample.dice[method.name], 3)}", fontsize=SMALL)
        why, case = sample.title.split(": ")
        row[0].set_ylabel(why, fontsize=SMALL)
        row[0].set_xlabel(case, fontsize=SMALL)
    for axes, column in zip(grid[0], columns, strict=True):
        axes.set_title(column.replace(" ", "\n", 1), fontsize=SMALL)
    _legend(figure, run.dataset.anatomy.colours | ERRORS)
    return figure


def overlay_figure(run: Run, samples: list[Sample]) -> Figure | None:
    """Outlines of the reference (white) and the ensemble (coloured) on the image."""
    if not samples:
        return None
    figure, grid = _grid(1, len(samples), samples)
    anatomy = run.dataset.anatomy
    for axes, sample in zip(grid[0], samples, strict=True):
        picture = overlays.grey(sample.view.image)
        picture = overlays.contoured(picture, sample.view.reference, anatomy, 2, "#FFFFFF")
        axes.imshow(overlays.contoured(picture, sample.masks[ENSEMBLE], anatomy, 2))
        axes.set_title(sample.title, fontsize=SMALL)
        axes.set_xlabel(f"Dice {number_text(sample.dice[ENSEMBLE], 3)}", fontsize=SMALL)
    _legend(figure, anatomy.colours | {"reference": "#FFFFFF"})
    return figure


def uncertainty_figure(run: Run, samples: list[Sample], ensemble: Method) -> Figure | None:
    """Entropy of the ensemble beside its errors, one column per case."""
    if not samples:
        return None
    figure, grid = _grid(3, len(samples), samples, width=1.5 * len(samples) + 0.9)
    for column, sample in zip(grid.T, samples, strict=True):
        image, reference = sample.view.image, sample.view.reference
        outlined = (overlays.grey(image), sample.masks[ENSEMBLE], run.dataset.anatomy, 2)
        column[0].imshow(overlays.contoured(*outlined))
        column[1].imshow(overlays.errors(image, reference, sample.masks[ENSEMBLE]))
        scale = column[2].imshow(sample.entropy, cmap="magma", vmin=0, vmax=1)
        column[0].set_title(sample.title, fontsize=SMALL)
    for axes, name in zip(grid[:, 0], (ensemble.title, "errors", "entropy / log C"), strict=True):
        axes.set_ylabel(name, fontsize=SMALL)
    bar = figure.colorbar(scale, ax=grid[2], shrink=0.9, pad=0.02)
    bar.set_label("entropy / log C", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    _legend(figure, run.dataset.anatomy.colours | ERRORS)
    return figure


def _samples(
    run: Run,
    cases: pd.DataFrame,
    measures: list[PatientMeasures],
    methods: list[Method],
    titles: dict[str, str],
) -> list[Sample]:
    paths = read_test_cases(run).set_index("case").path
    dice = cases.groupby(["case", "method"]).dice.mean()
    entropies = {
        case: entropy
        for patient in measures
        for case, entropy in zip(dict.fromkeys(patient.cases.case), patient.entropies, strict=True)
    }
    return [
        _sample(
            run, names_of(methods), case, paths[case], title, dice[case].to_dict(), entropies[case]
        )
        for case, title in titles.items()
    ]


def _sample(
    run: Run,
    methods: list[str],
    case: str,
    path: str,
    title: str,
    dice: dict[str, float],
    entropy: np.ndarray,
) -> Sample:
    masks, spacing = read_case_masks(run, path, [REFERENCE_MASKS, *methods])
    reference = masks.pop(REFERENCE_MASKS)
    image = read_maps(run.map(case), []).image
    index = overlays.worst_slice(reference, masks[ENSEMBLE])
    part = overlays.view(image, reference, masks[ENSEMBLE], spacing, index, HEIGHT)
    return Sample(
        title,
        dice,
        part,
        {m: part.fit(mask[index]) for m, mask in masks.items()},
        part.fit(entropy[index] / np.float32(255), smooth=True),
    )


def _grid(rows: int, columns: int, samples: list[Sample], width: float = DOUBLE):
    """Axes without ticks, as high as the widest picture needs."""
    aspect = np.median([s.view.image.shape[1] / s.view.image.shape[0] for s in samples])
    height = rows * (width / columns / aspect + 0.16) + 0.55
    figure, grid = plt.subplots(
        rows, columns, figsize=(width, min(height, 9.0)), layout="constrained", squeeze=False
    )
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure, grid


def _legend(figure: Figure, colours: dict[str, str]) -> None:
    handles = [plt.Rectangle((0, 0), 1, 1, fc=c, ec="#888888", lw=0.4) for c in colours.values()]
    figure.legend(handles, colours, loc="outside lower center", ncols=len(colours), fontsize=SMALL)
