"""Scores of the development patients, each fold by what was fitted on the others."""

from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from cardiac_seg.data.case import CaseFile
from cardiac_seg.masks.postprocessing import Postprocessing
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.meta.evidence import Evidence
from cardiac_seg.meta.fit import NOT_KEPT, LearnerStore, Sample, collect_pixels, fit
from cardiac_seg.meta.interpretation import permuted_losses
from cardiac_seg.meta.methods import Method, list_learners
from cardiac_seg.meta.places import importance_by_place, place_name, slice_regions
from cardiac_seg.pipeline.development import UnseenMaps, draw_samples, folds_of
from cardiac_seg.pipeline.scores import Scores, score
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import FORMAT, read_stored_table
from cardiac_seg.run.meta_folder import control_of, methods_of, plain_combiner
from cardiac_seg.run.stored import FoldEvidence, read
from cardiac_seg.system.atomic import whole_file, write_json
from cardiac_seg.system.errors import UserError, stack_again
from cardiac_seg.system.log import bar

DEVELOPMENT = "development"  # the subset whose maps the learners are fitted on
Case = TypeVar("Case")
Fitted = TypeVar("Fitted")
Result = TypeVar("Result")


def cross_fit(
    folds: dict[int, list[Case]],
    fit: Callable[[list[Case]], Fitted],
    score: Callable[[Fitted, list[Case]], Result],
    only: Container[int] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Scores each fold by what was fitted on the others.

    Args:
        folds: Fold -> its cases; a patient's cases are all in one.
        fit: Fits on cases.
        score: Scores on cases what was fitted on others.
        only: The folds that are wanted; default all.

    Yields:
        Each fold with its result, when it is asked for.
    """
    for fold, held_out in folds.items():
        if only is None or fold in only:
            others = [case for k, cases in folds.items() if k != fold for case in cases]
            yield fold, score(fit(others), held_out)


def cross_fit_run(run: Run, files: list[CaseFile], steps: Postprocessing) -> None:
    """Scores the development cases of a run and keeps what comes of it; skips folds that are done.

    Args:
        run: A run with maps of the cases.
        files: The development cases.
        steps: Postprocessing of the native masks.
    """
    folds = folds_of(run, files)
    missing = [fold for fold in folds if not _is_scored(run, fold)]
    if not missing:
        return
    samples, learners = draw_samples(run, files), list_learners(run.config.stacking)

    def score_fold(combiner: Combiner, held_out: list[CaseFile]) -> tuple[pd.DataFrame, dict]:
        evidence = Evidence(combiner, control_of(run))
        of_name = {file.name: file for file in held_out}
        scores = score(
            *(run, held_out, combiner, methods_of(run), DEVELOPMENT, steps),
            watch=lambda maps, by_method: evidence.add(
                maps.reference,
                by_method,
                _slice_places(maps.reference, combiner.features.lv, of_name[maps.name]),
            ),
        )
        return scores.cases, {
            "format": FORMAT,
            "pooled": {method: counts.tolist() for method, counts in scores.pooled.items()},
            "seconds": scores.seconds,
            "changes": evidence.changes,
            "changes_by_place": evidence.changes_by_place,
            "errors": evidence.errors,
            "thresholds": evidence.thresholds,
            "calibration": evidence.calibration,
            **_importance(run, held_out, samples, combiner),
        }

    fitted = cross_fit(
        folds, lambda others: fit_on(run, others, samples, learners), score_fold, missing
    )
    for fold, (cases, noted) in bar(fitted, "folds", total=len(missing), unit="fold"):
        table, evidence = _fold_files(run, fold)
        with whole_file(table) as partial:
            cases.to_csv(partial, index=False)
        write_json(evidence, noted)


def fit_on(
    run: Run,
    files: list[CaseFile],
    samples: dict[str, Sample],
    learners: list[Method],
    store: LearnerStore = NOT_KEPT,
) -> Combiner:
    """Fits what a run's configuration says on the maps of some development cases.

    Args:
        run: The run.
        files: The cases.
        samples: Of these and perhaps others, from `draw_samples`.
        learners: Which.
        store: See `meta.fit.fit`.
    """
    plain = plain_combiner(run)
    return fit(
        plain,
        run.config.stacking,
        UnseenMaps(run, files, plain.features.uses_companions),
        {file.name: samples[file.name] for file in files},
        learners,
        run.config.seed,
        store,
    )


def fold_evidence(run: Run) -> list[dict[str, Any]]:
    """What was counted on each fold, see `meta.evidence.Evidence`.

    Raises:
        UserError: If that of a fold is missing or damaged.
    """
    return [_read_evidence(run, fold).model_dump() for fold in _folds(run)]


def cross_fitted_scores(run: Run) -> Scores:
    """The scores of all folds together.

    Raises:
        UserError: If those of a fold are missing, damaged or of other methods.
    """
    methods, tables, folds = methods_of(run), [], []
    columns: dict[str, type | None] = dict.fromkeys(("case", "patient", "method", "structure"), str)
    columns["dice"] = float
    for fold in _folds(run):
        path, _ = _fold_files(run, fold)
        table = read_stored_table(path, columns, stack_again(run.folder))
        evidence = _read_evidence(run, fold)
        scored = set(table.method), set(evidence.pooled), set(table.structure)
        if scored != (set(methods), set(methods), set(run.dataset.structures)):
            raise UserError(
                f"{path}: of other methods or structures than the run's; {stack_again(run.folder)}"
            )
        tables.append(table)
        folds.append(evidence)
    return Scores(
        pd.concat(tables),
        {m: np.sum([fold.pooled[m] for fold in folds], axis=0) for m in methods},
        {m: sum(fold.seconds[m] for fold in folds) for m in methods},
    )


def _folds(run: Run) -> list[int]:
    in_folds = run.split().fold
    return sorted(set(in_folds[in_folds >= 0]))


def _is_scored(run: Run, fold: int) -> bool:
    """Whether a fold is done, by this version."""
    table, evidence = _fold_files(run, fold)
    done = table.is_file() and evidence.is_file()
    return done and _read_evidence(run, fold).format == FORMAT


def _read_evidence(run: Run, fold: int) -> FoldEvidence:
    path, advice = _fold_files(run, fold)[1], stack_again(run.folder)
    return read(FoldEvidence, path, "what was counted on a fold", advice)


def _fold_files(run: Run, fold: int) -> tuple[Path, Path]:
    folder = run.meta / "cross_fit"
    return folder / f"fold{fold}.csv", folder / f"fold{fold}.json"


def _importance(
    run: Run, files: list[CaseFile], samples: dict[str, Sample], combiner: Combiner
) -> dict[str, dict[str, dict]]:
    """Permutation importance of the feature groups for the learners on the full feature set.

    Returns:
        `importance`: learner -> group -> nats; `importance_by_place`: learner -> see
        `meta.places.importance_by_place`.
    """
    full = [m.name for m in list_learners(run.config.stacking) if m.features == "all"]
    learners = {name: combiner.learners[name] for name in full if name in combiner.learners}
    found: dict[str, dict[str, dict]] = {"importance": {}, "importance_by_place": {}}
    if not learners:
        return found
    held_out = {file.name: samples[file.name] for file in files}
    cases = UnseenMaps(run, files, combiner.features.uses_companions)
    pixels = collect_pixels(combiner, cases, held_out)
    places = np.array(
        [
            place_name(region, files[case].view, files[case].phase)
            for region, case in zip(pixels.regions.tolist(), pixels.cases.tolist(), strict=True)
        ]
    )
    for name, learner in learners.items():
        losses = permuted_losses(
            *(learner, combiner.features, pixels.features, pixels.labels, pixels.weights),
            run.config.seed,
        )
        labels, means = pixels.labels[losses.drawn], pixels.means[losses.drawn]
        found["importance"][name] = losses.importance
        found["importance_by_place"][name] = importance_by_place(
            losses, labels, means, places[losses.drawn], run.dataset.structures
        )
    return found


def _slice_places(reference: np.ndarray, lv: int | None, file: CaseFile) -> np.ndarray:
    """(slices,) the names of a case's places."""
    return np.array([place_name(r, file.view, file.phase) for r in slice_regions(reference, lv)])
