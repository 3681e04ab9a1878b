"""What a training stores to be resumed bit for bit."""

import dataclasses
import json
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from cardiac_seg.members.seen import Seen, write_seen
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError

STATE = "training_state.json"  # inside last.keras: one file, so that it cannot disagree with itself


@dataclass
class TrainingState:
    """What a resumed training needs beside weights and optimizer.

    Attributes:
        epoch: Epochs finished.
        finished: Whether there is nothing left to do.
        best: Best value of the monitored metric.
        best_epoch: Epoch (1-based) it was reached in.
        plateau: Epochs since the metric or the learning rate last changed for the better.
        history: One row per epoch.
    """

    epoch: int = 0
    finished: bool = False
    best: float = -np.inf
    best_epoch: int = 0
    plateau: int = 0
    history: list[dict] = field(default_factory=list)


def read_state(last: Path) -> TrainingState:
    """The state stored in a `last.keras`; a fresh one where there is no file.

    Raises:
        UserError: If the file is damaged.
    """
    if not last.is_file():
        return TrainingState()
    try:
        with zipfile.ZipFile(last) as archive:
            return TrainingState(**json.loads(archive.read(STATE)))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{last}: not a checkpoint of this project or damaged ({error}); "
            "delete its folder to train that part again"
        ) from None


def restore_training(model: keras.Model, last: Path) -> None:
    """Loads weights and optimizer from a `last.keras`, in place.

    Raises:
        UserError: If they do not fit.
    """
    try:
        with warnings.catch_warnings():
            # Keras warns of each container that it also reaches by another way.
            warnings.simplefilter("ignore")
            model.load_weights(last)
    except Exception as error:  # zip and HDF5 readers let many kinds through
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{last}: checkpoint of another architecture ({reason}); use the config it was "
            "trained with, or another --run-dir"
        ) from None


def save_training(
    model: keras.Model, last: Path, state: TrainingState, seen: Seen | None = None
) -> None:
    """Writes weights, optimizer, state and known patients to one `last.keras`, whole."""
    with whole_file(last) as partial:
        model.save(partial)
        with zipfile.ZipFile(partial, "a") as archive:
            archive.writestr(STATE, json.dumps(dataclasses.asdict(state)))
        write_seen(partial, seen)
