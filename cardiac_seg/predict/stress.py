"""What a run withstands: its development images, perturbed and segmented."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cardiac_seg.data.case import Case, CaseFile, read_case
from cardiac_seg.data.perturbations.perturbation import NOT_COUNTED, Perturbation, Spacing
from cardiac_seg.data.perturbations.registry import perturbations_of
from cardiac_seg.data.split import deployed_folds, fold_patients, stacking_folds
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from cardiac_seg.predict.journal import fingerprint
from cardiac_seg.predict.predictor import Ensemble
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import read_predicted_dice
from cardiac_seg.run.open import open_run
from cardiac_seg.run.stress_table import AS_IS, STRESS, read_stress, stress_path, write_stress
from cardiac_seg.system.atomic import remove_leftovers, write_json
from cardiac_seg.system.checked_reads import read_json
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar, log
from cardiac_seg.version import __version__

NOTES = f"{STRESS}.json"  # what the table was made of


@dataclass(frozen=True)
class Step:
    """One image to segment of each case."""

    perturbation: str
    unit: str
    strength: float
    kind: Perturbation | None

    def changed(self, case: Case, seed: int) -> tuple[np.ndarray, np.ndarray, Spacing]:
        """Image, label and spacing; what is drawn is the same at every strength."""
        if self.kind is None:
            return case.image, case.reference, case.spacing
        rng = np.random.default_rng([seed, *self.kind.name.encode(), *case.file.name.encode()])
        return self.kind.apply(case.image, case.reference, case.spacing, self.strength, rng)


def stress(
    folder: Path, patients: int | None = None, root: Path | None = None, output: Path | None = None
) -> Path:
    """Segments perturbed images of development patients that the networks were not trained on.

    No test patient is looked at. Each case is kept when it is done, so that an interrupted call
    goes on where it was.

    Args:
        folder: A run whose stage `stack` is done, or an exported one.
        patients: How many, the first of the split; default all.
        root: The data, where they are not where the run has them.
        output: Where the tables go; default `<run>/stress`.

    Returns:
        The folder with the table.

    Raises:
        UserError: If the run is not finished, or its development patients are not there.
    """
    run = open_run(folder)
    if run.config.external:
        raise UserError(
            f"{folder}: {', '.join(run.config.external)} brings its maps, and there are none of "
            "perturbed images; use a run of networks alone"
        )
    if output is None:
        if run.manifest.exported:
            raise UserError(f"{folder}: exported, nothing is added to it; give --output DIR")
        output = folder / STRESS
    groups = unseen_cases(run, root, patients)
    steps = list(steps_of(perturbations_of(run.dataset.modality)))
    review_below = read_predicted_dice(run)["review_below"]
    cases = _kept_cases(run, output, steps, review_below)
    files = [file for group in groups.values() for file in group]
    done = sum((cases / f"{file.name}.csv").is_file() for file in files)
    with bar(
        description="stress", total=len(files) * len(steps), initial=done * len(steps), unit="image"
    ) as progress:
        for fold, group in groups.items():
            group = [file for file in group if not (cases / f"{file.name}.csv").is_file()]
            if not group:
                continue
            ensemble = Ensemble.load(folder, [fold])
            for file in group:
                case = read_case(file, run.dataset.num_classes)
                table = stress_case(ensemble, case, steps, review_below, progress.update)
                write_stress(cases / f"{file.name}.csv", table)
    tables = [read_stress(cases / f"{file.name}.csv") for file in files]
    write_stress(stress_path(output), pd.concat(tables))
    log.info("%s: %d cases, %d images each", stress_path(output), len(files), len(steps))
    return output


def steps_of(perturbations: tuple[Perturbation, ...]) -> Iterator[Step]:
    """The image as it is, then each perturbation at each strength."""
    yield Step(AS_IS, "", 0, None)
    for kind in perturbations:
        for strength in kind.strengths:
            yield Step(kind.name, kind.unit, strength, kind)


def stress_case(
    ensemble: Ensemble, case: Case, steps: list[Step], review_below: float, after=lambda: None
) -> pd.DataFrame:
    """Segments a case as it is and perturbed; see docs/analysis.md for the columns."""
    dataset, rows = ensemble.run.dataset, []
    for step in steps:
        image, label, spacing = step.changed(case, ensemble.run.config.seed)
        result = ensemble.segment(image, spacing)
        doubtful = result.cut.by_field or result.cut.by_image
        counted = label != NOT_COUNTED
        counts = confusion(label[counted], result.mask[counted], dataset.num_classes)
        dice = pd.Series(dice_from_confusion(counts)[1:], dataset.structures)
        rows.append(
            {
                "case": case.file.name,
                "patient": case.file.patient,
                "perturbation": step.perturbation,
                "strength": step.strength,
                "unit": step.unit,
                **dice.add_prefix("dice_"),
                "dice": dice.mean(),  # of the structures in reference or mask
                "predicted_dice": result.predicted_dice,
                "review": "yes" if doubtful or result.predicted_dice < review_below else "no",
            }
        )
        after()
    return pd.DataFrame(rows)


def unseen_cases(run: Run, root: Path | None, patients: int | None) -> dict[str, list[CaseFile]]:
    """Fold -> the cases of development patients that its networks were not trained on.

    Raises:
        UserError: If the run has no such networks, or the patients are not in its data.
    """
    if not run.holds_out:
        raise UserError(
            f"{run.folder}: split.scheme: all, its network has seen every patient; use a run that "
            "holds patients out"
        )
    folds, scheme = stacking_folds(run.config), run.config.stacking.scheme
    if run.manifest.exported and not set(folds) <= set(deployed_folds(run.config)):
        raise UserError(
            f"{run.folder}: exported without the networks that have not seen its development "
            "patients; use the run it was made of"
        )
    if root is None and (run.manifest.exported or not run.root.is_dir()):
        raise UserError(f"{run.folder}: its data are not on this machine; give --root DATA")
    root, split, data = root or run.root, run.split(), run.config.data
    fold_of = {p: fold for fold in folds for p in fold_patients(split, fold, scheme)[1]}
    wanted = [patient for patient in split.patient if patient in fold_of][:patients]
    files = run.dataset.find(root, list(data.views), list(data.phases))
    if missing := sorted(set(wanted) - {file.patient for file in files}):
        raise UserError(
            f"{root}: {len(missing)} of the {len(wanted)} development patients are not there, "
            f"{missing[0]} the first; give the data that the run was trained on"
        )
    groups: dict[str, list[CaseFile]] = {fold: [] for fold in folds}
    for file in files:
        if file.patient in wanted:
            groups[fold_of[file.patient]].append(file)
    return groups


def _kept_cases(run: Run, output: Path, steps: list[Step], review_below: float) -> Path:
    """The folder of finished cases; empty where they are of another run or of other steps."""
    cases, path = output / "cases", output / NOTES
    tried = [[step.perturbation, step.strength] for step in steps]
    made_of = [__version__, fingerprint(run), run.config.seed, tried]
    notes = {
        "made_of": hashlib.sha256(json.dumps(made_of).encode()).hexdigest(),
        "version": __version__,
        "seed": run.config.seed,
        "review_below": review_below,
        "perturbations": tried,
    }
    if not path.is_file() or read_json(path) != notes:
        for old in cases.glob("*.csv"):
            old.unlink()
        write_json(path, notes)
    remove_leftovers(output)
    return cases
