"""Scores of the saved maps and masks: per patient on the native grid, and pooled as published."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cardiac_seg.data.case import Case, CaseFile, read_case
from cardiac_seg.data.nifti import write_mask
from cardiac_seg.masks.postprocessing import STEPS, postprocess
from cardiac_seg.members.maps import CaseMaps, read_maps
from cardiac_seg.meta.combine import Combiner, native_mask
from cardiac_seg.metrics.expected_dice import expected_dice
from cardiac_seg.metrics.overlap import accuracy_from_confusion, confusion, dice_from_confusion
from cardiac_seg.metrics.statistics import bootstrap_means, interval
from cardiac_seg.run.folder import Run
from cardiac_seg.system.log import bar

FINAL_MASKS = "ensemble"  # the folder of the chosen model's masks
REFERENCE_MASKS = "reference"  # of the reference labels, so that a run is measured without its data
Watch = Callable[[CaseMaps, dict[str, np.ndarray]], None]


@dataclass(frozen=True)
class Scores:
    """Scores of some cases.

    Attributes:
        cases: A row for each case, model and structure: Dice on the native grid, after
            postprocessing, and the Dice expected from the probabilities alone, on the network grid.
        pooled: Model -> (labels, labels) int64 pixel counts of all cases together on the network
            grid, before postprocessing, as published.
        seconds: Model -> seconds from maps to probabilities, all cases together.
    """

    cases: pd.DataFrame
    pooled: dict[str, np.ndarray]
    seconds: dict[str, float]


def choose_steps(
    run: Run, files: list[CaseFile], combiner: Combiner, model: str
) -> dict[str, list[int]]:
    """Chooses the postprocessing steps, each for each structure, on development cases.

    A step set to `auto` is kept for a structure where it does not lower the model's mean Dice,
    after the steps before it: one that changes nothing here guards against what these cases lack.
    The same steps then serve every model, so that models are compared fairly.

    Args:
        run: A run with maps of the cases.
        files: Development cases.
        combiner: Gives the model's probabilities.
        model: One that is not fitted on the maps: the mean, or the only member.

    Returns:
        Step name -> labels.
    """
    labels = range(1, run.dataset.labels)
    wanted = {step: getattr(run.config.predict, step) for step in STEPS}
    if "auto" not in wanted.values():
        return {step: list(labels) if wanted[step] == "on" else [] for step in STEPS}
    truths, masks = [], []
    for case, maps in cases_with_maps(run, files, "postprocessing"):
        ((_, probabilities, _),) = combiner.combine(maps, [model])
        truths.append(case.label)
        masks.append(native_mask(probabilities, maps.grid))

    def dice(masks: list[np.ndarray], label: int) -> np.ndarray:
        pairs = zip(truths, masks, strict=True)
        return np.array(
            [dice_from_confusion(confusion(*p, run.dataset.labels))[label] for p in pairs]
        )

    steps = {step: [] for step in STEPS}
    for step, label in ((s, label) for s in STEPS if wanted[s] != "off" for label in labels):
        cleaned = [postprocess(mask, {step: [label]}) for mask in masks]
        gain = np.nansum(dice(cleaned, label) - dice(masks, label))
        if wanted[step] == "on" or gain >= 0:
            steps[step].append(label)
            masks = cleaned
    return steps


def score(
    run: Run,
    files: list[CaseFile],
    combiner: Combiner,
    models: list[str],
    subset: str,
    steps: dict[str, list[int]],
    final: str | None = None,
    watch: Watch | None = None,
) -> Scores:
    """Scores models on some cases.

    Args:
        run: A run with maps of the cases.
        files: The cases.
        combiner: Gives the models' probabilities.
        models: What to score.
        subset: Name of the subset, for the table.
        steps: Postprocessing of the native masks.
        final: The chosen model; with it all masks are written into the run, its own twice, and
            the reference labels beside them.
        watch: Called with each case and all its models' probabilities.
    """
    labels = run.dataset.labels
    pooled = {model: np.zeros((labels, labels), np.int64) for model in models}
    spent, rows = dict.fromkeys(models, 0.0), []
    for case, maps in cases_with_maps(run, files, f"score {subset}"):
        path, by_model = case.file.relative_path, {}
        if final:
            write_mask(run.folder / "masks" / REFERENCE_MASKS / path, [case.label], case.layout)
        for model, probabilities, seconds in combiner.combine(maps, models):
            by_model[model] = probabilities
            spent[model] += seconds
            pooled[model] += confusion(maps.label, probabilities.argmax(-1), labels)
            mask = native_mask(probabilities, maps.grid, steps)
            if final:
                for name in (model, FINAL_MASKS) if model == final else (model,):
                    write_mask(run.folder / "masks" / name / path, [mask], case.layout)
            dice = dice_from_confusion(confusion(case.label, mask, labels))
            expected = expected_dice(probabilities)
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
                        "expected_dice": expected[label - 1],
                    }
                )
        if watch:
            watch(maps, by_model)
    return Scores(pd.DataFrame(rows), pooled, spent)


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
        control: The model that the others are compared with.
        seed: Of the bootstrap.

    Returns:
        Per model: the mean over patients of each structure's Dice (a patient's value is the mean
        of its cases), the mean of the structures, 95 % bootstrap intervals over patients, the
        paired difference to the control, the number of cases in which a structure was undefined
        (absent from reference and mask, left out), and the pooled scores.
    """
    cases = scores.cases
    undefined = cases.dice.isna().groupby([cases.model, cases.structure]).sum()
    table = cases.pivot_table("dice", "patient", ["model", "structure"], "mean", dropna=False)
    columns = [(model, structure) for model in scores.pooled for structure in structures]
    table = table[columns].astype(np.float64)
    by_column = pd.DataFrame(bootstrap_means(table.to_numpy(), seed), columns=table.columns)
    means = {model: table[model].mean().to_numpy() for model in scores.pooled}
    replicates = {model: by_column[model].to_numpy() for model in scores.pooled}
    models = {}
    for model, counts in scores.pooled.items():
        defined = ~np.isnan(means[model])
        spread, mean = replicates[model], float(means[model][defined].mean())
        models[model] = {
            "dice_native_per_patient": dict(zip(structures, map(float, means[model]), strict=True)),
            "mean_foreground_dice": mean,
            "interval_95": {
                **{s: interval(spread[:, i]) for i, s in enumerate(structures)},
                "mean_foreground_dice": interval(spread[:, defined].mean(1)),
            },
            "undefined_cases": {s: int(undefined[model, s]) for s in structures},
            "pooled_network_grid": _pooled_scores(counts),
        }
        if model != control:
            apart = (means[model] - means[control])[defined]
            difference = interval((spread - replicates[control])[:, defined].mean(1))
            models[model][f"against_{control}"] = {
                "difference": float(apart.mean()),
                "interval_95": difference,
            }
    return {
        "patients": int(cases.patient.nunique()),
        "cases": int(cases.case.nunique()),
        "models": models,
    }


def scores_usable(metrics: object, control: str, models: list[str]) -> bool:
    """Whether a `metrics.json` holds a run's test scores, as far as they are read again."""
    try:
        test = metrics["subsets"]["test"]
        told = [test["models"][model] for model in models]
        numbers = [test["patients"], *(one["mean_foreground_dice"] for one in told)]
        tables = [one["pooled_network_grid"]["confusion"] for one in told]
        tables += [one["dice_native_per_patient"].values() for one in told]
        return (
            metrics["control"] == control
            and {"structures", "phantom", "dataset", "chosen_by", "final_model"} <= set(metrics)
            and isinstance(metrics["postprocessing"], dict)
            and all(isinstance(number, int | float) for number in numbers)
            and all(isinstance(one["interval_95"], dict) for one in told)
            and all(len(table) for table in tables)
        )
    except (AttributeError, IndexError, KeyError, TypeError):
        return False


def score_table(metrics: dict, subset: str) -> str:
    """The scores of a subset as lines of text: whose they are, then one model a line."""
    structures, control = metrics["structures"], metrics["control"]
    kind = "phantom " if metrics["phantom"] else ""
    patients = metrics["subsets"][subset]["patients"]
    models = metrics["subsets"][subset]["models"]
    title = (
        f"{patients} {kind}{subset} patients ({metrics['dataset']} layout): Dice per patient on "
        "the native grid, [95 % bootstrap interval]"
    )
    head = f"{'':<25}" + "".join(f"{s:>7}" for s in structures)
    head += f"{'mean':>8}{'':18}against {control}"
    lines = []
    for name, scores in models.items():
        values = [scores["dice_native_per_patient"][s] for s in structures]
        line = f"{name:<25}" + "".join(f"{v:7.3f}" for v in values)
        line += f"{scores['mean_foreground_dice']:8.4f} "
        line += f"{brackets(scores['interval_95']['mean_foreground_dice'], ''):<17}"
        if against := scores.get(f"against_{control}"):
            line += f"{against['difference']:+.4f} {brackets(against['interval_95'], '+')}"
        lines.append(line.rstrip())
    by = {"config": "the config"}.get(metrics["chosen_by"], "cross-fitted development patients")
    return "\n".join([title, head.rstrip(), *lines, f"chosen by {by}: {metrics['final_model']}"])


def brackets(bounds: list[float] | None, sign: str) -> str:
    """An interval as text, with `sign` of the format of its numbers."""
    return "[undefined]" if bounds is None else f"[{bounds[0]:{sign}.3f} {bounds[1]:{sign}.3f}]"


def cases_with_maps(
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
