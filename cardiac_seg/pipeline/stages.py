"""The stages of a run, from files on disk to scores: prepare, train, stack, evaluate.

Each stage reads what the earlier ones left in the run directory, skips what is finished and can
be killed at any time.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from cardiac_seg.config.sections import STAGES
from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.phantoms.dataset import is_phantom, write_phantoms
from cardiac_seg.data.split import (
    deployed_parts,
    fold_parts,
    make_split,
    part_names,
    part_patients,
)
from cardiac_seg.grid.cache import Cache, CachedCase, class_pixels, fingerprint, open_cache
from cardiac_seg.grid.resample import GridImage
from cardiac_seg.masks.postprocessing import STEPS
from cardiac_seg.members.inference import mean_map, predict_cases
from cardiac_seg.members.maps import CaseMaps, made_by, read_maps, stored_members, write_maps
from cardiac_seg.members.training import TrainingJob, read_state, train
from cardiac_seg.meta.combine import Combiner, learner_names
from cardiac_seg.pipeline.evaluate import (
    Scores,
    choose_steps,
    describe_cases,
    score,
    score_table,
    summarize,
)
from cardiac_seg.pipeline.stack import (
    DEVELOPMENT,
    choose_model,
    cross_fit,
    cross_fitted_scores,
    draw_samples,
    fit_combiner,
    fit_gates,
    interpretation,
)
from cardiac_seg.predict.predictor import load_network
from cardiac_seg.run.folder import RESULTS, Run, describe_environment, file_sha256, read_json
from cardiac_seg.run.meta_folder import (
    control_of,
    final_model,
    models_of,
    plain_combiner,
    read_combiner,
    read_steps,
    write_combiner,
    write_gates,
)
from cardiac_seg.system import backend
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.files import held, whole_file, write_json
from cardiac_seg.system.log import bar, log

FOLD_MEAN = "fold_mean"  # the part of maps that average the networks of all folds


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


def find_cases(run: Run) -> list[CaseFile]:
    """The run's labelled cases; generates its phantoms first where they do not exist."""
    data = run.config.data
    if data.phantom and not run.root.exists():
        log.info("generating %d phantom patients in %s", data.phantom.patients, run.root.name)
        write_phantoms(run.root, data.phantom.patients, run.dataset.modality, data.phantom.seed)
    return run.dataset.find(run.root, data.views, data.phases)


def prepare(run: Run, files: list[CaseFile]) -> Cache:
    """Checks the data, writes `split.csv` and opens the cache of preprocessed slices."""
    config, split_path = run.config, run.folder / "split.csv"
    data_print = fingerprint(files)
    prepared = run.is_done("prepare")
    if prepared and run.manifest.get("dataset", {}).get("fingerprint") != data_print:
        raise UserError(
            f"{run.root}: the data changed since this run began; restore it or start another run"
        )
    with nullcontext() if prepared else run.stage("prepare"):
        if not prepared:  # also where a file is there: it may be of a config given up since
            split = make_split(config, run.dataset, run.root, files)
            with whole_file(split_path) as partial:
                split.to_csv(partial, index=False)
        cache = open_cache(
            Path(config.data.cache), files, run.dataset.labels, config.preprocess, data_print
        )
        run.update_manifest(
            dataset={
                "name": config.data.dataset,
                "phantom": is_phantom(run.root),
                "fingerprint": data_print,
                "patients": len({file.patient for file in files}),
                "cases": len(files),
                "slices": len(cache.images),
            }
        )
    split = run.split()
    counts = split.subset.value_counts()
    log.info(
        "%s%s: %d cases, %d slices; patients: %s",
        config.data.dataset,
        " (phantom)" if is_phantom(run.root) else "",
        len(files),
        len(cache.images),
        ", ".join(f"{counts.get(s, 0)} {s}" for s in ("train", "validation", "test")),
    )
    return cache


def train_members(run: Run, cache: Cache, member: str | None, fold: int | None) -> None:
    """Trains every member's parts, or the named ones."""
    parts = part_names(run.config)
    if fold is not None and f"fold{fold}" not in parts:
        raise UserError(f"--fold {fold}: the run has {', '.join(parts)}")
    if member is not None and member not in run.config.members:
        raise UserError(f"--member {member}: the run has {', '.join(run.config.members)}")
    wanted = [(m, p) for m in run.config.members for p in parts]
    chosen = [
        (m, p)
        for m, p in wanted
        if (member is None or m == member) and (fold is None or p == f"fold{fold}")
    ]
    whole = chosen == wanted and not run.is_done("train")
    with run.stage("train") if whole else nullcontext():
        for name, part in chosen:
            job = _training_job(run, cache, name, part)
            job.folder.mkdir(parents=True, exist_ok=True)
            with held(job.folder, "another process trains this network; wait for it"):
                if not read_state(job.last).finished:
                    _forget_maps(run, part)
                state = train(job, cache, run.config)
            models = {
                path.relative_to(run.folder).as_posix(): file_sha256(path)
                for path in (job.best, job.last)
            }
            seconds = round(sum(row["seconds"] for row in state.history), 1)
            run.update_manifest(
                models=models,
                trainings={
                    f"{name}/{part}": {
                        "epochs": state.epoch,
                        "best_epoch": state.best_epoch,
                        run.config.train.monitor: round(state.best, 5) if job.validation else None,
                        "seconds": seconds,
                    }
                },
            )


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
        for part, cases in _unseen_cases(run, cache):
            _write_maps(run, cache, cases, [part], part)
        development = _development_files(run, files, cache)
        steps = choose_steps(run, development, plain_combiner(run), control_of(run))
        write_json(run.meta / "postprocessing.json", steps)
        names = dict(enumerate(run.dataset.structures, start=1))
        for step in STEPS:
            chosen = ", ".join(names[label] for label in steps[step])
            log.info("postprocessing, %s: %s", step.replace("_", " "), chosen or "none")
        cross_fit(run, development, steps)
        gates = fit_gates(run, development)
        write_gates(run, gates)
        for learner, gate in gates.items():
            log.info(
                "%s acts where the mean is less sure than %.2f: %.1f %% of the pixels instead of "
                "%.1f %%, Dice %+.4f",
                learner,
                gate["below"],
                100 * gate["share"],
                100 * gate["share_before"],
                gate["dice_change"],
            )
        choice = choose_model(run, gates)
        log.info(
            "stack: %s, fitting on all %d development cases",
            run.config.stacking.scheme,
            len(development),
        )
        samples = draw_samples(run, development)
        names = learner_names(run.config.stacking)
        write_combiner(run, fit_combiner(run, development, samples, names, keep=True))
        write_json(run.meta / "interpretation.json", interpretation(run, development))
        write_json(run.meta / "choice.json", choice)
        log.info("chosen by %s: %s", choice["by"], choice["model"])
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
        split, models, final = run.split(), models_of(run), final_model(run)
        combiner = read_combiner(run, models)
        steps = read_steps(run)
        parts = deployed_parts(run.config)
        test = cache.of_patients(set(split.patient[split.subset == "test"]))
        _write_maps(run, cache, test, parts, parts[0] if len(parts) == 1 else FOLD_MEAN)
        names = {case.name for case in test}
        chosen = [file for file in files if file.name in names]
        scores = {
            DEVELOPMENT: cross_fitted_scores(run),
            "test": score(run, chosen, combiner, models, "test", steps, final),
        }
        with whole_file(run.folder / "test_cases.csv") as partial:
            describe_cases(chosen).to_csv(partial, index=False)
        _write_scores(run, scores, steps)
        run.update_manifest(combining=_costs(run, combiner, scores["test"]))
        log.info("%s", score_table(read_json(run.folder / "metrics.json"), "test"))


def _write_scores(run: Run, scores: dict[str, Scores], steps: dict) -> None:
    """Writes `cases.csv` and `metrics.json`."""
    structures, control = run.dataset.structures, control_of(run)
    names = dict(enumerate(structures, start=1))
    metrics = {
        "dataset": run.config.data.dataset,
        "phantom": run.manifest["dataset"]["phantom"],
        "structures": list(structures),
        "grid": "per patient: native grid, after postprocessing; pooled: network grid, before it",
        "postprocessing": {s: [names[label] for label in steps[s]] for s in STEPS},
        "control": control,
        "final_model": final_model(run),
        "chosen_by": read_json(run.meta / "choice.json").get("by", "unknown"),
        "subsets": {
            subset: summarize(some, structures, control, run.config.seed)
            for subset, some in scores.items()
        },
    }
    with whole_file(run.folder / "cases.csv") as partial:
        pd.concat([some.cases for some in scores.values()]).to_csv(partial, index=False)
    write_json(run.folder / "metrics.json", metrics)


def _costs(run: Run, combiner: Combiner, test: Scores) -> dict[str, dict]:
    """Model -> what combining costs, for the manifest: times are no result, and vary."""
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


def _forget_maps(run: Run, part: str) -> None:
    """Drops the maps that an earlier network of a part left, and all that came from them."""
    made = (part, None) if part == "full" else (part, FOLD_MEAN, None)
    stale = [path for path in (run.folder / "maps").glob("*.npz") if made_by(path) in made]
    if stale or (run.is_done("stack") and part in fold_parts(run.config)):
        run.forget_stacking()
    for path in stale:
        path.unlink()


def _training_job(run: Run, cache: Cache, member: str, part: str) -> TrainingJob:
    scheme = run.config.stacking.scheme
    train_patients, validation_patients = part_patients(run.split(), part, scheme)
    cases = cache.of_patients(train_patients)
    for structure, count in zip(run.dataset.structures, class_pixels(cases)[1:], strict=True):
        if not count:
            raise UserError(
                f"{run.root}: no {structure} in any of the {len(cases)} training cases of {part}; "
                "check the labels or the split"
            )
    return TrainingJob(
        member=member,
        part=part,
        folder=run.models(member, part),
        history_path=run.history(member, part),
        tensorboard=run.folder / "tensorboard" / member / part,
        classes=run.dataset.labels,
        train=cases,
        validation=cache.of_patients(validation_patients),
    )


def _unseen_cases(run: Run, cache: Cache) -> Iterator[tuple[str, list[CachedCase]]]:
    """Each part with the development cases that its networks were not trained on."""
    split, scheme = run.split(), run.config.stacking.scheme
    for part in fold_parts(run.config):
        yield part, cache.of_patients(part_patients(split, part, scheme)[1])


def _development_files(run: Run, files: list[CaseFile], cache: Cache) -> list[CaseFile]:
    names = {case.name for _, cases in _unseen_cases(run, cache) for case in cases}
    return [file for file in files if file.name in names]


def _write_maps(
    run: Run, cache: Cache, cases: list[CachedCase], parts: list[str], part_name: str
) -> None:
    """Writes the maps of cases, each member's averaged over parts; skips what is there.

    The members run one after the other, so that one network at a time is in memory; a case's
    file is rewritten with each member's map added.
    """
    for member in run.config.members:
        missing = [c for c in cases if member not in stored_members(run.map(c.name), part_name)]
        if not missing:
            continue
        networks = [load_network(run, member, part) for part in parts]
        progress = bar(total=len(missing), description=f"maps {member}", unit="case")
        with backend.memory_advice(run.config.predict.batch_size, "predict.batch_size"), progress:
            for case, maps in _averaged(run, cache, missing, networks):
                _add_member(run, cache, case, member, maps, part_name)
                progress.update()


def _averaged(
    run: Run, cache: Cache, cases: list[CachedCase], networks: list[keras.Model]
) -> Iterator[tuple[CachedCase, np.ndarray]]:
    """Each case with its map, averaged over the networks where there are several."""
    method, settings = run.config.preprocess.normalize, run.config.predict
    streams = [
        predict_cases(
            network,
            ((case, cache.image(case, method)) for case in cases),
            settings.batch_size,
            settings.mirror,
        )
        for network in networks
    ]
    for together in zip(*streams, strict=True):
        yield together[0][0], mean_map([maps for _, maps in together])


def _add_member(
    run: Run, cache: Cache, case: CachedCase, member: str, maps: np.ndarray, part: str
) -> None:
    path = run.map(case.name)
    stored = stored_members(path, part)
    members = read_maps(path, stored).members if stored else {}
    members[member] = maps
    image = GridImage(cache.pixels(case), case.mean, case.std, case.grid)
    write_maps(path, CaseMaps(members, image, part, cache.label(case)))
