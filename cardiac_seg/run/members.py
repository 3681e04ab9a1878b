"""The members of a run: its networks, where their files lie and how they are loaded."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import keras

from cardiac_seg.config.sections import Network
from cardiac_seg.members.keras_member import KerasMember
from cardiac_seg.members.locator import NAME, Locator
from cardiac_seg.members.maps import TrainedOn
from cardiac_seg.members.member import Member, TrainedMember
from cardiac_seg.members.network_file import read_network
from cardiac_seg.members.seen import merged
from cardiac_seg.members.starting import Start
from cardiac_seg.run.external import external_member
from cardiac_seg.run.folder import Run
from cardiac_seg.run.provenance import data_name, start_of
from cardiac_seg.run.start import start_network, start_run
from cardiac_seg.run.stored import StartRecord
from cardiac_seg.system import backend
from cardiac_seg.system.checked_reads import file_sha256
from cardiac_seg.system.errors import UserError


def members_of(
    run: Run,
    trained_on: Callable[[str], TrainedOn],
    scan_maps: Mapping[str, Path] | None = None,
) -> list[Member]:
    """The members of a run, in the configuration's order.

    Args:
        run: The run.
        trained_on: From a member and a fold to the patients its network is trained on; see
            `run.provenance.trained_on`.
        scan_maps: For new images, the folder of the maps of each member that brings them.
    """
    trained = {member.name: member for member in trained_members(run, trained_on)}
    return [
        trained[name] if name in trained else external_member(run, name, scan_maps)
        for name in run.config.members
    ]


def trained_members(run: Run, trained_on: Callable[[str], TrainedOn]) -> list[TrainedMember]:
    """Those that are networks of the run; see `members_of`."""
    return [
        KerasMember(
            name=name,
            config=run.config.for_member(name),
            classes=run.dataset.num_classes,
            folder=run.folder / "models" / name,
            history=run.folder / "history" / name,
            tensorboard=run.folder / "tensorboard" / name,
            load_network=partial(load_network, run, name),
            trained_on=trained_on(name),
            start=partial(_start, run, name),
            data=data_name(run),
        )
        for name in run.config.trained_members
    ]


def load_locator(run: Run, folds: list[str]) -> Locator:
    """Loads what finds the heart in a run's images; the answers of several folds are averaged.

    Raises:
        UserError: If a file is missing, damaged or no locator.
    """
    networks = []
    for fold in folds:
        path = run.locator(fold)
        if not path.is_file():
            raise UserError(f"{path}: missing; train_ensemble.py --resume {run.folder} trains it")
        run.check_hash(path)
        network = read_network(path)
        if network.name != NAME or network.output_shape != (None, None, None, 1):
            raise UserError(f"{path}: holds {network.name}, expected {NAME}; restore the file")
        networks.append(network)
    return Locator(tuple(networks))


def load_network(run: Run, member: str, fold: str) -> keras.Model:
    """Loads a trained network of a run for prediction.

    Raises:
        UserError: If the file is missing, damaged or of another architecture.
    """
    config = run.config.for_member(member)
    path = run.models(member, fold) / f"{config.predict.checkpoint}.keras"
    precision = backend.set_precision(config.train.precision)
    if not path.is_file():
        raise UserError(f"{path}: missing; train it with train_ensemble.py --resume {run.folder}")
    run.check_hash(path)
    network = read_network(path)
    size, classes = tuple(network.inputs[0].shape[1:-1]), network.outputs[0].shape[-1]
    settings = config.networks[member]
    assert isinstance(settings, Network)  # others have no file
    wanted = settings.input_shape[:-1]
    fits = size == wanted or (len(wanted) == 2 and size == tuple(config.preprocess.size))
    if (network.name, classes) != (member, run.dataset.num_classes) or not fits:
        raise UserError(
            f"{path}: holds {network.name} of {classes} classes for images of {size}, expected "
            f"{member} of {run.dataset.num_classes} classes; the file belongs to another run"
        )
    return _for_this_hardware(network, precision)


def _start(run: Run, member: str) -> Start | None:
    record = start_of(run, member)
    if record is None:
        return None
    same_labels = record.labels == list(run.dataset.structures)
    load = partial(_load_start, record, member)
    return Start(record.path, load, same_labels, merged(record.trained_on))


def _load_start(record: StartRecord, member: str) -> keras.Model:
    start = start_run(record.path)
    network = start_network(start, member)
    if network.is_file() and file_sha256(network) != record.sha256:
        raise UserError(
            f"{network}: not the network that this run was to start from (another SHA-256 in "
            "manifest.json); restore it, or train in another --run-dir"
        )
    return load_network(start, member, "full")


def _for_this_hardware(network: keras.Model, precision: str) -> keras.Model:
    """The same network, computing in `precision` where it was trained in a reduced one.

    A network keeps the precision it was saved with; bfloat16 from a GPU would be emulated on a
    CPU that lacks it.
    """
    if all(layer.compute_dtype in ("float32", precision) for layer in network.layers):
        return network
    policy = keras.config.dtype_policy().name

    def clone(layer):
        settings = layer.get_config()
        if layer.compute_dtype != "float32":
            settings["dtype"] = policy
        return type(layer).from_config(settings)

    copy = keras.models.clone_model(network, clone_function=clone)
    copy.set_weights(network.get_weights())
    return copy
