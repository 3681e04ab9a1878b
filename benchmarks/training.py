"""Training: the published settings against this project's, the same architecture on both sides."""

import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import keras
import numpy as np

from benchmarks.bench import Bench
from benchmarks.flops import TRAINING, network_flops
from benchmarks.subject import PART, network_config, phantom_cache
from benchmarks.tables import Outcome, Table, milliseconds, percent, times
from benchmarks.timing import alternate, filling, ratios
from benchmarks.worker import Worker, prepared
from cardiac_seg import backend
from cardiac_seg.config import Config
from cardiac_seg.networks import build_member
from cardiac_seg.progress import log
from cardiac_seg.training import TrainingJob, train
from cardiac_seg.training_batches import TrainingBatches

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
        a = Worker("benchmarks.training:published", **settings)
        b = Worker("benchmarks.training:ours", **settings)
        with prepared(a, b):
            first, second = alternate(a.measure, b.measure, rounds=sizes.rounds)
        raw[what] = {"published": first, "ours": second}
        seconds = [[m["seconds"] for m in side] for side in (first, second)]
        shares = [
            percent(bench.rate(side[0]["flops"] / float(np.median(s))))
            for side, s in zip((first, second), seconds, strict=True)
        ]
        rows.append(
            [
                what,
                f"{milliseconds(seconds[0])} ({shares[0]})",
                f"{milliseconds(seconds[1])} ({shares[1]}, {second[0]['precision']})",
                times(ratios(*seconds)),
                " / ".join(f"{s[-1]['peak_memory_mib'] / 1024:.1f}" for s in (first, second)),
            ]
        )
    table = Table(
        "Training, ms per image",
        ["network", "A: float32, Keras defaults", "B: this project", "A / B", "GiB, A / B"],
        rows,
        "In brackets the share of the highest rate. A: `compile('adam', "
        "'sparse_categorical_crossentropy')` and `fit` on arrays in memory. B: what `training.py` "
        "compiles, `precision: auto`, fed with augmented batches.",
    )
    return Outcome([table], raw)


def published(
    folder: str, member: str, side: int, filters: int, batch: int, seconds: float
) -> Callable[[], dict]:
    """Prepares steps in float32 with Keras's defaults."""
    config = network_config(folder, side, filters)
    cache = phantom_cache(config)
    method = config.preprocess.normalize
    images = np.concatenate([cache.image(case, method) for case in cache.cases.values()])[..., None]
    labels = np.array(cache.labels)
    network = build_member(member, config, CLASSES)
    network.compile("adam", ["sparse_categorical_crossentropy"] * len(network.outputs))

    def fit(steps: int) -> float:
        clock = StepClock()
        some = np.arange((steps + 1) * batch) % len(images)
        targets = [labels[some]] * len(network.outputs)
        network.fit(images[some], targets, batch_size=batch, verbose=0, callbacks=[clock])
        return clock.seconds()

    return _measurement(filling(fit, seconds), network, batch, "float32")


def ours(
    folder: str,
    member: str,
    side: int,
    filters: int,
    batch: int,
    seconds: float,
    workers: int | None = None,
    same_batch: bool = False,
) -> Callable[[], dict]:
    """Prepares steps as `training.py` makes them.

    Args:
        folder, member, side, filters, batch: What to train.
        seconds: What a measurement lasts, about.
        workers: `train.workers`, or None for the default.
        same_batch: Feeds one prepared batch again and again: input costs nothing.
    """
    extra = [f"train.batch_size={batch}"] + ([f"train.workers={workers}"] if workers else [])
    config = network_config(folder, side, filters, extra)
    network, batches = as_trained(member, config)
    data = _SameBatch(batches[0]) if same_batch else batches

    def fit(steps: int) -> float:
        clock = StepClock()
        network.fit(
            data, steps_per_epoch=steps + 1, shuffle=False, verbose=0, callbacks=[clock, _Memory()]
        )
        return clock.seconds()

    return _measurement(filling(fit, seconds), network, batch, network.layers[1].compute_dtype)


def as_trained(member: str, config: Config) -> tuple[keras.Model, TrainingBatches]:
    """The compiled network and its input as `training.train` makes them; nothing is fitted."""

    class Caught(Exception):
        """Carries what `fit` was given."""

    def catch(network, batches, **_):
        raise Caught(network, batches)

    cache = phantom_cache(config)
    nowhere = Path(config.data.cache) / "nothing_is_written_here"
    cases = list(cache.cases.values())
    job = TrainingJob(member, PART, nowhere, nowhere, nowhere, CLASSES, cases, [])
    with patch.object(keras.Model, "fit", catch):
        try:
            train(job, cache, config)
        except Caught as caught:
            return caught.args
    raise RuntimeError("training.train did not call fit")


class StepClock(keras.callbacks.Callback):
    """Times the steps of a `fit` after the first, which waits for the input to start."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())

    def seconds(self) -> float:
        """Seconds of all steps after the first."""
        return self.ends[-1] - self.ends[0]


class _Memory(keras.callbacks.Callback):
    """Sets the C library's memory as a training does, once the input has started."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            backend.keep_freed_memory()


class _SameBatch(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    @property
    def num_batches(self) -> None:
        return None

    def __getitem__(self, number: int):
        return self.batch


def _measurement(step: Callable[[], float], network, batch: int, precision: str):
    """Seconds of a step, as those of an image with its operations."""
    flops = TRAINING * network_flops(network)
    return lambda: {"seconds": step() / batch, "flops": flops, "precision": precision}
