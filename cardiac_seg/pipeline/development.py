"""The development cases: maps by networks that were not trained on them, in folds of patients.

Whatever is fitted or chosen is fitted or chosen on these, and through here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.split import fold_patients, stacking_folds
from cardiac_seg.members.maps import CaseMaps, check_unseen
from cardiac_seg.meta.fit import Sample, draw_sample
from cardiac_seg.pipeline.companions import KEPT, companions_of
from cardiac_seg.pipeline.prepare import Prepared
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import plain_combiner
from cardiac_seg.run.provenance import read_case_maps
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar


@dataclass(frozen=True)
class UnseenMaps:
    """The maps of development cases, read one at a time, as often as they are gone through.

    A run that holds nobody out has none that are unseen: there its training cases' maps are read,
    on which nothing is fitted that combines networks.

    Attributes:
        run: A run with maps of the cases.
        files: The cases, both phases and all views of a patient among them.
        companions: Whether each case comes with the patient's other images.
    """

    run: Run
    files: list[CaseFile]
    companions: bool = False

    def __iter__(self) -> Iterator[CaseMaps]:
        """Each case's maps.

        Raises:
            UserError: If a map is missing or damaged, or a member was trained on its patient.
        """
        read = lru_cache(maxsize=KEPT)(lambda k: self._read(self.files[k]))
        number = {file.name: k for k, file in enumerate(self.files)}
        for file in self.files:
            maps = read(number[file.name])
            if self.companions:
                others = companions_of(file, self.files, lambda o: read(number[o.name]))
                maps = replace(maps, companions=others)
            yield maps

    def _read(self, file: CaseFile) -> CaseMaps:
        maps = read_case_maps(self.run, file.name)
        if self.run.holds_out:
            check_unseen(maps, file.patient, self.run.map(file.name))
        return maps


def development_files(run: Run, data: Prepared) -> list[CaseFile]:
    """The cases that something may be fitted or chosen on."""
    chosen = {f.name for files in unseen_files(run, data).values() for f in files}
    return [file for file in data.files if file.name in chosen]


def folds_of(run: Run, files: list[CaseFile]) -> dict[int, list[CaseFile]]:
    """The development cases of each fold of patients.

    Raises:
        UserError: If the patients are in fewer folds than configured.
    """
    fold_of = run.split().set_index("patient").fold
    numbers = sorted({int(fold_of[file.patient]) for file in files})
    wanted = list(range(run.config.split.folds))
    if numbers != wanted and run.config.stacking.learners:
        raise UserError(
            f"{run.folder / 'split.csv'}: the development patients are in {len(numbers)} folds, "
            f"split.folds is {len(wanted)}; use another --run-dir with fewer folds or more patients"
        )
    return {k: [file for file in files if fold_of[file.patient] == k] for k in numbers}


def draw_samples(run: Run, files: list[CaseFile]) -> dict[str, Sample]:
    """Draws the pixels of each development case, a case at a time.

    Returns:
        Case name -> sample, in the order of `files`.

    Raises:
        UserError: See `UnseenMaps`; or a class is missing from all cases of the other folds.
    """
    plain, samples, seen = plain_combiner(run), {}, {}
    pixels, seed = run.config.stacking.pixels_per_case, run.config.seed
    patient_of = {file.name: file.patient for file in files}
    for maps in bar(UnseenMaps(run, files), "draw pixels", total=len(files), unit="case"):
        samples[maps.name] = draw_sample(maps, patient_of[maps.name], plain, pixels, seed)
        seen[maps.name] = np.bincount(maps.reference.ravel(), minlength=run.dataset.num_classes) > 0
    if run.config.stacking.learners:
        _check_classes(run, folds_of(run, files), seen)
    return samples


def _check_classes(run: Run, folds: dict[int, list[CaseFile]], seen: dict[str, np.ndarray]) -> None:
    for fold in folds:
        others = [file.name for k, group in folds.items() if k != fold for file in group]
        present = np.any([seen[name] for name in others], axis=0)
        for label, structure in enumerate(run.dataset.structures, start=1):
            if not present[label]:
                raise UserError(
                    f"{run.folder}: no {structure} in any of the {len(others)} development cases "
                    f"outside fold {fold}, so no learner can know it; check the labels, take "
                    "another split.seed or more patients"
                )


def unseen_files(run: Run, data: Prepared) -> dict[str, list[CaseFile]]:
    """Fold -> the development cases that its networks are not trained on.

    Of a run that holds nobody out, all cases.
    """
    split, scheme = run.split(), run.config.stacking.scheme
    folds = {f: fold_patients(split, f, scheme)[1] for f in stacking_folds(run.config)}
    return {
        fold: [file for file in data.files if file.patient in patients]
        for fold, patients in folds.items()
    }
