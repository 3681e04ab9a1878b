"""The run directory: where a run's files lie."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cardiac_seg.config.sections import Config
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.data.registry import dataset_of
from cardiac_seg.data.split import ALL, SUBSETS
from cardiac_seg.run.environment import peak_memory_mib
from cardiac_seg.run.formats import FORMAT, method_folder, with_todays_methods
from cardiac_seg.run.stored import Manifest, checked
from cardiac_seg.system.atomic import write_json
from cardiac_seg.system.checked_reads import file_sha256, read_json, read_table
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import locked
from cardiac_seg.system.log import clock, log

RESULTS = ("metrics.json", "cases.csv", "test_cases.csv")  # of the evaluate stage
# What was fitted on the maps and what came of it: it goes, or is kept elsewhere, as a whole.
STACK_PARTS = (*RESULTS, "meta", "masks", "measures", "analysis", "ablation", "stress")


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
        return dataset_of(self.config)

    @property
    def holds_out(self) -> bool:
        """Whether the patients that are scored trained no network; not with `split.scheme: all`."""
        return self.config.split.scheme != ALL

    @property
    def scored(self) -> str:
        """The subset of `split.csv` that is scored: `test`, or `all`."""
        return "test" if self.holds_out else ALL

    @property
    def root(self) -> Path:
        """The folder of the data on this machine."""
        return Path(self.config.data.root)

    @property
    def manifest(self) -> Manifest:
        """What is recorded about the run; nothing before the first stage.

        Raises:
            UserError: If it is damaged or of a later version.
        """
        return self._read_manifest()[0]

    @property
    def manifest_values(self) -> dict[str, Any]:
        """All that `manifest.json` holds, also what no code reads."""
        return self._read_manifest()[1]

    def _read_manifest(self) -> tuple[Manifest, dict[str, Any]]:
        path = self.folder / "manifest.json"
        values = read_json(path) if path.exists() else {"format": FORMAT}
        stored_format = values.get("format", 1) if isinstance(values, dict) else 1
        if isinstance(stored_format, int) and stored_format > FORMAT:
            raise UserError(
                f"{path}: format {stored_format}, this version reads up to {FORMAT}; update "
                "cardiac_seg"
            )
        advice = "restore it, or train in another --run-dir"
        manifest = checked(Manifest, values, path, "the manifest as the run wrote it", advice)
        if manifest.combining:
            combining = with_todays_methods(manifest.combining)
            manifest = manifest.model_copy(update={"combining": combining})
            values["combining"] = combining
        return manifest, values

    def check_whole(self) -> None:
        """Refuses a run of which `export` kept what prediction needs.

        Raises:
            UserError: If it is such a run; nothing has been written.
        """
        if self.manifest.exported:
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
        subsets = SUBSETS if self.holds_out else (ALL,)
        if not usable or not set(table.subset) <= set(subsets):
            raise UserError(f"{path}: not as the run wrote it; {advice}")
        return table

    def models(self, member: str, fold: str) -> Path:
        """Folder of a training's `best.keras` and `last.keras`."""
        return self.folder / "models" / member / fold

    def locator(self, fold: str) -> Path:
        """The network that finds the heart, trained on a fold's patients."""
        return self.models("locator", fold) / "locator.keras"

    @property
    def fields(self) -> Path:
        """Table of where in each mapped case the network grid lies."""
        return self.folder / "fields.csv"

    def map(self, case: str) -> Path:
        """A case's softmax maps."""
        return self.folder / "maps" / f"{case}.npz"

    @property
    def meta(self) -> Path:
        """Folder of what was fitted on the maps."""
        return self.folder / "meta"

    @property
    def stacks(self) -> Path:
        """Folder of the stacks that are kept beside the one in use."""
        return self.folder / "stacks"

    @property
    def measures(self) -> Path:
        """Folder of what is measured of each test patient."""
        return self.folder / "measures"

    def masks(self, method: str) -> Path:
        """Folder of a method's masks, of the reference's or of those in use."""
        return method_folder(self.folder / "masks", method)

    def history(self, member: str, fold: str) -> Path:
        """A training's table, one row per epoch."""
        return self.folder / "history" / member / f"{fold}.csv"

    def update_manifest(self, **values) -> None:
        """Merges values into `manifest.json`, safe beside other jobs.

        Dictionaries are merged key by key; None removes a key.
        """
        with locked(self.folder):
            manifest = self.manifest_values
            for key, value in values.items():
                both = isinstance(value, dict) and isinstance(manifest.get(key), dict)
                merged = manifest[key] | value if both else value
                if isinstance(merged, dict):
                    merged = {k: v for k, v in merged.items() if v is not None}
                manifest[key] = merged
            write_json(self.folder / "manifest.json", manifest)

    def knows(self, path: Path) -> bool:
        """Whether the run lists a model's file as its own."""
        return path.relative_to(self.folder).as_posix() in self.manifest.models

    def check_hash(self, path: Path) -> None:
        """Refuses a model's file that is not the one that the run wrote.

        That finds damage and mix-ups, not malice: who changes a file can change the manifest.

        Raises:
            UserError: If its hash is not the recorded one.
        """
        recorded = self.manifest.models.get(path.relative_to(self.folder).as_posix())
        if recorded is not None and recorded != file_sha256(path):
            raise UserError(
                f"{path}: damaged or of another run (not the SHA-256 in manifest.json); restore "
                "it, or delete it and run train_ensemble.py --resume on the run"
            )

    def forget_stacking(self) -> None:
        """Drops what was fitted on the maps and what was scored with it; keeps the maps."""
        undone, manifest = {"done": False}, self.manifest
        learners = {k: None for k in manifest.models if k.startswith("meta/")}
        costs = dict.fromkeys(manifest.combining)
        self.update_manifest(
            stages={"stack": undone, "evaluate": undone}, models=learners, combining=costs
        )
        for name in RESULTS:
            (self.folder / name).unlink(missing_ok=True)
        for name in set(STACK_PARTS) - set(RESULTS):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Times a stage and records it as done; time of interrupted tries is not counted.

        Yields:
            What the manifest receives beside it, in the same write; to be filled.
        """
        more: dict[str, Any] = {}
        began = time.monotonic()
        yield more
        seconds = round(time.monotonic() - began, 1)
        entry = {"done": True, "seconds": seconds, "peak_memory_mib": peak_memory_mib()}
        self.update_manifest(stages={name: entry}, **more)
        log.info("%s: done in %s", name, clock(seconds))

    def is_done(self, stage: str) -> bool:
        """Whether a stage has run to its end."""
        stages = self.manifest.stages
        return stage in stages and stages[stage].done


FINAL_MASKS = "ensemble"  # the folder of the chosen model's masks
REFERENCE_MASKS = "reference"  # of the reference labels, so that a run is measured without its data
