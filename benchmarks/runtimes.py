"""Optional runtimes against the defaults: ONNX Runtime for trees, OpenVINO for networks."""

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.bench import Bench
from benchmarks.flops import network_flops
from benchmarks.tables import Outcome, Table, milliseconds, times
from benchmarks.timing import alternate, filling, ratios, repeated
from benchmarks.worker import Worker, prepared
from benchmarks.workload import FOLD, LEARNERS, new_patient, new_patient_maps
from cardiac_seg.grid import resample
from cardiac_seg.members.inference import predict_cases
from cardiac_seg.meta.features.feature_set import pixel_features
from cardiac_seg.meta.learners.learner import Learner
from cardiac_seg.meta.learners.onnx_learner import can_compile, load_compiled
from cardiac_seg.meta.learners.sklearn_learner import load_learner
from cardiac_seg.metrics.overlap import confusion, dice_from_confusion
from cardiac_seg.predict.scans import find_scans, open_scan
from cardiac_seg.run.folder import Run
from cardiac_seg.run.members import load_network
from cardiac_seg.run.meta_folder import plain_combiner
from cardiac_seg.run.open import open_run
from cardiac_seg.system.log import log

MISSING = "{} is not installed here (`requirements-fast.txt`)."


def run(bench: Bench) -> Outcome:
    """Both, where they are installed."""
    trees, networks = compare_trees(bench), compare_networks(bench)
    return Outcome([*trees.tables, *networks.tables], {**trees.raw, **networks.raw})


def compare_trees(bench: Bench) -> Outcome:
    """scikit-learn against the compiled learners of the run."""
    rows, sides = [], []
    if can_compile():
        log.info("runtimes: %s", ", ".join(LEARNERS))
        settings = {
            "run_folder": bench.run,
            "folder": bench.folder,
            "seconds": bench.sizes.seconds,
        }
        sides = _in_turns(
            Worker("benchmarks.runtimes:stored_learners", **settings),
            Worker("benchmarks.runtimes:compiled_learners", **settings),
            rounds=bench.sizes.rounds,
        )
    for learner in LEARNERS if sides else ():
        a, b = ([m[learner] for m in side] for side in sides)
        seconds = [[m["seconds"] for m in side] for side in (a, b)]
        change = np.abs(np.load(a[0]["answer"]) - np.load(b[0]["answer"])).max()
        rows.append(
            [
                learner,
                f"{a[0]['pixels']:,}",
                *map(milliseconds, seconds),
                times(ratios(*seconds)),
                f"{change:.1e}",
            ]
        )
    table = Table(
        "Learners on an ED + ES pair, ms",
        ["learner", "pixels", "A: scikit-learn", "B: ONNX Runtime", "A / B", "largest change"],
        rows,
        "All pixels below `act_below`, more than the threshold lets through. Largest change: of a "
        "probability."
        if rows
        else MISSING.format("ONNX Runtime"),
    )
    return Outcome([table], {"trees": sides})


def compare_networks(bench: Bench) -> Outcome:
    """TensorFlow against OpenVINO, with random weights, and with trained ones where there are."""
    rows, raw = [], {}
    subjects = {"random weights": bench.run} if find_spec("openvino") else {}
    if subjects and bench.trained:
        subjects[f"of {bench.trained.name}"] = bench.trained.resolve()
    for name, folder in subjects.items():
        log.info("runtimes: networks, %s", name)
        settings = {
            "run_folder": folder,
            "folder": bench.folder,
            "seconds": bench.sizes.seconds,
        }
        sides = raw[name] = _in_turns(
            Worker("benchmarks.runtimes:networks", "tensorflow", **settings),
            Worker("benchmarks.runtimes:networks", "openvino", **settings),
            rounds=bench.sizes.rounds,
        )
        for member in open_run(folder).config.members:
            some = [[m[member] for m in side] for side in sides]
            rows.append([f"{member}, {name}", *_network_row(*some, bench)])
    table = Table(
        "Networks, ms per slice",
        ["network", "A: TensorFlow", "B: OpenVINO", "A / B", "largest change", "Dice of A and B"],
        rows,
        "In brackets the share of the highest rate. Largest change: of a probability. Dice: of the "
        "argmax masks of both, all slices together, of the class where it is lowest."
        if rows
        else MISSING.format("OpenVINO"),
    )
    return Outcome([table], raw)


def stored_learners(run_folder: str, folder: str, seconds: float) -> Callable[[], dict]:
    """Prepares the learners in scikit-learn, on pixels of maps that look trained."""

    def load(path: Path, features: list[str], classes: int) -> Learner:
        return load_learner(path, path.stem, features, classes)

    return _learners(open_run(Path(run_folder)), folder, seconds, "skops", load)


def compiled_learners(run_folder: str, folder: str, seconds: float) -> Callable[[], dict]:
    """Prepares the same learners compiled."""
    return _learners(open_run(Path(run_folder)), folder, seconds, "onnx", load_compiled)


def networks(run_folder: str, folder: str, seconds: float) -> Callable[[], dict]:
    """Prepares a run's networks on the slices of a new patient, with this process's backend."""
    run = open_run(Path(run_folder))
    settings, slices = run.config.preprocess, []
    for files in find_scans(new_patient(folder, run.dataset.modality.name)):
        scan = open_scan(files, run.dataset.modality)
        image = resample.to_grid(scan.image(0), scan.spacing[1:], settings)
        slices.append(resample.normalize(image.pixels, image.mean, image.std, settings.normalize))
    slices, measurements, about = np.concatenate(slices), {}, {}
    for member in run.config.members:
        loaded = load_network(run, member, FOLD)

        def predict(network=loaded) -> np.ndarray:
            cases = [(None, slices)]
            ((_, maps),) = predict_cases(network, cases, run.config.predict.batch_size)
            return maps

        about[member] = {
            "flops": network_flops(loaded, settings.size),
            "answer": _save(folder, predict()),
        }
        measurements[member] = filling(repeated(predict), seconds)
    return lambda: {
        member: about[member] | {"seconds": one() / len(slices)}
        for member, one in measurements.items()
    }


def _learners(
    run: Run,
    folder: str,
    seconds: float,
    suffix: str,
    load: Callable[[Path, list[str], int], Learner],
) -> Callable[[], dict]:
    wanted, blocks = plain_combiner(run).features, []
    for maps in new_patient_maps(folder, run.config):
        raw = np.stack([maps.probabilities[m] for m in wanted.members]).astype(np.float32)
        unsure = raw.mean(0).max(-1) < run.config.stacking.act_below
        blocks.append(pixel_features(raw, maps.image, unsure, wanted))
    features, measurements, about = np.concatenate(blocks), {}, {}
    for name in LEARNERS:
        learner = load(run.meta / f"{name}.{suffix}", wanted.names, len(wanted.classes))

        def predict(learner=learner) -> np.ndarray:
            return learner.predict(features)

        about[name] = {"pixels": len(features), "answer": _save(folder, predict())}
        measurements[name] = filling(repeated(predict), seconds)
    return lambda: {name: about[name] | {"seconds": one()} for name, one in measurements.items()}


def _in_turns(a: Worker, b: Worker, rounds: int) -> list[list[dict]]:
    with prepared(a, b):
        return alternate(a.measure, b.measure, rounds=rounds)


def _network_row(first: list[dict], second: list[dict], bench: Bench) -> list[str]:
    seconds = [[m["seconds"] for m in side] for side in (first, second)]
    change, dice = _agreement(*(np.load(side[0]["answer"]) for side in (first, second)))
    return [
        bench.per_image(first),
        bench.per_image(second),
        times(ratios(*seconds)),
        f"{change:.1e}",
        f"{dice:.4f}",
    ]


def _save(folder: str, answer: np.ndarray) -> str:
    """Keeps what one side answered, to be compared with the other's."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".npy", delete=False) as file:
        np.save(file, answer)
    return file.name


def _agreement(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Largest difference of two (..., classes) maps, and the lowest Dice of their masks."""
    change = np.abs(first.astype(np.float32) - second.astype(np.float32)).max()
    counts = confusion(first.argmax(-1), second.argmax(-1), first.shape[-1])
    return float(change), float(np.nanmin(dice_from_confusion(counts)))
