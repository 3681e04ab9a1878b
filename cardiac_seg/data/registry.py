"""The datasets by name. A new one takes one file and one line here."""

from cardiac_seg.config.sections import Config, Unet3D
from cardiac_seg.data.acdc import ACDC
from cardiac_seg.data.camus import CAMUS
from cardiac_seg.data.dataset import Dataset
from cardiac_seg.system.errors import UserError

DATASETS = {
    "acdc": ACDC,
    "camus": CAMUS,
}


def dataset_of(config: Config) -> Dataset:
    """The dataset that a configuration names.

    Raises:
        UserError: If there is none of that name.
    """
    name = config.data.dataset
    if name not in DATASETS:
        raise UserError(f"data.dataset: {name!r} is not known; use {' or '.join(DATASETS)}")
    return DATASETS[name]


def check_config(config: Config) -> None:
    """Refuses settings that the configuration's dataset cannot have, before anything is written.

    Raises:
        UserError: If the dataset is not known, has no phantoms or no official split where one is
            asked for, or its images are augmented as no scanner makes them.
    """
    dataset = dataset_of(config)
    modality = dataset.modality
    if config.data.phantom and not dataset.has_phantoms:
        raise UserError(f"data.phantom: no phantoms are drawn for {dataset.name}; use null")
    if config.split.scheme == "official" and dataset.official_split is None:
        raise UserError(f"split.scheme: {dataset.name} has no official split; use random")
    if unknown := [v for v in config.data.views if modality.views and v not in modality.views]:
        raise UserError(
            f"data.views: {unknown[0]!r} is no view of {dataset.name}; use "
            f"{' or '.join(modality.views)}"
        )
    _check_volumetric(config, dataset)
    for where, settings in _by_member(config).items():
        augment, field = settings.augment, settings.preprocess.field
        if field == "heart" and modality.ndim != 3:
            raise UserError(
                f"{where}preprocess.field: 'heart' is found in stacks of MRI; use 'sector' or "
                f"'image' for {dataset.name}"
            )
        if field == "sector" and not modality.acoustic:
            raise UserError(
                f"{where}preprocess.field: no sector in {modality.images}; use 'heart' or 'image' "
                f"for {dataset.name}"
            )
        if modality.upright and augment.symmetry == "dihedral":
            raise UserError(
                f"{where}augment.symmetry: 'dihedral' turns an {modality.name} upside down; use "
                "'horizontal'"
            )
        if augment.shadow and not modality.acoustic:
            raise UserError(
                f"{where}augment.shadow: acoustic shadows belong to echo; use 0 for {dataset.name}"
            )


def _check_volumetric(config: Config, dataset: Dataset) -> None:
    """Refuses networks of volumes for single images, and patches larger than the grid.

    What lies beyond the grid in plane has no value of its own.
    """
    for name in config.members:
        network, (height, width) = config.networks[name], config.for_member(name).preprocess.size
        if not isinstance(network, Unet3D):
            continue
        if dataset.modality.ndim != 3:
            raise UserError(
                f"members: {name} sees stacks of slices, {dataset.name} has single images; "
                "leave it out"
            )
        if network.patch[1] > height or network.patch[2] > width:
            raise UserError(
                f"networks.{name}.patch: {list(network.patch[1:])} in plane is larger than the "
                f"grid, preprocess.size {[height, width]}; use a smaller patch or "
                f"networks.{name}.preprocess.size"
            )


def _by_member(config: Config) -> dict[str, Config]:
    """How a key begins -> whose settings it belongs to: the run's and every member's own."""
    return {"": config} | {f"networks.{m}.": config.for_member(m) for m in config.members}
