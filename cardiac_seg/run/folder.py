"""The run directory: where a run's files lie, and how a run is created, joined and described."""

import hashlib
import json
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pandas as pd
import yaml

from cardiac_seg.config.sections import Config, dump_config, load_config, read_yaml
from cardiac_seg.data.registry import DATASETS, Dataset
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.files import (
    held,
    locked,
    remove_leftovers,
    scratch_in,
    whole_directory,
    write_json,
    write_text,
)
from cardiac_seg.system.log import clock, log

LOG = "log.txt"  # also what a process at work on the run holds
MOST_BYTES = 10**9  # of a table; that of all patients' measures is a few MB
RESULTS = ("metrics.json", "cases.csv", "test_cases.csv")  # of the evaluate stage
LOCAL_KEYS = ("root", "cache")  # of the data section: they belong to a machine, not to a run
# Keys that no result depends on; a run may be continued with other values.
NEUTRAL_KEYS = (("train", "workers"), ("train", "tensorboard"), ("predict", "batch_size"))
PACKAGES = (
    "numpy",
    "scikit-learn",
    "skops",
    "scipy",
    "opencv-python-headless",
    "nibabel",
    "pandas",
    "surface-distance",
    "matplotlib",
)


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes:
        folder: The directory.
        config: Its configuration; `data.root` and `data.cache` come from `local.yaml`.
    """

    folder: Path
    config: Config

    @property
    def dataset(self) -> Dataset:
        """The conventions of the run's dataset."""
        return DATASETS[self.config.data.dataset]

    @property
    def root(self) -> Path:
        """The folder of the data on this machine."""
        return Path(self.config.data.root)

    @property
    def manifest(self) -> dict:
        """What is recorded about the run; empty before the first stage.

        Raises:
            UserError: If it is damaged.
        """
        path = self.folder / "manifest.json"
        values = read_json(path) if path.exists() else {}
        usable = isinstance(values, dict) and all(
            isinstance(values.get(key, {}), dict)
            for key in ("stages", "models", "dataset", "versions", "combining")
        )
        entries = [*values.get("stages", {}).values()] if usable else []
        usable &= all(isinstance(v, dict) and isinstance(v.get("done"), bool) for v in entries)
        if not usable or not all(isinstance(v, dict) for v in values.get("combining", {}).values()):
            raise UserError(
                f"{path}: not as the run wrote it; restore it, or train in another --run-dir"
            )
        return values

    def check_whole(self) -> None:
        """Refuses a run of which `export` kept what prediction needs.

        Raises:
            UserError: If it is such a run; nothing has been written.
        """
        if self.manifest.get("exported"):
            raise UserError(
                f"{self.folder}: exported for prediction only; use the run it was made of"
            )

    def split(self) -> pd.DataFrame:
        """The split table, see `data.split.make_split`.

        Raises:
            UserError: If it is missing or damaged.
        """
        path, advice = self.folder / "split.csv", "restore it, or train in another --run-dir"
        columns = {"patient": str, "subset": str, "fold": None, "stratum": str}
        table = read_table(path, columns, advice)
        usable = table.fold.dtype.kind == "i" and not table.patient.duplicated().any()
        if not usable or not set(table.subset) <= {"train", "validation", "test"}:
            raise UserError(f"{path}: not as the run wrote it; {advice}")
        return table

    def models(self, member: str, part: str) -> Path:
        """Folder of a training's `best.keras` and `last.keras`."""
        return self.folder / "models" / member / part

    def map(self, case: str) -> Path:
        """A case's softmax maps."""
        return self.folder / "maps" / f"{case}.npz"

    @property
    def meta(self) -> Path:
        """Folder of what was fitted on the maps."""
        return self.folder / "meta"

    def history(self, member: str, part: str) -> Path:
        """A training's table, one row an epoch."""
        return self.folder / "history" / member / f"{part}.csv"

    def update_manifest(self, **values) -> None:
        """Merges values into `manifest.json`, safe beside other jobs.

        Dictionaries are merged key by key; None removes a key.
        """
        with locked(self.folder):
            manifest = self.manifest
            for key, value in values.items():
                both = isinstance(value, dict) and isinstance(manifest.get(key), dict)
                merged = manifest[key] | value if both else value
                if isinstance(merged, dict):
                    merged = {k: v for k, v in merged.items() if v is not None}
                manifest[key] = merged
            write_json(self.folder / "manifest.json", manifest)

    def knows(self, path: Path) -> bool:
        """Whether the run lists a model's file as its own."""
        return path.relative_to(self.folder).as_posix() in self.manifest.get("models", {})

    def check_hash(self, path: Path) -> None:
        """Refuses a model's file that is not the one that the run wrote.

        That finds damage and mix-ups, not malice: who changes a file can change the manifest.

        Raises:
            UserError: If its hash is not the recorded one.
        """
        recorded = self.manifest.get("models", {}).get(path.relative_to(self.folder).as_posix())
        if recorded is not None and recorded != file_sha256(path):
            raise UserError(
                f"{path}: damaged or of another run (not the SHA-256 in manifest.json); restore "
                "it, or delete it and run train_ensemble.py --resume on the run"
            )

    def forget_stacking(self) -> None:
        """Drops what was fitted on the maps and what was scored with it; keeps the maps."""
        undone, manifest = {"done": False}, self.manifest
        learners = {k: None for k in manifest.get("models", {}) if k.startswith("meta/")}
        costs = dict.fromkeys(manifest.get("combining", {}))
        self.update_manifest(
            stages={"stack": undone, "evaluate": undone}, models=learners, combining=costs
        )
        for name in RESULTS:
            (self.folder / name).unlink(missing_ok=True)
        for name in ("meta", "masks", "analysis", "ablation"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage and records it as done; time of interrupted tries is not counted."""
        began = time.monotonic()
        yield
        seconds = round(time.monotonic() - began, 1)
        entry = {"done": True, "seconds": seconds, "peak_memory_mib": peak_memory_mib()}
        self.update_manifest(stages={name: entry})
        log.info("%s: done in %s", name, clock(seconds))

    def is_done(self, stage: str) -> bool:
        """Whether a stage has run to its end."""
        return self.manifest.get("stages", {}).get(stage, {}).get("done", False)


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
            remove_leftovers(folder, but_in=folder / "analysis")  # it has a lock of its own
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
    if (restack or remap) and run.manifest:
        why, kept = (
            ("predict.mirror", "networks")
            if remap
            else (f"stacking.{restack}", "networks and maps")
        )
        log.info("%s: stacked again, %s are kept (%s)", folder, kept, why)
        run.forget_stacking()
        if remap:
            shutil.rmtree(folder / "maps", ignore_errors=True)
        if config.stacking.deploy != run.config.stacking.deploy:
            run.update_manifest(stages={"train": {"done": False}})
    # What no result depends on may change: paths, workers, prediction's batch size. And before
    # the data was accepted, everything may: the first try often has a mistake in it.
    write_text(folder / "config.yaml", _run_yaml(config))
    write_text(folder / "local.yaml", _local_yaml(config))
    return open_run(folder)


def open_run(folder: Path) -> Run:
    """Opens an existing run.

    Raises:
        UserError: If the folder is no run directory.
    """
    path, local = folder / "config.yaml", folder / "local.yaml"
    if not path.is_file():
        raise UserError(f"{folder}: not a run directory (no config.yaml); check the path")
    stored = read_yaml(path)
    # A run is told of whole: no default, no other file.
    if missing := set(Config.model_fields) - set(stored):
        raise UserError(f"{path}: lacks {', '.join(sorted(missing))}; it may be cut off")
    if "extends" in stored:
        raise UserError(f"{path}: extends another file, as no run's own does; restore it")
    overrides = []
    if local.is_file():
        values = read_yaml(local).get("data")
        values = values if isinstance(values, dict) else {}
        if not all(isinstance(values.get(key), str) for key in LOCAL_KEYS):
            raise UserError(
                f"{local}: expected data.root and data.cache, this machine's folders; write them, "
                "or delete the file to use the run for prediction alone"
            )
        overrides = [f"data.{key}={json.dumps(values[key])}" for key in LOCAL_KEYS]
    else:  # a run that was copied for prediction knows no data folder
        overrides = ["data.root=unknown"]
    return Run(folder, load_config(path, overrides))


def describe_environment() -> dict:
    """Versions, platform and commit, for the manifest."""
    from cardiac_seg.system import backend

    return {
        "versions": package_versions() | backend.versions(),
        "backend": backend.BACKEND,
        "device": backend.device_line(),
        "git_commit": _git_commit(),
        "updated": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def package_versions() -> dict[str, str]:
    """This package, Python and what results hang on; not the Keras backend."""
    from cardiac_seg import __version__

    packages = {d: v for d in PACKAGES if (v := _installed_version(d))}
    return {"cardiac_seg": __version__, "python": platform.python_version(), **packages}


def _installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # another build of it, opencv-python for instance
        return None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_plain(path: Path) -> None:
    """Refuses what would be read without end: a pipe, a device, a file of gigabytes.

    Raises:
        UserError: If there is such a thing; nothing is said of a missing file.
    """
    if path.exists() and not (path.is_file() and path.stat().st_size <= MOST_BYTES):
        raise UserError(f"{path}: no file of a run (at most {MOST_BYTES / 1e6:.0f} MB); restore it")


def read_json(path: Path):
    """Reads a JSON file.

    Raises:
        UserError: If it is missing or not JSON.
    """
    check_plain(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); it may be damaged") from None


def read_table(path: Path, columns: dict[str, type | None], advice: str) -> pd.DataFrame:
    """Reads a CSV file.

    Args:
        path: The file.
        columns: What it must have, with the type that pandas would not guess.
        advice: What to do about a file that cannot be used.

    Raises:
        UserError: If it is missing, damaged or lacks a column.
    """
    check_plain(path)
    try:
        table = pd.read_csv(path, dtype={name: kind for name, kind in columns.items() if kind})
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {advice}") from None
    except ValueError as error:  # pandas' own errors are among them
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); {advice}") from None
    if missing := [name for name in columns if name not in table]:
        raise UserError(f"{path}: no column {missing[0]!r}; {advice}")
    return table


def stack_again(folder: Path) -> str:
    """What to do about a damaged `meta/` of a run."""
    return f"to stack again, delete {folder / 'meta'} and run train_ensemble.py --resume {folder}"


def peak_memory_mib() -> int:
    """Largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


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
    return values


def _shared(config: Config) -> dict:
    """The part of the configuration that networks depend on."""
    values = shared_settings(config)
    values["stacking"] = {"scheme": values["stacking"]["scheme"]}
    del values["predict"]["mirror"]
    return values


def _restackable(config: Config) -> dict:
    """The part that a run may change without training again: learners are fitted anew."""
    values = yaml.safe_load(dump_config(config))["stacking"]
    del values["scheme"]  # says which patients a network is trained on
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


def _git_commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        folder = Path(__file__).parent
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
