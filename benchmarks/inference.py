"""Segmenting a new patient's ED and ES: the naive ensemble against this project."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from benchmarks.bench import Bench
from benchmarks.flops import network_flops
from benchmarks.tables import Outcome, Table, number, percent, times
from benchmarks.timing import alternate, ratios, spread
from benchmarks.worker import Worker, prepared
from benchmarks.workload import FOLD, LEARNERS, new_patient, new_patient_maps
from cardiac_seg.data.modality import MRI
from cardiac_seg.data.split import fold_patients
from cardiac_seg.grid import resample
from cardiac_seg.grid.resample import GridImage
from cardiac_seg.masks.native import native_mask
from cardiac_seg.members.maps import CaseMaps, read_maps
from cardiac_seg.members.networks import build_member
from cardiac_seg.meta.features.feature_set import FeatureSet, pixel_features
from cardiac_seg.meta.methods import MEAN
from cardiac_seg.pipeline.prepare import find_cases
from cardiac_seg.predict.predictor import Ensemble
from cardiac_seg.predict.scans import ScanFiles, find_scans, open_scan
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import plain_combiner, read_combiner
from cardiac_seg.run.open import open_run
from cardiac_seg.system.log import log


def run(bench: Bench) -> Outcome:
    """The parts of both; this project also with the optional runtimes that are installed."""
    sizes, folder = bench.sizes, bench.folder
    forest = {"trees": sizes.trees, "depth": sizes.depth, "pixels": sizes.forest_pixels}
    target = "benchmarks.inference:ours"
    plain = _without_compiled(bench.run, folder / "plain_run")
    sides = {
        "A: naive": Worker(
            "benchmarks.inference:naive", plain=True, run_folder=bench.run, folder=folder, **forest
        ),
        "B: this project": Worker(target, run_folder=plain, folder=folder),
    }
    if extras := [name for name in ("openvino", "onnxruntime") if find_spec(name)]:
        backend = "openvino" if "openvino" in extras else "tensorflow"
        name = f"B: with {' and '.join(extras)}"
        sides[name] = Worker(target, backend, run_folder=bench.run, folder=folder)
    log.info("inference: an ED + ES pair; %s", "; ".join(sides))
    with prepared(*sides.values()):
        measured = alternate(*(side.measure for side in sides.values()), rounds=sizes.rounds)
    first, *others = measured
    rows = [_row("A: naive", first, "random_forest", first, bench)]
    for name, some in zip(list(sides)[1:], others, strict=True):
        rows += [_row(f"{name}, {learner}", some, learner, first, bench) for learner in LEARNERS]
    table = Table(
        f"An ED + ES pair, {first[0]['slices']} slices, {sizes.side} x {sizes.side}, "
        f"two networks of {sizes.filters} filters, ms",
        [
            *("", "members", "meta-learner", "rest", "all"),
            *("meta-learner's share", "pixels it acts on", "A / B"),
        ],
        rows,
        "In brackets the share of the highest rate. A: float32, `predict` of each slice by itself, "
        f"then a scikit-learn forest of {sizes.trees} trees of depth {sizes.depth} on the core "
        "features of every pixel. Both map phantoms; the meta-learner's maps are made from the "
        "phantoms' labels to look like trained networks', and its threshold is fitted on them. "
        "Rest: reading, resampling there and back, the mean, postprocessing.",
    )
    return Outcome([table], dict(zip(sides, measured, strict=True)))


def naive(run_folder: str, folder: str, trees: int, depth: int, pixels: int) -> Callable[[], dict]:
    """Prepares the naive ensemble: a slice at a time, a forest on every pixel.

    Args:
        run_folder: The run whose development maps the forest is fitted on.
        folder: Where the new patient lies.
        trees, depth, pixels: The forest, and what it is fitted on.
    """
    run = open_run(Path(run_folder))
    config, core = run.config, plain_combiner(run).features.core()
    networks = [build_member(member, config, run.dataset.num_classes) for member in config.members]
    flops = sum(network_flops(network, config.preprocess.size) for network in networks)
    forest = RandomForestClassifier(trees, max_depth=depth, n_jobs=-1, random_state=0)
    forest.fit(*_core_pixels(run, core, pixels))
    patient = _patient(run, folder)

    def measure() -> dict:
        parts, masks = _Stopwatch(), []
        for files, maps in patient:
            with parts.timed("rest"):
                image = _on_grid(files, run)
                slices = resample.normalize(
                    image.pixels, image.mean, image.std, config.preprocess.normalize
                )
            with parts.timed("members"):
                for network in networks:
                    for plane in slices:
                        network.predict(plane[None, ..., None], verbose=0)
            with parts.timed("random_forest"):
                everywhere = np.ones(maps.label.shape, bool)
                features = pixel_features(_stacked(maps), maps.image, everywhere, core)
                probabilities = forest.predict_proba(features).astype(np.float32)
            with parts.timed("rest"):
                masks.append(native_mask(probabilities.reshape(*maps.label.shape, -1), image.grid))
        return parts.seconds | {"acted_on": {"random_forest": 1.0}} | _work(flops, masks)

    measure()  # warm
    return measure


def ours(run_folder: str, folder: str) -> Callable[[], dict]:
    """Prepares this project's ensemble, of which the run's method in use is the mean.

    The networks' maps are noise, so learners are measured on the maps that look trained, beside.
    """
    ensemble = Ensemble.load(run_folder)
    run = ensemble.run
    combiner = read_combiner(run, list(LEARNERS))
    patient = _patient(run, folder)
    networks = [network for mapper in ensemble.mappers.values() for network in mapper.networks]
    flops = sum(network_flops(network, run.config.preprocess.size) for network in networks)

    def measure() -> dict:
        parts, masks, acted = _Stopwatch(), [], {name: [] for name in LEARNERS}
        for files, maps in patient:
            with parts.timed("all but the learner"):
                masks += [frame.mask for frame in ensemble.frames(open_scan(files, MRI))]
            with parts.timed("rest"):
                image = _on_grid(files, run)
            combined = combiner.combine(maps.probabilities, maps.image, [MEAN, *LEARNERS])
            _, mean, seconds_of_mean = next(combined)
            parts.add("rest", seconds_of_mean)
            for learner, probabilities, seconds in combined:
                parts.add(learner, seconds - seconds_of_mean)
                acted[learner].append((probabilities != mean).any(-1).mean())
            with parts.timed("rest"):
                native_mask(mean, image.grid, ensemble.steps)
        seconds = parts.seconds
        seconds["members"] = seconds.pop("all but the learner") - seconds["rest"]
        acted_on = {learner: float(np.mean(shares)) for learner, shares in acted.items()}
        return seconds | {"acted_on": acted_on} | _work(flops, masks)

    measure()  # warm
    return measure


class _Stopwatch:
    """Adds up seconds by name."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Adds what a block takes."""
        began = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - began)

    def add(self, name: str, seconds: float) -> None:
        """Adds seconds measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


def _without_compiled(run_folder: Path, copy: Path) -> Path:
    """A copy of a run as it is where the optional runtimes are not installed."""
    shutil.copytree(run_folder, copy, ignore=shutil.ignore_patterns("*.onnx", "maps"))
    return copy


def _patient(run: Run, folder: str) -> list[tuple[ScanFiles, CaseMaps]]:
    """The new patient's ED and ES: files, and maps of the same images that look trained."""
    maps = new_patient_maps(folder, run.config)
    return list(zip(find_scans(new_patient(folder)), maps, strict=True))


def _on_grid(files: ScanFiles, run: Run) -> GridImage:
    scan = open_scan(files, MRI)
    return resample.to_grid(scan.image(0), scan.spacing[1:], run.config.preprocess)


def _stacked(maps: CaseMaps) -> np.ndarray:
    return np.stack(list(maps.probabilities.values())).astype(np.float32)


def _core_pixels(run: Run, core: FeatureSet, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Core features and labels of random pixels of the development maps."""
    _, development = fold_patients(run.split(), FOLD, run.config.stacking.scheme)
    files = [file for file in find_cases(run) if file.patient in development]
    rng, features, labels = np.random.default_rng(0), [], []
    for file in files:
        maps = read_maps(run.map(file.name), run.config.members)
        chosen = np.zeros(maps.label.size, bool)
        chosen[rng.choice(chosen.size, pixels // len(files), replace=False)] = True
        chosen = chosen.reshape(maps.label.shape)
        features.append(pixel_features(_stacked(maps), maps.image, chosen, core))
        labels.append(maps.label[chosen])
    return np.concatenate(features), np.concatenate(labels)


def _work(flops: int, masks: list[np.ndarray]) -> dict:
    """How many slices were segmented, and the operations of all networks on them."""
    slices = sum(len(mask) for mask in masks)
    return {"slices": slices, "flops": slices * flops}


def _row(name: str, measured: list[dict], learner: str, first: list[dict], bench: Bench):
    parts = {p: spread([m[p] for m in measured]).median for p in ("members", learner, "rest")}
    whole, baseline = (
        [m["members"] + m[method] + m["rest"] for m in some]
        for some, method in ((measured, learner), (first, "random_forest"))
    )
    share = bench.share(measured[0]["flops"], parts["members"])
    return [
        name,
        f"{number(1000 * parts['members'])} ({share})",
        *(number(1000 * parts[part]) for part in (learner, "rest")),
        number(1000 * spread(whole).median),
        percent(parts[learner] / spread(whole).median),
        percent(measured[0]["acted_on"][learner]),
        times(ratios(baseline, whole)) if measured is not first else "",
    ]
