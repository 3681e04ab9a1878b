"""How a run directory is created, opened, joined and held."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from cardiac_seg.config.loading import dump_config, load_config, read_yaml
from cardiac_seg.config.sections import Config
from cardiac_seg.run.folder import Run
from cardiac_seg.system.atomic import remove_leftovers, scratch_in, whole_directory, write_text
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import held
from cardiac_seg.system.log import log

LOG = "log.txt"  # also what a process at work on the run holds
LOCAL_KEYS = ("root", "cache")  # of the data section: they belong to a machine, not to a run
# Keys that no result depends on; a run may be continued with other values.
NEUTRAL_KEYS = (("train", "workers"), ("train", "tensorboard"), ("predict", "batch_size"))


def create(config: Config, folder: Path) -> Run:
    """Makes a run directory; leaves one that is there as it is.

    Raises:
        UserError: If the folder is something else.
    """
    if (folder / "config.yaml").is_file():
        return open_run(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty and not a run; choose another --run-dir")
    if folder.is_dir():
        folder.rmdir()
    with whole_directory(folder) as partial:
        (partial / "config.yaml").write_text(_run_yaml(config), encoding="utf-8")
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
    open_run(folder)
    (folder / LOG).touch()
    refusal = (
        "another process is at work on this run, this file tells how far it is; wait for it, or "
        "train networks side by side, each with --member or --fold"
    )
    with held(folder / LOG, refusal, shared=beside_others):
        if not beside_others:
            # Those two have locks of their own.
            remove_leftovers(folder, but_in=(folder / "analysis", folder / "measures"))
        with scratch_in(folder):
            yield


def join(config: Config, folder: Path) -> Run:
    """Takes up a run if its configuration is the same but for what may change.

    Raises:
        UserError: If the folder holds a run of another configuration.
    """
    run = open_run(folder)
    difference = _first_difference(_shared(config), _shared(run.config))
    if difference and run.is_done("prepare"):
        raise UserError(
            f"{folder}: a run with another configuration ({difference}); "
            "choose another --run-dir, or continue it with --resume"
        )
    restack = _first_difference(_restackable(config), _restackable(run.config))
    remap = config.predict.mirror != run.config.predict.mirror
    if (restack or remap) and (folder / "manifest.json").exists():
        why, kept = (
            ("predict.mirror", "networks")
            if remap
            else (f"stacking.{restack}", "networks and maps")
        )
        log.info("%s: stacked again, %s are kept (%s)", folder, kept, why)
        run.forget_stacking()
        if remap:
            shutil.rmtree(folder / "maps", ignore_errors=True)
            run.fields.unlink(missing_ok=True)
        if config.stacking.deploy != run.config.stacking.deploy:
            run.update_manifest(stages={"train": {"done": False}})
    # What no result depends on may change: paths, workers, prediction's batch size. And before
    # the data was accepted, everything may: the first try often has a mistake in it.
    write_text(folder / "config.yaml", _run_yaml(config))
    write_text(folder / "local.yaml", _local_yaml(config))
    return open_run(folder)


def open_run(folder: Path, overrides: Sequence[str] = ()) -> Run:
    """Opens an existing run.

    Args:
        folder: The run directory.
        overrides: `report.key=value`, as for `load_config`.

    Raises:
        UserError: If the folder is no run directory.
    """
    path, local = folder / "config.yaml", folder / "local.yaml"
    if not path.is_file():
        raise UserError(f"{folder}: not a run directory (no config.yaml); check the path")
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


def _run_yaml(config: Config) -> str:
    """The configuration without what belongs to one machine."""
    values = yaml.safe_load(dump_config(config))
    for key in LOCAL_KEYS:
        del values["data"][key]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def shared_settings(config: Config) -> dict:
    """The configuration without what belongs to one machine or changes no result."""
    values = yaml.safe_load(_run_yaml(config))
    for section, key in NEUTRAL_KEYS:
        del values[section][key]
    del values["report"]
    return values


def _shared(config: Config) -> dict:
    """The part of the configuration that networks depend on."""
    values = shared_settings(config)
    stacking = values["stacking"]
    values["stacking"] = {"scheme": stacking["scheme"]}
    if stacking["scheme"] != "holdout":  # else there are no networks of folds
        values["stacking"]["fold_train"] = stacking["fold_train"]
    del values["predict"]["mirror"]
    return values


def _restackable(config: Config) -> dict:
    """The part that a run may change without training again: learners are fitted anew."""
    values = yaml.safe_load(dump_config(config))["stacking"]
    for key in ("scheme", "fold_train"):  # what networks are trained on, and how
        del values[key]
    return values


def _local_yaml(config: Config) -> str:
    paths = {key: str(Path(getattr(config.data, key)).expanduser().resolve()) for key in LOCAL_KEYS}
    return "# Paths on this machine; never copied into a report.\n" + yaml.safe_dump(
        {"data": paths}
    )


def _first_difference(new: dict, old: dict, path: str = "") -> str | None:
    for key in new:
        here = f"{path}{key}"
        if isinstance(new[key], dict) and isinstance(old.get(key), dict):
            if found := _first_difference(new[key], old[key], f"{here}."):
                return found
        elif new[key] != old.get(key):
            return f"{here}: {old.get(key)} there, {new[key]} here"
    return None
