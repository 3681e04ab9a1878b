"""Exports phantoms, trains the real nnU-Net on them and stacks with its maps: `make test-nnunet`.

nnU-Net is called by its own commands, in an environment of its own. It checks the dataset, takes
the run's folds, trains a tiny network for two epochs on each of them and stores the softmax of the
cases that were left out; the run takes these maps as a member. MRI goes through `3d_fullres` with
folds of patients, echo through `2d` with validation patients. Exit code 0: all of it worked.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from cardiac_seg.data.case import CaseFile
from cardiac_seg.data.nnunet import dataset_name, exported_folds
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.data.split import fold_patients
from cardiac_seg.run.folder import Run
from cardiac_seg.run.open import open_run
from cardiac_seg.run.provenance import read_case_maps

REPO = Path(__file__).resolve().parents[2]
TWO_EPOCHS = REPO / "tests/campaigns/nnunet/two_epochs.py"
TRAINER, PLANS, MEMBER = "TwoEpochs", "nnUNetPlans", "nnunet"
PLACES = ("raw", "preprocessed", "results")  # nnU-Net's, each named by a variable
CONFIG = """\
data:
  dataset: {dataset}
  root: {dataset}_phantoms
  cache: cache
  views: [2CH]
  phantom: {{patients: 8, seed: 0}}
split: {{scheme: random, validation: 0.25, test: 0.25, folds: 2}}
preprocess: {{spacing: 5.0, size: [32, 32]}}
members: [unet_advanced, {member}]
networks:
  unet_advanced: {{filters: 4}}
{network}
train: {{precision: float32, epochs: 1, warmup: 0}}
stacking:
  scheme: {scheme}
  pixels_per_case: 300
  features: [margin]
  learners: [logistic]
"""
# The network and the grid of a tiny plan, for images of two and of three dimensions. Two stages are
# too few: deep supervision then divides by zero.
TINY_NETWORK = {
    "n_stages": 3,
    "features_per_stage": [4, 8, 8],
    "n_conv_per_stage": [1, 1, 1],
    "n_conv_per_stage_decoder": [1, 1],
}
TINY = {
    "2d": {
        "patch_size": [64, 64],
        "strides": [[1, 1], [2, 2], [2, 2]],
        "kernel_sizes": [[3, 3]] * 3,
    },
    "3d_fullres": {
        "patch_size": [8, 64, 64],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    },
}
TINY_SPACING = 3.0  # mm in the plane: another than the images', so that maps come back resampled


@dataclass(frozen=True)
class Trip:
    """One dataset's way through nnU-Net.

    Attributes:
        dataset: Its name here.
        number: nnU-Net's.
        configuration: nnU-Net's, of two or three dimensions.
        scheme: Of the run's stacking.
        folder: Where all of it lies.
    """

    dataset: str
    number: int
    configuration: str
    scheme: str
    folder: Path

    @property
    def run(self) -> Run:
        """The run that is exported, and stacked in the end."""
        return open_run(self.folder / self.dataset)

    @property
    def files(self) -> list[CaseFile]:
        """Its cases."""
        data = self.run.config.data
        return self.run.dataset.find(self.folder / data.root, data.views, data.phases)

    @property
    def name(self) -> str:
        """The folder's name in all of nnU-Net's places."""
        return dataset_name(self.number, DATASETS[self.dataset])

    @property
    def results(self) -> Path:
        """Where nnU-Net's trainings lie."""
        training = f"{TRAINER}__{PLANS}__{self.configuration}"
        return self.folder / "results" / self.name / training


def main() -> int:
    """Goes both ways; returns 1 where a step fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--python", type=Path, default=REPO / ".venv-baselines/bin/python", help="nnU-Net's"
    )
    parser.add_argument("--keep", type=Path, help="work here, and keep it (default: a new folder)")
    parser.add_argument(
        "--no-stack", action="store_true", help="stop where nnU-Net's maps are there"
    )
    args = parser.parse_args()
    folder = args.keep or Path(tempfile.mkdtemp(prefix="test-nnunet-"))
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    trips = (
        Trip("acdc", 27, "3d_fullres", "out_of_fold", folder),
        Trip("camus", 28, "2d", "holdout", folder),
    )
    try:
        for trip in trips:
            there(trip, args.python.absolute(), stacked=not args.no_stack)
            if not args.no_stack:
                and_back(trip)
    except (subprocess.CalledProcessError, AssertionError) as error:
        print(f"test-nnunet: failed: {error}", file=sys.stderr)
        return 1
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("test-nnunet: passed")
    return 0


def there(trip: Trip, python: Path, stacked: bool) -> None:
    """A prepared run, exported, checked, planned and trained on by nnU-Net."""
    write_config(trip, stacked)
    config = ("--config", f"{trip.dataset}.yaml", "--run-dir", trip.dataset)
    call(trip, sys.executable, REPO / "train_ensemble.py", *config, "--stage", "prepare")
    ours = (sys.executable, "-m", "cardiac_seg", "export-nnunet", trip.dataset)
    call(trip, *ours, "--id", str(trip.number))

    number, split = ("-d", str(trip.number)), "splits_final.json"
    plan = (*number, "--verify_dataset_integrity", "--no_pp", "-npfp", "1")
    call(trip, python.with_name("nnUNetv2_plan_and_preprocess"), *plan)
    exported, taken = (trip.folder / place / trip.name / split for place in ("raw", "preprocessed"))
    assert json.loads(taken.read_text()) == json.loads(exported.read_text()), f"{taken}: others"
    make_tiny(trip)
    only = ("-c", trip.configuration)
    call(trip, python.with_name("nnUNetv2_preprocess"), *number, *only, "-np", "1")

    folds = [str(k) for k in range(len(exported_folds(trip.run.config)))]
    for fold in folds:
        what = (str(trip.number), trip.configuration, fold)
        call(trip, python, TWO_EPOCHS, "train", *what, "--npz")
    images = ("-i", trip.folder / "raw" / trip.name / "imagesTs", "-o", trip.results)
    by = (*number, *only, "-f", *folds, "-npp", "1", "-nps", "1")
    call(trip, python, TWO_EPOCHS, "predict", *images, *by, "--save_probabilities")
    check_maps(trip)


def write_config(trip: Trip, stacked: bool) -> None:
    """The run's configuration; with `stacked`, nnU-Net is a member of it."""
    split = trip.folder / "raw" / trip.name / "splits_final.json"
    external = {"kind": "external", "maps": str(trip.results), "trained_on": str(split)}
    text = CONFIG.format(
        dataset=trip.dataset,
        scheme=trip.scheme,
        member=MEMBER if stacked else "deep_unet_improved",
        network=f"  {MEMBER}: {json.dumps(external)}" if stacked else "",
    )
    (trip.folder / f"{trip.dataset}.yaml").write_text(text)


def make_tiny(trip: Trip) -> None:
    """Makes nnU-Net's plan one that a CPU trains in seconds."""
    path = trip.folder / "preprocessed" / trip.name / f"{PLANS}.json"
    plans, tiny = json.loads(path.read_text()), TINY[trip.configuration]
    plan = plans["configurations"][trip.configuration]
    plan["patch_size"], plan["batch_size"] = tiny["patch_size"], 2
    plan["spacing"][-2:] = [TINY_SPACING, TINY_SPACING]
    network = {key: tiny[key] for key in ("strides", "kernel_sizes")}
    plan["architecture"]["arch_kwargs"].update(TINY_NETWORK | network)
    path.write_text(json.dumps(plans))


def check_maps(trip: Trip) -> None:
    """Each fold's maps are those of the patients that the run leaves out of it, on their grid."""
    run, files = trip.run, trip.files
    split, scheme = run.split(), run.config.stacking.scheme
    for k, fold in enumerate(exported_folds(run.config)):
        _, left_out = fold_patients(split, fold, scheme)
        check_folder(trip.results / f"fold_{k}" / "validation", files, left_out)
    check_folder(trip.results, files, split.patient[split.subset == "test"])


def check_folder(folder: Path, files: list[CaseFile], patients: Iterable[str]) -> None:
    """A folder holds the maps of these patients' cases and no others."""
    wanted = {file.name: file for file in files if file.patient in set(patients)}
    found = {path.stem for path in folder.glob("*.npz")}
    assert found == set(wanted), f"{folder}: maps of {sorted(found)}, not of {sorted(wanted)}"
    for name, file in wanted.items():
        image = nib.load(file.image_path)
        shape = (4, *(*image.shape, 1)[2::-1])
        with np.load(folder / f"{name}.npz") as stored:
            maps = stored["probabilities"]
        assert maps.shape == shape, f"{name}: maps of {maps.shape} for an image of {image.shape}"
        assert np.allclose(maps.sum(0, dtype=np.float32), 1, atol=0.01), f"{name}: no softmax"
        mask = np.asarray(nib.load(folder / f"{name}.nii.gz").dataobj)
        assert np.array_equal(maps.argmax(0), mask.reshape(shape[:0:-1]).T), f"{name}: turned"


def and_back(trip: Trip) -> None:
    """The run goes on with nnU-Net's maps, and says of each whom its network was trained on."""
    call(trip, sys.executable, REPO / "train_ensemble.py", "--resume", trip.dataset)
    run = trip.run
    assert run.is_done("evaluate"), f"{run.folder}: not scored"
    split, scheme = run.split(), run.config.stacking.scheme
    for fold in exported_folds(run.config):
        trained, left_out = fold_patients(split, fold, scheme)
        for file in (file for file in trip.files if file.patient in left_out):
            known = read_case_maps(run, file.name).maps[MEMBER].provenance.trained_on
            assert known == trained, f"{file.name}: by a network of {sorted(known or ())}"
    subsets = json.loads((run.folder / "metrics.json").read_text())["subsets"]
    for subset in ("development", "test"):
        scored = set(subsets[subset]["methods"])
        assert {MEMBER, "logistic"} <= scored, f"{run.folder}: {subset}, scored: {sorted(scored)}"


def call(trip: Trip, *command: str | Path) -> None:
    """Runs a command in the trip's folder; what it prints is shown where it fails."""
    words = [str(word) for word in command]
    print("test-nnunet:", Path(words[0]).name, *words[1:], flush=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "nnUNet"))}
    ours = words[0] == sys.executable
    environment |= {
        "PYTHONPATH": str(REPO) if ours else "",
        **{f"nnUNet_{place}": str(trip.folder / place) for place in PLACES},
        "nnUNet_compile": "f",
        "nnUNet_n_proc_DA": "1",
        "nnUNet_def_n_proc": "1",
    }
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(words, cwd=trip.folder, env=environment, **output)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    done.check_returncode()


if __name__ == "__main__":
    sys.exit(main())
