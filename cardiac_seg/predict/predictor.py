"""A trained run in use: images in, masks out."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cardiac_seg.config.sections import Preprocess
from cardiac_seg.data.nifti import write_mask
from cardiac_seg.data.split import deployed_folds
from cardiac_seg.grid import resample
from cardiac_seg.grid.companions import ALONE, Companions
from cardiac_seg.grid.field import Box, Cut, Field, content_box, field_like, find_cut
from cardiac_seg.grid.resample import GridImage
from cardiac_seg.grid.sector import field_of_sector
from cardiac_seg.masks.native import native_mask
from cardiac_seg.members.locator import Locator
from cardiac_seg.members.maps import CaseMaps, MemberMap, as_companion
from cardiac_seg.members.member import Mapper
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.metrics.calibration import relative_entropy
from cardiac_seg.metrics.expected_dice import predicted_dice
from cardiac_seg.pipeline.localise import field_of_whole_heart
from cardiac_seg.predict.measurements import (
    ScanMeasurements,
    clinical_indices,
    doubts,
    measure,
)
from cardiac_seg.predict.scans import ArrayScan, Scan, find_scans, open_scan
from cardiac_seg.run.external import check_scan_maps
from cardiac_seg.run.folder import Run
from cardiac_seg.run.members import load_locator, members_of
from cardiac_seg.run.meta_folder import final_method, read_combiner, read_predicted_dice, read_steps
from cardiac_seg.run.open import open_run
from cardiac_seg.system import backend
from cardiac_seg.system.errors import UserError

LOOKED_AT = 4  # frames of a cine in which the heart is looked for


@dataclass(frozen=True)
class FrameResult:
    """What a run says about one frame of a scan.

    Attributes:
        mask: (slices, height, width) uint8 label values of the dataset on the native grid.
        maps: The members' maps and the image on the network grid.
        probabilities: (slices, height, width, classes) float32 of the method in use, there.
        predicted_dice: See `metrics.expected_dice.predicted_dice`.
        cut: The labels that end where the image or the field does; none are looked for in echo,
            whose sector always ends.
    """

    mask: np.ndarray
    maps: CaseMaps
    probabilities: np.ndarray
    predicted_dice: float
    cut: Cut = Cut(frozenset(), frozenset())

    @property
    def field(self) -> Field | None:
        """Where the network grid lies; None where that is the middle of the image."""
        grid = self.maps.grid
        return None if grid.window is None else Field(grid.window, grid.size)


@dataclass(frozen=True)
class Prediction:
    """What a run says about one scan; arrays begin with the frames where there are several.

    They are in the canonical frame (`data/orientation.py`), which is that of the file transposed
    unless its affine turns it; `save_mask` turns back.

    Attributes:
        scan: The scan, with spacing and layout.
        frames: Each frame's result on the network grid.
        measured: Sizes, ED and ES.
        indices: Size of each structure, and of `metrics.indices.INDICES` what one scan alone can
            tell.
        review: Why a person should look at it; empty where nothing speaks for that.
    """

    scan: Scan
    frames: tuple[FrameResult, ...]
    measured: ScanMeasurements
    indices: dict[str, float]
    review: tuple[str, ...]

    @property
    def mask(self) -> np.ndarray:
        """([frames,] slices, height, width) uint8 label values on the native grid."""
        return self._of_frames(lambda frame: frame.mask)

    @property
    def probabilities(self) -> np.ndarray:
        """([frames,] slices, height, width, classes) float32 on the native grid."""
        return self._of_frames(native_probabilities)

    @property
    def entropy(self) -> np.ndarray:
        """([frames,] slices, height, width) float32 on the native grid: 0 certain, 1 uniform."""
        return self._of_frames(lambda frame: relative_entropy(native_probabilities(frame)))

    @property
    def predicted_dice(self) -> float:
        """The Dice to expect, of the worse of ED and ES in a cine."""
        return self.measured.worst_predicted_dice

    def save_mask(self, path: str | Path) -> None:
        """Writes the mask as NIfTI on the scan's own grid, axes and directions as stored there."""
        write_mask(Path(path), [frame.mask for frame in self.frames], self.scan.layout)

    def _of_frames(self, compute: Callable[[FrameResult], np.ndarray]) -> np.ndarray:
        arrays = [compute(frame) for frame in self.frames]
        return arrays[0] if len(arrays) == 1 else np.stack(arrays)


class Ensemble:
    """The networks of a run and what combines them, loaded once.

    Example:
        >>> ensemble = Ensemble.load("outputs/acdc")                # doctest: +SKIP
        >>> result = ensemble.predict("patient101_4d.nii.gz")       # doctest: +SKIP
        >>> result.mask.shape, result.indices["lv_ef_percent"]      # doctest: +SKIP
    """

    def __init__(
        self, run: Run, mappers: dict[str, Mapper], combiner: Combiner, locator: Locator | None
    ):
        self.run = run
        self.mappers = mappers
        self.locator = locator
        self.combiner = combiner
        self.method = final_method(run)
        self.steps = read_steps(run)
        self.predicted_dice = read_predicted_dice(run)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        folds: list[str] | None = None,
        maps: Mapping[str, str | Path] | None = None,
    ) -> "Ensemble":
        """Loads a run directory.

        Args:
            folder: A run whose stage `stack` is done.
            folds: Whose networks are loaded, instead of those in use.
            maps: Member that brings its softmax maps -> the folder of those of the images.

        Raises:
            UserError: If the run is damaged, its stage `stack` not done, or maps are not given.
        """
        run = open_run(Path(folder))
        scan_maps = check_scan_maps(run, maps or {})
        if not (run.meta / "choice.json").is_file():  # written last
            raise UserError(
                f"{run.folder}: not finished; train_ensemble.py --resume {run.folder} continues it"
            )
        combiner = read_combiner(run, [final_method(run)])  # first: what fails, fails at once
        folds = folds or deployed_folds(run.config)
        # Whom the networks were trained on matters where something is fitted, which is not here.
        members = members_of(run, lambda member: lambda fold: None, scan_maps)
        locator = load_locator(run, folds) if run.config.preprocess.field == "heart" else None
        return cls(run, {member.name: member.load(folds) for member in members}, combiner, locator)

    def predict(
        self,
        path: str | Path,
        heart_rate: float | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> Prediction:
        """Segments one scan.

        Args:
            path: A NIfTI image, stack or cine, a DICOM file, or the folder of one DICOM series,
                of the modality that the run was trained on.
            heart_rate: Beats per minute, instead of the header's.
            spacing: (slice, row, column) distance in mm, instead of the header's.

        Raises:
            UserError: If it cannot be read, is no usable image, or is more than one scan.
        """
        scans = find_scans(Path(path))
        if len(scans) > 1:
            raise UserError(f"{path}: {len(scans)} images, {scans[0].name} the first; give one")
        began = time.perf_counter()
        scan = open_scan(scans[0], self.run.dataset.modality, spacing)
        frames = tuple(self.frames(scan))
        measured = measure(
            scan,
            [frame.mask for frame in frames],
            [frame.predicted_dice for frame in frames],
            [frame.cut for frame in frames],
            frames[0].field,
            self.run.dataset,
            heart_rate or scan.heart_rate,
            round(time.perf_counter() - began, 3),
        )
        indices, method = clinical_indices(
            [measured], self.run.dataset, lambda _, k: frames[k].mask
        )
        unit = self.run.dataset.modality.size_key
        sizes = measured.sizes[next(iter(measured.shown.values()))]
        return Prediction(
            scan,
            frames,
            measured,
            {f"{s.lower()}_{unit}": size for s, size in sizes.items()} | indices,
            doubts(measured, indices, method, self.predicted_dice["review_below"]),
        )

    def frames(
        self,
        scan: Scan | ArrayScan,
        batch_size: int | None = None,
        companions: Companions = ALONE,
    ) -> Iterator[FrameResult]:
        """Segments a scan frame by frame; a few frames at a time are in memory.

        Where the method in use looks at the other phase, the maps of all frames of a cine are in
        memory: each frame is seen beside the opposite extreme, end-diastole or end-systole.

        Args:
            scan: From `open_scan`.
            batch_size: Slices per step, instead of the configured one.
            companions: The patient's other images, of a scan of one frame.

        Raises:
            UserError: If a frame cannot be read, or a batch does not fit in memory.
        """
        content, maps = content_box(scan.image(0)), self.maps(scan, batch_size)
        if not self.uses_companions or scan.frames == 1:
            for one in maps:
                yield self._combine(one, content, companions)
            return
        every = list(maps)
        for one, beside in zip(every, self._opposite_extremes(every), strict=True):
            yield self._combine(one, content, beside)

    def maps(self, scan: Scan | ArrayScan, batch_size: int | None = None) -> Iterator[CaseMaps]:
        """The members' maps of a scan, frame by frame.

        The network grid has one place in all frames. Where a structure reaches an edge of it inside
        the image, the grid is moved or grown once. Arguments and errors are those of `frames`.
        """
        looked_at = evenly_spaced(scan.frames, LOOKED_AT)
        field = self._find_field(scan, looked_at)
        early: dict[int, CaseMaps] = {}
        if self.locator is not None and field is not None:
            early = dict(self._map(scan, looked_at, field, batch_size))
            settings, content = self.run.config.preprocess, content_box(scan.image(0))
            wider = field_of_whole_heart(
                list(early.values()), field, content, scan.spacing[1:], settings
            )
            if wider is not None:
                field, early = wider, {}
        rest = [k for k in range(scan.frames) if k not in early]
        late = self._map(scan, rest, field, batch_size)
        for k in range(scan.frames):
            yield early.pop(k) if k in early else next(late)[1]

    @property
    def uses_companions(self) -> bool:
        """Whether the method in use looks at the patient's other images."""
        return self.combiner.looks_beside(self.method)

    def _opposite_extremes(self, frames: list[CaseMaps]) -> list[Companions]:
        """For each frame of a cine the extreme phase that it is farther from, by LV area."""
        lv = self.combiner.features.lv
        sizes = [
            0
            if lv is None
            else int((self.combiner.calibrated_mean(f.probabilities).argmax(-1) == lv).sum())
            for f in frames
        ]
        ed, es = int(np.argmax(sizes)), int(np.argmin(sizes))
        if sizes[ed] == sizes[es]:
            return [ALONE] * len(frames)
        middle = (sizes[ed] + sizes[es]) / 2
        return [
            Companions("ED", as_companion(frames[es]))
            if size > middle
            else Companions("ES", as_companion(frames[ed]))
            for size in sizes
        ]

    def segment(self, image: np.ndarray, spacing: tuple[float, float, float]) -> FrameResult:
        """Segments an image that is no file.

        Args:
            image: (slices, height, width) float32, in the canonical frame.
            spacing: (slice, row, column) distance in mm.
        """
        (frame,) = self.frames(ArrayScan(image[None], spacing))
        return frame

    def _find_field(self, scan: Scan | ArrayScan, looked_at: list[int]) -> Field | None:
        """Where the network grid lies in a study, by some of its frames."""
        settings = self.run.config.preprocess
        if settings.field == "image":
            return None
        images = [scan.image(k) for k in looked_at]
        if self.locator is not None:
            return self.locator.field(images, scan.spacing[1:], settings)
        return field_of_sector(np.concatenate(images), settings)

    def _map(
        self,
        scan: Scan | ArrayScan,
        chosen: list[int],
        field: Field | None,
        batch_size: int | None,
    ) -> Iterator[tuple[int, CaseMaps]]:
        """Maps some frames of a scan in a field."""
        settings = self.run.config.preprocess
        size = even_batches(
            len(chosen) * scan.shape[0], batch_size or self.run.config.predict.batch_size
        )
        images, *copies = itertools.tee(
            _on_grid(scan, chosen, field, settings, settings), len(self.mappers) + 1
        )
        streams = []
        for (name, mapper), copy in zip(self.mappers.items(), copies, strict=True):
            own = self.run.config.for_member(name).preprocess
            seen = copy if own == settings else _on_grid(scan, chosen, field, settings, own)
            seen, kept = itertools.tee(seen)
            streams.append(zip(kept, mapper.softmax(seen, size), strict=True))
        with backend.memory_advice(size, "--batch-size"):
            for k, image, *of_members in zip(chosen, images, *streams, strict=True):
                maps = {
                    name: MemberMap(
                        resample.regrid(made.probabilities, seen.grid, image.grid), made.provenance
                    )
                    for name, (seen, made) in zip(self.mappers, of_members, strict=True)
                }
                yield k, CaseMaps(scan.name, maps, image)

    def member_mask(self, frame: FrameResult, member: str) -> np.ndarray:
        """One member's own mask, (slices, height, width) uint8 on the native grid."""
        probabilities = frame.maps.probabilities[member].astype(np.float32)
        return native_mask(probabilities, frame.maps.grid, self.steps)

    def finish(self, maps: CaseMaps, scan: Scan | ArrayScan, companions: Companions) -> FrameResult:
        """A frame of a scan from its maps, see `maps` and `frames`."""
        return self._combine(maps, content_box(scan.image(0)), companions)

    def _combine(self, maps: CaseMaps, content: Box, companions: Companions) -> FrameResult:
        ((_, probabilities, _),) = self.combiner.combine(
            maps.probabilities, maps.image, [self.method], companions
        )
        mask = native_mask(probabilities, maps.grid, self.steps)
        cut = Cut(frozenset(), frozenset())
        if self.run.dataset.modality.ndim == 3:
            cut = find_cut(mask, content, resample.shown_window(maps.grid))
        expected = predicted_dice(probabilities, self.predicted_dice)
        return FrameResult(mask, maps, probabilities, expected, cut)


def _on_grid(
    scan: Scan | ArrayScan,
    chosen: list[int],
    field: Field | None,
    theirs: Preprocess,
    own: Preprocess,
) -> Iterator[GridImage]:
    """Frames of a scan on the grid of a member, or of the ensemble, one at a time."""
    place = None if field is None else field_like(field, scan.spacing[1:], theirs, own)
    for k in chosen:
        image = resample.to_grid(scan.image(k), scan.spacing[1:], own, place)
        yield replace(
            image,
            slice_spacing=scan.spacing[0],
            name=scan.frame_name(k),
            layout=scan.file_layout,
        )


def evenly_spaced(frames: int, most: int) -> list[int]:
    """At most so many frames at even distances, the first among them."""
    count = min(frames, most)
    return [k * frames // count for k in range(count)]


def even_batches(slices: int, most: int) -> int:
    """Slices a batch, at most `most`, so that as few as can be are filled up with zeros."""
    return math.ceil(slices / math.ceil(slices / most))


def native_probabilities(frame: FrameResult) -> np.ndarray:
    """(slices, height, width, classes) float32 of the method in use on the native grid."""
    return resample.from_grid(frame.probabilities, frame.maps.grid)
