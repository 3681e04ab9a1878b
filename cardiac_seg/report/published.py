"""The published files in their structure, and the published figures to stand beside.

The files are pooled over the pixels of all scored images on the network grid. The figures are a
value of the dataset, `Dataset.protocol`: pooled likewise, or of each case on its native grid.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.data.dataset import PublishedProtocol
from cardiac_seg.metrics.overlap import dice
from cardiac_seg.report.tables.columns import ENSEMBLE
from cardiac_seg.run.folder import Run
from cardiac_seg.system.atomic import whole_file, write_text

TITLES = {ENSEMBLE: "Ensemble"}  # of methods that the published files call otherwise
PER_CASE = ("dice", "iou", "tp", "fp", "fn")  # what nnU-Net tells of each case; counts in voxels


def numerical_results(confusion: pd.DataFrame, members: list[str]) -> dict[str, dict]:
    """The content of `numerical_results.json`.

    Args:
        confusion: The table `confusion`.
        members: The networks of the run.

    Returns:
        Method -> accuracy, classification_report (scikit-learn's structure), dice_scores by label,
        mean_dice (of all classes); the members and the ensemble first. null where undefined.
    """
    methods = dict.fromkeys([*members, ENSEMBLE, *confusion.method])
    return {
        TITLES.get(method, method): _results(rows)
        for method in methods
        if len(rows := confusion[confusion.method == method])
    }


def dice_scores(results: dict[str, dict], classes: list[str]) -> pd.DataFrame:
    """The table `dice_scores.csv`: Method, Class, Dice_Score."""
    rows = [
        {"Model": method, "Class": name, "Dice_Score": score}
        for method, scores in results.items()
        for name, score in zip(classes, scores["dice_scores"].values(), strict=True)
    ]
    return pd.DataFrame(rows)


def target_table(
    results: dict[str, dict], classes: list[str], targets: Mapping[str, float]
) -> pd.DataFrame:
    """The targets that a publication states, and whether they are met.

    Args:
        results: As `numerical_results` gives them.
        classes: In label order, background first.
        targets: See `PublishedProtocol`.

    Returns:
        target, value (NaN where the dataset has no such class), met (`met`, `missed`, `-`).
    """
    scores = results[TITLES[ENSEMBLE]]
    values = dict(zip(classes, scores["dice_scores"].values(), strict=True))
    values |= {"mean": scores["mean_dice"], "accuracy": scores["accuracy"]}
    rows = []
    for name, least in targets.items():
        value = values.get(name)
        value = np.nan if value is None else value
        met = "-" if np.isnan(value) else "met" if value > least else "missed"
        what = {"accuracy": "pixel accuracy", "mean": "pooled mean Dice of all classes"}
        title = what.get(name, f"pooled Dice {name}")
        rows.append({"target": f"{title} > {least:.2f}", "value": value, "met": met})
    return pd.DataFrame(rows)


def followed_protocol(run: Run) -> PublishedProtocol | None:
    """The published protocol whose images are those of a run; None where there is none."""
    data, protocol = run.config.data, run.dataset.protocol
    if protocol is None:
        return None
    views = data.views if run.dataset.modality.views or protocol.views else []
    same = views == list(protocol.views) and data.phases == list(protocol.phases)
    has_member = protocol.member is None or protocol.member in run.config.members
    return protocol if same and has_member else None


def quantities(classes: Sequence[str]) -> tuple[str, ...]:
    """What the figures of `PublishedProtocol.scores` are of."""
    return (*classes, f"mean of {len(classes)}", "pixel accuracy")


def published_table(
    results: dict[str, dict], members: list[str], classes: list[str], protocol: PublishedProtocol
) -> pd.DataFrame:
    """A run's networks and its ensemble beside the published figures.

    Args:
        results: As `numerical_results` gives them.
        members: The networks of the run; those that were not published stand alone.
        classes: In label order, background first.
        protocol: The published figures.

    Returns:
        method, quantity, here, published, difference; NaN where undefined or not published.
    """
    rows, titles = [], quantities(classes)
    for method in (*members, ENSEMBLE):
        scores = results[TITLES.get(method, method)]
        here = (*scores["dice_scores"].values(), scores["mean_dice"], scores["accuracy"])
        figures = protocol.scores.get(method, (np.nan,) * len(titles))
        for quantity, value, there in zip(titles, here, figures, strict=True):
            value = np.nan if value is None else value
            row = {"method": method, "quantity": quantity, "here": value}
            rows.append(row | {"published": there, "difference": value - there})
    return pd.DataFrame(rows)


def per_case_table(
    cases: pd.DataFrame, members: list[str], protocol: PublishedProtocol, scored_on: str
) -> pd.DataFrame:
    """Overlap as nnU-Net tabulates it, the published figures below.

    Args:
        cases: The table `cases`.
        members: The networks of the run; of several, their ensemble too.
        protocol: The published figures.
        scored_on: Whose cases the run's are.

    Returns:
        figures (`here`, or who published them), scored_on, method, structure (`mean`: of the
        structures), cases (with a Dice), and the mean and the SD over cases (n - 1) of each of
        PER_CASE. A case counts where it is defined: one without the structure in mask and reference
        has no Dice. NaN where it was not published.
    """
    structures = list(dict.fromkeys(cases.structure))
    rows = []
    for method in members if len(members) == 1 else [*members, ENSEMBLE]:
        scores = cases[cases.method == method].pivot(index="case", columns="structure")
        for structure in (*structures, "mean"):
            row: dict[str, object] = {"figures": "here", "scored_on": scored_on}
            row |= {"method": method, "structure": structure}
            for name in PER_CASE:
                each = scores[name].astype(float)
                of_cases = each.mean(axis=1) if structure == "mean" else each[structure]
                mean = each.mean().mean() if structure == "mean" else of_cases.mean()
                if name == "dice":
                    row["cases"] = int(of_cases.notna().sum())
                row |= {name: mean, f"{name}_sd": of_cases.std()}
            rows.append(row)
    for method, figures in protocol.scores.items():
        about = {"figures": protocol.source, "scored_on": protocol.scored_on, "method": method}
        rows += [
            about | {"structure": structure, "dice": dice}
            for structure, dice in zip((*structures, "mean"), figures, strict=True)
        ]
    columns = [column for name in PER_CASE for column in (name, f"{name}_sd")]
    keys = ["figures", "scored_on", "method", "structure", "cases"]
    return pd.DataFrame(rows, columns=[*keys, *columns]).astype({"cases": "Int64"})


def write_published(
    output: Path, confusion: pd.DataFrame, members: list[str], summary: str, scored_on: str = ""
) -> dict[str, dict]:
    """Writes `numerical_results.json`, `dice_scores.csv` and `summary_report.txt`.

    Args:
        output: The folder.
        confusion: The table `confusion`.
        members: The networks of the run.
        summary: The text.
        scored_on: Whose cases they are of; a key and a column of this name, where it is given.

    Returns:
        See `numerical_results`.
    """
    results = numerical_results(confusion, members)
    classes, said = list(dict.fromkeys(confusion.truth)), {"scored_on": scored_on}
    said = said if scored_on else {}
    write_text(output / "numerical_results.json", json.dumps(said | results, indent=2) + "\n")
    with whole_file(output / "dice_scores.csv") as partial:
        dice_scores(results, classes).assign(**said).to_csv(partial, index=False)
    write_text(output / "summary_report.txt", summary)
    return results


def _results(confusion: pd.DataFrame) -> dict:
    classes = list(dict.fromkeys(confusion.truth))
    counts = confusion.pivot(index="truth", columns="predicted", values="pixels")
    counts = counts.loc[classes, classes].to_numpy(np.int64)
    right, truth, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)

    def share(part, whole):
        return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)

    precision, recall = share(right, predicted), share(right, truth)
    scores = dice(right, truth, predicted)
    by_class = {
        name: _entry(precision[i], recall[i], scores[i], truth[i]) for i, name in enumerate(classes)
    }
    with np.errstate(invalid="ignore"):
        macro, weighted = (
            (_mean(precision, weights), _mean(recall, weights), _mean(scores, weights))
            for weights in (np.ones(len(truth)), truth)
        )
    accuracy = float(right.sum() / counts.sum())
    return {
        "accuracy": accuracy,
        "classification_report": {
            **by_class,
            "accuracy": accuracy,
            "macro avg": _entry(*macro, truth.sum()),
            "weighted avg": _entry(*weighted, truth.sum()),
        },
        "dice_scores": {str(i): _or_none(value) for i, value in enumerate(scores)},
        "mean_dice": _or_none(_mean(scores, np.ones(len(scores)))),
    }


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    defined = ~np.isnan(values)
    return float(np.average(values[defined], weights=weights[defined])) if defined.any() else np.nan


def _entry(precision: float, recall: float, dice: float, support: int) -> dict:
    scores = {"precision": precision, "recall": recall, "f1-score": dice}
    return {name: _or_none(value) for name, value in scores.items()} | {"support": int(support)}


def _or_none(value: float) -> float | None:
    """The value, or None: NaN is not JSON."""
    return None if np.isnan(value) else float(value)
