"""What a run is, in a few lines of text."""

from functools import partial
from pathlib import Path

from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored
from cardiac_seg.run.meta_folder import control_of, final_method, methods_of, read_choice
from cardiac_seg.run.metrics_file import patients_text, score_table, scores_usable
from cardiac_seg.run.open import open_run
from cardiac_seg.run.scoring import describe_scorings
from cardiac_seg.run.stacks import as_run, kept_stacks
from cardiac_seg.system.errors import UserError


def describe_run(folder: Path) -> str:
    """Data, networks, input, labels, versions and scores of a run.

    Raises:
        UserError: If the folder is no run directory.
    """
    run = open_run(folder)
    manifest, labels = run.manifest, run.dataset.structures
    versions = ", ".join(f"{k} {v}" for k, v in manifest.versions.items())
    done = [name for name, stage in manifest.stages.items() if stage.done]
    lines = {
        "run": str(folder),
        "trained on": _data(run),
        "networks": ", ".join(map(partial(_member, run), run.config.members)),
        "method": _model(run),
        "expects": f"{run.dataset.modality.images}; {describe_input(run)}",
        "labels": ", ".join(f"{k} {s}" for k, s in enumerate(("background", *labels))),
        "predicted Dice": _review_limit(run),
        f"{'test' if run.holds_out else 'cases'} scored": describe_scorings(run),
        "stages": "exported for prediction"
        if manifest.exported
        else f"{', '.join(done) or 'none'} done",
        "versions": versions or "unknown",
    }
    text = [f"{name:<15}{value}" for name, value in lines.items()]
    text += _stacks(run)
    if (metrics := _metrics(run)) is not None:
        text += ["", score_table(metrics, run.scored)]
    return "\n".join(text)


def _member(run: Run, name: str) -> str:
    if name not in run.config.external:
        return name
    member = run.config.external[name]
    vouched = member.trained_on is None and member.vouch_for_test
    word = ", that they are of unseen patients is the user's word" if vouched else ""
    return f"{name} (brings its maps{word})"


def _stacks(run: Run) -> list[str]:
    """A line for the stack in use and one for each that is kept beside it."""
    named = f"{run.manifest.stack} (in use)" if run.manifest.stack else "(in use)"
    present = {named: run} if (run.meta / "choice.json").is_file() else {}
    kept = {name: as_run(run, name) for name in kept_stacks(run)}
    return [f"{'stack':<15}{name}: {_stack(one)}" for name, one in (present | kept).items()]


def _stack(run: Run) -> str:
    stacking = run.config.stacking
    learners, features = ", ".join(stacking.learners), ", ".join(stacking.features)
    text = f"{stacking.scheme}; learners {learners or 'none'}; features {features or 'the core'}"
    method, metrics = final_method(run), _metrics(run)
    if metrics is None:
        return f"{text}; {method} in use, not scored"
    dice = metrics["subsets"][run.scored]["methods"][method]["mean_foreground_dice"]
    if run.holds_out:
        return f"{text}; {method} in use, test Dice {dice:.4f}"
    return f"{text}; {method} in use, Dice {dice:.4f} ({TRAINING_CASES})"


def _metrics(run: Run) -> dict | None:
    path = run.folder / "metrics.json"
    if not path.is_file():
        return None
    metrics = read_stored(path)
    if not scores_usable(metrics, run.scored, control_of(run), methods_of(run)):
        raise UserError(f"{path}: of another run or changed; restore it")
    return metrics


def _data(run: Run) -> str:
    data = run.manifest.dataset
    text = f"{data.name or run.config.data.dataset}{' (phantom)' if data.phantom else ''}"
    if not (run.folder / "split.csv").is_file():
        return text
    subsets = run.split().subset.value_counts()
    if not run.holds_out:
        told = patients_text(subsets.sum(), run.scored)
        return f"{text}: {told}, {data.cases or '?'} images in all"
    parts = [f"{subsets[s]} {s}" for s in ("train", "validation", "test") if s in subsets]
    return f"{text}: {', '.join(parts)} patients, {data.cases or '?'} images in all"


def _model(run: Run) -> str:
    if not (run.meta / "choice.json").is_file():
        return "none chosen yet"
    return f"{final_method(run)}, stacking scheme {run.config.stacking.scheme}"


def describe_input(run: Run) -> str:
    """What the networks see of an image, in words."""
    settings = run.config.preprocess
    height, width = settings.size
    mirrored = {"none": "", "horizontal": "; twice, mirrored", "both": "; four times, mirrored"}
    times = mirrored[run.config.predict.mirror]
    if settings.spacing is None:
        shown = "the sector" if settings.field == "sector" else "the whole image"
        return f"{shown}, resized to {height} x {width}{times}"
    seen = f"{height * settings.spacing:g} x {width * settings.spacing:g} mm"
    place = f"the central {seen}"
    if settings.field == "heart":
        place = f"{seen} about the heart, which is found in the whole image,"
    return f"{place} are seen, {height} x {width} pixels of {settings.spacing:g} mm{times}"


def _review_limit(run: Run) -> str:
    if not (run.meta / "choice.json").is_file():
        return "unknown yet"
    text = f"a review is asked for below {read_choice(run).predicted_dice.review_below:.2f}"
    return text if run.holds_out else f"{text}; it was fitted on training cases"
