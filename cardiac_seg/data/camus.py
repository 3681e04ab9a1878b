"""CAMUS: apical echocardiography, 2CH and 4CH views at ED and ES in the official NIfTI layout."""

from collections.abc import Sequence
from pathlib import Path

from cardiac_seg.anatomy import LA, LV, MYO, Anatomy
from cardiac_seg.data.case import CaseFile, read_info
from cardiac_seg.data.dataset import Dataset, PublishedProtocol, PublishedResult
from cardiac_seg.data.modality import ECHO
from cardiac_seg.system.errors import UserError

LAYOUT = "database_nifti/patient0001/{Info_2CH.cfg, patient0001_2CH_ED[_gt].nii.gz, ...}"
SUBSETS = {"training": "train", "validation": "validation", "testing": "test"}


def find_cases(root: Path, views: Sequence[str], phases: Sequence[str]) -> list[CaseFile]:
    """Lists the images of every patient in the chosen views and phases.

    Args:
        root: Folder that holds `database_nifti/`.
        views: `2CH`, `4CH` or both.
        phases: `ED`, `ES` or both.

    Returns:
        Cases in order of patient, view and phase.

    Raises:
        UserError: If the layout is another one, or a patient lacks an image or a label.
    """
    folders = sorted(p for p in (root / "database_nifti").glob("patient*") if p.is_dir())
    if not folders:
        there = sorted(p.name for p in root.iterdir())[:5] if root.is_dir() else "no such folder"
        raise UserError(f"{root}: no CAMUS patients; expected {LAYOUT}, found {there}")
    return [
        case
        for folder in folders
        for view in views
        for case in _view_cases(root, folder, view, phases)
    ]


def official_split(root: Path, patients: list[str]) -> dict[str, str]:
    """Patient -> `train`, `validation` or `test` from `database_split/subgroup_*.txt`.

    Args:
        root: Folder that holds `database_split/`.
        patients: The patients that are there; each must be in exactly one file.

    Raises:
        UserError: If a file is missing or a patient is in none or in two of them.
    """
    subsets: dict[str, str] = {}
    for official, subset in SUBSETS.items():
        path = root / "database_split" / f"subgroup_{official}.txt"
        try:
            names = path.read_text(encoding="utf-8").split()
        except OSError:
            raise UserError(f"{path}: missing; use split.scheme: random without it") from None
        for name in names:
            if subsets.setdefault(name, subset) != subset:
                raise UserError(f"{path}: {name} is also in another subset's file")
    if lost := sorted(set(patients) - set(subsets)):
        raise UserError(
            f"{root / 'database_split'}: {len(lost)} patients are in no subset, {lost[0]} the first"
        )
    return {patient: subsets[patient] for patient in patients}


def _view_cases(root: Path, folder: Path, view: str, phases: Sequence[str]) -> list[CaseFile]:
    info = read_info(folder / f"Info_{view}.cfg")
    return [
        CaseFile(
            name=f"{folder.name}_{view}_{phase}",
            patient=folder.name,
            image_path=_existing(folder / f"{folder.name}_{view}_{phase}.nii.gz"),
            label_path=_existing(folder / f"{folder.name}_{view}_{phase}_gt.nii.gz"),
            root=root,
            modality=ECHO,
            view=view,
            phase=phase,
            group=info.get("ImageQuality", ""),
            metadata=info,
        )
        for phase in phases
    ]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: missing; each view and phase needs its image and its _gt label")
    return path


CAMUS = Dataset(
    name="camus",
    modality=ECHO,
    anatomy=Anatomy((LV, MYO, LA)),
    stratum="image quality",
    find=find_cases,
    official_split=official_split,
    has_phantoms=True,
    source=(
        "CAMUS, apical echocardiography of one hospital (St Etienne, GE Vivid E95). S. Leclerc et "
        'al., "Deep Learning for Segmentation using an Open Large-Scale Dataset in 2D '
        'Echocardiography", IEEE TMI 38(9), 2019, doi 10.1109/TMI.2019.2900516.'
    ),
    limits=(
        "Other views get masks that mean nothing. One vendor. Poor images were in the data and "
        "score lower."
    ),
    licence="CC BY-NC-SA 4.0",
    published=(
        PublishedResult(
            *("nnU-Net, official 50 test patients", "second-hand"),
            mean_dice="0.910",
            hd95_mm="4.27",
        ),
        PublishedResult(*("TransUNet, the same", "second-hand"), mean_dice="0.912", hd95_mm="4.08"),
        PublishedResult(*("best seen, the same", "second-hand"), mean_dice="0.915", hd95_mm="3.74"),
        PublishedResult(
            *("U-Net + ResNet34, 5-fold", "second-hand"), dice=("0.944", "0.881", "0.906")
        ),
        PublishedResult(
            *("range of published EF", "Leclerc 2019"), ef_r="0.80 to 0.83", ef_mae="5.0 to 5.6"
        ),
    ),
    protocol=PublishedProtocol(  # medRxiv, doi 10.1101/2025.10.08.25337578; its RV is the LA
        source="Rahi 2025",
        views=("2CH",),
        phases=("ED",),
        scores={  # background, LV, MYO, LA, mean of 4, pixel accuracy
            "unet_advanced": (0.9797, 0.9324, 0.8529, 0.8612, 0.9066, 0.9557),
            "deep_unet_improved": (0.9776, 0.9251, 0.8385, 0.8497, 0.8977, 0.9512),
            "ensemble": (0.9801, 0.9339, 0.8563, 0.8662, 0.9091, 0.9567),
        },
        targets={"mean": 0.85, "LV": 0.90, "MYO": 0.80, "background": 0.95, "accuracy": 0.90},
    ),
)
