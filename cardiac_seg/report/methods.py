"""The methods paragraph of a report."""

from pathlib import Path

from cardiac_seg.config.sections import LOSS_TITLES, Config, External, Unet3D
from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.metrics.boundary import BAND_MM
from cardiac_seg.metrics.statistics import LEVEL, RESAMPLES
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored
from cardiac_seg.run.meta_folder import final_method, methods_of, read_choice
from cardiac_seg.run.scoring import scored_before, scorings_sentence

TRAINING = ("epochs", "batch", "loss", "optimizer", "start")  # of `_settings`: said once if shared
SHOWN = {  # by the network grid, by `preprocess.field`
    "image": "the whole image",
    "heart": "the heart, which a locator network finds",
    "sector": "the ultrasound sector",
}
TOLD_OTHERWISE = {  # keys that `_settings` puts into words, and those that change no result
    *("train.epochs", "train.early_stopping", "train.batch_size", "train.loss"),
    *("train.optimizer", "train.learning_rate", "train.schedule"),
    *("train.workers", "train.tensorboard", "train.start_from"),
}


def methods_paragraph(run: Run) -> str:
    """A methods paragraph, from the configuration and what the run chose."""
    config, split = run.config, run.split()
    data, stacking = config.data, config.stacking
    kind = "phantom " if run.manifest.dataset.phantom else ""
    images = ", ".join([*(data.views if run.dataset.modality.views else []), *data.phases])
    lines = [
        f"{len(split)} {kind}patients of {run.dataset.title} ({images}) {_division(run)}. "
        f"{_preprocessing(config)}",
        f"Networks: {', '.join(describe_members(config))}; "
        + "".join(f"{text}; " for text in [_training(config)] if text)
        + f"{config.predict.checkpoint} weights.",
    ]
    if len(config.members) > 1:
        lines.append(_stacking_methods(run, stacking))
    steps = read_stored(run.folder / "metrics.json")["postprocessing"]
    cleaned = [f"{s.replace('_', ' ')} ({', '.join(w)})" for s, w in steps.items() if w]
    lines.append(
        "Softmax maps were resampled to each image's own grid before the argmax; postprocessing, "
        "the same for every method and chosen on "
        f"{'development patients' if run.holds_out else 'the same patients'}: "
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
    return " ".join([*lines, scorings_sentence(run)])


def _division(run: Run) -> str:
    """Which patients trained, validated and tested."""
    settings, count = run.config.split, run.split().subset.value_counts()
    if not run.holds_out:
        return (
            "all trained the network, watched its training and were scored: the scores are of "
            f"{TRAINING_CASES}"
        )
    return (
        f"were split by patient into {count.get('train', 0)} for training, "
        f"{count.get('validation', 0)} for validation and {count.get('test', 0)} for testing "
        f"({settings.scheme} split, seed {settings.seed})"
    )


def _of_folds(run: Run) -> str:
    """How the folds' networks were trained otherwise than those in use."""
    own = run.config.stacking.fold_train
    told = ", ".join(f"{key} {'none' if v is None else v}" for key, v in own.items())
    return f" (the folds' networks: {told})" if told else ""


def _stacking_methods(run: Run, stacking) -> str:
    learners = [m for m in methods_of(run) if m not in run.config.members]
    scheme = {
        "holdout": "Learners were fitted on the maps of the validation patients, whom no network "
        "was trained on",
        "out_of_fold": f"Each network was trained in {run.config.split.folds} folds of the "
        "development patients; learners were fitted on the maps of patients that their network had "
        f"not seen, and the networks in use are {_deployed(stacking.deploy)}{_of_folds(run)}",
        "both": "Learners were fitted on the validation patients' maps by the networks in use and "
        "on the training patients' maps by networks trained in "
        f"{run.config.split.folds} folds of them, each on patients that its network had not seen"
        f"{_of_folds(run)}",
    }[stacking.scheme]
    chosen = read_choice(run).by
    how = "by the configuration" if chosen == "config" else "by cross-fitted development Dice"
    return (
        f"{scheme}. Combinations: {', '.join(learners)}; features beside probability, entropy and "
        f"confidence: {', '.join(stacking.features) or 'none'}; learners act where the mean's "
        f"confidence is below {stacking.act_below:g}. The method in use ({final_method(run)}) was "
        f"chosen {how}{'' if scored_before(run) else ', before any test patient was scored'}."
    )


def _deployed(deploy: str) -> str:
    refit = "refitted on all development patients"
    return refit if deploy == "refit" else "the mean of the folds' networks"


def describe_start(config: Config) -> str:
    """What the networks' training started from; nothing where it is random or differs."""
    return _shared_settings(config).get("start", "")


def describe_members(config: Config) -> list[str]:
    """Each network's name with its size and the settings in which it differs from another."""
    described, shared = [], _shared_settings(config)
    for member in config.members:
        if member in config.external:
            described.append(f"{member} ({describe_maps(config.external[member])})")
            continue
        filters = getattr(config.networks[member], "filters", None)
        texts = [] if filters is None else [f"{filters} filters"]
        texts += _patches(config.networks[member])
        settings = _settings(config.for_member(member))
        texts += [text for key, text in settings.items() if key not in shared]
        described.append(f"{member} ({'; '.join(texts)})" if texts else member)
    return described


def describe_maps(member: External) -> str:
    """Where a member's maps come from, and what is known of whom its networks have seen."""
    made = "softmax maps that another program made, brought to the ensemble's grid"
    if member.trained_on is not None:
        return made
    if member.vouch_for_test:
        return f"{made}; training set unknown, that it holds no test patient is the user's word"
    return f"{made}; training set unknown"


def _patches(network: object) -> list[str]:
    """What a three-dimensional network sees at once; nothing for others."""
    if not isinstance(network, Unet3D):
        return []
    spacing = network.slice_spacing
    apart = "" if spacing is None else f", slices brought to {spacing:g} mm"
    return [f"patches of {' x '.join(map(str, network.patch))} voxels{apart}"]


def _preprocessing(config: Config) -> str:
    """How images come to the networks; where that differs, `describe_members` says it."""
    shared = _shared_settings(config)
    grid = shared.get("grid", f"each network's grid and the maps to {_grid(config)}")
    clipped = shared.get("clip", "clipped as is said of each network")
    normalised = shared.get("normalize", "normalised as is said of each network")
    return f"Slices were brought to {grid}, intensities {clipped} and {normalised}."


def _training(config: Config) -> str:
    """How the networks were trained, as far as that is the same for all."""
    shared = _shared_settings(config)
    if not config.trained_members:
        return ""
    return ", ".join(shared[key] for key in TRAINING if key in shared)


def _shared_settings(config: Config) -> dict[str, str]:
    """Those of `_settings` that all members have."""
    trained = [_settings(config.for_member(member)) for member in config.trained_members]
    settings = trained or [_settings(config)]  # without training, the grid and the intensities
    return {
        key: text
        for key, text in settings[0].items()
        if all(others.get(key) == text for others in settings)
    }


def _settings(config: Config) -> dict[str, str]:
    """What a configuration says of the images and the training of one network, in words."""
    preprocess, train = config.preprocess, config.train
    stop = f", early stopping after {train.early_stopping}" if train.early_stopping else ""
    low, high = preprocess.clip
    texts = {
        "grid": _grid(config),
        "clip": f"clipped at percentiles {low:g} and {high:g}",
        "normalize": f"normalised ({preprocess.normalize})",
        "epochs": f"at most {train.epochs} epochs{stop}" if train.epochs else "no further training",
        "batch": f"batch {train.batch_size}",
        "loss": LOSS_TITLES[train.loss],
        "optimizer": f"{train.optimizer} with learning rate {train.learning_rate:g} "
        f"({train.schedule})",
    }
    if train.start_from:  # its name alone: a report holds no path of a machine
        begun = "training started from the weights" if train.epochs else "the weights"
        texts["start"] = f"{begun} of {Path(train.start_from).name}"
    for section in ("augment", "train"):
        for key, value in getattr(config, section).model_dump().items():
            if f"{section}.{key}" not in TOLD_OTHERWISE:
                texts[f"{section}.{key}"] = f"{section}.{key} {value}"
    return texts


def _grid(config: Config) -> str:
    height, width = config.preprocess.size
    spacing, field = config.preprocess.spacing, config.preprocess.field
    resampled = f"at {spacing:g} mm" if spacing else f"by resizing {SHOWN[field]}"
    about = f" about {SHOWN[field]}" if spacing and field == "heart" else ""
    return f"{height} x {width} pixels {resampled}{about}"


def _dimensions(run: Run) -> str:
    return "3D" if run.dataset.modality.ndim == 3 else "2D"
