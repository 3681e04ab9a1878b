"""Which figures a report has, in which order, and how they are drawn and saved."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cardiac_seg.config.sections import Report
from cardiac_seg.metrics.indices import INDICES
from cardiac_seg.pipeline.patient_measures import PatientMeasures
from cardiac_seg.report.captions import captions
from cardiac_seg.report.figures import elements, samples
from cardiac_seg.report.figures.calibration import calibration_scores, reliability_diagrams
from cardiac_seg.report.figures.clinical import bland_altman
from cardiac_seg.report.figures.overlap import (
    confusion_matrices,
    dice_bars,
    dice_by_group,
    dice_of_method,
    pixel_accuracies,
    roc_curves,
    surface_distances,
)
from cardiac_seg.report.figures.places import importance_heat
from cardiac_seg.report.figures.repairs import moved_figure
from cardiac_seg.report.figures.stacking import change_bars, forest_plot, importance_dots
from cardiac_seg.report.figures.stress import stress_curves
from cardiac_seg.report.figures.training import training_curves
from cardiac_seg.report.figures.uncertainty import quality_scatter, risk_coverage_curves
from cardiac_seg.report.page import page
from cardiac_seg.report.shown import Shown
from cardiac_seg.report.tables.columns import RECORDED_EF
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import read_predicted_dice
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar

FIRST = "median_case"  # the picture of the first screen


@dataclass(frozen=True)
class Drawing:
    """A figure to draw: its file, its section, what is said about it, and how it is drawn."""

    stem: str
    section: str
    title: str
    caption: str
    draw: Callable[[], Figure | None]


def run_drawings(
    run: Run, tables: dict[str, pd.DataFrame], measured: list[PatientMeasures], shown: Shown
) -> list[Drawing]:
    """The figures of a run; what each draws is in a table or in the saved masks.

    Raises:
        UserError: If `report.figures` names a figure that does not exist.
    """
    functions = {
        **_overlap_figures(run, tables, shown),
        **_picture_figures(run, tables, measured, shown),
        **_probability_figures(tables, shown),
        **_learner_figures(run, tables, shown),
        **_other_figures(run, tables, shown),
    }
    texts = captions(run.dataset, shown)
    wanted = run.config.report.figures
    wanted = list(functions) if wanted is None else [FIRST, *wanted]
    for stem in wanted:
        if stem not in functions:
            raise UserError(
                f"report.figures: there is no {stem!r}; there are "
                f"{', '.join(name for name in functions if name != FIRST)}"
            )
    return [Drawing(stem, *texts[stem], functions[stem]) for stem in dict.fromkeys(wanted)]


def _overlap_figures(run: Run, t: dict[str, pd.DataFrame], shown: Shown) -> dict[str, Callable]:
    anatomy, structures = run.dataset.anatomy, list(run.dataset.structures)
    ensemble = shown.ensemble
    return {
        "dice_test": lambda: dice_bars(t["summary"], shown.main, structures, t["patients"]),
        "dice_ensemble": lambda: dice_of_method(t["summary"], anatomy, ensemble),
        "dice_groups": lambda: dice_by_group(t["groups"], anatomy, ensemble),
        "accuracy_distances": lambda: surface_distances(t["cases"], shown.main, structures),
        "confusion_test": lambda: confusion_matrices(t["confusion"], shown.main, structures),
        "accuracy_test": lambda: pixel_accuracies(t["accuracy"], shown.every),
        "roc_test": lambda: roc_curves(t["roc"], t["auc"], shown.main, anatomy),
    }


def _picture_figures(
    run: Run, t: dict[str, pd.DataFrame], measured: list[PatientMeasures], shown: Shown
) -> dict[str, Callable]:
    methods = list({m.name: m for m in [*shown.main, shown.ensemble]}.values())
    ranked = samples.ranked_samples(run, t["cases"], measured, methods)
    typical = samples.typical_samples(run, t["cases"], measured, methods)
    # Of one or two cases the one in the middle may be shown under another name.
    median = [s for s in ranked if s.title.startswith("median")] or ranked[:1]
    return {
        FIRST: lambda: samples.sample_figure(run, median, [shown.ensemble]),
        "samples_best_median_worst": lambda: samples.sample_figure(run, ranked, shown.main),
        "overlays_typical": lambda: samples.overlay_figure(run, typical),
        "uncertainty_maps": lambda: samples.uncertainty_figure(run, ranked, shown.ensemble),
    }


def _probability_figures(t: dict[str, pd.DataFrame], shown: Shown) -> dict[str, Callable]:
    return {
        "stacking_difference": lambda: forest_plot(t["comparisons"], shown.every),
        "stacking_changes": lambda: change_bars(t["changes"], shown.pixels),
        "stacking_importance": lambda: importance_dots(t["importance"], shown.every),
        "calibration_reliability": lambda: reliability_diagrams(
            t["reliability"], t["calibration"], shown.curves
        ),
        "calibration_scores": lambda: calibration_scores(t["calibration"], shown.pixels),
        "uncertainty_quality": lambda: quality_scatter(t["quality"], t["quality_agreement"]),
        "uncertainty_risk_coverage": lambda: risk_coverage_curves(
            t["risk_coverage"], t["quality_agreement"]
        ),
    }


def _learner_figures(run: Run, t: dict[str, pd.DataFrame], shown: Shown) -> dict[str, Callable]:
    moved, structures = t.get("moved_slices", pd.DataFrame()), list(run.dataset.structures)
    title = shown.learner.title if shown.learner else ""
    return {
        "stacking_places": lambda: importance_heat(
            t["importance_places"], shown.full_learner, structures
        ),
        "repairs": lambda: moved_figure(run, moved, True, title),
        "harms": lambda: moved_figure(run, moved, False, title),
    }


def _other_figures(run: Run, t: dict[str, pd.DataFrame], shown: Shown) -> dict[str, Callable]:
    against_masks = t["agreement"][t["agreement"].against != RECORDED_EF]
    indices, anatomy = list(INDICES), run.dataset.anatomy
    stressed = t.get("stress", pd.DataFrame())
    return {
        "stress": lambda: stress_curves(stressed, read_predicted_dice(run)["review_below"]),
        "bland_altman_ensemble": lambda: bland_altman(
            t["clinical"], against_masks, shown.ensemble, indices, anatomy
        ),
        "training_curves": lambda: training_curves(t["history"], shown.members),
    }


def draw_all(
    drawings: list[Drawing], folder: Path, settings: Report
) -> dict[str, list[page.Figure]]:
    """Draws and saves figures one after the other; section -> those that had data.

    What an earlier analysis drew and this one does not is removed, as it would be stale.
    """
    drawn: dict[str, list[page.Figure]] = {}
    for path in (*folder.glob("*.png"), *folder.glob("*.pdf")):
        if path.stem not in {drawing.stem for drawing in drawings}:
            path.unlink()
    for drawing in bar(drawings, "figures", unit="figure"):
        figure = drawing.draw()
        stem = folder / drawing.stem
        if figure is None:
            for suffix in (".pdf", ".png"):
                stem.with_name(stem.name + suffix).unlink(missing_ok=True)
            continue
        elements.fit_columns(figure, settings.column_width)
        if settings.panel_letters:
            elements.letter_panels(figure)
        pdf, png = elements.save(figure, stem)
        plt.close(figure)
        drawn.setdefault(drawing.section, []).append(
            page.Figure(drawing.title, drawing.caption, png, pdf)
        )
    return drawn
