"""A finished run that was never trained: its networks read the label off the image's grey value.

An image whose pixels are 0 to 3 thus comes back as its own mask, and all that `predict` says of it
is known by hand.
"""

import json
from pathlib import Path

import keras
import numpy as np
import yaml

from cardiac_seg.config.loading import load_config
from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.run.open import create
from cardiac_seg.system import backend

SIZE, SPACING = 64, 1.5
SURE = 60.0  # logits of a class and its neighbour differ by a ninth of it


def write_stub_run(
    folder: Path, dataset: str, review_below: float = 0.5, field: str = "image"
) -> Path:
    """Writes the run; `dataset` is acdc or camus. Images of 64 x 64 pixels of 1.5 mm fit it.

    With `field: heart`, what is bright in an overview is heart.
    """
    config = folder / "stub.yaml"
    settings = {
        "data": {"dataset": dataset, "root": str(folder)},
        "preprocess": {
            "spacing": SPACING,
            "size": [SIZE, SIZE],
            "clip": [0, 100],
            "normalize": "minmax",
            "field": field,
        },
        "stacking": {"learners": []},
    }
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(settings))
    run = create(load_config(config), folder / "run")
    backend.set_precision("float32")  # whatever an earlier test trained in
    for member in MEMBERS:
        path = run.models(member, "full") / f"{run.config.predict.checkpoint}.keras"
        path.parent.mkdir(parents=True)
        _reader(member).save(path)
    if field == "heart":
        path = run.locator("full")
        path.parent.mkdir(parents=True)
        _bright().save(path)
    run.meta.mkdir()
    choice = {"method": "mean", "predicted_dice": {"optimism": 0.0, "review_below": review_below}}
    files = {
        "choice": choice,
        "postprocessing": {"heart": [], "largest_component": [], "fill_holes": []},
        "temperature": {},
        "weighted_mean": {},
        "thresholds": {},
    }
    for name, content in files.items():
        (run.meta / f"{name}.json").write_text(json.dumps(content))
    return run.folder


def _reader(name: str) -> keras.Model:
    """Softmax over classes c of -SURE (v - c / 3)^2, of which v^2 cancels out.

    The second member takes class 1 for class 2, a little; their mean does not.
    """
    image = keras.Input((SIZE, SIZE, 1))
    layer = keras.layers.Conv2D(4, 1, activation="softmax")
    network = keras.Model(image, layer(image), name=name)
    levels = np.arange(4) / 3
    bias = -SURE * levels**2
    if name == MEMBERS[1]:
        bias[1:3] += -SURE / 9, 0.2
    layer.set_weights([2 * SURE * levels.reshape(1, 1, 1, 4), bias])
    return network


def _bright() -> keras.Model:
    """A locator: heart is what is a standard deviation above the mean of an overview."""
    image = keras.Input((None, None, 1))
    layer = keras.layers.Conv2D(1, 1, activation="sigmoid")
    network = keras.Model(image, layer(image), name="locator")
    layer.set_weights([np.full((1, 1, 1, 1), 20.0), np.array([-20.0])])
    return network


def ring(lv: float, centre=(30, 34), size: int = SIZE) -> np.ndarray:
    """(size, size) uint8 in ACDC's labels: an LV disc of a radius in pixels, MYO around, RV beside.

    It is alike in no other orientation.
    """
    row, column = np.mgrid[:size, :size]
    reach = np.hypot(row - centre[0], column - centre[1])
    mask = np.zeros((size, size), np.uint8)
    mask[(reach < 1.8 * lv + 8) & (column < centre[1]) & (row < centre[0] + 5)] = 1
    mask[reach < lv + 4] = 2
    mask[reach < lv] = 3
    return mask
