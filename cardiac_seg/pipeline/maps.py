"""Writes the members' softmax maps of cases, and reads them with their provenance."""

from functools import partial

from cardiac_seg.grid.cache import Cache, CachedCase
from cardiac_seg.grid.resample import regrid
from cardiac_seg.members.maps import (
    FOLD_MEAN,
    CaseMaps,
    MemberMap,
    read_maps,
    stored_members,
    write_maps,
)
from cardiac_seg.pipeline.development import unseen_cases
from cardiac_seg.pipeline.prepare import Prepared
from cardiac_seg.run.folder import Run
from cardiac_seg.run.members import members_of
from cardiac_seg.run.provenance import trained_on
from cardiac_seg.system import backend
from cardiac_seg.system.log import bar


def write_development_maps(run: Run, data: Prepared) -> None:
    """Writes the maps of every development case, by networks that were not trained on it."""
    for fold, cases in unseen_cases(run, data.cache).items():
        map_cases(run, data, cases, [fold])


def map_cases(run: Run, data: Prepared, cases: list[CachedCase], folds: list[str]) -> None:
    """Writes the maps of cases, each member's averaged over folds; skips what is there.

    The members run one after the other, so that one network at a time is in memory; a case's
    file is rewritten with each member's map added.

    Args:
        run: The run.
        data: Its cases.
        cases: Which of them, on the ensemble's grid.
        folds: Whose networks map them.
    """
    name, batch_size = folds[0] if len(folds) == 1 else FOLD_MEAN, run.config.predict.batch_size
    for member in members_of(run, partial(trained_on, run)):
        missing = [c for c in cases if member.name not in stored_members(run.map(c.name), name)]
        if not missing:
            continue
        cache = data.member_caches[member.name]
        mapper = member.load(folds)
        images = (cache.grid_image(cache.cases[case.name]) for case in missing)
        progress = bar(total=len(missing), description=f"maps {member.name}", unit="case")
        with backend.memory_advice(batch_size, "predict.batch_size"), progress:
            for case, made in zip(missing, mapper.softmax(images, batch_size), strict=True):
                here, there = cache.cases[case.name].grid, case.grid
                probabilities = regrid(made.probabilities, here, there)
                _add_member(
                    run, data.cache, case, member.name, MemberMap(probabilities, made.provenance)
                )
                progress.update()


def _add_member(run: Run, cache: Cache, case: CachedCase, member: str, made: MemberMap) -> None:
    path = run.map(case.name)
    stored = stored_members(path, made.provenance.fold)
    maps = read_maps(path, stored, trained_on(run, member)).maps if stored else {}
    maps[member] = made
    write_maps(path, CaseMaps(case.name, maps, cache.grid_image(case), cache.label(case)))
