"""Run directories and tables that somebody or something has changed."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.bad_input.case import NETWORK, BadInput, nifti_bytes, predict


def bad_runs() -> Iterator[BadInput]:
    """Runs with a file that somebody or something has changed."""
    image = nifti_bytes()

    def bad(kind, name, change, command, harmless=False):
        def write(folder, run):
            change(run)
            if command == "predict":
                (folder / "image.nii").write_bytes(image)
                return predict(run, folder / "image.nii")
            if command == "export":
                return ["cardiac_seg", "export", str(run), str(folder / "out")]
            if command == "resume":
                return ["train", "--resume", str(run)]
            return [*command.split(), str(run)]

        return BadInput(kind, f"{name} ({command})", write, harmless, damages=True)

    for name, command, harmless in BY_FILE:
        kind = "CSV" if name.endswith(".csv") else "run directory"
        for what, damage in DAMAGE.items():

            def change(run, name=name, damage=damage):
                damage(found_in(run, name))

            yield bad(kind, f"{name} {what}", change, command, what in harmless)
    for name, (change, command) in EDITS.items():
        kind = "CSV" if ".csv" in name else "run directory"
        yield bad(kind, name, change, command)


def found_in(run: Path, name: str) -> Path:
    """The first file of that name or pattern."""
    return sorted(run.glob(name))[0] if "*" in name else run / name


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {
    "missing": Path.unlink,
    "empty": emptied,
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "of text": lambda path: path.write_text("[1, 2, 3]\n"),
    "a folder": replaced_by_a_folder,
}
# File, the command that reads it, and the damage that it can do without.
BY_FILE = [
    ("config.yaml", "cardiac_seg info", ()),
    ("config.yaml", "predict", ()),
    ("local.yaml", "resume", ("missing", "a folder")),
    ("local.yaml", "predict", ("missing", "a folder")),
    ("manifest.json", "resume", ("missing",)),
    ("manifest.json", "analyze", ("missing",)),
    ("manifest.json", "predict", ("missing",)),
    ("metrics.json", "analyze", ()),
    ("metrics.json", "cardiac_seg info", ("missing", "a folder")),
    ("test_cases.csv", "analyze", ("cut",)),
    ("cases.csv", "export", ("cut",)),
    ("split.csv", "export", ()),
    ("split.csv", "analyze", ()),
    ("meta/cross_fit/fold0.csv", "cardiac_seg compare", ()),
    ("meta/choice.json", "predict", ()),
    ("meta/choice.json", "analyze", ()),
    ("meta/postprocessing.json", "predict", ()),
    ("meta/temperature.json", "predict", ()),
    ("meta/weighted_mean.json", "predict", ()),
    ("meta/thresholds.json", "predict", ()),
    ("meta/interpretation.json", "analyze", ()),
    ("meta/logistic.skops", "predict", ()),
    ("models/unet_advanced/full/last.keras", "predict", ()),
    ("masks/mean/training/*/*.nii.gz", "analyze", ()),
]


def edit_json(name: str, change: Callable) -> Callable[[Path], None]:
    """Rewrites a JSON file of a run with something in it changed."""

    def edit(run):
        values = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps(change(values)))

    return edit


def edit_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Rewrites a text file of a run with a text replaced."""

    def edit(run):
        text = (run / name).read_text()
        assert old in text, (name, old)
        (run / name).write_text(text.replace(old, new))

    return edit


def swap_networks(run: Path) -> None:
    """One under the other's name; the manifest is changed to fit, as a forger would."""
    models = run / "models"
    shutil.copyfile(models / NETWORK, models / "deep_unet_improved/full/last.keras")
    forget = edit_json("manifest.json", lambda values: values | {"models": {}})
    forget(run)


FIT = {"optimism": 0.0, "review_below": 0.5}
DEEP = "[" * 10**5


def nested(depth: int) -> list:
    """A list in a list in a list."""
    return [nested(depth - 1)] if depth else []


EDITS = {
    "a network under another name": (swap_networks, "predict"),
    "the same, and the manifest as it was": (
        lambda run: shutil.copyfile(
            run / "models" / NETWORK,
            run / "models/deep_unet_improved/full/last.keras",
        ),
        "predict",
    ),
    "a member too many": (
        edit_text("config.yaml", "- deep_unet_improved", "- deep_unet_improved\n- deeper"),
        "predict",
    ),
    "another dataset": (edit_text("config.yaml", "dataset: acdc", "dataset: brats"), "predict"),
    "another network grid": (edit_text("config.yaml", "- 32\n  - 32", "- 33\n  - 33"), "predict"),
    "a choice of nobody": (edit_json("meta/choice.json", lambda v: v | {"method": "x"}), "predict"),
    "a choice of two": (edit_json("meta/choice.json", lambda v: v | {"method": [1]}), "analyze"),
    "no predicted Dice": (
        edit_json("meta/choice.json", lambda v: {"method": v["method"]}),
        "predict",
    ),
    "a predicted Dice of text": (
        edit_json("meta/choice.json", lambda v: v | {"predicted_dice": "x"}),
        "predict",
    ),
    "a review limit of NaN": (
        edit_json(
            "meta/choice.json",
            lambda v: v | {"predicted_dice": FIT | {"review_below": float("nan")}},
        ),
        "predict",
    ),
    "an optimism of true": (
        edit_json("meta/choice.json", lambda v: v | {"predicted_dice": FIT | {"optimism": True}}),
        "predict",
    ),
    "a threshold of infinity": (
        edit_json("meta/thresholds.json", lambda v: {k: {"below": float("inf")} for k in v}),
        "predict",
    ),
    "a temperature of a number too long": (
        edit_json("meta/temperature.json", lambda v: dict.fromkeys(v, 10**400)),
        "predict",
    ),
    "a temperature of nothing": (
        edit_json("meta/temperature.json", lambda v: dict.fromkeys(v, 0.0)),
        "predict",
    ),
    "a step for label true": (
        edit_json("meta/postprocessing.json", lambda v: v | {"heart": [True]}),
        "predict",
    ),
    "a step too many": (
        edit_json("meta/postprocessing.json", lambda v: v | {"erode": [1]}),
        "predict",
    ),
    "a choice thousands deep": (
        lambda run: (run / "meta/choice.json").write_text(DEEP),
        "predict",
    ),
    "a manifest hundreds deep": (
        edit_json("manifest.json", lambda v: v | {"stages": v["stages"] | {"x": nested(400)}}),
        "resume",
    ),
    "a format to come": (edit_json("manifest.json", lambda v: v | {"format": 99}), "predict"),
    "a format of text": (edit_json("manifest.json", lambda v: v | {"format": "2"}), "predict"),
    "a step for label 9": (
        edit_json("meta/postprocessing.json", lambda v: v | {"fill_holes": [9]}),
        "predict",
    ),
    "a temperature of text": (
        edit_json("meta/temperature.json", lambda v: dict.fromkeys(v, "x")),
        "predict",
    ),
    "a threshold of text": (
        edit_json("meta/thresholds.json", lambda v: dict.fromkeys(v, "x")),
        "predict",
    ),
    "a manifest that is a list": (edit_json("manifest.json", lambda v: [v]), "resume"),
    "stages of text": (edit_json("manifest.json", lambda v: v | {"stages": "x"}), "resume"),
    "a stage of text": (
        edit_json("manifest.json", lambda v: v | {"stages": {"train": 1}}),
        "resume",
    ),
    "hashes of text": (edit_json("manifest.json", lambda v: v | {"models": "x"}), "predict"),
    "no dataset": (
        edit_json("manifest.json", lambda v: {k: v[k] for k in v if k != "dataset"}),
        "analyze",
    ),
    "another fingerprint": (
        edit_json(
            "manifest.json",
            lambda v: (
                v
                | {"dataset": v["dataset"] | {"fingerprint": "x"}}
                | {"stages": v["stages"] | {"evaluate": {"done": False}}}
            ),
        ),
        "resume",
    ),
    "metrics without subsets": (
        edit_json("metrics.json", lambda v: {k: v[k] for k in v if k != "subsets"}),
        "analyze",
    ),
    "metrics of another method": (
        edit_json("metrics.json", lambda v: v | {"final_method": "x", "control": "x"}),
        "analyze",
    ),
    "test_cases.csv that leads outside": (
        edit_text("test_cases.csv", "training/", "../../training/"),
        "analyze",
    ),
    "test_cases.csv of absolute paths": (
        edit_text("test_cases.csv", "training/", "/training/"),
        "analyze",
    ),
    "test_cases.csv without a column": (edit_text("test_cases.csv", ",group,", ",grp,"), "analyze"),
    "test_cases.csv of an EF of text": (
        lambda run: (run / "test_cases.csv").write_text(
            "case,patient,path,view,phase,group,recorded_ef,heart_rate\na,b,c,,ED,NOR,x,y\n"
        ),
        "analyze",
    ),
    "split.csv without folds": (edit_text("split.csv", ",fold,", ",folds,"), "analyze"),
    "split.csv of text for folds": (
        lambda run: (run / "split.csv").write_text("patient,subset,fold,stratum\np,test,x,\n"),
        "analyze",
    ),
    "fold0.csv of other methods": (
        edit_text("meta/cross_fit/fold0.csv", ",mean,", ",mode,"),
        "cardiac_seg compare",
    ),
    "fold0.csv without scores": (
        edit_text("meta/cross_fit/fold0.csv", ",dice,", ",dices,"),
        "cardiac_seg compare",
    ),
}
