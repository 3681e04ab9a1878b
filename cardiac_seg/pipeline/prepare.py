"""Finds the cases, splits the patients and opens the cache of preprocessed slices."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.phantoms.dataset import is_phantom, write_phantoms
from cardiac_seg.data.split import ALL, SUBSETS, make_split
from cardiac_seg.grid.cache import Cache, fingerprint, open_cache
from cardiac_seg.run.folder import Run
from cardiac_seg.run.start import record_starts
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import log


@dataclass(frozen=True)
class Prepared:
    """The cases of a run, ready for training and mapping.

    Attributes:
        files: Every labelled case.
        cache: Their slices on the ensemble's network grid, as training sees them.
        member_caches: Member -> the slices on the member's own grid; the same cache where it has
            none of its own.
    """

    files: list[CaseFile]
    cache: Cache
    member_caches: dict[str, Cache]


def find_cases(run: Run) -> list[CaseFile]:
    """The run's labelled cases; generates its phantoms first where they do not exist."""
    data = run.config.data
    if data.phantom and not run.root.exists():
        log.info("generating %d phantom patients in %s", data.phantom.patients, run.root.name)
        write_phantoms(
            run.root, data.phantom.patients, run.dataset.modality.name, data.phantom.seed
        )
    return run.dataset.find(run.root, list(data.views), list(data.phases))


def check_unchanged(run: Run, data_print: str) -> None:
    """Refuses data that are not those that a run was prepared with.

    Args:
        run: A run whose `prepare` stage is done.
        data_print: The `fingerprint` of the cases as they are now.

    Raises:
        UserError: If it is another than the run's.
    """
    if run.manifest.dataset.fingerprint != data_print:
        raise UserError(
            f"{run.root}: the data changed since this run began; restore it or start another run"
        )


def prepare(run: Run, files: list[CaseFile]) -> Prepared:
    """Checks the data, writes `split.csv` and opens the caches of preprocessed slices."""
    config, split_path = run.config, run.folder / "split.csv"
    data_print = fingerprint(files)
    prepared = run.is_done("prepare")
    if prepared:
        check_unchanged(run, data_print)
    with nullcontext() if prepared else run.stage("prepare"):
        if not prepared:  # also where a file is there: it may be of a config given up since
            split = make_split(config, run.dataset, run.root, files)
            with whole_file(split_path) as partial:
                split.to_csv(partial, index=False)
        caches = {}
        for settings in (config, *(config.for_member(name) for name in config.members)):
            key = settings.preprocess.model_dump_json()
            if key not in caches:
                caches[key] = open_cache(
                    Path(config.data.cache),
                    files,
                    run.dataset.num_classes,
                    settings.preprocess,
                    data_print,
                )
        cache = caches[config.preprocess.model_dump_json()]
        run.update_manifest(
            dataset={
                "name": config.data.dataset,
                "phantom": is_phantom(run.root),
                "fingerprint": data_print,
                "patients": len({file.patient for file in files}),
                "cases": len(files),
                "slices": len(cache.images),
            }
        )
        if not prepared:
            record_starts(run)
            run.update_manifest(scored_from_start=True)  # nothing can have been scored before
    split = run.split()
    counts = split.subset.value_counts()
    log.info(
        "%s%s: %d cases, %d slices; patients: %s",
        config.data.dataset,
        " (phantom)" if is_phantom(run.root) else "",
        len(files),
        len(cache.images),
        ", ".join(f"{counts.get(s, 0)} {s}" for s in (SUBSETS if run.holds_out else (ALL,))),
    )
    tell_what_is_beyond(run.root.name, cache)
    member_caches = {
        name: caches[config.for_member(name).preprocess.model_dump_json()]
        for name in config.members
    }
    return Prepared(files, cache, member_caches)


def tell_what_is_beyond(name: str, cache: Cache) -> None:
    """Says what of the reference lies outside the grid that networks are trained on."""
    cut = [case for case in cache.cases.values() if case.beyond]
    total = sum(case.label_pixels for case in cache.cases.values())
    if cut:
        worst = max(cut, key=lambda case: case.beyond / case.label_pixels)
        log.warning(
            "%s: %.2f %% of the reference lies outside the network grid, in %d of %d cases "
            "(%s loses %.0f %%); a larger preprocess.size shows more, and so may another "
            "preprocess.field",
            name,
            100 * sum(case.beyond for case in cut) / total,
            len(cut),
            len(cache.cases),
            worst.name,
            100 * worst.beyond / worst.label_pixels,
        )
