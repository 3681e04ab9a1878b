"""Trains the members."""

from contextlib import nullcontext

from cardiac_seg.data.split import fold_parts, part_names, part_patients
from cardiac_seg.grid.cache import Cache, class_pixels
from cardiac_seg.members.maps import made_by
from cardiac_seg.members.training import TrainingJob, train
from cardiac_seg.members.training_state import read_state
from cardiac_seg.pipeline.maps import FOLD_MEAN
from cardiac_seg.run.folder import Run
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import held


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
        classes=run.dataset.num_classes,
        train=cases,
        validation=cache.of_patients(validation_patients),
    )
