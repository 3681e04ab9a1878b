"""The stacks of a run: `meta/` is the one in use, `stacks/<name>/` holds those kept beside it.

A stack is kept whole when another takes its place: folders and files are moved, not copied. What is
to be moved is written down first, in `stacks/change.json`, and a change that was killed is brought
to its end from there.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cardiac_seg.config.registry import RESERVED_NAMES
from cardiac_seg.config.sections import Config, Stacking
from cardiac_seg.data.split import trained_folds, with_folds
from cardiac_seg.run.external import record_path
from cardiac_seg.run.folder import STACK_PARTS, Run
from cardiac_seg.run.settings import grows, run_yaml
from cardiac_seg.run.stored import KeptStack, StackChange, checked
from cardiac_seg.system.atomic import write_json, write_text
from cardiac_seg.system.checked_reads import read_json
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import locked
from cardiac_seg.system.log import log

CHANGE, RECORD = "change.json", "stack.json"
DROPPED = ".dropped"  # in the place of a name: an unfinished stack, which is not kept
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNDONE = {"done": False}


def check_name(name: str) -> None:
    """Refuses what cannot be the name of a stack.

    Raises:
        UserError: If it is empty, no plain file name or reserved.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--stack {name!r}: expected a name of letters, digits, '.', '-' and '_', at most 64, "
            "that begins with a letter or digit"
        )
    if name in RESERVED_NAMES | {"meta", "stacks", CHANGE, RECORD}:
        raise UserError(f"--stack {name}: the name of something else in a run; give another")


def kept_stacks(run: Run) -> list[str]:
    """The names of the stacks kept beside the one in use, in order."""
    return sorted(path.parent.name for path in run.stacks.glob(f"[!.]*/{RECORD}"))


def read_kept(run: Run, name: str) -> KeptStack:
    """What is recorded of a kept stack.

    Raises:
        UserError: If it is damaged.
    """
    path, advice = run.stacks / name / RECORD, "restore it, or delete its folder"
    return checked(KeptStack, read_json(path), path, "what the run wrote of a stack", advice)


def name_stack(run: Run, name: str) -> None:
    """Names the stack in use, or the one to come, where it has no name yet.

    Raises:
        UserError: If it has another one, or a kept stack has this one.
    """
    present = run.manifest.stack
    if present == name:
        return
    _check_new(run, name)
    if present is not None:
        raise UserError(
            f"--stack {name}: the stack of these settings in {run.folder} is named {present}; "
            "leave --stack out, or change the stacking section for a new one"
        )
    run.update_manifest(stack=name)


def replace_stack(run: Run, config: Config, name: str | None, why: str, remap: bool) -> None:
    """Makes room for the stack of another configuration; keeps the present one, if it is finished.

    Args:
        run: The run.
        config: The new configuration.
        name: Of the new stack.
        why: What differs, for the log.
        remap: Whether the maps are of no use to the new stack.

    Raises:
        UserError: If the name is taken.
    """
    with _changing(run):
        if name is not None and (name != run.manifest.stack or run.is_done("stack")):
            _check_new(run, name, taken=run.manifest.stack)
        keep = _name_to_keep(run, name)
        kept = "networks are kept" if remap else "networks and maps are kept"
        log.info("%s: stacked again, %s (%s); %s", run.folder, kept, why, _fate(run, keep))
        stages: dict[str, Any] = {"stack": UNDONE, "evaluate": UNDONE}
        grown = grows(config, run.config)
        if grown or config.stacking.deploy != run.config.stacking.deploy:
            stages["train"] = UNDONE
        more = {"fold_train": fold_train_text(config)} if grown else {}
        unnamed = run.manifest.stack if keep == DROPPED else None
        manifest = {"stages": stages, "stack": name or unnamed, **_forgotten(run), **more}
        _begin(run, _change(run, config, keep, manifest, remap=remap))


def switch_stack(run: Run, name: str) -> None:
    """Puts a kept stack into use again, without fitting anything; keeps the present one in turn.

    Raises:
        UserError: If there is none of this name, or it is of networks or maps that are gone.
    """
    if name == run.manifest.stack:
        log.info("%s: the stack %s is in use already", run.folder, name)
        return
    if name not in kept_stacks(run):
        others = ", ".join(kept_stacks(run)) or "none"
        raise UserError(
            f"--stack {name}: {run.folder} keeps no stack of this name; kept: {others}; give a "
            "new one its name with --config"
        )
    kept = read_kept(run, name)
    _check_usable(run, name, kept)
    stacking = Stacking.model_validate(kept.stacking)
    config = run.config.model_copy(update={"stacking": stacking})
    with _changing(run):
        keep = _name_to_keep(run, name)
        log.info("%s: the stack %s is in use again; %s", run.folder, name, _fate(run, keep))
        stages = dict(kept.stages)
        if stacking.deploy != run.config.stacking.deploy:  # test maps are of other networks now
            stages["evaluate"] = UNDONE
        forgotten = _forgotten(run)
        manifest = {
            "stages": stages,
            "stack": name,
            "models": forgotten["models"] | kept.models,
            "combining": forgotten["combining"] | kept.combining,
        }
        _begin(run, _change(run, config, keep, manifest, take=name))


def finish_change(run: Run) -> None:
    """Brings a change to its end that was interrupted, if there is one."""
    path = run.stacks / CHANGE
    if path.is_file():
        with locked(run.stacks):
            if path.is_file():  # another process may have finished it meanwhile
                advice = "restore it; what it names is in the run and in its folder stacks"
                change = checked(StackChange, read_json(path), path, "a change of stacks", advice)
                _carry_out(run, change)


def fold_train_text(config: Config) -> str:
    """What the folds' networks are trained with, as the manifest keeps it."""
    return json.dumps(config.stacking.fold_train, sort_keys=True)


@contextmanager
def _changing(run: Run) -> Iterator[None]:
    run.stacks.mkdir(exist_ok=True)
    with locked(run.stacks):
        shutil.rmtree(run.stacks / DROPPED, ignore_errors=True)
        yield


def _change(
    run: Run,
    config: Config,
    keep: str,
    manifest: dict[str, Any],
    take: str | None = None,
    remap: bool = False,
) -> StackChange:
    split = None
    if run.is_done("prepare") and config.stacking.scheme != run.config.stacking.scheme:
        split = with_folds(run.split().fillna({"stratum": ""}), config).to_csv(index=False)
    return StackChange(
        keep=keep,
        kept=_parts_in(run.folder),
        record=_record(run).model_dump(),
        take=take,
        taken=_parts_in(run.stacks / take) if take else [],
        manifest=manifest,
        config=run_yaml(config),
        split=split,
        remap=remap,
    )


def _begin(run: Run, change: StackChange) -> None:
    write_json(run.stacks / CHANGE, change.model_dump())
    _carry_out(run, change)


def _carry_out(run: Run, change: StackChange) -> None:
    """Every step may be done again: what is moved already is not moved twice."""
    keep = run.stacks / change.keep
    write_json(keep / RECORD, change.record)
    for part in change.kept:
        if not (keep / part).exists():
            (run.folder / part).rename(keep / part)
    for part in change.taken:
        if (taken := run.stacks / str(change.take) / part).exists():
            taken.rename(run.folder / part)
    if change.remap:
        shutil.rmtree(run.folder / "maps", ignore_errors=True)
        run.fields.unlink(missing_ok=True)
    if change.split is not None:
        write_text(run.folder / "split.csv", change.split)
    write_text(run.folder / "config.yaml", change.config)
    run.update_manifest(**change.manifest)
    if change.take:
        shutil.rmtree(run.stacks / change.take, ignore_errors=True)  # or it is gone already
    (run.stacks / CHANGE).unlink()
    # Only now: done again, the steps above would take what came for what is to go.
    shutil.rmtree(run.stacks / DROPPED, ignore_errors=True)
    if not any(run.stacks.iterdir()):
        run.stacks.rmdir()


def _parts_in(folder: Path) -> list[str]:
    return [part for part in STACK_PARTS if (folder / part).exists()]


def _record(run: Run) -> KeptStack:
    manifest, config = run.manifest, run.config
    checkpoint = f"{config.predict.checkpoint}.keras"
    used = [
        path.relative_to(run.folder).as_posix()
        for fold in trained_folds(config)
        for path in (
            *(run.models(member, fold) / checkpoint for member in config.trained_members),
            run.locator(fold),
        )
    ]
    used += [record_path(run, m).relative_to(run.folder).as_posix() for m in config.external]
    return KeptStack(
        stacking=config.stacking.model_dump(mode="json"),
        mirror=config.predict.mirror,
        stages={
            name: stage.model_dump()
            for name, stage in manifest.stages.items()
            if name in ("train", "stack", "evaluate")
        },
        models={k: v for k, v in manifest.models.items() if k.startswith("meta/")},
        combining=manifest.combining,
        networks={path: manifest.models[path] for path in used if path in manifest.models},
    )


def _forgotten(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    return {
        "models": {k: None for k in manifest.models if k.startswith("meta/")},
        "combining": dict.fromkeys(manifest.combining),
    }


def _name_to_keep(run: Run, new: str | None) -> str:
    """The present stack's own name, or the first free one; none for an unfinished one."""
    if not (run.is_done("stack") and (run.meta / "choice.json").is_file()):
        return DROPPED
    if run.manifest.stack is not None:
        return run.manifest.stack
    taken, number = {*kept_stacks(run), new}, 1
    while f"stack{number}" in taken:
        number += 1
    return f"stack{number}"


def _fate(run: Run, keep: str) -> str:
    if keep == DROPPED:
        return "there was no finished stack to keep"
    return (
        f"the earlier stack is kept in stacks/{keep}, train_ensemble.py --resume "
        f"{run.folder} --stack {keep} puts it into use again"
    )


def _check_new(run: Run, name: str, taken: str | None = None) -> None:
    if name in (*kept_stacks(run), taken):
        raise UserError(
            f"--stack {name}: {run.folder} has a stack of this name; give the new one another, or "
            f"put that one into use with --resume {run.folder} --stack {name}"
        )


def _check_usable(run: Run, name: str, kept: KeptStack) -> None:
    """Refuses a stack that was fitted on maps which the run no longer makes."""
    folder, models = run.stacks / name, run.manifest.models
    if kept.mirror != run.config.predict.mirror:
        raise UserError(
            f"{folder}: of maps with predict.mirror: {kept.mirror}, the run has "
            f"{run.config.predict.mirror}; give the configuration with that key to stack again"
        )
    if other := [path for path, digest in kept.networks.items() if models.get(path) != digest]:
        raise UserError(
            f"{folder}: of another {other[0]} than the run has now; give the configuration to "
            "stack again"
        )


def as_run(run: Run, name: str) -> Run:
    """A kept stack seen as a run of its own, for what reads `meta/` and the scores."""
    stacking = Stacking.model_validate(read_kept(run, name).stacking)
    config = run.config.model_copy(update={"stacking": stacking})
    return replace(run, folder=run.stacks / name, config=config)
