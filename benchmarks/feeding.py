"""Training input: how long a batch takes to prepare, and how much a step is slowed by it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import keras

from benchmarks.bench import Bench
from benchmarks.tables import Outcome, Table, milliseconds, percent, times
from benchmarks.timing import alternate, filling, ratios, spread
from benchmarks.training import as_trained, steps_of
from benchmarks.worker import Worker, prepared
from benchmarks.workload import network_config, phantom_cache
from cardiac_seg.grid.cache import CaseSet
from cardiac_seg.members.batches import TrainingBatches
from cardiac_seg.members.slice_samples import SliceSamples
from cardiac_seg.system.log import log

THREADS = (1, 2)
MEMBER = "unet_advanced"
NO_INPUT = "no input"


def run(bench: Bench) -> Outcome:
    """Batches and steps of the networks measured."""
    made, steps = time_batches(bench), time_steps(bench)
    bare = [step[NO_INPUT] for step in steps]
    rows = []
    for threads in map(str, THREADS):
        seconds = [batch[threads] for batch in made]
        fed = [step[threads] for step in steps]
        slowed = ratios(fed, bare)
        rows.append(
            [
                threads,
                milliseconds(seconds),
                milliseconds(bare),
                percent(spread(seconds).median / spread(bare).median),
                milliseconds(fed),
                times(slowed),
                percent(1 - 1 / slowed.median),
            ]
        )
    sizes = bench.sizes
    table = Table(
        f"Training input, {MEMBER}, batch {sizes.batch}, {sizes.side} x {sizes.side}",
        [
            *("threads", "ms to prepare a batch", "B: ms of a step without input", "batch / B"),
            *("A: ms of a step with input", "A / B", "share of the step lost to input"),
        ],
        rows,
        "Without input: the same prepared batch again and again. What is lost is waiting and the "
        "cores that input takes; where it is less than the spread it may come out negative.",
    )
    return Outcome([table], {"batches": made, "steps": steps})


def time_batches(bench: Bench) -> list[dict]:
    """Each round's seconds to prepare a batch, by number of threads."""
    return _measured(bench, Worker("benchmarks.feeding:batches", **_settings(bench)))


def time_steps(bench: Bench) -> list[dict]:
    """Each round's seconds of a step, by number of threads, and without input."""
    return _measured(bench, Worker("benchmarks.feeding:steps", **_settings(bench)))


def batches(folder: str, side: int, filters: int, batch: int, seconds: float) -> Callable[[], dict]:
    """Prepares the preparing of augmented batches by some threads."""
    config = network_config(folder, side, filters, [f"train.batch_size={batch}"])
    cache = phantom_cache(config)
    samples = SliceSamples(CaseSet(cache, list(cache.cases.values())), config)
    stream = TrainingBatches(samples, config.train, [0])

    def by(threads: int) -> Callable[[], float]:
        pool = ThreadPoolExecutor(threads)

        def work(count: int) -> float:
            began = perf_counter()
            for _ in pool.map(stream.__getitem__, range(count)):
                pass
            return perf_counter() - began

        work(threads)  # warm
        return filling(work, seconds)

    return _in_turns({str(threads): by(threads) for threads in THREADS})


def steps(folder: str, side: int, filters: int, batch: int, seconds: float) -> Callable[[], dict]:
    """Prepares steps of one network on each kind of input."""
    extra = f"train.batch_size={batch}"
    config = network_config(folder, side, filters, [extra])
    network, stream = as_trained(MEMBER, config)
    inputs = {NO_INPUT: _SameBatch(stream[0])}
    for threads in THREADS:
        config = network_config(folder, side, filters, [extra, f"train.workers={threads}"])
        cache = phantom_cache(config)
        cases = CaseSet(cache, list(cache.cases.values()))
        samples = SliceSamples(cases, config, stream.samples.outputs)
        inputs[str(threads)] = TrainingBatches(samples, config.train, [0])
    return _in_turns(
        {name: filling(steps_of(network, data), seconds) for name, data in inputs.items()}
    )


class _SameBatch(keras.utils.PyDataset):
    """One batch without an end."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    @property
    def num_batches(self) -> None:
        """Tells Keras that there is no end."""
        return None

    def __getitem__(self, number: int):
        return self.batch


def _settings(bench: Bench) -> dict:
    return {**bench.networks, "batch": bench.sizes.batch, "seconds": bench.sizes.seconds}


def _measured(bench: Bench, worker: Worker) -> list[dict]:
    log.info("input: %s", worker.target.partition(":")[2])
    with prepared(worker):
        return alternate(worker.measure, rounds=bench.sizes.rounds)[0]


def _in_turns(sides: dict[str, Callable[[], float]]) -> Callable[[], dict]:
    return lambda: {name: one() for name, one in sides.items()}
