"""Training: the published settings against this project's, the same architecture on both sides."""

import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import keras
import numpy as np

from benchmarks.bench import Bench
from benchmarks.flops import TRAINING, network_flops
from benchmarks.tables import Outcome, Table, times
from benchmarks.timing import alternate, filling, ratios
from benchmarks.worker import Worker, prepared
from benchmarks.workload import FOLD, network_config, phantom_cache
from cardiac_seg.config.sections import Config
from cardiac_seg.grid.cache import CaseSet
from cardiac_seg.members.batches import TrainingBatches
from cardiac_seg.members.networks import build_member
from cardiac_seg.members.training import TrainingJob, train
from cardiac_seg.system import backend
from cardiac_seg.system.log import log

CLASSES = 4


def run(bench: Bench) -> Outcome:
    """Training steps of three networks."""
    sizes, rows, raw = bench.sizes, [], {}
    for member, filters, side, batch in sizes.trained:
        what = f"{member}, {filters} filters, {side} x {side}, batch {batch}"
        log.info("training: %s", what)
        settings = {
            "folder": bench.folder,
            "member": member,
            "side": side,
            "filters": filters,
            "batch": batch,
            "seconds": sizes.seconds,
        }
        a = Worker("benchmarks.training:published", plain=True, **settings)
        b = Worker("benchmarks.training:ours", **settings)
        with prepared(a, b):
            first, second = alternate(a.measure, b.measure, rounds=sizes.rounds)
        raw[what] = {"published": first, "ours": second}
        seconds = [[m["seconds"] for m in side] for side in (first, second)]
        rows.append(
            [
                what,
                bench.per_image(first),
                f"{bench.per_image(second)}, {second[0]['precision']}",
                times(ratios(*seconds)),
                " / ".join(f"{s[-1]['peak_memory_mib'] / 1024:.1f}" for s in (first, second)),
            ]
        )
    table = Table(
        "Training, ms per image",
        ["network", "A: float32, Keras defaults", "B: this project", "A / B", "GiB, A / B"],
        rows,
        "In brackets the share of the highest rate. A: `compile('adam', "
        "'sparse_categorical_crossentropy')` and `fit` on arrays in memory, kernels "
        "as TensorFlow takes them. B: what `training.py` "
        "compiles, `precision: auto`, fed with augmented batches.",
    )
    return Outcome([table], raw)


def published(
    folder: str, member: str, side: int, filters: int, batch: int, seconds: float
) -> Callable[[], dict]:
    """Prepares steps in float32 with Keras's defaults."""
    config = network_config(folder, side, filters, [f"train.batch_size={batch}"])
    cache = phantom_cache(config)
    method = config.preprocess.normalize
    images = np.concatenate([cache.image(case, method) for case in cache.cases.values()])[..., None]
    labels = np.array(cache.labels)
    network = build_member(member, config, CLASSES)
    network.compile("adam", ["sparse_categorical_crossentropy"] * len(network.outputs))

    def fit(steps: int, clock: StepClock) -> None:
        some = np.arange(steps * batch) % len(images)
        targets = [labels[some]] * len(network.outputs)
        network.fit(images[some], targets, batch_size=batch, verbose=0, callbacks=[clock])

    return _measurement(network, config, filling(timed_steps(fit), seconds))


def ours(
    folder: str, member: str, side: int, filters: int, batch: int, seconds: float
) -> Callable[[], dict]:
    """Prepares steps as `training.py` makes them, input included."""
    config = network_config(folder, side, filters, [f"train.batch_size={batch}"])
    network, batches = as_trained(member, config)
    return _measurement(network, config, filling(steps_of(network, batches), seconds))


def as_trained(member: str, config: Config) -> tuple[keras.Model, TrainingBatches]:
    """The compiled network and its input as `training.train` makes them; nothing is fitted."""

    class Caught(Exception):
        """Carries what `fit` was given."""

    def catch(network, batches, **_):
        raise Caught(network, batches)

    cache = phantom_cache(config)
    nowhere = Path(config.data.cache) / "nothing_is_written_here"
    cases = CaseSet(cache, list(cache.cases.values()))
    nothing = CaseSet(cache, [])
    job = TrainingJob(member, FOLD, nowhere, nowhere, nowhere, CLASSES, cases, nothing)
    with patch.object(keras.Model, "fit", catch):
        try:
            train(job, config)
        except Caught as caught:
            return caught.args
    raise RuntimeError("training.train did not call fit")


def steps_of(network: keras.Model, batches: keras.utils.PyDataset) -> Callable[[int], float]:
    """Steps of a compiled network on batches without an end: from a count to seconds, warm."""

    def fit(steps: int, clock: StepClock) -> None:
        callbacks = [_Memory(), clock]
        network.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=callbacks)

    return timed_steps(fit)


def timed_steps(fit: Callable[[int, "StepClock"], None]) -> Callable[[int], float]:
    """Work for `timing.filling` from a `fit` of some steps, which is called once, to trace."""
    fit(1, StepClock())

    def work(steps: int) -> float:
        # The first step waits for the input to start: it counts only where one is long enough.
        clock, skipped = StepClock(), int(steps > 1)
        fit(steps + skipped, clock)
        return clock.times[-1] - clock.times[skipped]

    return work


class StepClock(keras.callbacks.Callback):
    """Notes when the first step of a `fit` begins, and when each ends."""

    def __init__(self):
        super().__init__()
        self.times = []

    def on_train_batch_begin(self, batch, logs=None):
        """Notes when the first step begins."""
        if batch == 0:
            self.times.append(time.perf_counter())

    def on_train_batch_end(self, batch, logs=None):
        """Notes when a step ends."""
        self.times.append(time.perf_counter())


class _Memory(keras.callbacks.Callback):
    """Sets the C library's memory as a training does, once the input has started."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            backend.keep_freed_memory()


def _measurement(network: keras.Model, config: Config, step: Callable[[], float]):
    """Seconds of an image in a training step, with its operations."""
    flops = TRAINING * network_flops(network, config.preprocess.size)
    batch, precision = config.train.batch_size, network.layers[1].compute_dtype
    return lambda: {"seconds": step() / batch, "flops": flops, "precision": precision}
