"""What grows: time and memory of a run with its patients, time of an image with its pixels."""

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.flops import network_flops
from benchmarks.tables import Outcome, Table, number
from benchmarks.timing import alternate, filling, repeated
from benchmarks.training import CLASSES, ours
from benchmarks.worker import Worker, prepared
from benchmarks.workload import network_config, phantom_cache, phantoms, write_networks
from cardiac_seg.members.inference import predict_cases
from cardiac_seg.members.networks import build_member
from cardiac_seg.pipeline.stages import run_stages
from cardiac_seg.run.open import create
from cardiac_seg.system import backend
from cardiac_seg.system.log import log

STAGES = ("prepare", "stack", "evaluate")
SIDE, FILTERS = 32, 4  # of a run's networks: memory is to be the cases', not the networks'
# Small, and of few pixels: what grows is seen sooner, and 1,000 patients take minutes.
SMALL = (
    "stacking.random_forest.trees=10",
    "stacking.gradient_boosting.iterations=10",
    "stacking.pixels_per_case=200",
)
MEMBER, TRAINED_AT_ONCE, PREDICTED_AT_ONCE = "unet_advanced", 4, 8


def run(bench: Bench) -> Outcome:
    """Both."""
    cases, pixels = grow_patients(bench), grow_pixels(bench)
    return Outcome([*cases.tables, *pixels.tables], {**cases.raw, **pixels.raw})


def grow_patients(bench: Bench) -> Outcome:
    """Every stage but training at some numbers of patients, each run in a process of its own."""
    raw, rows, peaks = {}, [], []
    for patients in bench.sizes.patients:
        log.info("growth: %d patients", patients)
        folder = bench.folder / f"growth{patients}"
        worker = Worker("benchmarks.growth:stages", folder=folder, patients=patients)
        with prepared(worker):
            measured = {stage: worker.measure() for stage in STAGES}
        raw[f"{patients} patients"] = measured
        peaks.append(measured[STAGES[-1]]["peak_memory_mib"])
        whole = sum(m["seconds"] for m in measured.values())
        rows.append(
            [
                f"{patients:,}",
                *(number(measured[stage]["seconds"]) for stage in STAGES),
                number(1000 * whole / patients),
                f"{peaks[-1]:,}",
                f"{peaks[-1] / peaks[0]:.2f}",
            ]
        )
    table = Table(
        "A run's time and memory with its patients",
        [
            *("phantom patients", *(f"{stage} s" for stage in STAGES), "ms per patient"),
            *("peak memory MiB", "peak / first peak"),
        ],
        rows,
        f"Networks of {FILTERS} filters and random weights at {SIDE} x {SIDE}; 15 % of the "
        "patients are development, 20 % test patients; all stages of a run in one process.",
    )
    return Outcome([table], raw)


def grow_pixels(bench: Bench) -> Outcome:
    """A training step and a prediction per image at some grid sizes."""
    sizes = bench.sizes
    settings = {"folder": bench.folder, "filters": sizes.filters, "seconds": sizes.seconds}
    log.info("growth: grids of %s pixels", ", ".join(map(str, sizes.sides)))
    grids = [Worker("benchmarks.growth:grid", side=side, **settings) for side in sizes.sides]
    with prepared(*grids):
        measured = alternate(*(worker.measure for worker in grids), rounds=sizes.rounds)
    raw, rows = {}, []
    for side, some in zip(sizes.sides, measured, strict=True):
        raw[f"{side} pixels"] = some
        flops = some[0]["prediction"]["flops"]
        cells = [bench.per_image([m[what] for m in some]) for what in ("training", "prediction")]
        rows.append([f"{side} x {side}", number(flops / 1e9), *cells])
    table = Table(
        f"{MEMBER}, {sizes.filters} filters, with the grid, ms per image",
        ["grid", "GFLOP of a prediction", "training", "prediction"],
        rows,
        f"Batches of {TRAINED_AT_ONCE} and {PREDICTED_AT_ONCE}, `precision: auto`. In brackets the "
        "share of the highest rate.",
    )
    return Outcome([table], raw)


def stages(folder: str, patients: int) -> Callable[[], dict]:
    """Prepares a run on phantoms; a measurement is its next stage."""
    place = Path(folder)
    root = phantoms(place / "patients", patients)
    config = network_config(place, SIDE, FILTERS, [f"data.root={root}", *SMALL])
    run = create(config, place / "run")
    write_networks(run)
    left = iter(STAGES)

    def measure() -> dict:
        began = time.perf_counter()
        run_stages(run, (next(left),))
        return {"seconds": time.perf_counter() - began}

    return measure


def grid(folder: str, side: int, filters: int, seconds: float) -> Callable[[], dict]:
    """Prepares training steps and predictions at one size of the network grid."""
    training = ours(folder, MEMBER, side, filters, TRAINED_AT_ONCE, seconds)
    prediction = predicting(folder, side, filters, seconds)
    return lambda: {"training": training(), "prediction": prediction()}


def predicting(folder: str, side: int, filters: int, seconds: float) -> Callable[[], dict]:
    """Prepares predictions of a network of random weights."""
    config = network_config(folder, side, filters)
    backend.set_precision(config.train.precision)
    network = build_member(MEMBER, config, CLASSES)
    slices = phantom_cache(config).images[:PREDICTED_AT_ONCE].astype("float32") / 255

    def predict() -> None:
        for _ in predict_cases(network, [(None, slices)], PREDICTED_AT_ONCE):
            pass

    one = filling(repeated(predict), seconds)
    flops = network_flops(network, config.preprocess.size)
    return lambda: {"seconds": one() / len(slices), "flops": flops}
