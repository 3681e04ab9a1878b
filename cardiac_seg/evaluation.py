"""Scores of the saved maps and masks: per patient on the native grid, and pooled as published."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cardiac_seg.combination import combine, final_model, model_names, native_mask
from cardiac_seg.data.cases import Case, CaseFile, read_case, write_mask
from cardiac_seg.files import whole_file, write_json
from cardiac_seg.maps import CaseMaps, read_maps
from cardiac_seg.overlap import accuracy_from_confusion, confusion, dice_from_confusion
from cardiac_seg.postprocessing import STEPS, postprocess
from cardiac_seg.progress import bar
from cardiac_seg.run import Run


def choose_steps(run: Run, files: list[CaseFile]) -> dict[str, list[int]]:
    """Chooses the postprocessing steps, each for each structure, on validation cases.

    A step set to `auto` is kept for a structure where it raises the mean validation Dice of the
    run's final model. The same steps then serve every model, so that models are compared fairly.

    Args:
        run: A run with maps of the cases.
        files: Validation cases.

    Returns:
        Step name -> labels.
    """
    labels = range(1, run.dataset.labels)
    wanted = {step: getattr(run.config.predict, step) for step in STEPS}
    steps = {step: list(labels) if wanted[step] == "on" else [] for step in STEPS}
    candidates = [(s, label) for s in STEPS if wanted[s] == "auto" for label in labels]
    gains: dict[tuple[str, int], list[float]] = {candidate: [] for candidate in candidates}
    model = final_model(run.config.members)
    for case, maps in _cases_with_maps(run, files if candidates else [], "postprocessing"):
        mask = native_mask(combine(maps.members, model), maps.grid)
        plain = dice_from_confusion(confusion(case.label, mask, run.dataset.labels))
        for step, label in candidates:
            cleaned = postprocess(mask, {step: [label]})
            dice = dice_from_confusion(confusion(case.label, cleaned, run.dataset.labels))
            gains[step, label].append(dice[label] - plain[label])
    for (step, label), gain in gains.items():
        if np.nansum(gain) > 0:
            steps[step].append(label)
    return steps


def evaluate(
    run: Run, files: list[CaseFile], subset: str, steps: dict[str, list[int]], save_masks: bool
) -> tuple[pd.DataFrame, dict]:
    """Scores every model on some cases.

    Args:
        run: A run with maps of the cases.
        files: The cases.
        subset: Name of the subset, for the table.
        steps: Postprocessing of the native masks.
        save_masks: Also writes the masks into the run.

    Returns:
        A table with a row for each case, model and structure (Dice on the native grid, after
        postprocessing), and the pooled scores of each model: all pixels of the network grid
        together, before postprocessing, as published.
    """
    models, labels = model_names(run.config.members), run.dataset.labels
    pooled = {model: np.zeros((labels, labels), np.int64) for model in models}
    rows = []
    for case, maps in _cases_with_maps(run, files, f"score {subset}"):
        for model in models:
            probabilities = combine(maps.members, model)
            pooled[model] += confusion(maps.label, probabilities.argmax(-1), labels)
            mask = native_mask(probabilities, maps.grid, steps)
            if save_masks:
                write_mask(run.folder / "masks" / model / case.file.relative_path, mask, case)
            dice = dice_from_confusion(confusion(case.label, mask, labels))
            for label, structure in enumerate(run.dataset.structures, start=1):
                rows.append(
                    {
                        "case": case.file.name,
                        "patient": case.file.patient,
                        "subset": subset,
                        "view": case.file.view,
                        "phase": case.file.phase,
                        "group": case.file.group,
                        "part": maps.part,
                        "model": model,
                        "structure": structure,
                        "dice": dice[label],
                    }
                )
    return pd.DataFrame(rows), {model: _pooled_scores(c) for model, c in pooled.items()}


def summarize(cases: pd.DataFrame, pooled: dict, structures: tuple[str, ...]) -> dict:
    """Scores of one subset, for `metrics.json`.

    Args:
        cases: Rows of `evaluate`.
        pooled: Pooled scores of `evaluate`.
        structures: Foreground structures in label order.

    Returns:
        Per model: the mean over patients of each structure's Dice (a patient's value is the mean
        of its cases), the mean of the structures, the number of cases in which a structure was
        undefined (absent from reference and mask, left out), and the pooled scores.
    """
    per_patient = cases.groupby(["model", "patient", "structure"]).dice.mean()
    dice = per_patient.groupby(["model", "structure"]).mean()
    undefined = cases.dice.isna().groupby([cases.model, cases.structure]).sum()
    models = {}
    for model in pooled:
        values = {s: float(dice[model, s]) for s in structures}
        models[model] = {
            "dice_native_per_patient": values,
            "mean_foreground_dice": float(np.nanmean(list(values.values()))),
            "undefined_cases": {s: int(undefined[model, s]) for s in structures},
            "pooled_network_grid": pooled[model],
        }
    return {
        "patients": int(cases.patient.nunique()),
        "cases": int(cases.case.nunique()),
        "models": models,
    }


def write_scores(run: Run, cases: pd.DataFrame, subsets: dict, steps: dict) -> None:
    """Writes `cases.csv` and `metrics.json`."""
    names = dict(enumerate(run.dataset.structures, start=1))
    metrics = {
        "dataset": run.config.data.dataset,
        "phantom": run.manifest["dataset"]["phantom"],
        "structures": list(run.dataset.structures),
        "grid": "per patient: native grid, after postprocessing; pooled: network grid, before it",
        "postprocessing": {s: [names[label] for label in steps[s]] for s in STEPS},
        "final_model": final_model(run.config.members),
        "subsets": subsets,
    }
    with whole_file(run.folder / "cases.csv") as partial:
        cases.to_csv(partial, index=False)
    write_json(run.folder / "metrics.json", metrics)


def score_table(metrics: dict, subset: str) -> str:
    """The scores of a subset as lines of text: whose they are, then one model a line."""
    structures = metrics["structures"]
    kind = "phantom " if metrics["phantom"] else ""
    patients = metrics["subsets"][subset]["patients"]
    models = metrics["subsets"][subset]["models"]
    lines = [f"{'Dice (per patient, native grid)':<33}" + "".join(f"{s:>8}" for s in structures)]
    lines[0] += f"{'mean':>8}{'pooled accuracy':>17}"
    for name, scores in models.items():
        values = [scores["dice_native_per_patient"][s] for s in structures]
        cells = "".join(f"{v:8.4f}" for v in [*values, scores["mean_foreground_dice"]])
        lines.append(f"{name:<33}{cells}{scores['pooled_network_grid']['accuracy']:17.4f}")
    title = f"{patients} {kind}{subset} patients ({metrics['dataset']} layout)"
    return "\n".join([title, *lines])


def _cases_with_maps(
    run: Run, files: list[CaseFile], description: str
) -> Iterator[tuple[Case, CaseMaps]]:
    for file in bar(files, description, unit="case"):
        maps = read_maps(run.map(file.name), run.config.members)
        yield read_case(file, run.dataset.labels), maps


def _pooled_scores(counts: np.ndarray) -> dict:
    dice = dice_from_confusion(counts)
    return {
        "dice": {str(label): float(value) for label, value in enumerate(dice)},
        "mean_dice": float(np.nanmean(dice)),
        "accuracy": accuracy_from_confusion(counts),
        "confusion": counts.tolist(),
    }
