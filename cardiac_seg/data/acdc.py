"""ACDC: short-axis cine MRI, ED and ES stacks in the official layout."""

from collections.abc import Sequence
from pathlib import Path

from cardiac_seg.anatomy import LV, MYO, RV, Anatomy
from cardiac_seg.data.case import CaseFile, read_info
from cardiac_seg.data.dataset import Dataset, PublishedProtocol, PublishedResult
from cardiac_seg.data.modality import MRI
from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.system.errors import UserError

LAYOUT = "training/patient001/{Info.cfg, patient001_frame01.nii.gz, patient001_frame01_gt.nii.gz}"


def find_cases(root: Path, views: Sequence[str], phases: Sequence[str]) -> list[CaseFile]:
    """Lists the ED and ES volumes of every patient.

    Args:
        root: Folder that holds `training/` and perhaps `testing/`.
        views: Not used; short-axis MRI has one view.
        phases: `ED`, `ES` or both.

    Returns:
        Cases in order of patient and phase.

    Raises:
        UserError: If the layout is another one, or a patient lacks a phase or a label.
    """
    folders = [
        folder
        for subset in ("training", "testing")
        for folder in (root / subset).glob("patient*")
        if folder.is_dir()
    ]
    folders.sort(key=lambda folder: folder.name)
    if not folders:
        there = sorted(p.name for p in root.iterdir())[:5] if root.is_dir() else "no such folder"
        raise UserError(f"{root}: no ACDC patients; expected {LAYOUT}, found {there}")
    return [_phase_case(root, folder, phase) for folder in folders for phase in phases]


def official_split(root: Path, patients: list[str]) -> dict[str, str]:
    """Patient -> `train` or `test` by the folder it lies in; ACDC names no validation patients.

    Args:
        root: Folder that holds `training/` and `testing/`.
        patients: The patients that are there.

    Raises:
        UserError: If there is no `testing/` patient.
    """
    subsets = {p: "test" if (root / "testing" / p).is_dir() else "train" for p in patients}
    if "test" not in subsets.values():
        raise UserError(f"{root / 'testing'}: no patients; use split.scheme: random without them")
    return subsets


def _phase_case(root: Path, folder: Path, phase: str) -> CaseFile:
    info = read_info(folder / "Info.cfg")
    frame = info.get(phase, "")
    if not frame.isdigit():
        raise UserError(
            f"{folder / 'Info.cfg'}: no frame number for {phase}; expected '{phase}: N'"
        )
    stem = f"{folder.name}_frame{int(frame):02d}"
    image, label = (_nifti(folder, name) for name in (stem, f"{stem}_gt"))
    return CaseFile(
        name=f"{folder.name}_{phase}",
        patient=folder.name,
        image_path=image,
        label_path=label,
        root=root,
        modality=MRI,
        phase=phase,
        group=info.get("Group", ""),
        metadata=info,
    )


def _nifti(folder: Path, stem: str) -> Path:
    for suffix in (".nii.gz", ".nii"):
        if (path := folder / f"{stem}{suffix}").is_file():
            return path
    raise UserError(
        f"{folder / stem}.nii.gz: missing; each phase needs its image and its _gt label"
    )


ACDC = Dataset(
    name="acdc",
    modality=MRI,
    anatomy=Anatomy((RV, MYO, LV)),
    stratum="group",
    stratum_titles={"RV": "abnormal RV"},  # to tell the pathology from the structure
    find=find_cases,
    official_split=official_split,
    has_phantoms=True,
    source=(
        "ACDC, short-axis cine MRI of one hospital (Dijon, Siemens, 1.5 and 3 T). O. Bernard et "
        'al., "Deep Learning Techniques for Automatic MRI Cardiac Multi-structures Segmentation '
        'and Diagnosis: Is the Problem Solved?", IEEE TMI 37(11), 2018.'
    ),
    limits=(
        "Short-axis stacks only, base to apex. Congenital heart disease, metal artefacts, other "
        "vendors and late enhancement were not in the data. Masks are least reliable in the RV and "
        "on the outermost slices."
    ),
    licence="CC BY-NC-SA 4.0",
    published=(
        PublishedResult("nnU-Net, 5-fold, 100 patients", "Isensee 2024", mean_dice="0.9154"),
        PublishedResult("nnU-Net ResEnc-M, the same", "Isensee 2024", mean_dice="0.9199"),
        PublishedResult("MedNeXt-L, the same", "Isensee 2024", mean_dice="0.9265"),
        PublishedResult(
            *("nnU-Net, 70/10/20 split", "second-hand"),
            dice=("0.902", "0.892", "0.954"),
            mean_dice="0.916",
        ),
        PublishedResult(
            *("best of the official test, 50 patients", "challenge"),
            ef_r="0.993",
            ef_bias_sd="-0.4 ± 2.7",
        ),
    ),
    protocol=PublishedProtocol(  # trained with nnU-Net's "fold all", and scored on the same cases
        source="HeartSeg, nnU-Net v2 3d_fullres",
        views=(),
        phases=("ED", "ES"),
        scores={"unet_3d": (0.979, 0.965, 0.985, 0.976)},  # RV, MYO, LV, their mean
        per_case=True,
        member="unet_3d",
        scored_on=TRAINING_CASES,
    ),
)
