"""A member that is a Keras network trained here, in plane or in volume."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras

from cardiac_seg.config.sections import Config
from cardiac_seg.grid.cache import CaseSet
from cardiac_seg.grid.resample import GridImage
from cardiac_seg.members.inference import mean_map
from cardiac_seg.members.maps import FOLD_MEAN, MemberMap, Provenance, TrainedOn
from cardiac_seg.members.network_maps import network_maps
from cardiac_seg.members.starting import Start
from cardiac_seg.members.training import TrainingJob, train
from cardiac_seg.members.training_state import read_state


@dataclass(frozen=True)
class KerasMember:
    """See `members.member.TrainedMember`.

    Attributes:
        name: One of `config.registry.NETWORKS`.
        config: See `Config.for_member`.
        classes: Number of classes, background included.
        folder: Of the checkpoints, one subfolder per fold.
        history: Of the tables of epochs, one per fold.
        tensorboard: Of the TensorBoard logs.
        load_network: From a fold to its network, checked.
        trained_on: From a fold to the patients it was trained on.
        start: Tells where the first weights of a training come from; None for random ones.
        data: What tells the run's dataset apart from others, in the networks' files.
    """

    name: str
    config: Config
    classes: int
    folder: Path
    history: Path
    tensorboard: Path
    load_network: Callable[[str], keras.Model]
    trained_on: TrainedOn
    start: Callable[[], Start | None] = lambda: None
    data: str = ""

    def train(self, fold: str, training: CaseSet, validation: CaseSet) -> dict[str, object]:
        """See `members.member.TrainedMember`."""
        config = self.config.of_fold(fold)
        job = TrainingJob(
            member=self.name,
            fold=fold,
            folder=self.folder / fold,
            history_path=self.history / f"{fold}.csv",
            tensorboard=self.tensorboard / fold,
            classes=self.classes,
            train=training,
            validation=validation,
            start=self.start() if config.train.start_from else None,
            data=self.data,
        )
        state, monitor = train(job, config), config.train.monitor
        return {
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            monitor: round(state.best, 5) if validation.cases else None,
            "seconds": round(sum(row["seconds"] for row in state.history), 1),
        }

    def is_trained(self, fold: str) -> bool:
        """See `members.member.TrainedMember`."""
        return read_state(self.folder / fold / "last.keras").finished

    def files(self, fold: str) -> list[Path]:
        """See `members.member.TrainedMember`."""
        return [self.folder / fold / f"{name}.keras" for name in ("best", "last")]

    def load(self, folds: list[str]) -> "KerasMapper":
        """See `members.member.Member`."""
        patients = [self.trained_on(fold) for fold in folds]
        known = [seen for seen in patients if seen is not None]
        provenance = Provenance(
            folds[0] if len(folds) == 1 else FOLD_MEAN,
            frozenset[str]().union(*known) if len(known) == len(patients) else None,
        )
        networks = tuple(self.load_network(fold) for fold in folds)
        return KerasMapper(self.name, networks, self.config, provenance)


@dataclass(frozen=True)
class KerasMapper:
    """The networks of some folds in use, see `members.member.Mapper`."""

    name: str
    networks: tuple[keras.Model, ...]
    config: Config
    provenance: Provenance

    def softmax(self, images: Iterable[GridImage], batch_size: int) -> Iterator[MemberMap]:
        """See `members.member.Mapper`."""
        mirror = self.config.predict.mirror
        copies = itertools.tee(images, len(self.networks))
        streams = [
            network_maps(network, copy, self.config, self.name, batch_size, mirror)
            for network, copy in zip(self.networks, copies, strict=True)
        ]
        for together in zip(*streams, strict=True):
            yield MemberMap(mean_map(list(together)), self.provenance)
