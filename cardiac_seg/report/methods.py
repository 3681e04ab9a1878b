"""The methods paragraph of a report."""

from cardiac_seg.metrics.boundary import BAND_MM
from cardiac_seg.metrics.statistics import LEVEL, RESAMPLES
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored
from cardiac_seg.run.meta_folder import final_method, methods_of, read_choice


def methods_paragraph(run: Run) -> str:
    """A methods paragraph, from the configuration and what the run chose."""
    config, split = run.config, run.split()
    count = split.subset.value_counts()
    data, train, stacking = config.data, config.train, config.stacking
    kind = "phantom " if run.manifest.dataset.phantom else ""
    images = ", ".join([*(data.views if run.dataset.modality.views else []), *data.phases])
    grid = f"{config.preprocess.size[0]} x {config.preprocess.size[1]} pixels"
    spacing = config.preprocess.spacing
    resampled = f"at {spacing:g} mm" if spacing else "by resizing the whole image"
    members = [f"{m} ({_filters(config, m)} filters)" for m in config.members]
    loss = {"dice_ce": "Dice plus cross-entropy", "ce": "cross-entropy"}
    stop = f", early stopping after {train.early_stopping}" if train.early_stopping else ""
    lines = [
        f"{len(split)} {kind}patients of {run.dataset.title} ({images}) were split by patient "
        f"into {count.get('train', 0)} for training, {count.get('validation', 0)} for validation "
        f"and {count.get('test', 0)} for testing ({config.split.scheme} split, seed "
        f"{config.split.seed}). Slices were brought to {grid} {resampled}, intensities clipped at "
        f"percentiles {config.preprocess.clip[0]:g} and {config.preprocess.clip[1]:g} and "
        f"normalised ({config.preprocess.normalize}).",
        f"Networks: {', '.join(members)}; at most {train.epochs} epochs{stop}, batch "
        f"{train.batch_size}, {loss.get(train.loss, train.loss)}, {train.optimizer} with learning "
        f"rate {train.learning_rate:g} ({train.schedule}); {config.predict.checkpoint} weights.",
    ]
    if len(config.members) > 1:
        lines.append(_stacking_methods(run, stacking))
    steps = read_stored(run.folder / "metrics.json")["postprocessing"]
    cleaned = [f"{s.replace('_', ' ')} ({', '.join(w)})" for s, w in steps.items() if w]
    lines.append(
        "Softmax maps were resampled to each image's own grid before the argmax; postprocessing, "
        "the same for every method and chosen on development patients: "
        f"{'; '.join(cleaned) or 'none'}. "
        "Dice, IoU, precision, recall, HD95, ASSD and normalised surface Dice (1, 2, 3 mm) were "
        f"measured on the native grid with its spacing, in {_dimensions(run)}; where one mask is "
        "empty Dice is 0 and distances are undefined, where both are all are undefined. A "
        "patient's value is the mean of the patient's cases. HD95 is the larger of the two "
        "directed 95th percentiles of surface distance (google-deepmind/surface-distance); ASSD "
        f"pools both surfaces. Intervals are {LEVEL:.0%} percentile bootstrap intervals over "
        f"patients ({RESAMPLES:,} draws); paired comparisons are Wilcoxon signed-rank tests over "
        "patients with Holm's correction. ROC, confusion, accuracy and calibration are pooled over "
        "pixels of the network grid, before postprocessing; the band lies within "
        f"{BAND_MM:g} mm of a reference boundary."
    )
    return " ".join(lines)


def _stacking_methods(run: Run, stacking) -> str:
    learners = [m for m in methods_of(run) if m not in run.config.members]
    scheme = {
        "holdout": "Learners were fitted on the maps of the validation patients, whom no network "
        "was trained on",
        "out_of_fold": f"Each network was trained in {run.config.split.folds} folds of the "
        "development patients; learners were fitted on the maps of patients that their network had "
        f"not seen, and the networks in use are {_deployed(stacking.deploy)}",
    }[stacking.scheme]
    chosen = read_choice(run).by
    how = "by the configuration" if chosen == "config" else "by cross-fitted development Dice"
    return (
        f"{scheme}. Combinations: {', '.join(learners)}; features beside probability, entropy and "
        f"confidence: {', '.join(stacking.features) or 'none'}; learners act where the mean's "
        f"confidence is below {stacking.act_below:g}. The method in use ({final_method(run)}) was "
        f"chosen {how}, before any test patient was scored."
    )


def _deployed(deploy: str) -> str:
    refit = "refitted on all development patients"
    return refit if deploy == "refit" else "the mean of the folds' networks"


def _filters(config, member: str) -> int:
    return config.networks[member].filters


def _dimensions(run: Run) -> str:
    return "3D" if run.dataset.modality.ndim == 3 else "2D"
