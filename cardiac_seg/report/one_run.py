"""The analysis of one run: tables, figures, published files and the report."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiac_seg.data.dataset import Dataset
from cardiac_seg.drawing.styles import METHOD_NAMES, METRIC_NAMES
from cardiac_seg.meta.methods import CALIBRATED_MEAN
from cardiac_seg.metrics.indices import INDICES
from cardiac_seg.pipeline.measure_run import measure_run, study_of
from cardiac_seg.pipeline.patient_measures import PatientMeasures
from cardiac_seg.report import text
from cardiac_seg.report.captions import CAPTIONS, SECTIONS
from cardiac_seg.report.figures import elements as draw
from cardiac_seg.report.figures import samples
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
from cardiac_seg.report.figures.stacking import change_bars, forest_plot, importance_dots
from cardiac_seg.report.figures.training import training_curves
from cardiac_seg.report.figures.uncertainty import quality_scatter, risk_coverage_curves
from cardiac_seg.report.methods import methods_paragraph
from cardiac_seg.report.page import page
from cardiac_seg.report.pictures import draw_cases
from cardiac_seg.report.published import (
    follows_publication,
    published_table,
    target_table,
    write_published,
)
from cardiac_seg.report.tables.build import build_tables
from cardiac_seg.report.tables.columns import ENSEMBLE, RECORDED_EF
from cardiac_seg.run.environment import package_versions
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored
from cardiac_seg.run.meta_folder import control_of, final_method, methods_of
from cardiac_seg.run.metrics_file import score_table, scores_usable
from cardiac_seg.run.open import open_run
from cardiac_seg.run.test_cases import score_again
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar

FAILED_BELOW = 0.5  # Dice of a structure: the case is listed as a failure


@dataclass(frozen=True)
class Drawing:
    """A figure to draw: its file, its section, what is said about it, and how it is drawn."""

    stem: str
    section: str
    title: str
    caption: str
    draw: Callable[[], Figure | None]


def analyze_run(folder: Path, output: Path | None = None) -> str:
    """Writes tables, figures, published files and the report of a run.

    Args:
        folder: A finished run.
        output: Where they go; default `<run>/analysis`.

    Returns:
        Lines of text for the terminal: the scores, verdicts and where the report is.

    Raises:
        UserError: If the run is not finished, or a file of it is missing or damaged.
    """
    run, output = open_finished(folder), output or folder / "analysis"
    measured = measure_run(run, measures_home(run, output))
    tables = build_tables(run, measured)
    write_tables(tables, output / "tables")
    verdicts, missing = text.verdicts(run, tables), text.missing(run, tables)
    methods = methods_paragraph(run)
    summary = _summary(run, verdicts, missing, methods)
    results = write_published(output, tables["confusion"], summary)
    classes = list(dict.fromkeys(tables["confusion"].truth))
    targets = target_table(results, classes)
    published = published_table(results) if follows_publication(run) else None
    if published is not None:
        write_tables({"published": published}, output / "tables")
    pictures = draw_cases(run, measured, output)
    drawn = draw_all(_drawings(run, tables, measured), output / "figures")
    content = page.Report(
        title=f"{run.folder.resolve().name}: {run.dataset.title}",
        subtitle=_subtitle(run, tables),
        verdicts=verdicts,
        targets=targets,
        missing=missing,
        sections=_sections(run, tables, drawn, published, output),
        cases=case_rows(run.dataset, pictures, tables),
        methods=methods,
        provenance=provenance(run),
    )
    page.write_report(output / "report.html", content)
    return "\n".join(
        [
            score_table(read_stored(run.folder / "metrics.json"), "test"),
            "",
            *(f"{v.question} {v.answer}" for v in verdicts),
            *missing,
            "",
            f"report: {output / 'report.html'}",
        ]
    )


def measures_home(run: Run, elsewhere: Path) -> Path:
    """Where a run's measures are: in the run, or elsewhere if it is read only and has none."""
    here = run.measures
    writable = os.access(here if here.is_dir() else run.folder, os.W_OK)
    return here if writable else elsewhere / "measures"


def open_finished(folder: Path) -> Run:
    """Opens a run that has been scored.

    Raises:
        UserError: If it is not finished or by an earlier version.
    """
    run = open_run(folder)
    run.check_whole()
    path = run.folder / "metrics.json"
    if not path.is_file():
        raise UserError(
            f"{folder}: not finished (no metrics.json); run train_ensemble.py --resume {folder}"
        )
    metrics = read_stored(path)
    if isinstance(metrics, dict) and "control" not in metrics:
        raise UserError(f"{path}: written by an earlier version; train in another --run-dir")
    if not scores_usable(metrics, control_of(run), methods_of(run)):
        raise UserError(f"{path}: of another run or changed; {score_again(run)}")
    data = run.manifest.dataset
    if data.phantom is None or data.fingerprint is None:
        raise UserError(f"{folder / 'manifest.json'}: says nothing of the dataset; restore it")
    return run


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Writes each table as CSV, all digits kept."""
    for name, table in tables.items():
        with whole_file(folder / f"{name}.csv") as partial:
            table.to_csv(partial, index=False)


def draw_all(drawings: list[Drawing], folder: Path) -> dict[str, list[page.Figure]]:
    """Draws and saves figures one after the other; section -> those that had data."""
    drawn: dict[str, list[page.Figure]] = {}
    for one in bar(drawings, "figures", unit="figure"):
        figure = one.draw()
        stem = folder / one.stem
        if figure is None:  # nothing to show; what an earlier analysis drew would be stale
            for suffix in (".pdf", ".png"):
                stem.with_name(stem.name + suffix).unlink(missing_ok=True)
            continue
        pdf, png = draw.save(figure, stem)
        plt.close(figure)
        drawn.setdefault(one.section, []).append(page.Figure(one.title, one.caption, png, pdf))
    return drawn


def _drawings(
    run: Run, tables: dict[str, pd.DataFrame], measured: list[PatientMeasures]
) -> list[Drawing]:
    """All figures; what each draws is in a table or in the saved masks."""
    t, structures = tables, list(run.dataset.structures)
    shown = list(dict.fromkeys([*run.config.members, control_of(run), ENSEMBLE]))
    every, watched = [*methods_of(run), ENSEMBLE], [*study_of(run).pixel_methods, ENSEMBLE]
    drawn_curves = [m for m in watched if m in (*shown, CALIBRATED_MEAN)]
    against_masks = t["agreement"][t["agreement"].against != RECORDED_EF]
    ranked = samples.ranked_samples(run, t["cases"], measured)
    typical = samples.typical_samples(run, t["cases"], measured)
    functions = {
        "dice_test": lambda: dice_bars(t["summary"], shown, structures, t["patients"]),
        "dice_ensemble": lambda: dice_of_method(t["summary"], structures),
        "dice_groups": lambda: dice_by_group(t["groups"], structures),
        "accuracy_distances": lambda: surface_distances(t["cases"], shown, structures),
        "confusion_test": lambda: confusion_matrices(t["confusion"], shown, structures),
        "accuracy_test": lambda: pixel_accuracies(t["accuracy"], every),
        "roc_test": lambda: roc_curves(t["roc"], t["auc"], shown, structures),
        "samples_best_median_worst": lambda: samples.sample_figure(run, ranked),
        "overlays_typical": lambda: samples.overlay_figure(run, typical),
        "stacking_difference": lambda: forest_plot(t["comparisons"], every),
        "stacking_changes": lambda: change_bars(t["changes"], watched),
        "stacking_importance": lambda: importance_dots(t["importance"], every),
        "calibration_reliability": lambda: reliability_diagrams(
            t["reliability"], t["calibration"], drawn_curves
        ),
        "calibration_scores": lambda: calibration_scores(t["calibration"], watched),
        "uncertainty_maps": lambda: samples.uncertainty_figure(run, ranked),
        "uncertainty_quality": lambda: quality_scatter(t["quality"], t["quality_agreement"]),
        "uncertainty_risk_coverage": lambda: risk_coverage_curves(
            t["risk_coverage"], t["quality_agreement"]
        ),
        "bland_altman_ensemble": lambda: bland_altman(
            t["clinical"], against_masks, ENSEMBLE, list(INDICES)
        ),
        "training_curves": lambda: training_curves(t["history"], run.config.members),
    }
    return [Drawing(stem, *CAPTIONS[stem], draw) for stem, draw in functions.items()]


def _sections(
    run: Run,
    tables: dict[str, pd.DataFrame],
    drawn: dict[str, list[page.Figure]],
    published: pd.DataFrame | None,
    output: Path,
) -> list[page.Section]:
    folder = output / "tables"

    def table(name: str, caption: str, frame: pd.DataFrame | None = None) -> page.Table:
        return page.Table(caption, tables[name] if frame is None else frame, folder / f"{name}.csv")

    summary = tables["summary"]
    of_ensemble = summary[summary.method == ENSEMBLE]
    wide = of_ensemble.pivot(index="metric", columns="structure", values="mean")
    order = [*run.dataset.structures, "mean"]
    wide = wide.loc[list(dict.fromkeys(of_ensemble.metric)), order].reset_index()
    dice = summary[summary.metric == "dice"].drop(columns="metric")
    unit = run.dataset.modality.size_unit
    groups = tables["groups"][tables["groups"].method == ENSEMBLE]
    of_all = groups[groups.structure == "mean"].set_index(["by", "value"])
    groups = groups.pivot(index=["by", "value"], columns="structure", values="dice")
    groups = groups.loc[of_all.index].assign(**of_all[["patients", "low", "high"]])
    groups = groups[["patients", *order, "low", "high"]]
    agreement, comparisons = tables["agreement"], tables["comparisons"]
    control = control_of(run)
    shown = agreement.method.isin([ENSEMBLE, control, "reference"])
    overlap = [
        table("summary", f"Ensemble, mean over patients; size difference in {unit}", wide),
        table("summary", "Dice of every method with 95 % intervals", dice),
        table(
            "groups", "Dice of the ensemble by group; interval of the mean", groups.reset_index()
        ),
        table("auc", "Area under the ROC curve"),
    ]
    if published is not None:
        overlap.append(
            page.Table("This run beside the published figures", published, folder / "published.csv")
        )
    if len(run.config.members) > 1:
        stacking = [
            table("methods_test", "Test patients: what each method reaches and costs"),
            table("methods_development", "Development patients, cross-fitted"),
            *(
                table("comparisons", f"Paired comparisons: {name}", some)
                for metric, name in METRIC_NAMES.items()
                if len(some := comparisons[comparisons.metric == metric].drop(columns="metric"))
            ),
            table("changes", "Changed pixels"),
            table("importance", "Importance of the feature groups in nats"),
        ]
    else:
        stacking = []
    review = [
        "review_rank",
        "case",
        "predicted_dice",
        "pairwise_dice",
        "boundary_entropy",
        "dice",
    ]
    by_section = {
        "overlap": overlap,
        "cases": [],
        "stacking": stacking,
        "calibration": [table("calibration", "Calibration, network grid")],
        "uncertainty": [
            table("quality_agreement", "Predicted quality against Dice"),
            table("quality", "Cases to review first", tables["quality"][review].head(20)),
        ],
        "clinical": [table("agreement", "Agreement", agreement[shown])],
        "training": [],
    }
    made = [
        page.Section(*SECTIONS[key], drawn.get(key, []), shown_tables)
        for key, shown_tables in by_section.items()
    ]
    return [s for s in made if s.figures or any(len(t.frame) for t in s.tables)]


def case_rows(
    dataset: Dataset, pictures: dict[str, bytes], tables: dict[str, pd.DataFrame]
) -> list[page.CaseRow]:
    """The report's table of cases by the ensemble, worst Dice first; pages are in `cases/`."""
    cases = tables["cases"][tables["cases"].method == ENSEMBLE]
    quality = tables["quality"].set_index("case").predicted_dice
    rows = []
    for name, some in cases.groupby("case", sort=False):
        first = some.iloc[0]
        dice = dict(zip(some.structure, some.dice, strict=True))
        failed = [f"{s} {v:.2f}" for s, v in dice.items() if v < FAILED_BELOW]
        columns = {f"Dice {s}": v for s, v in dice.items()}
        columns |= {"Dice mean": some.dice.mean(), "HD95 mean (mm)": some.hd95_mm.mean()}
        columns |= {"predicted quality": quality[name]}
        shown = (dataset.group_title(first.group), first.view, first.phase)
        group = " ".join(filter(None, shown))
        failure = f"Dice below {FAILED_BELOW:g}: {', '.join(failed)}" if failed else ""
        rows.append(
            page.CaseRow(
                name, first.patient, group, columns, pictures[name], f"cases/{name}.png", failure
            )
        )
    # A case without any structure in mask and reference has no Dice: last.
    return sorted(rows, key=lambda row: np.nan_to_num(row.columns["Dice mean"], nan=2.0))


def _summary(run: Run, verdicts: list[page.Verdict], missing: list[str], methods: str) -> str:
    """`summary_report.txt`."""
    metrics = read_stored(run.folder / "metrics.json")
    lines = [f"{run.folder.resolve().name}: {run.dataset.title}", ""]
    lines += [score_table(metrics, "test"), ""]
    lines += ["Pooled over test pixels, network grid, before postprocessing, as published:"]
    for method, told in metrics["subsets"]["test"]["methods"].items():
        pooled = told["pooled_network_grid"]
        lines.append(
            f"{method:<25} accuracy {pooled['accuracy']:.4f}  mean Dice of all classes "
            f"{pooled['mean_dice']:.4f}"
        )
    lines += ["", *(f"{v.question}\n    {v.answer}. {v.detail}" for v in verdicts)]
    lines += ["", "Missing or undefined:", *missing] if missing else []
    return "\n".join([*lines, "", methods, ""])


def _subtitle(run: Run, tables: dict[str, pd.DataFrame]) -> str:
    cases = tables["cases"]
    kind = "phantom " if run.manifest.dataset.phantom else ""
    final = METHOD_NAMES.get(final_method(run), final_method(run))
    return (
        f"{cases.patient.nunique()} {kind}test patients, {cases.case.nunique()} cases; ensemble: "
        f"{final}"
    )


def provenance(run: Run) -> dict[str, str]:
    """Where a run and its analysis come from: commands, data, versions, hardware; no paths."""
    manifest, name = run.manifest, run.folder.resolve().name
    data, stages = manifest.dataset, manifest.stages
    peak = max((stage.peak_memory_mib or 0 for stage in stages.values()), default=0)
    return {
        "analysis": f"python analyze_results.py {name}",
        "analysis versions": ", ".join(f"{k} {v}" for k, v in package_versions().items()),
        "training": f"python train_ensemble.py --config {name}/config.yaml",
        "dataset": f"{data.name}{' (phantom)' if data.phantom else ''}, {data.patients} patients, "
        f"{data.cases} cases",
        "dataset fingerprint": data.fingerprint,
        "training commit": manifest.git_commit or "unknown",
        "training versions": ", ".join(f"{k} {v}" for k, v in manifest.versions.items()),
        "hardware": manifest.device or "unknown",
        "stages": ", ".join(
            f"{name} {'?' if stage.seconds is None else stage.seconds} s"
            for name, stage in stages.items()
        )
        + f"; peak memory {peak} MiB",
    }
