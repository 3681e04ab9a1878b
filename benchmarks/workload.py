"""What is measured: phantom patients, networks of random weights, a run whose maps look trained.

Speed does not depend on what a network has learnt, so none is trained. The meta-learner's does:
it acts where the members are unsure. Its maps are therefore made from the phantoms' labels.
"""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np

from cardiac_seg.config.loading import load_config
from cardiac_seg.config.sections import Config
from cardiac_seg.data.case import read_cases
from cardiac_seg.data.phantoms.dataset import write_phantoms
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.data.split import fold_patients
from cardiac_seg.grid import resample
from cardiac_seg.grid.cache import Cache, fingerprint, open_cache
from cardiac_seg.grid.resample import GridImage
from cardiac_seg.members.maps import CaseMaps, MemberMap, Provenance, write_maps
from cardiac_seg.members.networks import build_member
from cardiac_seg.pipeline.prepare import find_cases, prepare
from cardiac_seg.pipeline.stages import run_stages
from cardiac_seg.run.folder import Run
from cardiac_seg.run.open import create
from cardiac_seg.system import backend

CONFIG = Path(__file__).parents[1] / "configs" / "acdc_cpu.yaml"
FIELD_MM = 240.0  # the side of the network grid
FOLD = "full"
LEARNERS = ("random_forest", "gradient_boosting")
# Displacements of the boundary in mm, common to the members and each one's own, how far they reach,
# and the softness of the maps. Chosen like the ACDC maps of this project's networks: the mean's
# confidence is below 0.99 on 5 % of the pixels and its class
# wrong on 1 %; the members disagree on 0.7 %.
COMMON_MM, OWN_MM, REACH_MM, SOFT_MM = 2.0, 1.0, 8.0, 1.5


def network_config(folder: str | Path, side: int, filters: int, extra=()) -> Config:
    """`acdc_cpu.yaml` on phantoms, networks of a size, whole grids and no mirror images.

    Args:
        folder: Where data and cache lie.
        side: Of the network grid, in pixels; the field of view stays the same.
        filters: Of both networks' first level.
        extra: More `section.key=value` overrides.
    """
    overrides = [
        f"data.root={folder}/patients",
        f"data.cache={folder}/cache",
        f"preprocess.size=[{side}, {side}]",
        f"preprocess.spacing={FIELD_MM / side}",
        "train.crop=null",
        "predict.mirror=none",
        f"networks.unet_advanced.filters={filters}",
        f"networks.deep_unet_improved.filters={filters}",
        *extra,
    ]
    return load_config(CONFIG, overrides)


def phantoms(root: Path, patients: int, modality: str = "mri", seed: int = 0) -> Path:
    """A folder of phantoms, made where it does not exist yet."""
    if not root.exists():
        write_phantoms(root, patients, modality, seed)
    return root


def make_patients(folder: Path) -> None:
    """Makes what workers read, before several of them start at the same time."""
    phantoms(folder / "patients", 4)
    for modality in ("mri", "echo"):
        new_patient(folder, modality)


def phantom_cache(config: Config) -> Cache:
    """The preprocessed slices of four phantom patients, about 80."""
    root = phantoms(Path(config.data.root), 4)
    data = DATASETS["acdc"]
    files = data.find(root, config.data.views, config.data.phases)
    folder = Path(config.data.cache)
    return open_cache(folder, files, data.num_classes, config.preprocess, fingerprint(files))


def build_run(folder: str, side: int, filters: int, extra: list[str]) -> Callable[[], dict]:
    """Prepares the making of a finished run in `folder/run`.

    Its networks have random weights; its learners and threshold are fitted by the `stack` stage, on
    maps of six phantom patients that look trained. The plain mean is its model in use.
    """

    def build() -> dict:
        began = time.perf_counter()
        chosen = [
            f"data.root={phantoms(Path(folder) / 'run_patients', 8)}",
            "split.validation=0.75",
            "split.test=0.125",
            "stacking.choose=mean",
            f"stacking.learners=[{', '.join(LEARNERS)}]",
        ]
        config = network_config(folder, side, filters, [*chosen, *extra])
        run = create(config, Path(folder) / "run")
        write_networks(run)
        data = prepare(run, find_cases(run))
        _, development = fold_patients(run.split(), FOLD, config.stacking.scheme)
        cache = data.cache
        for number, case in enumerate(cache.of_patients(development)):
            image, label = cache.grid_image(case), cache.label(case)
            maps = maps_that_look_trained(image, label, config.members, number)
            write_maps(run.map(case.name), maps)
        run_stages(run, ("stack",))
        return {"seconds": time.perf_counter() - began}

    return build


def write_networks(run: Run) -> None:
    """Writes a run's networks with random weights, in the precision it would train in."""
    backend.set_precision(run.config.train.precision)
    for number, member in enumerate(run.config.members):
        keras.utils.set_random_seed(number)
        network = build_member(member, run.config, run.dataset.num_classes)
        path = run.models(member, FOLD) / f"{run.config.predict.checkpoint}.keras"
        path.parent.mkdir(parents=True)
        network.save(path)


def new_patient(folder: str | Path, modality: str = "mri") -> Path:
    """The folder of one more phantom patient, with ED and ES, that no run was fitted on."""
    return phantoms(Path(folder) / f"new_{modality}", 1, modality, seed=1)


def new_patient_maps(folder: str | Path, config: Config) -> list[CaseMaps]:
    """Maps of the new patient's ED and ES that look trained."""
    data = DATASETS["acdc"]
    files = data.find(new_patient(folder), config.data.views, config.data.phases)
    maps = []
    for number, case in enumerate(read_cases(files, data.num_classes)):
        image = resample.to_grid(case.image, case.spacing[1:], config.preprocess)
        label = resample.label_to_grid(case.label, image.grid)
        maps.append(maps_that_look_trained(image, label, config.members, 1000 + number))
    return maps


def maps_that_look_trained(
    image: GridImage, label: np.ndarray, members: list[str], seed: int
) -> CaseMaps:
    """A case's maps from its label: boundaries displaced and soft, a little otherwise in each.

    Args:
        image: The slices, for the features.
        label: (slices, height, width) uint8 on the network grid.
        members: The networks' names.
        seed: Of the displacements.
    """
    rng = np.random.default_rng(seed)
    spacing = image.grid.spacing[0]
    rows, columns = np.mgrid[: label.shape[1], : label.shape[2]].astype(np.float32)

    def displacement(size_mm: float) -> np.ndarray:
        noise = rng.standard_normal((2, *label.shape[1:]), dtype=np.float32)
        smooth = np.stack([cv2.GaussianBlur(n, (0, 0), REACH_MM / spacing) for n in noise])
        return smooth * (size_mm / spacing / smooth.std())

    maps = {member: [] for member in members}
    for plane in label:
        one_hot = np.eye(DATASETS["acdc"].num_classes, dtype=np.float32)[plane]
        common = displacement(COMMON_MM)
        for planes in maps.values():
            down, right = common + displacement(OWN_MM)
            moved = cv2.remap(
                one_hot,
                columns + right,
                rows + down,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            planes.append(cv2.GaussianBlur(moved, (0, 0), SOFT_MM / spacing))
    stacked = {member: np.stack(planes).astype(np.float16) for member, planes in maps.items()}
    by_nobody = Provenance(FOLD, frozenset())
    maps = {member: MemberMap(planes, by_nobody) for member, planes in stacked.items()}
    return CaseMaps(f"phantom{seed}", maps, image, label)
