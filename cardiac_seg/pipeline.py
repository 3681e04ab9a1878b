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

from cardiac_seg import backend
from cardiac_seg.config import STAGES
from cardiac_seg.data.cache import Cache, CachedCase, class_pixels, fingerprint, open_cache
from cardiac_seg.data.cases import CaseFile
from cardiac_seg.data.phantom import is_phantom, write_phantoms
from cardiac_seg.data.split import make_split, part_names, part_patients
from cardiac_seg.ensemble import load_network
from cardiac_seg.errors import UserError
from cardiac_seg.evaluation import choose_steps, evaluate, score_table, summarize, write_scores
from cardiac_seg.files import remove_leftovers, whole_file, write_json
from cardiac_seg.maps import CaseMaps, read_maps, stored_members, write_maps
from cardiac_seg.postprocessing import STEPS
from cardiac_seg.preprocessing import GridImage
from cardiac_seg.prediction import predict_cases
from cardiac_seg.progress import bar, log
from cardiac_seg.run import Run, describe_environment, file_sha256, read_json
from cardiac_seg.training import TrainingJob, read_state, train

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
    if run.is_done("evaluate"):
        log.info("%s: finished already; its results are in metrics.json", run.folder)
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
        log.info("generating %d phantom patients in %s", data.phantom.patients, data.root)
        write_phantoms(run.root, data.phantom.patients, run.dataset.modality, data.phantom.seed)
    return run.dataset.find(run.root, data.views, data.phases)


def prepare(run: Run, files: list[CaseFile]) -> Cache:
    """Checks the data, writes `split.csv` and opens the cache of preprocessed slices."""
    config, split_path = run.config, run.folder / "split.csv"
    data_print = fingerprint(files)
    prepared = run.is_done("prepare")
    if prepared and run.manifest["dataset"]["fingerprint"] != data_print:
        raise UserError(
            f"{run.root}: the data changed since this run began; restore it or start another run"
        )
    with nullcontext() if prepared else run.stage("prepare"):
        if not prepared:  # also where a file is there: it may be of a config given up since
            split = make_split(config.split, run.dataset, run.root, files)
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
    split = run.split()
    parts = part_names(split)
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
            if not read_state(job.last).finished and (run.folder / "maps").is_dir():
                run.forget_maps()
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
                        run.config.train.monitor: round(state.best, 5),
                        "seconds": seconds,
                    }
                },
            )


def stack(run: Run, files: list[CaseFile], cache: Cache) -> None:
    """Maps of the development cases by networks that never saw them; postprocessing steps.

    Test cases are not touched here: everything that is chosen is chosen now.
    """
    if run.is_done("stack"):
        return
    with run.stage("stack"):
        remove_leftovers(run.folder / "maps")
        for part, cases in _unseen_cases(run, cache):
            _write_maps(run, cache, cases, [part], part)
        development = {c.name for _, cases in _unseen_cases(run, cache) for c in cases}
        steps = choose_steps(run, [file for file in files if file.name in development])
        write_json(run.folder / "meta" / "postprocessing.json", steps)
        names = dict(enumerate(run.dataset.structures, start=1))
        for step in STEPS:
            chosen = ", ".join(names[label] for label in steps[step])
            log.info("postprocessing, %s: %s", step.replace("_", " "), chosen or "none")


def evaluate_models(run: Run, files: list[CaseFile], cache: Cache) -> None:
    """Maps and masks of the test cases, and all scores."""
    if not run.is_done("stack"):
        raise UserError(f"{run.folder}: stage evaluate needs stage stack; run it first")
    with run.stage("evaluate"):
        for folder in ("maps", "masks"):
            remove_leftovers(run.folder / folder)
        steps = read_json(run.folder / "meta" / "postprocessing.json")
        split = run.split()
        parts = part_names(split)
        test = cache.of_patients(set(split.patient[split.subset == "test"]))
        _write_maps(run, cache, test, parts, parts[0] if len(parts) == 1 else FOLD_MEAN)
        subsets = {
            "validation": {c.name for _, cases in _unseen_cases(run, cache) for c in cases},
            "test": {case.name for case in test},
        }
        tables, scores = [], {}
        for subset, names in subsets.items():
            chosen = [file for file in files if file.name in names]
            table, pooled = evaluate(run, chosen, subset, steps, save_masks=subset == "test")
            tables.append(table)
            scores[subset] = summarize(table, pooled, run.dataset.structures)
        write_scores(run, pd.concat(tables), scores, steps)
        log.info("%s", score_table(read_json(run.folder / "metrics.json"), "test"))


def _training_job(run: Run, cache: Cache, member: str, part: str) -> TrainingJob:
    train_patients, validation_patients = part_patients(run.split(), part)
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
    split = run.split()
    for part in part_names(split):
        yield part, cache.of_patients(part_patients(split, part)[1])


def _write_maps(
    run: Run, cache: Cache, cases: list[CachedCase], parts: list[str], part_name: str
) -> None:
    """Writes the maps of cases, each member's averaged over parts; skips what is there.

    The members run one after the other, so that one network at a time is in memory; a case's
    file is rewritten with each member's map added.
    """
    for member in run.config.members:
        missing = [c for c in cases if member not in stored_members(run.map(c.name))]
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
    method, size = run.config.preprocess.normalize, run.config.predict.batch_size
    streams = [
        predict_cases(network, ((case, cache.image(case, method)) for case in cases), size)
        for network in networks
    ]
    for together in zip(*streams, strict=True):
        maps = [m for _, m in together]
        mean = maps[0] if len(maps) == 1 else np.mean(maps, axis=0, dtype=np.float32)
        yield together[0][0], mean.astype(np.float16)


def _add_member(
    run: Run, cache: Cache, case: CachedCase, member: str, maps: np.ndarray, part: str
) -> None:
    path = run.map(case.name)
    stored = list(stored_members(path))
    members = read_maps(path, stored).members if stored else {}
    members[member] = maps
    image = GridImage(cache.pixels(case), case.mean, case.std, case.grid)
    write_maps(path, CaseMaps(members, image, part, cache.label(case)))
