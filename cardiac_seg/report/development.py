"""Experiments: what development patients say of runs; no test patient is looked at."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.drawing import overlays
from cardiac_seg.masks.native import native_mask
from cardiac_seg.metrics.overlap import REGIONS, confusion, dice_from_confusion, thirds
from cardiac_seg.metrics.patient_means import average_cases
from cardiac_seg.pipeline.cross_fit import cross_fitted_scores
from cardiac_seg.pipeline.measure import native_entropy
from cardiac_seg.pipeline.scores import cases_with_maps
from cardiac_seg.report.tables.comparisons import compare
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import (
    control_of,
    final_method,
    plain_combiner,
    read_interpretation,
    read_steps,
)
from cardiac_seg.run.open import open_run
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.numbers import plain_interval, plain_number

WHAT = "Dice per patient on the native grid, development patients, cross-fitted where fitted"
WORST = 10
OUTSIDE = "outside"  # slices that hold no LV in the reference
GROUPED = ("phase", "view", "group")  # columns of a score table


def compare_development(folders: list[Path], method: str | None = None) -> str:
    """Scores runs on the development patients that all of them hold out, against the first.

    Args:
        folders: Runs of one dataset whose stage `stack` is done.
        method: The method to compare; each run's method in use by default.

    Returns:
        Lines of text: one per run, which names its method, with the paired difference and its
        95 % bootstrap interval.

    Raises:
        UserError: If a run is not stacked or lacks the method, or no patient is common.
    """
    methods = {folder: method or _method_in_use(folder) for folder in folders}
    tables = {f: wide(open_run(f), _scores(f, compared)) for f, compared in methods.items()}
    first = tables[folders[0]]
    for folder, table in tables.items():
        if list(table) != list(first):
            raise UserError(
                f"{folder}: scores {', '.join(table)}, the first run {', '.join(first)}; "
                "compare runs of one dataset"
            )
    data = {open_run(folder).manifest.dataset.fingerprint for folder in folders}
    if len(data) > 1:
        raise UserError("the runs were made from different data; compare runs of one folder")
    common = sorted(set.intersection(*(set(table.index) for table in tables.values())))
    if not common:
        raise UserError("the runs have no development case in common; use one split.seed")
    patients = {patient for patient, _ in common}
    titles = {f: f"{f} ({compared}){_known(f)}" for f, compared in methods.items()}
    width = max(len(title) for title in titles.values())
    holds_out = any(open_run(folder).holds_out for folder in folders)
    what = WHAT if holds_out else f"Dice per patient on the native grid, {TRAINING_CASES}"
    lines = [f"{len(patients)} patients, {len(common)} images: {what}"]
    lines.append(f"{_head('', first, width)}  minus the first")
    for folder, table in tables.items():
        common_scores = table.loc[common]
        line = _line(titles[folder], average_cases(common_scores).mean(), width)
        if folder != folders[0]:
            result = compare(common_scores, first.loc[common], "dice", open_run(folder).config.seed)
            interval = plain_interval(result["low"], result["high"], 4, "+")
            line += f"  {plain_number(result['difference'], 4, '+')} {interval}"
        lines.append(line)
    return "\n".join(lines)


def describe_errors(folder: Path, output: Path | None = None) -> str:
    """Where a run's control errs on the development patients.

    Args:
        folder: A run whose stage `stack` is done.
        output: Receives a page of all slices of each of the worst cases, if given.

    Returns:
        Lines of text: Dice by phase, view, group and, in MRI, slices (base, mid and apex are
        thirds of those that hold LV in the reference, `outside` are the others); the worst cases;
        how far the members' errors go together.

    Raises:
        UserError: If the run is not stacked, or its data is not where it was.
    """
    if output and output.exists() and not output.is_dir():
        raise UserError(f"{output}: not a folder; give another for the pictures")
    run = open_run(folder)
    scores = _scores(folder, None)
    table = wide(run, scores)
    cases = scores.drop_duplicates("case").set_index("case").fillna("")
    known = table.join(cases[list(GROUPED)], on="case")
    known["group"] = known.group.map(run.dataset.group_title)
    structures, width = list(table), 12
    what = WHAT if run.holds_out else f"Dice per patient on the native grid{_known(folder)}"
    lines = [f"{control_of(run)}: {what}", _head("all", table, width)]
    lines.append(_line("", average_cases(table).mean(), width))
    for column in GROUPED:
        if known[column].nunique() > 1:
            lines.append(_head(f"by {column}", table, width))
            for value, rows in known.groupby(column):
                per_patient = average_cases(rows[structures])
                lines.append(_line(value, per_patient.mean(), width))
    worst = table.mean(axis=1).nsmallest(WORST).index.get_level_values("case")
    counts = _look_at(run, table, worst, output)
    if counts:
        lines.append(_head("slices", table, width) + "  (pooled)")
        for region, pixels in counts.items():
            pooled = pd.Series(dice_from_confusion(pixels)[1:], structures)
            lines.append(_line(region, pooled, width))
    lines.append(_head(f"worst {WORST}", table, 20))
    lines += [_line(name, table.xs(name, level="case").iloc[0], 20) for name in worst]
    notes = read_interpretation(run)
    for one, other in itertools.combinations(run.config.members, 2):
        correlation = notes[other].get("error_correlation", {}).get(one)
        if correlation is not None:
            lines.append(f"correlation of errors, {other} with {one}: {correlation:.3f}")
    return "\n".join(lines)


def _look_at(
    run: Run, table: pd.DataFrame, worst: pd.Index, output: Path | None
) -> dict[str, np.ndarray]:
    """Draws the worst cases; region -> confusion of its slices, nothing where there are none."""
    labels, lv = run.dataset.num_classes, run.dataset.anatomy.label("lv_cavity")
    counts = {}
    if run.dataset.modality.ndim == 3 and lv is not None:
        counts = {region: np.zeros((labels, labels), np.int64) for region in (*REGIONS, OUTSIDE)}
    for case, maps, mask, probabilities in _masks(run, set(table.index.get_level_values("case"))):
        if counts:
            for region, slices in _regions(case.label == lv):
                counts[region] += confusion(case.label[slices], mask[slices], labels)
        if output and case.file.name in worst:
            dice = table.xs(case.file.name, level="case").iloc[0].to_dict()
            entropy = native_entropy(probabilities, maps.grid) / np.float32(255)
            page = overlays.case_page(
                *(case.file.name, case.label, mask, maps.image, entropy, case.spacing),
                run.dataset.anatomy,
                dice,
            )
            with whole_file(output / f"{case.file.name}.png") as partial:
                partial.write_bytes(page)
    return counts


def _regions(cavity: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Region -> slice numbers; `outside` holds no cavity."""
    return [*thirds(cavity).items(), (OUTSIDE, np.flatnonzero(~cavity.any(axis=(1, 2))))]


def development_scores(run: Run) -> pd.DataFrame:
    """Cross-fitted scores of a run: one row per case, method and structure.

    Raises:
        UserError: If the run is not stacked.
    """
    folder = run.folder
    run.check_whole()
    if not (run.meta / "choice.json").is_file() or not (run.meta / "cross_fit").is_dir():
        raise UserError(f"{folder}: not stacked; run train_ensemble.py --resume {folder}")
    return cross_fitted_scores(run).cases


def _known(folder: Path) -> str:
    """Said of runs whose networks know the patients."""
    return "" if open_run(folder).holds_out else f", {TRAINING_CASES}"


def _method_in_use(folder: Path) -> str:
    run = open_run(folder)
    development_scores(run)  # says it if the run is not stacked
    return final_method(run)


def _scores(folder: Path, method: str | None) -> pd.DataFrame:
    """Those of one method, by default the control."""
    run = open_run(folder)
    scores = development_scores(run)
    method_scores = scores[scores.method == (method or control_of(run))]
    if method_scores.empty:
        raise UserError(
            f"{folder}: no method {method!r}, it has {', '.join(scores.method.unique())}"
        )
    return method_scores


def wide(run: Run, scores: pd.DataFrame) -> pd.DataFrame:
    """One method's scores as ((patient, case), structure) Dice."""
    table = scores.pivot(index=["patient", "case"], columns="structure", values="dice")
    return table[list(run.dataset.structures)]


def _masks(run: Run, names: set[str]):
    """Each development case with its maps, and the control's mask and probabilities."""
    files = run.dataset.find(run.root, run.config.data.views, run.config.data.phases)
    files = [file for file in files if file.name in names]
    combiner, steps, control = plain_combiner(run), read_steps(run), control_of(run)
    for case, maps in cases_with_maps(run, files, "look"):
        ((_, probabilities, _),) = combiner.combine(maps.probabilities, maps.image, [control])
        yield case, maps, native_mask(probabilities, maps.grid, steps), probabilities


def _head(title: str, table: pd.DataFrame, width: int) -> str:
    return f"{title:<{width}}" + "".join(f"{s:>7}" for s in table) + "    mean"


def _line(name: str, dice: pd.Series, width: int) -> str:
    return f"{name:<{width}}" + "".join(f"{v:7.3f}" for v in dice) + f"{dice.mean():8.4f}"
