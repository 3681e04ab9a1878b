"""Images to segment: NIfTI files and DICOM series, found in any folder and opened alike."""

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from cardiac_seg.data.case import check_pixels, read_info
from cardiac_seg.data.dicom.find import find_series, is_dicom
from cardiac_seg.data.dicom.series import Series, read_series
from cardiac_seg.data.modality import Modality
from cardiac_seg.data.nifti import Layout, Nifti, open_nifti
from cardiac_seg.data.orientation import AS_STORED, find_orientation, is_nominal
from cardiac_seg.system.errors import UserError

SUFFIXES = (".nii.gz", ".nii")
LABEL = "_gt"  # ends the names of reference labels, which are no images
# What the official names say of an image, if anything.
PLACE = re.compile(
    r"(?P<patient>.+?)(_(?P<view>2CH|4CH))?(_(?P<phase>ED|ES)|(?P<clip>_half_sequence))?",
    re.DOTALL,
)
FRAME = re.compile(r"(?P<patient>.+)_frame(?P<frame>\d+)", re.DOTALL)
MAX_FIELD_MM = 2000.0  # no picture of a heart is wider


@dataclass(frozen=True)
class ScanFiles:
    """Where a scan lies; nothing of it has been read.

    Attributes:
        name: Its path under `root` without suffix, as results call it.
        paths: A NIfTI file, or the files of a DICOM series.
        root: The folder that names start from.
        study: What ED, ES and views of one patient share; a scan by itself is its own.
        view: `2CH`, `4CH`, or empty where unknown.
        phase: `ED`, `ES`, or empty where unknown.
    """

    name: str
    paths: tuple[Path, ...]
    root: Path
    study: str
    view: str = ""
    phase: str = ""

    @property
    def patient(self) -> str:
        """Whose images belong together: the study's."""
        return self.study

    @property
    def is_dicom(self) -> bool:
        """Whether the files are DICOM."""
        return not self.paths[0].name.lower().endswith(SUFFIXES)

    @property
    def mask_path(self) -> Path:
        """Where its mask goes under the output folder: a NIfTI file's own relative path."""
        if self.is_dicom:
            return Path(f"{self.name}.nii.gz")
        return self.paths[0].relative_to(self.root)


@dataclass(frozen=True)
class Scan:
    """A scan whose headers were read and fit together; pixels are read a frame at a time.

    Attributes:
        files: Where it lies.
        frames: How many.
        shape: (slices, height, width) of one frame in the canonical frame.
        spacing: (slice, row, column) distance in mm.
        layout: How masks are to lie in a NIfTI file.
        heart_rate: Beats per minute from the header, or None.
        frame_times_ms: (frames,) after the R peak or the first frame, or None.
        series: The DICOM series, or None.
    """

    files: ScanFiles
    frames: int
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    layout: Layout
    heart_rate: float | None = None
    frame_times_ms: np.ndarray | None = None
    series: Series | None = None
    _nifti: Nifti | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """As results call it."""
        return self.files.name

    @property
    def file_layout(self) -> Layout | None:
        """How it lies in its NIfTI file; None of DICOM."""
        return self.layout if self.series is None else None

    def frame_name(self, frame: int) -> str:
        """What its softmax maps are called: as the file; in a cine `_frame01`, ... behind that."""
        stem = _stem(self.files.paths[0])
        return f"{stem}_frame{frame + 1:02d}" if self.frames > 1 else stem

    def image(self, frame: int) -> np.ndarray:
        """The pixels of a frame, (slices, height, width) float32.

        Raises:
            UserError: If they cannot be read, are constant, or hold NaN.
        """
        if self.series is None:
            assert self._nifti is not None  # a scan has the one or the other
            planes = self._nifti.read(frame)
        else:
            planes = self.layout.orientation.to_canonical(self.series.phase(frame).T)
        at = f", frame {frame + 1}" if self.frames > 1 else ""
        check_pixels(f"{self.files.paths[0]}{at}", planes)
        return np.ascontiguousarray(planes, np.float32)


@dataclass(frozen=True)
class ArrayScan:
    """Frames that are no files; see `Scan` for what is alike."""

    pixels: np.ndarray  # (frames, slices, height, width) float32
    spacing: tuple[float, float, float]
    name: str = "array"
    file_layout: Layout | None = None

    @property
    def frames(self) -> int:
        """How many."""
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, height, width) of one frame."""
        slices, height, width = self.pixels.shape[1:]
        return slices, height, width

    def frame_name(self, frame: int) -> str:
        """See `Scan`."""
        return self.name

    def image(self, frame: int) -> np.ndarray:
        """The pixels of a frame."""
        return self.pixels[frame]


def find_scans(path: Path) -> list[ScanFiles]:
    """The scans under a file or folder: NIfTI images and DICOM series, in any mixture.

    Reference labels (`*_gt.nii*`), hidden files and what is neither format are passed over.

    Args:
        path: A NIfTI file, a DICOM file, or a folder.

    Returns:
        The scans, sorted by name.

    Raises:
        UserError: If there is nothing to segment.
    """
    if path.is_file():
        root, nifti = path.parent, [path] if _is_nifti(path) else []
        if nifti and _stem(path).endswith(LABEL):
            raise UserError(f"{path}: a label by its name (*{LABEL}), no image; give the image")
        if not nifti and not is_dicom(path) and path.suffix.lower() != ".dcm":
            raise UserError(f"{path}: neither NIfTI (.nii, .nii.gz) nor DICOM; convert it")
    elif path.is_dir():
        root = path
        nifti = [file for file in sorted(path.rglob("*")) if _is_nifti(file, root)]
        nifti = [file for file in nifti if not _stem(file).endswith(LABEL)]
    else:
        raise UserError(f"{path}: no such file or folder; check the path")
    scans = [_nifti_files(file, root) for file in nifti]
    if not path.is_file() or not nifti:
        scans += _name_series([tuple(group) for group in find_series(path)], root)
    if not scans:
        raise UserError(
            f"{path}: no image found; expected .nii or .nii.gz files or DICOM series "
            "(*_gt files are labels and not taken)"
        )
    return _unlike(sorted(scans, key=lambda scan: (scan.name, scan.is_dicom)))


def check_stems(scans: list[ScanFiles]) -> None:
    """Refuses NIfTI files of one name in several folders: maps in one folder tell them not apart.

    Raises:
        UserError: If there are two.
    """
    seen: dict[str, Path] = {}
    for path in (scan.paths[0] for scan in scans if not scan.is_dicom):
        if (stem := _stem(path)) in seen:
            raise UserError(
                f"{path}: of the same name as {seen[stem]}, so that the softmax maps of --maps "
                "belong to either; rename one, or predict one folder at a time"
            )
        seen[stem] = path


def open_scan(
    files: ScanFiles, modality: Modality, spacing: tuple[float, float, float] | None = None
) -> Scan:
    """Opens a scan and checks its headers.

    Args:
        files: Of `find_scans`.
        modality: What the networks were trained on.
        spacing: (slice, row, column) distance in mm to work with instead of the headers'; 0 keeps
            the headers'. Masks keep the headers' geometry, where there is one, to lie on the image.

    Raises:
        UserError: If it cannot be read, does not fit together, has no spacing, or is of the other
            modality.
    """
    open_one = _open_dicom if files.is_dicom else _open_nifti
    return _check_field(open_one(files, modality, spacing))


def _open_nifti(files: ScanFiles, modality: Modality, spacing) -> Scan:
    nifti = open_nifti(files.paths[0], modality, spacing)
    layout = nifti.layout
    slices, rows, columns = (layout.volume[axis] for axis in layout.orientation.order)
    return Scan(files, layout.frames, (slices, rows, columns), nifti.spacing, layout, _nifti=nifti)


def _check_field(scan: Scan) -> Scan:
    """Refuses a spacing that no picture of a heart has, before memory is spent on it."""
    field = [n * mm for n, mm in zip(scan.shape[1:], scan.spacing[1:], strict=True)]
    if max(field) > MAX_FIELD_MM:
        raise UserError(
            f"{scan.files.paths[0]}: an image of {field[0]:.0f} x {field[1]:.0f} mm by its "
            "spacing; repair the header or give --spacing"
        )
    return scan


def _open_dicom(files: ScanFiles, modality: Modality, spacing) -> Scan:
    given = spacing or (0.0, 0.0, 0.0)
    series = read_series(list(files.paths), given[1:] if all(given[1:]) else None)
    if series.modality != modality:
        raise UserError(
            f"{files.paths[0]}: {series.modality.one_image}, but this run was trained on "
            f"{modality.images}; use a run of the other dataset"
        )
    frames, slices, rows, columns = series.shape
    stored = (columns, rows, slices)
    across, down, along = (mm or own for mm, own in zip(given, series.spacing, strict=True))
    distances = (along, down, across)  # of `stored`
    orientation = AS_STORED  # rows and columns are what a viewer shows
    if modality.ndim == 3 and not is_nominal(series.affine):
        orientation = find_orientation(series.affine, distances, stored)
    header = nib.Nifti1Header()
    header.set_xyzt_units("mm", "msec")
    layout = Layout(
        stored if frames == 1 else (*stored, frames), frames, orientation, series.affine, header
    )
    first, second, third = orientation.order
    return Scan(
        files,
        frames,
        (stored[first], stored[second], stored[third]),
        (distances[first], distances[second], distances[third]),
        layout,
        series.heart_rate,
        series.phase_times_ms,
        series,
    )


def _nifti_files(path: Path, root: Path) -> ScanFiles:
    name = path.relative_to(root).with_name(_stem(path))
    return ScanFiles(name.as_posix(), (path,), root, *_place(name, path.parent))


def _place(name: Path, folder: Path) -> tuple[str, str, str]:
    """Study, view and phase as the official names and `Info.cfg` say them."""
    if frame := FRAME.fullmatch(name.name):
        patient, view, phase = frame["patient"], "", ""
        info = folder / "Info.cfg"
        frames = {}
        with contextlib.suppress(UserError):  # unreadable: it tells nothing
            frames = read_info(info) if info.is_file() else {}
        for key in ("ED", "ES"):
            if frames.get(key, "").isdigit() and int(frames[key]) == int(frame["frame"]):
                phase = key
        if not phase:  # its own study: nothing says what it belongs to
            patient = name.name
    else:
        found = PLACE.fullmatch(name.name)
        place = found.groupdict("") if found else {}
        patient, view, phase = (place.get(key, "") for key in ("patient", "view", "phase"))
        patient += place.get("clip", "")  # beside the ED and ES images it is measured for itself
    return name.with_name(patient).as_posix(), view, phase


def _name_series(groups: list[tuple[Path, ...]], root: Path) -> list[ScanFiles]:
    """Names for DICOM series: a file's own, or its folder's, numbered where that holds several."""
    folders = [_common_folder(paths) for paths in groups]
    several = Counter(f for f, paths in zip(folders, groups, strict=True) if len(paths) > 1)
    seen: Counter[Path] = Counter()
    scans = []
    for paths, folder in zip(groups, folders, strict=True):
        seen[folder] += len(paths) > 1
        if len(paths) == 1:
            name = paths[0].relative_to(root)
            name = name.with_suffix("") if name.suffix.lower() == ".dcm" else name
        else:
            name = folder.relative_to(root)
            name = Path(root.resolve().name) if name == Path() else name
            if several[folder] > 1:
                name = name / f"series{seen[folder]:02d}"
        scans.append(ScanFiles(name.as_posix(), paths, root, *_place(name, folder)))
    return scans


def _unlike(scans: list[ScanFiles]) -> list[ScanFiles]:
    """The scans, later ones of the same name renamed: results lie side by side.

    A renamed scan is a study by itself: what it would be put together with, the first is.
    """
    names, masks, renamed = set(), {s.mask_path for s in scans if not s.is_dicom}, []
    for scan in scans:
        other, number = scan, 1
        while other.name in names or (other.is_dicom and other.mask_path in masks):
            number += 1
            name = f"{scan.name}_{number}"
            other = replace(scan, name=name, study=name)
        names.add(other.name)
        masks.add(other.mask_path)
        renamed.append(other)
    return renamed


def _is_nifti(path: Path, root: Path | None = None) -> bool:
    """Whether a path is a NIfTI file, and under `root` no hidden one."""
    shown = root is None or not any(part.startswith(".") for part in path.relative_to(root).parts)
    return shown and path.name.lower().endswith(SUFFIXES) and path.is_file() and bool(_stem(path))


def _common_folder(paths: tuple[Path, ...]) -> Path:
    parents = [path.parent for path in paths]
    common = parents[0]
    while not all(parent.is_relative_to(common) for parent in parents):
        common = common.parent
    return common


def _stem(path: Path) -> str:
    """The file name without `.nii` or `.nii.gz`, in any case."""
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
