"""The sections of a run's page, and its table of cases."""

from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.data.dataset import Dataset
from cardiac_seg.drawing.styles import METRIC_NAMES
from cardiac_seg.report.captions import sections
from cardiac_seg.report.page import page
from cardiac_seg.report.published import followed_protocol
from cardiac_seg.report.shown import Shown
from cardiac_seg.report.tables.columns import ENSEMBLE
from cardiac_seg.run.folder import REFERENCE_MASKS, Run
from cardiac_seg.system.numbers import number_text

FAILED_BELOW = 0.5  # Dice of a structure: the case is listed as a failure


def run_sections(
    run: Run,
    tables: dict[str, pd.DataFrame],
    drawn: dict[str, list[page.Figure]],
    published: pd.DataFrame | None,
    output: Path,
    shown: Shown,
) -> list[page.Section]:
    """The page's sections; those without figure and row are left out."""
    folder = output / "tables"

    def table(name: str, caption: str, frame: pd.DataFrame | None = None) -> page.Table:
        frame = tables[name] if frame is None else frame
        return page.Table(shown.told(caption), frame, folder / f"{name}.csv")

    agreement = tables["agreement"]
    compared = agreement.method.isin([ENSEMBLE, shown.control.name, REFERENCE_MASKS])
    review = ["review_rank", "case", "predicted_dice", "pairwise_dice", "boundary_entropy", "dice"]
    overlap = _overlap_tables(run, tables, table)
    if published is not None:
        overlap.append(page.Table(published_caption(run), published, folder / "published.csv"))
    by_section = {
        "overlap": overlap,
        "cases": [
            table("localisation", "Where the heart was found, and what the network grid cuts")
        ]
        if "localisation" in tables
        else [],
        "stacking": _stacking_tables(tables, table) if len(shown.members) > 1 else [],
        "calibration": [table("calibration", "Calibration, network grid")],
        "uncertainty": [
            table("quality_agreement", "Predicted Dice against true Dice"),
            table("quality", "Cases to review first", tables["quality"][review].head(20)),
        ],
        "stress": [table("stress", "Dice of perturbed images")] if "stress" in tables else [],
        "clinical": [table("agreement", "Agreement", agreement[compared])],
        "training": [],
    }
    made = [
        page.Section(*text, drawn.get(key, []), by_section[key])
        for key, text in sections(run.dataset).items()
    ]
    return [s for s in made if s.figures or any(len(t.frame) for t in s.tables)]


def published_caption(run: Run) -> str:
    """Of the table `published`, whose rows say themselves whose cases they are of."""
    caption, protocol = "This run beside the published figures", followed_protocol(run)
    if protocol is None or not protocol.per_case:
        return caption
    return (
        f"{caption}: mean and SD over cases, native grid, after postprocessing; TP, FP and FN in "
        f"voxels. Published: {protocol.source}, of {protocol.scored_on or 'held-out cases'}"
    )


def _overlap_tables(run: Run, tables: dict[str, pd.DataFrame], table) -> list[page.Table]:
    summary, order = tables["summary"], [*run.dataset.structures, "mean"]
    of_ensemble = summary[summary.method == ENSEMBLE]
    wide = of_ensemble.pivot(index="metric", columns="structure", values="mean")
    wide = wide.loc[list(dict.fromkeys(of_ensemble.metric)), order].reset_index()
    dice = summary[summary.metric == "dice"].drop(columns="metric")
    unit = run.dataset.modality.size_unit
    groups = tables["groups"][tables["groups"].method == ENSEMBLE]
    of_all = groups[groups.structure == "mean"].set_index(["by", "value"])
    groups = groups.pivot(index=["by", "value"], columns="structure", values="dice")
    groups = groups.loc[of_all.index].assign(**of_all[["patients", "low", "high"]])
    groups = groups.reindex(columns=["patients", *order, "low", "high"]).reset_index()
    return [
        table("summary", f"Ensemble, mean over patients; size difference in {unit}", wide),
        table("summary", "Dice of every method with 95 % intervals", dice),
        table("groups", "Dice of the ensemble by group; interval of the mean", groups),
        table("auc", "Area under the ROC curve"),
    ]


def _stacking_tables(tables: dict[str, pd.DataFrame], table) -> list[page.Table]:
    comparisons = tables["comparisons"]
    return [
        table("methods_test", "Test patients: what each method reaches and costs"),
        table("methods_development", "Development patients, cross-fitted"),
        *(
            table("comparisons", f"Paired comparisons: {name}", rows)
            for metric, name in METRIC_NAMES.items()
            if len(rows := comparisons[comparisons.metric == metric].drop(columns="metric"))
        ),
        table("changes", "Changed pixels"),
        table("importance", "Importance of the feature groups in nats"),
    ]


def case_rows(
    dataset: Dataset, pictures: dict[str, bytes], tables: dict[str, pd.DataFrame]
) -> list[page.CaseRow]:
    """The report's table of cases by the ensemble, worst Dice first; pages are in `cases/`."""
    cases = tables["cases"][tables["cases"].method == ENSEMBLE]
    predicted = tables["quality"].set_index("case").predicted_dice
    rows = []
    for name, scores in cases.groupby("case", sort=False):
        first = scores.iloc[0]
        dice = dict(zip(scores.structure, scores.dice, strict=True))
        failed = [f"{s} {number_text(v, 2)}" for s, v in dice.items() if v < FAILED_BELOW]
        columns = {f"Dice {s}": v for s, v in dice.items()}
        columns |= {"Dice mean": scores.dice.mean(), "HD95 mean (mm)": scores.hd95_mm.mean()}
        columns |= {"predicted Dice": predicted[name]}
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
