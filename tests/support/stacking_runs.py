"""Runs whose networks are stand-ins, for tests of the stacking."""

import json
import shutil
from functools import partial

import numpy as np
import pytest

from cardiac_seg.config.loading import load_config
from cardiac_seg.pipeline.prepare import find_cases, prepare
from cardiac_seg.pipeline.stages import stack
from cardiac_seg.pipeline.train import training_cases
from cardiac_seg.run import members
from cardiac_seg.run.open import create, join, open_run

SMALL = """
data: {dataset: acdc, root: %s, cache: %s}
split: {validation: 0.25, test: 0.25, folds: 2}
preprocess: {spacing: 5.0, size: [32, 32]}
stacking:
  pixels_per_case: 400
  features: [margin, slices]
  random_forest: {trees: 5}
  gradient_boosting: {iterations: 5, min_samples_leaf: 50}
  boosted_mean: {rounds: 5, leaves: [4], min_samples_leaf: 50}
"""
MEMORISED = np.float16(1)  # the probability that stand-ins give to pixels they were trained on


class StandIn:
    """A network that knows its training images by heart and is right about most others."""

    name, input_shape = "stand-in", (None, None, None, 1)

    def __init__(self, run, data, member, fold, asked):
        # What a training is really given, not what the split says it should be.
        trained_on = {c.patient for c in training_cases(run, data, member, fold)[0].cases}
        cache = data.cache
        self.fold, self.asked, self.known = fold, asked, {}
        self.strength = {"unet_advanced": 2.0, "deep_unet_improved": 1.5}[member]
        for case in cache.cases.values():
            image = cache.image(case, "zscore")
            for i, (plane, label) in enumerate(zip(image, cache.label(case), strict=True)):
                self.known[plane.tobytes()] = (case.patient, i, label, case.patient in trained_on)

    def predict_on_batch(self, batch):
        maps = np.full((*batch.shape[:3], 4), 0.25, np.float32)
        for i, plane in enumerate(batch[..., 0]):
            if plane.tobytes() not in self.known:
                continue  # a batch's padding
            patient, number, label, memorised = self.known[plane.tobytes()]
            self.asked.append((self.fold, patient))
            one_hot = np.eye(4, dtype=np.float32)[label]
            rng = np.random.default_rng([number, *patient.encode()])
            logits = self.strength * one_hot + rng.normal(size=one_hot.shape)
            guess = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            maps[i] = one_hot * MEMORISED if memorised else guess
        return maps


def set_up(folder, mri_root, cache, patch, **overrides):
    """A run in `folder` whose networks are stand-ins, with its cases and what it asks of them."""
    config = folder / "small.yaml"
    config.write_text(SMALL % (mri_root, cache))
    sets = [f"{key.replace('__', '.')}={json.dumps(v)}" for key, v in overrides.items()]
    resolved = load_config(config, sets)
    create(resolved, folder / "run")
    run = join(resolved, folder / "run")
    data, asked = prepare(run, find_cases(run)), []
    patch.setattr(
        members,
        "load_network",
        lambda run, member, fold: StandIn(run, data, member, fold, asked),
    )
    return run, data, asked


@pytest.fixture(scope="session")
def cache_of_small(tmp_path_factory):
    """Preprocessed once for all runs."""
    return tmp_path_factory.mktemp("cache_of_small")


@pytest.fixture
def prepared(mri_root, cache_of_small, tmp_path, monkeypatch):
    """Makes a run whose networks are stand-ins; gives it with its cases and questions."""
    return partial(set_up, tmp_path, mri_root, cache_of_small, monkeypatch)


@pytest.fixture(scope="session")
def stacked_once(mri_root, cache_of_small, tmp_path_factory):
    """The folder of a run stacked with logistic regression; read only."""
    folder = tmp_path_factory.mktemp("stacked_once")
    with pytest.MonkeyPatch.context() as patch:
        run, data, _ = set_up(
            folder, mri_root, cache_of_small, patch, stacking__learners=["logistic"]
        )
        stack(run, data)
    return run.folder


@pytest.fixture
def stacked(stacked_once, tmp_path):
    """A copy of a stacked run, to damage."""
    return open_run(shutil.copytree(stacked_once, tmp_path / "stacked"))
