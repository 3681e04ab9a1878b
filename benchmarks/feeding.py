"""Training input: how long a batch takes to prepare, and how much a step is slowed by it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from benchmarks.bench import Bench
from benchmarks.subject import network_config, phantom_cache
from benchmarks.tables import Outcome, Table, milliseconds, percent, times
from benchmarks.timing import alternate, filling, ratios
from benchmarks.worker import Worker, prepared
from cardiac_seg.progress import log
from cardiac_seg.training_batches import TrainingBatches

THREADS = (1, 2)
MEMBER = "unet_advanced"


def run(bench: Bench) -> Outcome:
    """Batches of the size of `acdc_cpu.yaml`."""
    sizes = bench.sizes
    settings = {**bench.networks, "batch": sizes.batch, "seconds": sizes.seconds}
    log.info("input: batches of %d, %d x %d", sizes.batch, sizes.side, sizes.side)
    pools = [Worker("benchmarks.feeding:batches", threads=n, **settings) for n in THREADS]
    with prepared(*pools):
        made = alternate(*(pool.measure for pool in pools), rounds=sizes.rounds)
    log.info("input: steps with it and without")
    settings["member"] = MEMBER
    target = "benchmarks.training:ours"
    trainings = [
        Worker(target, same_batch=True, **settings),
        *(Worker(target, workers=n, **settings) for n in THREADS),
    ]
    with prepared(*trainings):
        steps = alternate(*(training.measure for training in trainings), rounds=sizes.rounds)
    bare, *fed = [[sizes.batch * m["seconds"] for m in side] for side in steps]
    rows = []
    for threads, batch, with_input in zip(THREADS, made, fed, strict=True):
        seconds = [m["seconds"] for m in batch]
        slowed = ratios(with_input, bare)
        rows.append(
            [
                str(threads),
                milliseconds(seconds),
                milliseconds(bare),
                percent(float(np.median(seconds)) / float(np.median(bare))),
                milliseconds(with_input),
                times(slowed),
                percent(1 - 1 / slowed.median),
            ]
        )
    table = Table(
        f"Training input, {MEMBER}, batch {sizes.batch}, {sizes.side} x {sizes.side}",
        [
            "threads",
            "ms to prepare a batch",
            "ms of a step without input",
            "input / step",
            "ms of a step with input",
            "with / without",
            "share of the step lost to input",
        ],
        rows,
        "Without input: the same prepared batch again and again. What is lost is waiting and the "
        "cores that input takes; below the spread it may come out negative.",
    )
    return Outcome([table], {"batches": made, "steps": steps})


def batches(
    folder: str, side: int, filters: int, batch: int, seconds: float, threads: int
) -> Callable[[], dict]:
    """Prepares the preparing of augmented batches by some threads."""
    config = network_config(folder, side, filters, [f"train.batch_size={batch}"])
    cache = phantom_cache(config)
    stream = TrainingBatches(cache, list(cache.cases.values()), config, [0])
    pool = ThreadPoolExecutor(threads)

    def work(count: int) -> float:
        began = perf_counter()
        for _ in pool.map(stream.__getitem__, range(count)):
            pass
        return perf_counter() - began

    one = filling(work, seconds)
    return lambda: {"seconds": one()}
