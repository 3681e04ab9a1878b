"""How a run directory is created, opened, joined and held."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml

from cardiac_seg.config.loading import load_config, read_yaml
from cardiac_seg.config.sections import Config
from cardiac_seg.data.split import with_folds
from cardiac_seg.run.folder import Run
from cardiac_seg.run.settings import (
    LOCAL_KEYS,
    first_difference,
    grows,
    network_settings,
    run_yaml,
    stack_settings,
)
from cardiac_seg.run.stacks import (
    CHANGE,
    finish_change,
    fold_train_text,
    name_stack,
    replace_stack,
)
from cardiac_seg.system.atomic import remove_leftovers, scratch_in, whole_directory, write_text
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import held

LOG = "log.txt"  # also what a process at work on the run holds


def create(config: Config, folder: Path) -> Run:
    """Makes a run directory; leaves one that is there as it is.

    Raises:
        UserError: If the folder is something else.
    """
    if (folder / "config.yaml").is_file():
        return open_run(folder, changing=True)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty and not a run; choose another --run-dir")
    if folder.is_dir():
        folder.rmdir()
    with whole_directory(folder) as partial:
        (partial / "config.yaml").write_text(run_yaml(config), encoding="utf-8")
        (partial / "local.yaml").write_text(_local_yaml(config), encoding="utf-8")
        (partial / LOG).touch()
    return open_run(folder)


@contextmanager
def at_work(folder: Path, beside_others: bool) -> Iterator[None]:
    """Keeps other processes from writing to a run.

    Args:
        folder: A run directory.
        beside_others: Lets in others that say the same: those that train one network each.

    Raises:
        UserError: If another process is at work, or the folder is no run.
    """
    run = open_run(folder, changing=True)
    (folder / LOG).touch()
    refusal = (
        "another process is at work on this run, this file tells how far it is; wait for it, or "
        "train networks side by side, each with --member or --fold"
    )
    with held(folder / LOG, refusal, shared=beside_others):
        if not beside_others:
            # Those two have locks of their own.
            remove_leftovers(folder, but_in=(folder / "analysis", folder / "measures"))
        finish_change(run)
        with scratch_in(folder):
            yield


def join(config: Config, folder: Path, stack: str | None = None) -> Run:
    """Takes up a run if its configuration is the same but for what may change.

    Args:
        config: The configuration.
        folder: The run directory.
        stack: Name of the stack of this configuration.

    Raises:
        UserError: If the folder holds a run of another configuration.
    """
    run = open_run(folder)
    grown = grows(config, run.config)
    difference = first_difference(
        network_settings(config, grown), network_settings(run.config, grown)
    )
    if difference and run.is_done("prepare"):
        raise UserError(
            f"{folder}: a run with another configuration ({difference}); "
            "choose another --run-dir, or continue it with --resume"
        )
    restack = first_difference(stack_settings(config), stack_settings(run.config))
    remap = config.predict.mirror != run.config.predict.mirror
    if (restack or remap or grown) and (folder / "manifest.json").exists():
        if grown:
            _check_growth(run, config)
        why = f"stacking.{restack}"
        if grown or remap:
            why = "stacking.scheme: holdout there, both here" if grown else "predict.mirror"
        replace_stack(run, config, stack, why, remap)
    elif stack is not None:
        name_stack(run, stack)
    # What no result depends on may change: paths, workers, prediction's batch size. And before
    # the data was accepted, everything may: the first try often has a mistake in it.
    write_text(folder / "config.yaml", run_yaml(config))
    write_text(folder / "local.yaml", _local_yaml(config))
    return open_run(folder)


def _check_growth(run: Run, config: Config) -> None:
    """Refuses networks of folds that would not be those of the configuration, or would leak."""
    from cardiac_seg.run.start import check_starts  # opens runs itself

    there = sorted((run.folder / "models").glob("*/fold*"))
    if there and run.manifest.fold_train != fold_train_text(config):
        raise UserError(
            f"{there[0]}: trained with another stacking.fold_train ({run.manifest.fold_train}); "
            "use that one, or delete the folds' folders in models"
        )
    if run.is_done("prepare"):
        check_starts(replace(run, config=config), with_folds(run.split().fillna(""), config))


def open_run(folder: Path, overrides: Sequence[str] = (), changing: bool = False) -> Run:
    """Opens an existing run.

    Args:
        folder: The run directory.
        overrides: `report.key=value`, as for `load_config`.
        changing: Takes a run whose change of stacks is under way, to finish it.

    Raises:
        UserError: If the folder is no run directory, or a change of stacks is under way.
    """
    path, local = folder / "config.yaml", folder / "local.yaml"
    if not path.is_file():
        raise UserError(f"{folder}: not a run directory (no config.yaml); check the path")
    if not changing and (folder / "stacks" / CHANGE).is_file():
        raise UserError(
            f"{folder}: its stacks are being changed, or that was interrupted; run "
            f"train_ensemble.py --resume {folder}, which brings it to its end"
        )
    stored = read_yaml(path)
    # A run's configuration is complete: no default, no other file; what a page shows
    # may be left out.
    if missing := set(Config.model_fields) - set(stored) - {"report"}:
        raise UserError(f"{path}: lacks {', '.join(sorted(missing))}; it may be cut off")
    if "extends" in stored:
        raise UserError(f"{path}: extends another file, as no run's own does; restore it")
    local_paths = []
    if local.is_file():
        values = read_yaml(local).get("data")
        values = values if isinstance(values, dict) else {}
        if not all(isinstance(values.get(key), str) for key in LOCAL_KEYS):
            raise UserError(
                f"{local}: expected data.root and data.cache, this machine's folders; write them, "
                "or delete the file to use the run for prediction alone"
            )
        local_paths = [f"data.{key}={json.dumps(values[key])}" for key in LOCAL_KEYS]
    else:  # a run that was copied for prediction knows no data folder
        local_paths = ["data.root=unknown"]
    return Run(folder, load_config(path, [*local_paths, *overrides]))


def _local_yaml(config: Config) -> str:
    paths = {key: str(Path(getattr(config.data, key)).expanduser().resolve()) for key in LOCAL_KEYS}
    return "# Paths on this machine; never copied into a report.\n" + yaml.safe_dump(
        {"data": paths}
    )
