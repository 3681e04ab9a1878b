"""Scores the weights that come with the repository, as they are shipped, on their test patients.

    make pretrained ACDC=/path/to/ACDC CAMUS=/path/to/CAMUS     both, beside the run they come from

Each image is read and segmented as `predict` does it with a patient's folder, the images of a
patient beside each other; Dice per patient on the native grid.
"""

import argparse
from pathlib import Path

import pandas as pd

from cardiac_seg.data.case import read_case
from cardiac_seg.data.registry import DATASETS
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from cardiac_seg.predict.beside import Studies
from cardiac_seg.predict.predictor import Ensemble
from cardiac_seg.predict.scans import find_scans, open_scan
from cardiac_seg.run.formats import read_stored
from cardiac_seg.system.log import bar
from tests.support.paths import REPO

PRETRAINED = REPO / "pretrained"


def score_shipped(name: str, root: Path, most: int | None = None) -> pd.DataFrame:
    """Dice of the shipped masks: a row for each test patient, a column for each structure.

    Args:
        name: A folder of `pretrained/`, and its dataset.
        root: The dataset, in its official layout.
        most: Score the first patients only.
    """
    ensemble = Ensemble.load(PRETRAINED / name)
    split, data = ensemble.run.split(), ensemble.run.config.data
    patients = sorted(split[split.subset == "test"].patient)[:most]
    files = [f for f in DATASETS[name].find(root, data.views, data.phases) if f.patient in patients]
    rows, dataset = [], ensemble.run.dataset
    for patient in bar(patients, name):
        of_patient = [file for file in files if file.patient == patient]
        found = {scan.paths[0]: scan for scan in find_scans(of_patient[0].image_path.parent)}
        studies = Studies(ensemble, [found[file.image_path] for file in of_patient])
        for file in of_patient:
            (frame,) = studies.frames(open_scan(found[file.image_path], dataset.modality))
            label = read_case(file, dataset.num_classes).label
            dice = dice_from_confusion(confusion(label, frame.mask, dataset.num_classes))[1:]
            rows.append((patient, *dice))
    columns = ["patient", *ensemble.run.dataset.structures]
    return pd.DataFrame(rows, columns=columns).groupby("patient").mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in DATASETS:
        parser.add_argument(f"--{name}", type=Path, metavar="ROOT")
    print(
        "| weights | patients | mean Dice, as shipped | of the run | largest gap of a structure |"
    )
    print("|---|---|---|---|---|")
    for name, root in vars(parser.parse_args()).items():
        if not root:
            continue
        table = score_shipped(name, root)
        own, patients = table.mean(), len(table)
        metrics = read_stored(PRETRAINED / name / "metrics.json")
        told = metrics["subsets"]["test"]["methods"][metrics["final_method"]]
        before = pd.Series(told["dice_native_per_patient"])
        gap = (own - before).abs().max()
        print(f"| {name} | {patients} | {own.mean():.4f} | {before.mean():.4f} | {gap:.4f} |")


if __name__ == "__main__":
    main()
