"""The stages of a run, from files on disk to scores: prepare, train, stack, evaluate.

Each stage reads what the earlier ones left in the run directory, skips what is finished and can
be killed at any time.
"""

import pandas as pd

from cardiac_seg.config.sections import STAGES
from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.split import deployed_parts
from cardiac_seg.grid.cache import Cache
from cardiac_seg.masks.postprocessing import STEPS, Postprocessing, possible_steps
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.meta.methods import list_learners, names_of
from cardiac_seg.pipeline.choose import choose_steps
from cardiac_seg.pipeline.evaluate import Scores, describe_cases, scores_of, summarize
from cardiac_seg.pipeline.maps import FOLD_MEAN, development_files, map_cases, unseen_cases
from cardiac_seg.pipeline.measure_run import evaluate_patients, forget_measures, keep_measures
from cardiac_seg.pipeline.prepare import find_cases, prepare
from cardiac_seg.pipeline.stack import (
    DEVELOPMENT,
    choose_method,
    cross_fit,
    cross_fitted_scores,
    draw_samples,
    fit_combiner,
    fit_thresholds,
    interpretation,
)
from cardiac_seg.pipeline.train import train_members
from cardiac_seg.run.environment import describe_environment
from cardiac_seg.run.folder import RESULTS, Run
from cardiac_seg.run.formats import read_stored
from cardiac_seg.run.meta_folder import (
    control_of,
    final_method,
    methods_of,
    plain_combiner,
    read_combiner,
    read_steps,
    write_combiner,
    write_thresholds,
)
from cardiac_seg.run.metrics_file import score_table
from cardiac_seg.system import backend
from cardiac_seg.system.atomic import whole_file, write_json
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import log


def run_stages(
    run: Run, stages: tuple[str, ...] = STAGES, member: str | None = None, fold: int | None = None
) -> None:
    """Runs stages in order, skipping what is done.

    Args:
        run: The run directory.
        stages: Some of `STAGES`.
        member: Train only this member.
        fold: Train only this fold.
    """
    if run.is_done("stack") and not run.meta.exists() and "stack" in stages:
        log.info("meta: deleted; stacked again, networks and maps are kept")
        run.forget_stacking()
    lost = [name for name in RESULTS if not (run.folder / name).is_file()]
    if run.is_done("evaluate") and lost and "evaluate" in stages:
        log.info("%s: deleted; the test cases are scored again", lost[0])
        forget_measures(run)
        run.update_manifest(stages={"evaluate": {"done": False}})
    if run.is_done("evaluate"):
        log.info("finished already; results are in metrics.json")
        return
    environment = describe_environment()
    log.info("%s; commit %s", backend.device_line(), environment["git_commit"] or "unknown")
    run.update_manifest(**environment, seed=run.config.seed)
    files = find_cases(run)
    cache = prepare(run, files)
    if "train" in stages:
        train_members(run, cache, member, fold)
    if "stack" in stages:
        stack(run, files, cache)
    if "evaluate" in stages:
        evaluate_models(run, files, cache)


def stack(run: Run, files: list[CaseFile], cache: Cache) -> None:
    """Maps of the development cases by networks that never saw them, and what is fitted there.

    Test cases are not touched here: everything that is chosen is chosen now.
    """
    if run.is_done("stack"):
        return
    with run.stage("stack"):
        if run.config.stacking.learners and run.config.chosen_by_validation:
            log.info(
                "stack: the patients that the learners are fitted on have also watched the "
                "training (predict.checkpoint: best, early_stopping or reduce_lr), so their maps "
                "flatter the networks a little"
            )
        for part, cases in unseen_cases(run, cache):
            map_cases(run, cache, cases, [part], part)
        development = development_files(run, files, cache)
        steps = choose_steps(run, development, plain_combiner(run), control_of(run))
        write_json(run.meta / "postprocessing.json", steps.steps)
        names = dict(enumerate(run.dataset.structures, start=1))
        for step in STEPS:
            chosen = ", ".join(names[label] for label in steps.steps[step])
            if step not in possible_steps(run.dataset.anatomy):
                chosen = "left out, for the label set has no myocardium"
            log.info("postprocessing, %s: %s", step.replace("_", " "), chosen or "none")
        cross_fit(run, development, steps)
        thresholds = fit_thresholds(run, development)
        write_thresholds(run, thresholds)
        for learner, threshold in thresholds.items():
            log.info(
                "%s acts where the mean is less sure than %.2f: %.1f %% of the pixels instead of "
                "%.1f %%, Dice %+.4f",
                learner,
                threshold["below"],
                100 * threshold["share"],
                100 * threshold["share_before"],
                threshold["dice_change"],
            )
        choice = choose_method(run, thresholds)
        log.info(
            "stack: %s, fitting on all %d development cases",
            run.config.stacking.scheme,
            len(development),
        )
        samples = draw_samples(run, development)
        names = names_of(list_learners(run.config.stacking))
        write_combiner(run, fit_combiner(run, development, samples, names, keep=True))
        write_json(run.meta / "interpretation.json", interpretation(run, development))
        write_json(run.meta / "choice.json", choice)
        log.info("chosen by %s: %s", choice["by"], choice["method"])
        run.update_manifest(
            models={
                path.relative_to(run.folder).as_posix(): file_sha256(path)
                for path in sorted([*run.meta.glob("*.skops"), *run.meta.glob("*.onnx")])
            }
        )


def evaluate_models(run: Run, files: list[CaseFile], cache: Cache) -> None:
    """Maps and masks of the test cases, and all scores."""
    if not run.is_done("stack"):
        raise UserError(f"{run.folder}: stage evaluate needs stage stack; run it first")
    with run.stage("evaluate"):
        split, methods = run.split(), methods_of(run)
        combiner, steps = read_combiner(run, methods), read_steps(run)
        parts = deployed_parts(run.config)
        test = cache.of_patients(set(split.patient[split.subset == "test"]))
        map_cases(run, cache, test, parts, parts[0] if len(parts) == 1 else FOLD_MEAN)
        names = {case.name for case in test}
        chosen = [file for file in files if file.name in names]
        measures = evaluate_patients(run, chosen)
        scores = {
            DEVELOPMENT: cross_fitted_scores(run),
            "test": scores_of(measures, chosen, methods, run.dataset.structures, "test"),
        }
        with whole_file(run.folder / "test_cases.csv") as partial:
            describe_cases(chosen).to_csv(partial, index=False)
        _write_scores(run, scores, steps)
        keep_measures(run)
        run.update_manifest(combining=_costs(run, combiner, scores["test"]))
        log.info("%s", score_table(read_stored(run.folder / "metrics.json"), "test"))


def _write_scores(run: Run, scores: dict[str, Scores], steps: Postprocessing) -> None:
    """Writes `cases.csv` and `metrics.json`."""
    structures, control = run.dataset.structures, control_of(run)
    names = dict(enumerate(structures, start=1))
    metrics = {
        "dataset": run.config.data.dataset,
        "phantom": run.manifest["dataset"]["phantom"],
        "structures": list(structures),
        "grid": "per patient: native grid, after postprocessing; pooled: network grid, before it",
        "postprocessing": {s: [names[label] for label in steps.steps[s]] for s in STEPS},
        "control": control,
        "final_method": final_method(run),
        "chosen_by": read_stored(run.meta / "choice.json").get("by", "unknown"),
        "subsets": {
            subset: summarize(some, structures, control, run.config.seed)
            for subset, some in scores.items()
        },
    }
    with whole_file(run.folder / "cases.csv") as partial:
        pd.concat([some.cases for some in scores.values()]).to_csv(partial, index=False)
    write_json(run.folder / "metrics.json", metrics)


def _costs(run: Run, combiner: Combiner, test: Scores) -> dict[str, dict]:
    """Method -> what combining costs, for the manifest: times are no result, and vary."""
    cases, costs = test.cases.case.nunique(), {}
    for name, seconds in test.seconds.items():
        costs[name] = {"seconds_per_case": round(seconds / cases, 4)}
        if learner := combiner.learners.get(name):
            size = (run.meta / f"{name}.skops").stat().st_size
            costs[name] |= {
                "features": len(learner.features),
                "fit_seconds": round(learner.seconds, 2),
                "mib_on_disk": round(size / 2**20, 3),
            }
    return costs
