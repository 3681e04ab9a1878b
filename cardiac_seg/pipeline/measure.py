"""Everything that is measured of a test patient: arrays in, rows out."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from cardiac_seg.anatomy import Anatomy
from cardiac_seg.grid.resample import Grid, from_grid
from cardiac_seg.metrics.boundary import BAND_MM, boundary_distance
from cardiac_seg.metrics.calibration import entropy, relative_entropy
from cardiac_seg.metrics.expected_dice import expected_dice, predicted_dice
from cardiac_seg.metrics.indices import EF_AS_RECORDED, echo_indices, mri_indices, possible_indices
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion, overlap_metrics, thirds
from cardiac_seg.metrics.pixels import PixelSums
from cardiac_seg.metrics.surface import surface_metrics
from cardiac_seg.metrics.volumes import structure_size, structure_sizes
from cardiac_seg.pipeline.patient_measures import PatientMeasures
from cardiac_seg.run.folder import REFERENCE_MASKS

ECHO_INDICES = ("lv_edv_ml", "lv_esv_ml", "lv_sv_ml", "lv_ef_percent", EF_AS_RECORDED)


@dataclass(frozen=True)
class Study:
    """What is measured, and of which methods.

    Attributes:
        anatomy: The dataset's structures.
        ndim: 3 for stacks, which are measured as volumes; 2 for planes.
        members: The networks.
        methods: All that are scored.
        pixel_methods: Those whose probabilities are measured.
        control: The method that all others are compared with.
        final: The method in use.
        predicted_dice: What turns its probabilities into a predicted Dice.
    """

    anatomy: Anatomy
    ndim: Literal[2, 3]
    members: tuple[str, ...]
    methods: tuple[str, ...]
    pixel_methods: tuple[str, ...]
    control: str
    final: str
    predicted_dice: dict[str, float]

    @property
    def structures(self) -> tuple[str, ...]:
        """Names in label order."""
        return self.anatomy.names

    @property
    def num_classes(self) -> int:
        """Background included."""
        return len(self.structures) + 1


@dataclass(frozen=True)
class CaseArrays:
    """A case as it is measured.

    Attributes:
        tags: case, patient, view, phase and group.
        fold: Whose networks made the maps.
        label: (slices, height, width) reference on the network grid.
        grid: The network grid.
        probabilities: Method -> (slices, height, width, classes) float32 on the network grid.
        seconds: Method -> what it took from the maps to them.
        masks: `reference` and every method -> (slices, height, width) labels on the native grid.
        spacing: (slice, row, column) of the native grid in mm.
    """

    tags: dict[str, str]
    fold: str
    label: np.ndarray
    grid: Grid
    probabilities: dict[str, np.ndarray] = field(repr=False)
    seconds: dict[str, float]
    masks: dict[str, np.ndarray] = field(repr=False)
    spacing: tuple[float, float, float]


def measure_patient(
    study: Study, cases: Iterator[CaseArrays], heart_rate: float
) -> PatientMeasures:
    """Measures one patient; one case's probabilities are in memory at a time.

    Args:
        study: What is measured.
        cases: The patient's cases.
        heart_rate: Beats per minute; NaN where unknown.
    """
    methods, labels = study.methods, study.num_classes
    sums = PixelSums.zeros(len(study.pixel_methods), labels)
    pooled = np.zeros((len(methods), labels, labels), np.int64)
    seconds = np.zeros(len(methods))
    rows, regions, unsure, scores, folds, entropies, native = [], [], [], [], [], [], {}
    for case in cases:
        folds.append(case.fold)
        native[case.tags["view"], case.tags["phase"]] = case.masks, case.spacing
        sums.add(
            [case.probabilities[m] for m in study.pixel_methods],
            case.probabilities[study.control],
            case.label,
            case.grid.spacing,
        )
        of_case = list(_case_rows(study, case))
        rows += of_case
        dice = np.array([row["dice"] for row in of_case]).reshape(len(methods), labels - 1)
        expected = [expected_dice(case.probabilities[m]) for m in methods]
        scores.append(np.stack([dice, expected], axis=-1))
        for i, method in enumerate(methods):
            classes = case.probabilities[method].argmax(-1)
            pooled[i] += confusion(case.label, classes, labels)
            seconds[i] += case.seconds[method]
        regions += _region_rows(study, case)
        unsure.append(case.tags | _quality(study, case))
        entropies.append(native_entropy(case.probabilities[study.final], case.grid))
    tags = ["case", "patient", "view", "phase", "group"]
    patient = rows[0]["patient"]
    return PatientMeasures(
        cases=pd.DataFrame(rows),
        regions=pd.DataFrame(
            regions, columns=[*tags, "method", "structure", "region", "tp", "fp", "fn"]
        ),
        clinical=pd.DataFrame(
            _clinical_rows(study, native, patient, heart_rate),
            columns=["patient", "method", "volume_method", "index", "value"],
        ),
        quality=pd.DataFrame(unsure),
        bins=sums.bins,
        brier=sums.brier,
        ranked=sums.ranked,
        changes=sums.changes,
        scores=np.stack(scores),
        folds=np.array(folds),
        pooled=pooled,
        seconds=seconds,
        entropies=tuple(entropies),
    )


def native_entropy(probabilities: np.ndarray, grid: Grid) -> np.ndarray:
    """Entropy over log C on the native grid, in steps of 1/255.

    Args:
        probabilities: (slices, *grid.size, classes) float32.
        grid: The geometry.

    Returns:
        (slices, *grid.native) uint8; 0 certain, 255 all classes alike.
    """
    planes = [relative_entropy(from_grid(plane[None], grid)[0]) for plane in probabilities]
    return np.rint(255 * np.clip(np.stack(planes), 0, 1)).astype(np.uint8)


def _case_rows(study: Study, case: CaseArrays) -> Iterator[dict]:
    """The table `cases` of one case: a row per method and structure."""
    reference, spacing = case.masks[REFERENCE_MASKS], case.spacing
    for method in study.methods:
        mask = case.masks[method]
        counts = confusion(reference, mask, study.num_classes)
        for label, structure in enumerate(study.structures, start=1):
            overlap = overlap_metrics(counts, label)
            size = structure_size(int(overlap["tp"] + overlap["fp"]), spacing, study.ndim)
            size_reference = structure_size(int(overlap["tp"] + overlap["fn"]), spacing, study.ndim)
            yield (
                case.tags
                | {"method": method, "structure": structure}
                | overlap
                | surface_metrics(reference == label, mask == label, spacing)
                | {"size": size, "size_reference": size_reference}
                | {"size_difference": size - size_reference}
            )


def _region_rows(study: Study, case: CaseArrays) -> list[dict]:
    """Overlap by thirds of the slices that hold the LV cavity in the reference."""
    lv = study.anatomy.label("lv_cavity")
    if study.ndim == 2 or lv is None:
        return []
    reference, rows = case.masks[REFERENCE_MASKS], []
    cavity = reference == lv
    for region, slices in thirds(cavity).items():
        for method in study.methods:
            counts = confusion(reference[slices], case.masks[method][slices], study.num_classes)
            for label, structure in enumerate(study.structures, start=1):
                overlap = overlap_metrics(counts, label)
                keys = {"method": method, "structure": structure, "region": region}
                rows.append(case.tags | keys | {key: overlap[key] for key in ("tp", "fp", "fn")})
    return rows


def _quality(study: Study, case: CaseArrays) -> dict:
    """What tells good masks from bad ones without a reference.

    How far the members agree, how uncertain the method in use is at its boundary, and the
    predicted Dice that `predict` gives.
    """
    pairs = itertools.combinations(study.members, 2)
    agreement = [
        np.nanmean(
            dice_from_confusion(confusion(case.masks[a], case.masks[b], study.num_classes))[1:]
        )
        for a, b in pairs
        if (case.masks[a] | case.masks[b]).any()
    ]
    probabilities = case.probabilities[study.final]
    near = boundary_distance(probabilities.argmax(-1), case.grid.spacing) <= BAND_MM
    at_boundary = entropy(probabilities[near]) / np.log(study.num_classes)
    return {
        "pairwise_dice": float(np.mean(agreement)) if agreement else np.nan,
        "boundary_entropy": float(at_boundary.mean()) if near.any() else np.nan,
        "predicted_dice": predicted_dice(probabilities, study.predicted_dice),
    }


def _clinical_rows(study: Study, native: dict, patient: str, heart_rate: float) -> Iterator[dict]:
    """Clinical indices of the patient by every method and by the reference.

    None where the structures are not those that indices are defined for.
    """
    anatomy = study.anatomy
    for method in (REFERENCE_MASKS, *study.methods):
        if study.ndim == 3:
            volumes = {
                phase: anatomy.by_role(structure_sizes(masks[method], spacing, anatomy, 3))
                for (_, phase), (masks, spacing) in native.items()
            }
            rate = None if np.isnan(heart_rate) else float(heart_rate)
            indices, volume_method = mri_indices(volumes, rate), "voxels"
        else:
            planes = {
                at: (masks[method][0], spacing[1:]) for at, (masks, spacing) in native.items()
            }
            indices, volume_method = echo_indices(planes, anatomy)
            possible = possible_indices(anatomy, 2)
            indices = {k: indices.get(k, np.nan) for k in ECHO_INDICES if k in possible}
        for index, value in indices.items():
            keys = {"patient": patient, "method": method, "volume_method": volume_method}
            yield keys | {"index": index, "value": value}
