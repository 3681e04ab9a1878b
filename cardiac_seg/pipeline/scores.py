"""Scores of the saved maps and masks: per patient on the native grid, and pooled as published."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cardiac_seg.data.case import Case, CaseFile, read_case
from cardiac_seg.masks.native import native_mask
from cardiac_seg.masks.postprocessing import Postprocessing
from cardiac_seg.members.maps import CaseMaps
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.metrics.expected_dice import expected_dice
from cardiac_seg.metrics.overlap import accuracy_from_confusion, confusion, dice_from_confusion
from cardiac_seg.metrics.patient_means import patients_by
from cardiac_seg.metrics.statistics import bootstrap_means, interval
from cardiac_seg.pipeline.development import UnseenMaps
from cardiac_seg.pipeline.patient_measures import PatientMeasures
from cardiac_seg.run.folder import Run
from cardiac_seg.system.log import bar

Watch = Callable[[CaseMaps, dict[str, np.ndarray]], None]


@dataclass(frozen=True)
class Scores:
    """Scores of some cases.

    Attributes:
        cases: A row for each case, method and structure: Dice on the native grid, after
            postprocessing, and the Dice expected from the probabilities alone, on the network grid.
        pooled: Method -> (labels, labels) int64 pixel counts of all cases together on the network
            grid, before postprocessing, as published.
        seconds: Method -> seconds from maps to probabilities, all cases together.
    """

    cases: pd.DataFrame
    pooled: dict[str, np.ndarray]
    seconds: dict[str, float]


def score(
    run: Run,
    files: list[CaseFile],
    combiner: Combiner,
    methods: list[str],
    subset: str,
    steps: Postprocessing,
    watch: Watch | None = None,
) -> Scores:
    """Scores methods on some cases.

    Args:
        run: A run with maps of the cases.
        files: The cases.
        combiner: Gives the methods' probabilities.
        methods: What to score.
        subset: Name of the subset, for the table.
        steps: Postprocessing of the native masks.
        watch: Called with each case and all its methods' probabilities.
    """
    labels = run.dataset.num_classes
    pooled = {method: np.zeros((labels, labels), np.int64) for method in methods}
    spent, rows = dict.fromkeys(methods, 0.0), []
    beside = combiner.features.uses_companions
    for case, maps in cases_with_maps(run, files, f"score {subset}", beside):
        by_method = {}
        for method, probabilities, seconds in combiner.combine(
            maps.probabilities, maps.image, methods, maps.companions
        ):
            by_method[method] = probabilities
            spent[method] += seconds
            pooled[method] += confusion(maps.reference, probabilities.argmax(-1), labels)
            mask = native_mask(probabilities, maps.grid, steps)
            dice = dice_from_confusion(confusion(case.reference, mask, labels))
            expected = expected_dice(probabilities)
            rows += _score_rows(
                (case.file, subset, maps.fold, method), run.dataset.structures, dice[1:], expected
            )
        if watch:
            watch(maps, by_method)
    return Scores(pd.DataFrame(rows), pooled, spent)


def scores_of(
    measures: list[PatientMeasures],
    files: list[CaseFile],
    methods: list[str],
    structures: tuple[str, ...],
    subset: str,
) -> Scores:
    """The scores among the measures of patients.

    Args:
        measures: Of the patients.
        files: Their cases; the table follows their order.
        methods: Those measured, in order.
        structures: In label order.
        subset: Name of the subset, for the table.
    """
    of_case = {
        case: (fold, scores)
        for patient in measures
        for case, fold, scores in zip(
            dict.fromkeys(patient.cases.case), patient.folds, patient.scores, strict=True
        )
    }
    rows = []
    for file in files:
        fold, scores = of_case[file.name]
        for method, (dice, expected) in zip(methods, scores.swapaxes(1, 2), strict=True):
            rows += _score_rows((file, subset, str(fold), method), structures, dice, expected)
    pooled = np.sum([m.pooled for m in measures], axis=0)
    seconds = np.sum([m.seconds for m in measures], axis=0)
    return Scores(
        pd.DataFrame(rows),
        dict(zip(methods, pooled, strict=True)),
        dict(zip(methods, seconds.tolist(), strict=True)),
    )


def _score_rows(
    of: tuple[CaseFile, str, str, str], structures: tuple[str, ...], dice, expected
) -> list[dict]:
    """A row per structure of a case (with its subset, fold and method)."""
    file, subset, fold, method = of
    keys = {"case": file.name, "patient": file.patient, "subset": subset, "view": file.view}
    keys |= {"phase": file.phase, "group": file.group, "fold": fold, "method": method}
    return [
        keys | {"structure": structure, "dice": d, "expected_dice": e}
        for structure, d, e in zip(structures, dice, expected, strict=True)
    ]


def describe_cases(files: list[CaseFile]) -> pd.DataFrame:
    """What is known of each case without its pixels, for `test_cases.csv`.

    Returns:
        case, patient, path (of the image under the data folder and of each mask), view, phase,
        group, recorded_ef (percent) and heart_rate (beats a minute), both NaN where not given.
    """
    rows = [
        {
            "case": file.name,
            "patient": file.patient,
            "path": file.relative_path.as_posix(),
            "view": file.view,
            "phase": file.phase,
            "group": file.group,
            "recorded_ef": file.metadata.get("EF"),
            "heart_rate": file.metadata.get("HeartRate"),
        }
        for file in files
    ]
    table = pd.DataFrame(rows)
    for column in ("recorded_ef", "heart_rate"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def summarize(scores: Scores, structures: tuple[str, ...], control: str, seed: int) -> dict:
    """Scores of one subset, for `metrics.json`.

    Args:
        scores: Of the subset's cases.
        structures: Foreground structures in label order.
        control: The method that the others are compared with.
        seed: Of the bootstrap.

    Returns:
        Per method: the mean over patients of each structure's Dice (a patient's value is the mean
        of its cases), the mean of the structures, 95 % bootstrap intervals over patients, the
        paired difference to the control, the number of cases in which a structure was undefined
        (absent from reference and mask, left out), and the pooled scores.
    """
    cases = scores.cases
    undefined = cases.dice.isna().groupby([cases.method, cases.structure]).sum()
    table = patients_by(cases, "dice", ["method", "structure"])
    columns = [(method, structure) for method in scores.pooled for structure in structures]
    table = table[columns].astype(np.float64)
    by_column = pd.DataFrame(bootstrap_means(table.to_numpy(), seed), columns=table.columns)
    means = {method: table[method].mean().to_numpy() for method in scores.pooled}
    replicates = {method: by_column[method].to_numpy() for method in scores.pooled}
    methods = {}
    for method, counts in scores.pooled.items():
        defined = ~np.isnan(means[method])
        spread, mean = replicates[method], float(means[method][defined].mean())
        methods[method] = {
            "dice_native_per_patient": dict(
                zip(structures, map(float, means[method]), strict=True)
            ),
            "mean_foreground_dice": mean,
            "interval_95": {
                **{s: interval(spread[:, i]) for i, s in enumerate(structures)},
                "mean_foreground_dice": interval(spread[:, defined].mean(1)),
            },
            "undefined_cases": {s: int(undefined[method, s]) for s in structures},
            "pooled_network_grid": _pooled_scores(counts),
        }
        if method != control:
            apart = (means[method] - means[control])[defined]
            difference = interval((spread - replicates[control])[:, defined].mean(1))
            methods[method][f"against_{control}"] = {
                "difference": float(apart.mean()),
                "interval_95": difference,
            }
    return {
        "patients": int(cases.patient.nunique()),
        "cases": int(cases.case.nunique()),
        "methods": methods,
    }


def cases_with_maps(
    run: Run, files: list[CaseFile], description: str, companions: bool = False
) -> Iterator[tuple[Case, CaseMaps]]:
    """Reads each development case with its maps, under a progress bar.

    Args:
        run: A run with maps of the cases.
        files: The cases.
        description: Of the progress bar.
        companions: See `pipeline.development.UnseenMaps`.

    Raises:
        UserError: See `pipeline.development.UnseenMaps`.
    """
    shown = bar(files, description, unit="case")
    for file, maps in zip(shown, UnseenMaps(run, files, companions), strict=True):
        yield read_case(file, run.dataset.num_classes), maps


def _pooled_scores(counts: np.ndarray) -> dict:
    dice = dice_from_confusion(counts)
    return {
        "dice": {str(label): float(value) for label, value in enumerate(dice)},
        "mean_dice": float(np.nanmean(dice)),
        "accuracy": accuracy_from_confusion(counts),
        "confusion": counts.tolist(),
    }
