"""What the masks of a study amount to: sizes, ED and ES, clinical indices, doubts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cardiac_seg.data.dataset import Dataset
from cardiac_seg.grid.field import Cut, Field, from_middle
from cardiac_seg.metrics.discs import biplane_volume_ml, discs
from cardiac_seg.metrics.indices import echo_indices, mri_indices, possible_indices
from cardiac_seg.metrics.volumes import structure_sizes, volume_ml
from cardiac_seg.predict.scans import Scan

CLASH = "none: two images"  # how the method begins where scans contradict each other
FIELD_MM = (60.0, 700.0)  # of view, that a picture of a heart can have


@dataclass(frozen=True)
class ScanMeasurements:
    """One scan's masks in numbers, all that summaries need; plain values, for JSON.

    Attributes:
        image: The scan's name.
        study, view, phase: Its place, see `ScanFiles`.
        frames: How many.
        shape: (slices, height, width).
        spacing: (slice, row, column) distance in mm.
        sizes: For each frame, structure -> mL in MRI, cm2 in echo.
        lv_ml: For each frame, the LV cavity's volume; in echo by discs from this view alone. Empty
            where the label set has no LV cavity.
        predicted_dice: For each frame, see `metrics.expected_dice.predicted_dice`.
        ed, es: Indices of the frames, from the largest and the smallest LV volume of a cine, or
            from the image's name; None where unknown.
        times_ms: For each frame, or None.
        heart_rate: Beats per minute, or None.
        seconds: What segmenting took, with the maps that were asked for.
        heart_mm: (row, column) distance in mm from the middle of the image to where the heart was
            found; None where it was not looked for.
        beyond_grid, beyond_image: For each frame, the structures that reach an edge of the network
            grid inside the image, or the edge of the image itself: they may go on beyond it.
    """

    image: str
    study: str
    view: str
    phase: str
    frames: int
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    sizes: list[dict[str, float]]
    lv_ml: list[float]
    predicted_dice: list[float]
    ed: int | None
    es: int | None
    times_ms: list[float] | None
    heart_rate: float | None
    seconds: float
    heart_mm: tuple[float, float] | None
    beyond_grid: list[list[str]]
    beyond_image: list[list[str]]

    @property
    def shown(self) -> dict[str, int]:
        """The frames that count: `ED` and `ES` where known, or else the only one by no name."""
        known = {"ED": self.ed, "ES": self.es}
        return {name: k for name, k in known.items() if k is not None} or {"": 0}

    @property
    def together(self) -> tuple[str, str]:
        """What scans that are measured together share; a cine without a view has all it needs."""
        alone = self.frames > 1 and not self.view
        return self.study, self.image if alone else ""

    @property
    def worst_predicted_dice(self) -> float:
        """The predicted Dice of the worst frame that counts."""
        return min(self.predicted_dice[k] for k in self.shown.values())


MaskOf = Callable[[ScanMeasurements, int], np.ndarray]


def measure(
    scan: Scan,
    masks: list[np.ndarray],
    predicted_dice: list[float],
    cuts: list[Cut],
    field: Field | None,
    dataset: Dataset,
    heart_rate: float | None,
    seconds: float,
) -> ScanMeasurements:
    """Measures one scan's masks.

    Args:
        scan: The scan.
        masks: For each frame, (slices, height, width) uint8.
        predicted_dice: For each frame.
        cuts: For each frame, what ends where the network grid or the image does.
        field: Where the network grid lies; None for the middle of the image.
        dataset: Whose labels they are.
        heart_rate: Beats per minute, or None.
        seconds: What the scan took.
    """
    sizes = [
        structure_sizes(mask, scan.spacing, dataset.anatomy, dataset.modality.ndim)
        for mask in masks
    ]
    lv_ml = lv_volumes_ml(masks, scan.spacing, dataset)
    ed = 0 if scan.files.phase == "ED" else None
    es = 0 if scan.files.phase == "ES" else None
    if scan.frames > 1 and lv_ml:
        ed, es = int(np.argmax(lv_ml)), int(np.argmin(lv_ml))
    times = scan.frame_times_ms
    across, down, along = map(float, scan.spacing)
    return ScanMeasurements(
        scan.files.name,
        scan.files.study,
        scan.files.view,
        scan.files.phase,
        scan.frames,
        scan.shape,
        (across, down, along),
        sizes,
        lv_ml,
        predicted_dice,
        ed,
        es,
        None if times is None else [float(t) for t in times],
        heart_rate,
        seconds,
        _heart_mm(scan, field, dataset),
        [_names(cut.by_field, dataset) for cut in cuts],
        [_names(cut.by_image, dataset) for cut in cuts],
    )


def _heart_mm(scan: Scan, field: Field | None, dataset: Dataset) -> tuple[float, float] | None:
    if field is None or dataset.modality.ndim != 3:
        return None
    height, width = scan.shape[1:]
    down, right = from_middle(field, (height, width), scan.spacing[1:])
    return round(down, 1), round(right, 1)


def _names(labels: frozenset[int], dataset: Dataset) -> list[str]:
    return [dataset.structures[label - 1] for label in sorted(labels)]


def lv_volumes_ml(
    masks: list[np.ndarray], spacing: tuple[float, float, float], dataset: Dataset
) -> list[float]:
    """The LV cavity's volume in each frame's mask; nothing where the label set has none.

    Args:
        masks: For each frame, (slices, height, width) uint8.
        spacing: (slice, row, column) distance in mm.
        dataset: Whose labels they are.
    """
    lv = dataset.anatomy.label("lv_cavity")
    if lv is None:
        return []
    if dataset.modality.ndim == 3:
        return [volume_ml(mask == lv, spacing) for mask in masks]
    return [
        biplane_volume_ml(discs(mask[0], spacing[1:], dataset.anatomy))
        if (mask == lv).any()
        else 0.0
        for mask in masks
    ]


def doubts(
    scan: ScanMeasurements, indices: dict[str, float], method: str, limit: float
) -> tuple[str, ...]:
    """Why a person should look at a scan's masks.

    Args:
        scan: The scan.
        indices, method: Of its study, from `clinical_indices`.
        limit: The predicted Dice below which masks are doubtful.
    """
    reasons = []
    if scan.worst_predicted_dice < limit:
        reasons.append(f"predicted Dice {scan.worst_predicted_dice:.2f} is below {limit:.2f}")
    for name, k in scan.shown.items():
        missing = [s for s, size in scan.sizes[k].items() if not size]
        reasons += [f"no {s} {f'at {name}' if name else ''}".strip() for s in missing]
    reasons += _ends(scan)
    field = scan.shape[1] * scan.spacing[1], scan.shape[2] * scan.spacing[2]
    if min(field) < FIELD_MM[0] or max(field) > FIELD_MM[1]:
        reasons.append(
            f"the image is {field[0]:.0f} x {field[1]:.0f} mm; if that is wrong, give --spacing"
        )
    edv, esv = indices.get("lv_edv_ml"), indices.get("lv_esv_ml")
    if edv is not None and esv is not None and not edv > esv > 0:
        reasons.append(f"LV volume of {edv:.0f} mL at ED, {esv:.0f} mL at ES")
    if method.startswith(CLASH):
        reasons.append(method)
    return tuple(reasons)


def _ends(scan: ScanMeasurements) -> list[str]:
    """Structures that may go on where their masks end."""
    reasons = []
    for where, frames in (("network grid", scan.beyond_grid), ("image", scan.beyond_image)):
        cut = dict.fromkeys(s for k in scan.shown.values() for s in frames[k])
        if cut:
            reasons.append(f"{' and '.join(cut)} cut off at the edge of the {where}")
    return reasons


def clinical_indices(
    scans: list[ScanMeasurements], dataset: Dataset, mask_of: MaskOf
) -> tuple[dict[str, float], str]:
    """Indices of one study.

    Args:
        scans: All its scans.
        dataset: Whose labels they are.
        mask_of: Gives the (slices, height, width) mask of a scan's frame; asked in echo only.

    Returns:
        Key of `metrics.indices.INDICES` -> value, and the method; nothing where ED and ES are
        unknown, or where two scans claim one of them.
    """
    if not possible_indices(dataset.anatomy, dataset.modality.ndim):
        return {}, "none: no structure that an index is of"
    frames: dict[tuple[str, str], tuple[ScanMeasurements, int]] = {}
    for scan in scans:
        view = scan.view if dataset.modality.views else ""
        for name, k in scan.shown.items():
            if name and (view, name) in frames:
                return {}, f"{CLASH} of {' '.join((view, name)).strip()}"
            if name:
                frames[view, name] = scan, k
    if not frames:
        return {}, "none: ED and ES unknown"
    rates = {scan.heart_rate for scan in scans} - {None}
    rate = rates.pop() if len(rates) == 1 else None
    if dataset.modality.ndim == 3:
        by_role = dataset.anatomy.by_role
        volumes = {phase: by_role(scan.sizes[k]) for (_, phase), (scan, k) in frames.items()}
        return mri_indices(volumes, rate), "voxels"
    views = {at: (mask_of(scan, k)[0], scan.spacing[1:]) for at, (scan, k) in frames.items()}
    return echo_indices(views, dataset.anatomy, rate)
