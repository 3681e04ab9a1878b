"""Writes the members' softmax maps of cases."""

from collections.abc import Iterator

import keras
import numpy as np

from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.split import fold_parts, part_patients
from cardiac_seg.grid.cache import Cache, CachedCase
from cardiac_seg.grid.resample import GridImage
from cardiac_seg.members.inference import mean_map, predict_cases
from cardiac_seg.members.maps import CaseMaps, read_maps, stored_members, write_maps
from cardiac_seg.run.folder import Run
from cardiac_seg.run.networks import load_network
from cardiac_seg.system import backend
from cardiac_seg.system.log import bar

FOLD_MEAN = "fold_mean"  # the part of maps that average the networks of all folds


def unseen_cases(run: Run, cache: Cache) -> Iterator[tuple[str, list[CachedCase]]]:
    """Each part with the development cases that its networks were not trained on."""
    split, scheme = run.split(), run.config.stacking.scheme
    for part in fold_parts(run.config):
        yield part, cache.of_patients(part_patients(split, part, scheme)[1])


def development_files(run: Run, files: list[CaseFile], cache: Cache) -> list[CaseFile]:
    names = {case.name for _, cases in unseen_cases(run, cache) for case in cases}
    return [file for file in files if file.name in names]


def map_cases(
    run: Run, cache: Cache, cases: list[CachedCase], parts: list[str], part_name: str
) -> None:
    """Writes the maps of cases, each member's averaged over parts; skips what is there.

    The members run one after the other, so that one network at a time is in memory; a case's
    file is rewritten with each member's map added.
    """
    for member in run.config.members:
        missing = [c for c in cases if member not in stored_members(run.map(c.name), part_name)]
        if not missing:
            continue
        networks = [load_network(run, member, part) for part in parts]
        progress = bar(total=len(missing), description=f"maps {member}", unit="case")
        with backend.memory_advice(run.config.predict.batch_size, "predict.batch_size"), progress:
            for case, maps in _averaged(run, cache, missing, networks):
                _add_member(run, cache, case, member, maps, part_name)
                progress.update()


def _averaged(
    run: Run, cache: Cache, cases: list[CachedCase], networks: list[keras.Model]
) -> Iterator[tuple[CachedCase, np.ndarray]]:
    """Each case with its map, averaged over the networks where there are several."""
    method, settings = run.config.preprocess.normalize, run.config.predict
    streams = [
        predict_cases(
            network,
            ((case, cache.image(case, method)) for case in cases),
            settings.batch_size,
            settings.mirror,
        )
        for network in networks
    ]
    for together in zip(*streams, strict=True):
        yield together[0][0], mean_map([maps for _, maps in together])


def _add_member(
    run: Run, cache: Cache, case: CachedCase, member: str, maps: np.ndarray, part: str
) -> None:
    path = run.map(case.name)
    stored = stored_members(path, part)
    members = read_maps(path, stored).members if stored else {}
    members[member] = maps
    image = GridImage(cache.pixels(case), case.mean, case.std, case.grid)
    write_maps(path, CaseMaps(members, image, part, cache.label(case)))
