"""Softmax maps as nnU-Net v2 leaves them, made from the labels of phantoms."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

NAMES = ("background", "RV", "MLV", "LVC")  # in our order of classes
LABELS = {"background": 0, "LVC": 1, "MLV": 2, "RV": 3}  # another order than ours


def softmax_of(label: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """(x, y, z, class) in our order: the one-hot label of a file, blurred in plane."""
    one_hot = np.eye(len(NAMES), dtype=np.float32)[label.astype(int)]
    blurred = gaussian_filter(one_hot, (sigma, sigma, 0, 0))
    return blurred / blurred.sum(-1, keepdims=True)


def in_their_order(maps: np.ndarray) -> np.ndarray:
    """The channels as `LABELS` numbers them."""
    return maps[..., [NAMES.index(name) for name in LABELS]]


def write_npz(path: Path, maps: np.ndarray) -> Path:
    """Writes (x, y, z, class) maps in our order as nnU-Net does: classes z y x."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, probabilities=in_their_order(maps).transpose(3, 2, 1, 0))
    return path


def write_nifti(path: Path, maps: np.ndarray, affine: np.ndarray) -> Path:
    """Writes (x, y, z, class) maps in our order as an image of their own order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(in_their_order(maps).astype(np.float32), affine), path)
    return path


def write_dataset(folder: Path, labels: dict = LABELS, **more) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dataset.json"
    path.write_text(json.dumps({"labels": labels, "channel_names": {"0": "cine"}} | more))
    return path


def write_results(folder: Path, files, folds: int = 2, sigma: float = 1.0) -> Path:
    """Results of nnU-Net: each patient validated in one fold, all others trained on; the splits."""
    write_dataset(folder)
    patients = sorted({file.patient for file in files})
    fold_of = {patient: k % folds for k, patient in enumerate(patients)}
    splits: list[dict] = [{"train": [], "val": []} for _ in range(folds)]
    for file in files:
        label = np.asarray(nib.load(file.label_path).dataobj)
        place = folder / f"fold_{fold_of[file.patient]}" / "validation"
        write_npz(place / f"{file.image_stem}.npz", softmax_of(label, sigma))
        for k, split in enumerate(splits):
            split["val" if k == fold_of[file.patient] else "train"].append(file.image_stem)
    path = folder / "splits_final.json"
    path.write_text(json.dumps(splits))
    return path
