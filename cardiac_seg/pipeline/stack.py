"""Fits the meta-learner on the development maps, chooses the method in use, and stores both."""

from dataclasses import replace

from cardiac_seg.data.case import CaseFile
from cardiac_seg.masks.native import native_mask
from cardiac_seg.masks.postprocessing import (
    STEPS,
    Postprocessing,
    choose_steps,
    possible_steps,
)
from cardiac_seg.meta.evidence import added, summarize_evidence
from cardiac_seg.meta.fit import LearnerStore
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.methods import list_learners
from cardiac_seg.meta.threshold import candidates, choose_threshold
from cardiac_seg.pipeline.choose import choose_method, fit_review
from cardiac_seg.pipeline.cross_fit import (
    DEVELOPMENT,
    cross_fit_run,
    cross_fitted_scores,
    fit_on,
    fold_evidence,
)
from cardiac_seg.pipeline.development import development_files, draw_samples
from cardiac_seg.pipeline.prepare import Prepared
from cardiac_seg.pipeline.scores import Scores, cases_with_maps, summarize
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import (
    calibrated_control,
    control_of,
    methods_of,
    plain_combiner,
    read_learner,
    write_combiner,
    write_learner,
    write_thresholds,
)
from cardiac_seg.system.atomic import write_json
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.log import log


def fit_meta_learner(run: Run, data: Prepared) -> None:
    """Fits and chooses everything that is fitted on maps, and writes it to `meta/`.

    Args:
        run: A run with maps of the development cases.
        data: Its cases; only the development ones are read.
    """
    if run.config.stacking.learners and run.config.chosen_by_validation:
        log.info(
            "stack: the patients that the learners are fitted on have also watched the training "
            "(predict.checkpoint: best, early_stopping or reduce_lr), so their maps flatter the "
            "networks a little"
        )
    files = development_files(run, data)
    steps = _choose_steps(run, files)
    write_json(run.meta / "postprocessing.json", steps.steps)
    cross_fit_run(run, files, steps)
    folds = fold_evidence(run)
    thresholds = _choose_thresholds(run, folds)
    write_thresholds(run, thresholds)
    choice = _choose(run, thresholds)
    scheme, kind = run.config.stacking.scheme, DEVELOPMENT if run.holds_out else "training"
    log.info("stack: %s, fitting on all %d %s cases", scheme, len(files), kind)
    learners = list_learners(run.config.stacking)
    write_combiner(run, fit_on(run, files, draw_samples(run, files), learners, _learners_in(run)))
    write_json(run.meta / "interpretation.json", summarize_evidence(folds))
    write_json(run.meta / "choice.json", choice)  # last: it says that all is there
    log.info("chosen by %s: %s", choice["by"], choice["method"])
    run.update_manifest(
        models={
            path.relative_to(run.folder).as_posix(): file_sha256(path)
            for path in sorted([*run.meta.glob("*.skops"), *run.meta.glob("*.onnx")])
        }
    )


def _choose_steps(run: Run, files: list[CaseFile]) -> Postprocessing:
    """Chosen with the control, which is not fitted on the maps; one choice for all methods."""
    wanted = {step: getattr(run.config.predict, step) for step in STEPS}
    combiner, control, pairs = plain_combiner(run), control_of(run), []
    if "auto" in wanted.values():
        for case, maps in cases_with_maps(run, files, "postprocessing"):
            ((_, p, _),) = combiner.combine(maps.probabilities, maps.image, [control])
            pairs.append((case.reference, native_mask(p, maps.grid)))
    chosen = choose_steps(pairs, wanted, run.dataset.anatomy)
    names = dict(enumerate(run.dataset.structures, start=1))
    for step, labels in chosen.steps.items():
        structures = ", ".join(names[label] for label in labels)
        if step not in possible_steps(run.dataset.anatomy):
            structures = "left out, for the label set has no myocardium"
        log.info("postprocessing, %s: %s", step.replace("_", " "), structures or "none")
    return chosen


def _choose_thresholds(run: Run, folds: list[dict]) -> dict[str, dict]:
    """Learner -> `choose_threshold` over all folds."""
    settings, thresholds = run.config.stacking, {}
    for learner in folds[0]["thresholds"]:
        scores = added([fold["thresholds"][learner] for fold in folds])
        chosen = choose_threshold(scores, candidates(settings.act_below), settings.threshold)
        thresholds[learner] = chosen
        log.info(
            "%s acts where the mean's confidence is below %.2f: %.1f %% of the pixels instead of "
            "%.1f %%, Dice %+.4f",
            learner,
            chosen["below"],
            100 * chosen["share"],
            100 * chosen["share_before"],
            chosen["dice_change"],
        )
    return thresholds


def _choose(run: Run, thresholds: dict[str, dict]) -> dict:
    """What `choice.json` holds: the method in use, who chose it, and its predicted Dice."""
    scores, calibrated = mapped_as_in_use(cross_fitted_scores(run)), calibrated_control(run)
    summary = summarize(scores, run.dataset.structures, calibrated, run.config.seed)["methods"]
    # The plain mean has the calibrated one's masks, all but a pixel here and there.
    no_candidates = (calibrated, control_of(run), *run.config.members)
    candidates = [m for m in methods_of(run) if m not in no_candidates]
    method, by_data = choose_method(summary, candidates, calibrated, run.config.stacking.choose)
    return {
        "method": method,
        "by": DEVELOPMENT if by_data and run.holds_out else "config",
        "development_dice": {m: summary[m]["mean_foreground_dice"] for m in summary},
        "predicted_dice": fit_review(scores.cases, method, thresholds.get(method)),
    }


def mapped_as_in_use(scores: Scores) -> Scores:
    """The scores by which a method is chosen: of cases that the networks in use have mapped.

    With `stacking.scheme: both` those are the validation patients: what repairs the maps of the
    folds' networks, which have seen fewer patients, need not repair those of the networks in use.
    Where no development case is mapped by them, all count.
    """
    by_them = scores.cases.fold == "full"
    return replace(scores, cases=scores.cases[by_them]) if by_them.any() else scores


def _learners_in(run: Run) -> LearnerStore:
    """Learners go to `meta/` when they are fitted, and are read from there when a stack goes on."""

    def read(name: str) -> Learner | None:
        return read_learner(run, name) if (run.meta / f"{name}.skops").is_file() else None

    return LearnerStore(read, lambda name, learner: write_learner(run, name, learner))
