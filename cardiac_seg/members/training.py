"""Trains one network: one fold of one member, resumable at every finished epoch."""

import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from cardiac_seg.config.sections import Config, Unet3D
from cardiac_seg.grid.cache import CaseSet, class_pixels
from cardiac_seg.members.batches import Samples, TrainingBatches
from cardiac_seg.members.network_maps import network_maps
from cardiac_seg.members.networks import build_member
from cardiac_seg.members.optimizer import compile_network
from cardiac_seg.members.patch_samples import PatchSamples
from cardiac_seg.members.seen import Seen, merged, read_seen, write_seen
from cardiac_seg.members.slice_samples import SliceSamples
from cardiac_seg.members.starting import Start, put_weights, starting_weights
from cardiac_seg.members.training_state import (
    TrainingState,
    read_state,
    restore_training,
    save_training,
)
from cardiac_seg.metrics.overlap import accuracy_from_confusion, confusion, dice_from_confusion
from cardiac_seg.system import backend
from cardiac_seg.system.atomic import remove_leftovers, whole_file, write_text
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar, clock, log


@dataclass(frozen=True)
class TrainingJob:
    """One training and where its files go.

    Attributes:
        member, fold: What is trained.
        folder: Receives `best.keras` (one output, no optimizer) and `last.keras` (everything).
        history_path: CSV, one row per epoch.
        tensorboard: Folder of the TensorBoard log.
        classes: Number of classes, background included.
        train, validation: The cases, see `members.member.TrainedMember.train`.
        start: Where the first weights come from; None for random ones.
        data: What tells the dataset of the cases apart from others.
    """

    member: str
    fold: str
    folder: Path
    history_path: Path
    tensorboard: Path
    classes: int
    train: CaseSet
    validation: CaseSet
    start: Start | None = None
    data: str = ""

    @property
    def last(self) -> Path:
        """The checkpoint that a resume starts from."""
        return self.folder / "last.keras"

    @property
    def best(self) -> Path:
        """The network of the best validation epoch."""
        return self.folder / "best.keras"

    def seen(self, taken: bool = False) -> Seen | None:
        """The patients that the network knows: of its start, its cases and earlier epochs.

        Args:
            taken: Whether the start is kept as it is, and no case trains it.

        Returns:
            None where a checkpoint of an earlier version does not name those of its epochs.
        """
        start = self.start.trained_on if self.start else {}
        own = {} if taken else {self.data: frozenset(case.patient for case in self.train.cases)}
        before = read_seen(self.last) if self.last.is_file() else {}
        return None if before is None else merged(start, own, before)


def train(job: TrainingJob, config: Config) -> TrainingState:
    """Trains to the end, from the last finished epoch if there is one.

    Args:
        job: What to train on which cases.
        config: The whole configuration.

    Returns:
        The state after the last epoch.

    Raises:
        UserError: If a checkpoint or the start does not fit, the loss is not finite, or memory
            runs out.
    """
    state = read_state(job.last)
    remove_leftovers(job.folder)
    # Other folds of this member may be writing beside it.
    remove_leftovers(job.history_path.parent, f".partial-*-{job.history_path.name}")
    if state.finished:
        _write_history(job, state)  # a kill may have come between checkpoint and table
        log.info("%s %s: already trained", job.member, job.fold)
        return state
    # One stream of randomness for each training; adding a member or fold changes no other.
    seed = [config.seed, *job.member.encode(), *job.fold.encode()]
    # What has an epoch of its own needs the start no more, which may be gone by now.
    model, precision = _build(job, config, seed, None if state.epoch else job.start)
    if not config.train.epochs:
        return _take_start(job, config, model)
    samples = _samples(job, config, len(model.outputs))
    batches = TrainingBatches(samples, config.train, seed, first_epoch=state.epoch)
    compile_network(model, config.train, batches.steps, class_pixels(job.train.cases))
    if state.epoch:
        restore_training(model, job.last)
        log.info("%s %s: resumed after epoch %d", job.member, job.fold, state.epoch)
    log.info(
        "%s %s: %s parameters, %s, %d training and %d validation slices, epoch %d of %d",
        *(job.member, job.fold, f"{model.count_params():,}", precision),
        *(sum(c.stop - c.start for c in part.cases) for part in (job.train, job.validation)),
        *(state.epoch + 1, config.train.epochs),
    )
    callbacks = [_Epochs(job, config, seed, batches, state)]
    if config.train.tensorboard:
        callbacks += _tensorboard(job)
    with backend.memory_advice(config.train.batch_size, "train.batch_size"):
        model.fit(
            batches,
            steps_per_epoch=batches.steps,
            initial_epoch=state.epoch,
            epochs=config.train.epochs,
            shuffle=False,  # the stream is in random order already
            verbose=0,
            callbacks=callbacks,
        )
    return state


def _build(
    job: TrainingJob, config: Config, seed: list[int], start: Start | None
) -> tuple[keras.Model, str]:
    """The network before its first step, and the precision it computes in."""
    weights = starting_weights(start) if start else {}
    backend.start_training(int(np.random.default_rng(seed).integers(2**31)))
    precision = backend.set_precision(config.train.precision)
    model = build_member(job.member, config, job.classes)
    if start:
        put_weights(model, weights, start, f"{job.member} {job.fold}")
    return model, precision


def _samples(job: TrainingJob, config: Config, outputs: int) -> Samples:
    """What the network is trained on: slices, or patches where it is three-dimensional."""
    network = config.networks[job.member]
    if isinstance(network, Unet3D):
        return PatchSamples(job.train, config, network)
    return SliceSamples(job.train, config, outputs)


def _take_start(job: TrainingJob, config: Config, model: keras.Model) -> TrainingState:
    """Keeps the network that was started from, as after epoch 0."""
    scores = case_scores(model, job, config)
    row = {"epoch": 0, "loss": np.nan, **scores, "learning_rate": 0.0, "seconds": 0.0}
    state = TrainingState(finished=True, best=scores[config.train.monitor], history=[row])
    seen = job.seen(taken=True)
    _save_best(job, model, seen)
    save_training(model, job.last, state, seen)
    _write_history(job, state)
    return state


def _save_best(job: TrainingJob, model: keras.Model, seen: Seen | None) -> None:
    """The network alone: one output, built-in layers, so that plain Keras loads it."""
    with whole_file(job.best) as partial:
        keras.Model(model.inputs, model.outputs[0], name=model.name).save(partial)
        write_seen(partial, seen)


def _tensorboard(job: TrainingJob) -> list[keras.callbacks.Callback]:
    callback = backend.tensorboard_callback(job.tensorboard)
    if callback is None:
        log.info("train.tensorboard: skipped, it needs the TensorFlow backend")
    return [] if callback is None else [callback]


def case_scores(model: keras.Model, job: TrainingJob, config: Config) -> dict[str, float]:
    """Scores of the validation cases on the network grid, for watching a training.

    Returns:
        val_dice (mean of cases and foreground structures), val_accuracy (all pixels),
        val_cross_entropy (nats, all pixels); NaN without cases.
    """
    cache, cases, classes = job.validation.cache, job.validation.cases, job.classes
    if not cases:
        return dict.fromkeys(("val_dice", "val_accuracy", "val_cross_entropy"), np.nan)
    total, dice, nats, pixels = np.zeros((classes, classes), np.int64), [], 0.0, 0
    images = (cache.grid_image(case) for case in cases)
    maps_of_cases = network_maps(model, images, config, job.member, config.predict.batch_size)
    for case, maps in zip(cases, maps_of_cases, strict=True):
        label = cache.label(case)
        counts = confusion(label, maps.argmax(-1), classes)
        total += counts
        dice.append(dice_from_confusion(counts)[1:])
        true = np.take_along_axis(maps, label[..., None].astype(np.intp), -1).astype(np.float32)
        nats -= float(np.log(np.maximum(true, 1e-7)).sum())
        pixels += label.size
    return {
        "val_dice": float(np.nanmean(dice)),
        "val_accuracy": accuracy_from_confusion(total),
        "val_cross_entropy": nats / pixels,
    }


class _Epochs(keras.callbacks.Callback):
    """Everything that happens between epochs.

    Keras's own checkpoint, early-stopping and plateau callbacks forget their counters when a
    killed training is resumed; here all of them live in `TrainingState`, inside the checkpoint.
    """

    def __init__(self, job, config, seed, batches, state):
        super().__init__()
        self.job, self.config = job, config
        self.seed, self.batches, self.state = seed, batches, state
        self.seen = job.seen()
        self.bar = None

    def on_train_begin(self, logs=None):
        steps = self.batches.steps
        self.bar = bar(
            total=self.config.train.epochs * steps,
            initial=self.state.epoch * steps,
            description=f"{self.job.member} {self.job.fold}",
            unit="step",
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.monotonic()
        _reseed_dropout(self.model, [*self.seed, epoch])

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            backend.keep_freed_memory()

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        loss = float(logs["loss"])
        if not np.isfinite(loss):
            raise UserError(
                f"{self.job.member} {self.job.fold}: the loss became {loss} in epoch {epoch + 1}; "
                "lower train.learning_rate or use train.precision=float32 (the last good epoch "
                "is kept)"
            )
        learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        weights = self._average_weights()
        scores = case_scores(self.model, self.job, self.config)
        row = {"epoch": epoch + 1, "loss": loss, **scores, "learning_rate": learning_rate}
        self._judge(row)
        if self.state.best_epoch == epoch + 1:
            _save_best(self.job, self.model, self.seen)
        if self.state.finished and weights is not None:
            weights = None  # the averaged weights are the result
        if weights is not None:
            self.model.set_weights(weights)
        row["seconds"] = round(time.monotonic() - self.began, 1)
        save_training(self.model, self.job.last, self.state, self.seen)
        _write_history(self.job, self.state)
        logs.update(scores)  # for the callbacks that follow
        self._report(row)
        self.model.stop_training = self.state.finished

    def on_train_end(self, logs=None):
        self.bar.close()

    def _average_weights(self):
        """Puts the EMA weights in place; returns the raw ones, or None without EMA."""
        if not self.config.train.ema:
            return None
        raw = self.model.get_weights()
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        return raw

    def _judge(self, row: dict) -> None:
        """Updates best value, patience and learning rate after an epoch."""
        state, settings, value = self.state, self.config.train, row[self.config.train.monitor]
        state.epoch = row["epoch"]
        state.history.append(row)
        # Without validation patients the latest epoch is the result.
        if value > state.best or not self.job.validation.cases:
            state.best, state.best_epoch, state.plateau = value, state.epoch, 0
        else:
            state.plateau += 1
        if settings.reduce_lr and state.plateau >= settings.reduce_lr:
            self.model.optimizer.learning_rate = row["learning_rate"] * settings.reduce_lr_factor
            state.plateau = 0
        waited = state.epoch - state.best_epoch
        stopped_early = bool(settings.early_stopping) and waited >= settings.early_stopping
        state.finished = state.epoch == settings.epochs or stopped_early

    def _report(self, row: dict) -> None:
        left = (self.config.train.epochs - row["epoch"]) * np.median(
            [r["seconds"] for r in self.state.history]
        )
        watched = "".join(
            f" {name} {row[name]:.4f}"
            for name in ("val_dice", "val_accuracy")
            if self.job.validation.cases
        )
        log.info(
            "%s %s: epoch %d/%d loss %.4f%s lr %.2e, %s%s",
            self.job.member,
            self.job.fold,
            row["epoch"],
            self.config.train.epochs,
            row["loss"],
            watched,
            row["learning_rate"],
            f"{clock(row['seconds'])}, {clock(left)} left",
            " (best)"
            if self.job.validation.cases and self.state.best_epoch == row["epoch"]
            else "",
        )


def _write_history(job: TrainingJob, state: TrainingState) -> None:
    write_text(job.history_path, pd.DataFrame(state.history).to_csv(index=False))


def _reseed_dropout(model: keras.Model, seed: list[int]) -> None:
    """Gives each dropout layer a state that depends on the epoch alone."""
    for index, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            rng = np.random.default_rng([*seed, index])
            generator.state.assign(rng.integers(2**32, size=2, dtype=np.uint32))
