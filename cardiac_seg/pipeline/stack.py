"""Fits the learners on the development maps, and scores them by cross-fitting over patients."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.split import part_patients
from cardiac_seg.masks.postprocessing import Postprocessing
from cardiac_seg.members.maps import CaseMaps, read_maps
from cardiac_seg.meta.combine import Combiner, below
from cardiac_seg.meta.convex_weights import fit_weights
from cardiac_seg.meta.features import pixel_features
from cardiac_seg.meta.interpretation import (
    count_changes,
    count_errors,
    error_correlation,
    permutation_importance,
)
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.learners.sklearn_learner import fit_learner
from cardiac_seg.meta.methods import CALIBRATED_MEAN, WEIGHTED_MEAN, list_learners, names_of
from cardiac_seg.meta.sampling import contested, draw_pixels
from cardiac_seg.meta.temperature import fit_temperature
from cardiac_seg.metrics.calibration import calibration_summary, count_calibration
from cardiac_seg.metrics.expected_dice import fit_predicted_dice
from cardiac_seg.metrics.overlap import dice_from_confusion
from cardiac_seg.pipeline.evaluate import Scores, score, summarize
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored, read_stored_table
from cardiac_seg.run.meta_folder import (
    calibrated_control,
    control_of,
    methods_of,
    plain_combiner,
    read_learner,
    write_learner,
)
from cardiac_seg.run.metrics_file import brackets
from cardiac_seg.system.atomic import whole_file, write_json
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar, log

DEVELOPMENT = "development"  # the subset whose maps the learners are fitted on
THRESHOLDS = (
    0.5,
    0.6,
    0.7,
    0.8,
    0.85,
    0.9,
    0.95,
    0.98,
)  # confidences that a threshold is chosen from
# What is noted of a fold.
NOTED = {"pooled", "seconds", "changes", "errors", "thresholds", "calibration", "importance"}
MOST_CHANGE = {"dice": 0.0005, "expected_dice": 0.002}  # by a threshold


@dataclass(frozen=True)
class Sample:
    """Some pixels of a development case.

    Attributes:
        index: (n,) ascending indices into the flattened case.
        weights: (n,) float32, how many pixels each stands for.
        labels: (n,) uint8 true classes.
        probabilities: (members, n, classes) float16, as the networks gave them.
    """

    index: np.ndarray
    weights: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class FittingPixels:
    """The features of the sampled pixels on which learners act.

    Attributes:
        features: (pixels, features) float32.
        labels: (pixels,) uint8 true classes.
        weights: (pixels,) float32, how many pixels each stands for.
    """

    features: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


def draw_samples(run: Run, files: list[CaseFile]) -> dict[str, Sample]:
    """Draws the pixels of each development case, a case at a time.

    Returns:
        Case name -> sample; the same for a seed whatever the other cases are.

    Raises:
        UserError: If a map was made by a network that was trained on its patient, or a class is
            missing from all cases of the other folds.
    """
    combiner, samples, seen = plain_combiner(run), {}, {}
    for file in bar(files, "draw pixels", unit="case"):
        maps = _unseen_maps(run, file)
        raw = np.stack([maps.members[m] for m in run.config.members])
        undecided = below(raw.astype(np.float32).mean(axis=0), combiner.act_below)
        rng = np.random.default_rng([run.config.seed, *file.name.encode()])
        index, weights = draw_pixels(
            contested(raw, undecided), run.config.stacking.pixels_per_case, rng
        )
        samples[file.name] = Sample(
            index,
            weights,
            maps.label.ravel()[index],
            raw.reshape(len(raw), -1, raw.shape[-1])[:, index],
        )
        seen[file.name] = np.bincount(maps.label.ravel(), minlength=run.dataset.num_classes) > 0
    _check_classes(run, files, seen)
    return samples


def fit_combiner(
    run: Run,
    files: list[CaseFile],
    samples: dict[str, Sample],
    names: list[str],
    keep: bool = False,
) -> Combiner:
    """Fits temperatures, weights and learners on the maps of some cases.

    Args:
        run: The run.
        files: The cases.
        samples: Their pixels, from `draw_samples`.
        names: The learners.
        keep: Writes each learner into the run when it is fitted, and takes up those that an
            interrupted try has left.

    Raises:
        UserError: If the learners have nothing to learn from.
    """
    settings, plain = run.config.stacking, plain_combiner(run)
    if not settings.learners:
        return plain
    chosen = [samples[file.name] for file in files]
    labels = np.concatenate([s.labels for s in chosen])
    weights = np.concatenate([s.weights for s in chosen])
    raw = np.concatenate([s.probabilities for s in chosen], axis=1).astype(np.float32)
    temperatures, shares = {}, {}
    if settings.temperature:
        temperatures = {
            m: fit_temperature(raw[i], labels, weights) for i, m in enumerate(plain.members)
        }
    combiner = replace(plain, temperatures=temperatures)
    if WEIGHTED_MEAN in settings.learners:
        fitted = fit_weights(combiner.temper(raw), labels, weights)
        shares = dict(zip(plain.members, map(float, fitted), strict=True))
    combiner = replace(combiner, weights=shares)
    return replace(combiner, learners=_fit_learners(run, files, samples, names, combiner, keep))


def cross_fit(run: Run, files: list[CaseFile], steps: Postprocessing) -> None:
    """Scores each fold with what was fitted on the others; skips folds that are done.

    Args:
        run: A run with maps of the cases.
        files: The development cases.
        steps: Postprocessing of the native masks.
    """
    folds, samples = folds_of(run, files), None
    for fold, held_out in folds.items():
        table, evidence_path = _fold_files(run, fold)
        scored = table.is_file() and evidence_path.is_file()
        if scored and set(read_stored(evidence_path)) >= NOTED:  # else by an earlier version
            continue
        samples = samples or draw_samples(run, files)
        log.info("stack: fold %d of %d", fold + 1, len(folds))
        others = [file for k, group in folds.items() if k != fold for file in group]
        combiner = fit_combiner(run, others, samples, names_of(list_learners(run.config.stacking)))
        evidence = _Evidence(combiner, control_of(run))
        scores = score(
            run, held_out, combiner, methods_of(run), DEVELOPMENT, steps, watch=evidence.add
        )
        with whole_file(table) as partial:
            scores.cases.to_csv(partial, index=False)
        write_json(
            evidence_path,
            {
                "pooled": {method: counts.tolist() for method, counts in scores.pooled.items()},
                "seconds": scores.seconds,
                "changes": evidence.changes,
                "errors": evidence.errors,
                "thresholds": evidence.thresholds,
                "calibration": evidence.calibration,
                "importance": _importance(run, held_out, samples, combiner),
            },
        )


def cross_fitted_scores(run: Run) -> Scores:
    """The scores of all folds together.

    Raises:
        UserError: If those of a fold are missing or damaged.
    """
    methods, tables, folds = methods_of(run), [], []
    in_folds = run.split().fold
    for fold in sorted(set(in_folds[in_folds >= 0])):
        table, evidence = _fold_files(run, fold)
        try:
            tables.append(read_stored_table(table, {"patient": str}, ""))
            folds.append(read_stored(evidence))
            complete = set(tables[-1].method) == set(methods) == set(folds[-1]["pooled"])
            complete &= set(run.dataset.structures) == set(tables[-1].structure)
            complete &= tables[-1].dice.dtype.kind == "f"
        except (UserError, ValueError, AttributeError, KeyError, TypeError):
            complete = False
        if not complete:
            raise UserError(
                f"{table}: missing, damaged or of other methods; to stack again, delete {run.meta} "
                f"and run train_ensemble.py --resume {run.folder}"
            )
    return Scores(
        pd.concat(tables),
        {m: sum(np.array(fold["pooled"][m]) for fold in folds) for m in methods},
        {m: sum(fold["seconds"][m] for fold in folds) for m in methods},
    )


def choose_method(run: Run, thresholds: dict[str, dict]) -> dict:
    """The best combination that is shown to be better than the control, or the configured one.

    Shown: cross-fitted over development patients, the paired 95 % interval of its Dice minus the
    control's lies above 0. Where none is, the control stands: the largest of many differences
    within the noise is no reason to change masks. The control is the calibrated mean
    where that is fitted, else the mean.

    Args:
        run: A run whose folds are scored.
        thresholds: Of `fit_thresholds`.

    Returns:
        `method`, `by` (`development` or `config`), `development_dice` of every method, and
        `predicted_dice`, the method's `fit_predicted_dice`.
    """
    scores, control = cross_fitted_scores(run), calibrated_control(run)
    told = summarize(scores, run.dataset.structures, control, run.config.seed)["methods"]
    dice = {method: told[method]["mean_foreground_dice"] for method in told}
    # The plain mean has the control's masks, all but a pixel here and there, and worse calibration.
    gains = {
        method: values[f"against_{control}"]
        for method, values in told.items()
        if method not in (control, control_of(run), *run.config.members)
    }
    shown = [m for m, gain in gains.items() if gain["interval_95"] and gain["interval_95"][0] > 0]
    wanted = run.config.stacking.choose
    automatic = wanted == "auto" or not gains
    # The first of equals: the simplest, as the list is ordered.
    method = max(shown, key=dice.get, default=control) if automatic else wanted
    if automatic and gains and not shown:
        best = max(gains, key=lambda m: gains[m]["difference"])
        log.info(
            "no combination is shown to be better than %s, which stands; the best: %s, %+.4f %s",
            control,
            best,
            gains[best]["difference"],
            brackets(gains[best]["interval_95"], "+"),
        )
    cases = scores.cases
    expected = fit_predicted_dice(cases[cases.method == method])
    # The scores are those of acting on all of `act_below`; a threshold leaves some optimism.
    threshold = thresholds.get(method, {"dice_change": 0.0, "expected_dice_change": 0.0})
    expected["optimism"] += threshold["expected_dice_change"] - threshold["dice_change"]
    return {
        "method": method,
        "by": DEVELOPMENT if automatic else "config",
        "development_dice": dice,
        "predicted_dice": expected,
    }


def threshold_scores(
    label: np.ndarray,
    confidence: np.ndarray,
    rest: np.ndarray,
    probabilities: np.ndarray,
    thresholds: list[float],
) -> dict:
    """A learner's scores on one case, were it to act below each of some confidences alone.

    Args:
        label: (slices, height, width) true classes.
        confidence: (slices, height, width) of the mean.
        rest: (slices, height, width, classes) probabilities that stand where it does not act.
        probabilities: The same of the learner; equal to `rest` above the last threshold.
        thresholds: Ascending confidences.

    Returns:
        `cases` (1), `pixels`; for each threshold `acted_on` (pixels), `dice`, `expected_dice`:
        means of the structures on the network grid.
    """
    classes = rest.shape[-1]
    # Only pixels between two thresholds change from one to the next: counted by these steps.
    edges = [
        np.inf if threshold == 1 else threshold for threshold in thresholds
    ]  # 1 is everywhere, see `below`
    step = np.searchsorted(edges, confidence.ravel(), side="right")
    by_rest, by_learner = (
        _counts_by_step(label.ravel(), p.reshape(-1, classes), step, len(thresholds) + 1)
        for p in (rest, probabilities)
    )
    dice, expected = [], []
    for k in range(1, len(thresholds) + 1):
        confused, inside, total = (
            a[:k].sum(0) + b[k:].sum(0) for a, b in zip(by_learner, by_rest, strict=True)
        )
        dice.append(float(np.nan_to_num(np.nanmean(dice_from_confusion(confused)[1:]))))
        held = confused.sum(0) + total
        expected.append(float((2 * inside / np.maximum(held, 1e-9))[1:].mean()))
    acted_on = np.cumsum(np.bincount(step, minlength=len(thresholds) + 1))[
        : len(thresholds)
    ].tolist()
    return {
        "cases": 1,
        "pixels": label.size,
        "acted_on": acted_on,
        "dice": dice,
        "expected_dice": expected,
    }


def _counts_by_step(
    label: np.ndarray, probabilities: np.ndarray, step: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For the pixels of each step: confusion, probability of the mask's own class, and of all."""
    classes = probabilities.shape[1]
    mask = probabilities.argmax(1)
    at = (step * classes + label) * classes + mask
    confused = np.bincount(at, minlength=steps * classes**2).reshape(steps, classes, classes)
    own = step * classes + mask
    inside = np.bincount(own, probabilities.max(1), steps * classes).reshape(steps, classes)
    total = [np.bincount(step, probabilities[:, c], steps) for c in range(classes)]
    return confused, inside, np.stack(total, axis=1)


def fit_thresholds(run: Run, files: list[CaseFile]) -> dict[str, dict]:
    """For each learner the lowest confidence below which it must act to be as good.

    Where the mean is surer, the calibrated mean stands; that saves much of the learner's work.
    Masks stay as good where the cross-fitted development Dice changes by at most .0005 against
    acting wherever the learner was fitted to (`act_below`), probabilities where the Dice that
    they let expect changes by at most .002 too. A gain counts as a change: it would say that the
    learner had better not act, which is not for a threshold to decide.

    Returns:
        Learner -> `below`; `share` of the pixels acted on, and `share_before` with `act_below`;
        `dice_change` and `expected_dice_change`.
    """
    wanted = run.config.stacking.threshold
    folds = [read_stored(_fold_files(run, fold)[1])["thresholds"] for fold in folds_of(run, files)]
    thresholds, fitted = _thresholds(plain_combiner(run)), {}
    for learner in folds[0]:
        sums = _added([fold[learner] for fold in folds])
        change = {key: (np.array(sums[key]) - sums[key][-1]) / sums["cases"] for key in MOST_CHANGE}
        kept = np.abs(change["dice"]) <= MOST_CHANGE["dice"]
        if wanted == "probabilities":
            kept &= np.abs(change["expected_dice"]) <= MOST_CHANGE["expected_dice"]
        # All above must keep it too: one threshold that does by chance is no rule.
        k = min(i for i in range(len(thresholds)) if kept[i:].all())
        k = len(thresholds) - 1 if wanted == "none" else k
        fitted[learner] = {
            "below": thresholds[k],
            "share": sums["acted_on"][k] / sums["pixels"],
            "share_before": sums["acted_on"][-1] / sums["pixels"],
            "dice_change": float(change["dice"][k]),
            "expected_dice_change": float(change["expected_dice"][k]),
        }
    return fitted


def interpretation(run: Run, files: list[CaseFile]) -> dict:
    """What the learners did on patients they were not fitted on.

    Returns:
        Per method: `changes` against the control over all pixels of the network grid, with the
        shares; `calibration` on the pixels where learners act; `importance` of each feature
        group in nats, mean and each fold's; of a member, `error_correlation` with the first one
        over all pixels.
    """
    folds = [read_stored(_fold_files(run, fold)[1]) for fold in folds_of(run, files)]
    described = {}
    for method in folds[0]["calibration"]:
        calibration = _added([fold["calibration"][method] for fold in folds])
        described[method] = {"calibration": calibration_summary(calibration)}
    for member in folds[0]["errors"]:
        errors = _added([fold["errors"][member] for fold in folds])
        described[member]["error_correlation"] = error_correlation(errors)
    for method in folds[0]["changes"]:
        counts = _added([fold["changes"][method] for fold in folds])
        changed = max(counts["changed"], 1)
        described[method]["changes"] = {
            **counts,
            "share_changed": counts["changed"] / counts["pixels"],
            "share_better": counts["better"] / changed,
            "share_worse": counts["worse"] / changed,
        }
    for method in folds[0]["importance"]:
        described[method]["importance"] = {
            group: {
                "mean": float(np.mean([fold["importance"][method][group] for fold in folds])),
                "folds": [fold["importance"][method][group] for fold in folds],
            }
            for group in folds[0]["importance"][method]
        }
    return described


class _Evidence:
    """Adds up over the cases of a fold what the learners changed and how sure they were."""

    def __init__(self, combiner: Combiner, control: str):
        self.combiner, self.control = combiner, control
        self.changes: dict[str, dict] = {}
        self.errors: dict[str, dict] = {}
        self.calibration: dict[str, dict] = {}
        self.thresholds: dict[str, dict] = {}

    def add(self, maps: CaseMaps, by_method: dict[str, np.ndarray]) -> None:
        mean = by_method[self.control]
        masks = {method: p.argmax(-1) for method, p in by_method.items()}
        pixels = below(mean, self.combiner.act_below)
        first, *others = self.combiner.members
        for method, probabilities in by_method.items():
            counts = count_calibration(probabilities[pixels], maps.label[pixels])
            self.calibration[method] = _added([*self._before(self.calibration, method), counts])
            if method != self.control:
                changed = count_changes(maps.label, masks[self.control], masks[method])
                self.changes[method] = _added([*self._before(self.changes, method), changed])
            if method in others:
                errors = count_errors(maps.label, masks[first], masks[method])
                self.errors[method] = _added([*self._before(self.errors, method), errors])
            if method in self.combiner.learners:
                # Not among the methods where there are no temperatures: it is the mean then.
                rest = by_method.get(CALIBRATED_MEAN, mean)
                thresholds = _thresholds(self.combiner)
                scores = threshold_scores(maps.label, mean.max(-1), rest, probabilities, thresholds)
                self.thresholds[method] = _added([*self._before(self.thresholds, method), scores])

    @staticmethod
    def _before(sums: dict[str, dict], method: str) -> list[dict]:
        return [sums[method]] if method in sums else []


def _thresholds(combiner: Combiner) -> list[float]:
    """The thresholds to choose from; the last is where learners were fitted to act."""
    return [threshold for threshold in THRESHOLDS if threshold < combiner.act_below] + [
        combiner.act_below
    ]


def _added(counts: list[dict]) -> dict:
    """Dictionaries of numbers or lists of numbers, added key by key."""
    return {key: np.sum([np.array(c[key]) for c in counts], axis=0).tolist() for key in counts[0]}


def _unseen_maps(run: Run, file: CaseFile) -> CaseMaps:
    """A development case's maps.

    Raises:
        UserError: If they come from networks that were trained on the patient: softmax maps of
            training images are surer than those of new ones, and would mislead the learners.
    """
    maps = read_maps(run.map(file.name), run.config.members)
    trained_on, _ = part_patients(run.split(), maps.part, run.config.stacking.scheme)
    if file.patient in trained_on:
        raise UserError(
            f"{run.map(file.name)}: made by networks of part {maps.part}, which were trained on "
            f"{file.patient}; delete it and resume the run"
        )
    return maps


def folds_of(run: Run, files: list[CaseFile]) -> dict[int, list[CaseFile]]:
    """The development cases of each fold of patients.

    Raises:
        UserError: If the patients are in fewer folds than configured.
    """
    fold_of = run.split().set_index("patient").fold
    numbers = sorted({int(fold_of[file.patient]) for file in files})
    wanted = list(range(run.config.split.folds))
    if numbers != wanted and run.config.stacking.learners:
        raise UserError(
            f"{run.folder / 'split.csv'}: the development patients are in {len(numbers)} folds, "
            f"split.folds is {len(wanted)}; use another --run-dir with fewer folds or more patients"
        )
    return {k: [file for file in files if fold_of[file.patient] == k] for k in numbers}


def _fold_files(run: Run, fold: int) -> tuple[Path, Path]:
    folder = run.meta / "cross_fit"
    return folder / f"fold{fold}.csv", folder / f"fold{fold}.json"


def _check_classes(run: Run, files: list[CaseFile], seen: dict[str, np.ndarray]) -> None:
    if not run.config.stacking.learners:
        return
    folds = folds_of(run, files)
    for fold in folds:
        others = [file.name for k, group in folds.items() if k != fold for file in group]
        present = np.any([seen[name] for name in others], axis=0)
        for label, structure in enumerate(run.dataset.structures, start=1):
            if not present[label]:
                raise UserError(
                    f"{run.folder}: no {structure} in any of the {len(others)} development cases "
                    f"outside fold {fold}, so no learner can know it; check the labels, take "
                    "another split.seed or more patients"
                )


def _collect(
    run: Run, files: list[CaseFile], samples: dict[str, Sample], combiner: Combiner
) -> FittingPixels:
    """The features of the sampled pixels on which learners act, a case at a time."""
    features, labels, weights = [], [], []
    for file in bar(files, "features", unit="case"):
        maps, sample = _unseen_maps(run, file), samples[file.name]
        raw = np.stack([maps.members[m] for m in combiner.members]).astype(np.float32)
        undecided = below(raw.mean(axis=0), combiner.act_below).ravel()
        acted_on = undecided[sample.index]
        pixels = np.zeros(undecided.shape, bool)
        pixels[sample.index[acted_on]] = True
        features.append(
            pixel_features(
                combiner.temper(raw),
                maps.image,
                pixels.reshape(maps.label.shape),
                combiner.features,
            )
        )
        labels.append(sample.labels[acted_on])
        weights.append(sample.weights[acted_on])
    return FittingPixels(*(np.concatenate(values) for values in (features, labels, weights)))


def _fit_learners(
    run: Run,
    files: list[CaseFile],
    samples: dict[str, Sample],
    names: list[str],
    combiner: Combiner,
    keep: bool,
) -> dict[str, Learner]:
    settings, learners, pixels = run.config.stacking, {}, None
    classes = combiner.features.classes
    methods = {method.name: method for method in list_learners(settings)}
    for name in bar(names, "fit learners", unit="learner"):
        if keep and (run.meta / f"{name}.skops").is_file():
            learners[name] = read_learner(run, name)
            continue
        pixels = pixels or _collect(run, files, samples, combiner)
        missing = [c for label, c in enumerate(classes) if label not in pixels.labels]
        if missing:
            raise UserError(
                f"stacking.act_below: {settings.act_below} leaves the learners "
                f"{len(pixels.labels)} pixels of {len(files)} development cases, and none of "
                f"{missing[0]}; raise it or stacking.pixels_per_case"
            )
        wanted = combiner.features
        if methods[name].features == "core":
            wanted = wanted.core()
        columns = len(wanted.names)  # the core comes first
        learners[name] = fit_learner(
            methods[name].learner,
            settings,
            pixels.features[:, :columns],
            pixels.labels,
            pixels.weights,
            wanted.names,
            len(wanted.classes),
            run.config.seed,
        )
        if keep:
            write_learner(run, name, learners[name])
    return learners


def _importance(
    run: Run, files: list[CaseFile], samples: dict[str, Sample], combiner: Combiner
) -> dict[str, dict[str, float]]:
    """Permutation importance of the feature groups for the learners on the full feature set."""
    full = [m.name for m in list_learners(run.config.stacking) if m.features == "all"]
    learners = {name: combiner.learners[name] for name in full if name in combiner.learners}
    if not learners:
        return {}
    pixels = _collect(run, files, samples, combiner)
    return {
        name: permutation_importance(
            learner,
            combiner.features,
            pixels.features,
            pixels.labels,
            pixels.weights,
            run.config.seed,
        )
        for name, learner in learners.items()
    }
