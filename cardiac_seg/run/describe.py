"""What a run is, in a few lines of text."""

from pathlib import Path

from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored
from cardiac_seg.run.meta_folder import control_of, final_method, methods_of, read_choice
from cardiac_seg.run.metrics_file import score_table, scores_usable
from cardiac_seg.run.open import open_run
from cardiac_seg.run.scoring import describe_scorings
from cardiac_seg.system.errors import UserError


def describe_run(folder: Path) -> str:
    """Data, networks, input, labels, versions and test scores of a run.

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
        "networks": ", ".join(run.config.members),
        "method": _model(run),
        "expects": f"{run.dataset.modality.images}; {describe_input(run)}",
        "labels": ", ".join(f"{k} {s}" for k, s in enumerate(("background", *labels))),
        "predicted Dice": _review_limit(run),
        "test scored": describe_scorings(run),
        "stages": "exported for prediction"
        if manifest.exported
        else f"{', '.join(done) or 'none'} done",
        "versions": versions or "unknown",
    }
    text = [f"{name:<15}{value}" for name, value in lines.items()]
    if (path := folder / "metrics.json").is_file():
        metrics = read_stored(path)
        if not scores_usable(metrics, control_of(run), methods_of(run)):
            raise UserError(f"{path}: of another run or changed; restore it")
        text += ["", score_table(metrics, "test")]
    return "\n".join(text)


def _data(run: Run) -> str:
    data = run.manifest.dataset
    text = f"{data.name or run.config.data.dataset}{' (phantom)' if data.phantom else ''}"
    if not (run.folder / "split.csv").is_file():
        return text
    subsets = run.split().subset.value_counts()
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
    return f"a review is asked for below {read_choice(run).predicted_dice.review_below:.2f}"
