"""ACDC: short-axis cine MRI, ED and ES stacks in the official layout."""

from pathlib import Path

from cardiac_seg.data.case import CaseFile, read_info
from cardiac_seg.system.errors import UserError

LAYOUT = "training/patient001/{Info.cfg, patient001_frame01.nii.gz, patient001_frame01_gt.nii.gz}"


def find_acdc(root: Path, views: list[str], phases: list[str]) -> list[CaseFile]:
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
        found = sorted(p.name for p in root.iterdir())[:5] if root.is_dir() else "no such folder"
        raise UserError(f"{root}: no ACDC patients; expected {LAYOUT}, found {found}")
    return [_phase_case(root, folder, phase) for folder in folders for phase in phases]


def official_acdc_split(root: Path, patients: list[str]) -> dict[str, str]:
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
