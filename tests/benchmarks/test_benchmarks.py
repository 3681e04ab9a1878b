"""Benchmarks: what they count and divide; never how fast anything is."""

import json
from importlib import import_module

import keras
import numpy as np
import pytest
from keras import layers

from benchmarks import feeding, machine
from benchmarks.__main__ import TOPICS, main
from benchmarks.flops import layer_flops, network_flops
from benchmarks.tables import Table, number, percent, times
from benchmarks.timing import Spread, alternate, filling, ratios, repeated, spread
from benchmarks.workload import maps_that_look_trained
from cardiac_seg.config.sections import MEMBERS
from cardiac_seg.grid.resample import Grid, GridImage
from tests.support.stub_run import ring


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        # pixels of the output * kernel * channels in * channels out, twice
        (layers.Conv2D(4, 3, padding="same"), (8, 8, 2), 2 * 64 * 9 * 2 * 4),
        (layers.Conv2D(4, 3, padding="same", use_bias=False), (8, 8, 2), 2 * 64 * 9 * 2 * 4),
        (layers.Conv2D(4, 3, padding="same", strides=2), (8, 8, 2), 2 * 16 * 9 * 2 * 4),
        (layers.Conv2D(4, 3, padding="same", dilation_rate=2), (8, 8, 2), 2 * 64 * 9 * 2 * 4),
        (layers.Conv2D(4, 3), (8, 6, 2), 2 * 6 * 4 * 9 * 2 * 4),
        (layers.Conv2D(4, 1, groups=2), (8, 8, 6), 2 * 64 * 3 * 4),
        # pixels of the input * kernel * channels in * channels out, twice
        (layers.Conv2DTranspose(5, 2, strides=2), (4, 4, 3), 2 * 16 * 4 * 3 * 5),
        (layers.Dense(7), (6,), 2 * 6 * 7),
        (layers.Dense(7), (4, 4, 6), 2 * 16 * 6 * 7),
        (layers.BatchNormalization(), (8, 8, 2), 0),
    ],
)
def test_operations_of_a_layer(layer, shape, expected):
    layer(keras.Input(shape))
    assert layer_flops(layer) == expected


def test_operations_of_a_compiled_network_that_takes_any_size():
    image = keras.Input((None, None, 1))
    network = keras.Model(image, layers.Conv2D(2, 3, padding="same")(image))
    network.compile("adam", loss=lambda label, found: found)  # a loss that Keras cannot store
    assert network_flops(network, (8, 16)) == 2 * 8 * 16 * 9 * 2


def test_operations_of_a_network_and_of_one_inside():
    def half(inputs, channels, name):
        outputs = layers.Conv2D(channels, 3, padding="same")(inputs)
        return keras.Model(inputs, layers.ReLU()(outputs), name=name)

    inner = half(keras.Input((8, 8, 3)), 5, "inner")
    assert network_flops(inner) == 2 * 64 * 9 * 3 * 5
    inputs = keras.Input((8, 8, 3))
    first = inner(inputs)
    outputs = [first, layers.Conv2D(2, 1)(layers.MaxPooling2D()(first))]
    assert network_flops(keras.Model(inputs, outputs)) == 2 * 64 * 9 * 3 * 5 + 2 * 16 * 5 * 2


def test_sides_take_turns():
    order = []

    def side(name):
        return lambda: order.append(name) or len(order)

    assert alternate(side("A"), side("B"), rounds=3) == [[1, 3, 5], [2, 4, 6]]
    assert order == ["A", "B"] * 3
    assert alternate(side("A"), side("B"), side("C"), rounds=1) == [[7], [8], [9]]


def test_a_machine_that_slows_down_changes_no_ratio():
    clock = Clock()
    slower = iter([1, 1, 1.5, 1.5, 4, 4])

    def side(seconds):
        def measure():
            began = clock()
            clock.now += seconds * next(slower)
            return clock() - began

        return measure

    first, second = alternate(side(6.0), side(2.0), rounds=3)
    assert (first, second) == ([6, 9, 24], [2, 3, 8])
    assert ratios(first, second) == Spread(3, 3, 3)


def test_ratio_is_of_each_round_not_of_the_medians():
    assert ratios([4, 9, 10], [2, 3, 10]) == Spread(2, 1, 3)
    assert spread([5, 1, 3, 2]) == Spread(2.5, 1, 5)
    with pytest.raises(ValueError):
        ratios([1, 2], [1])


def test_measurements_are_warm_and_fill_their_time():
    clock, calls = Clock(), []

    def function():
        calls.append(1)
        clock.now += 50 if len(calls) == 1 else 0.25  # the first compiles

    one = filling(repeated(function, clock), seconds=2)
    before = len(calls)
    assert one() == 0.25 and len(calls) - before == 8
    calls.clear()
    long = filling(repeated(lambda: setattr(clock, "now", clock.now + 7), clock), seconds=2)
    assert long() == 7  # once at least


def test_cells():
    assert [number(x) for x in (0.01234, 1.234, 99.94, 1234.5)] == [
        "0.0123",
        "1.23",
        "99.9",
        "1,234",
    ]
    assert times(Spread(4, 3.456, 5)) == "4.00 [3.46, 5.00]"
    assert [percent(x) for x in (0.0123, 0.123)] == ["1.2 %", "12 %"]
    text = Table("Title", ["a", "b"], [["1", "2"]], "Note.").markdown()
    assert text == "### Title\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nNote.\n"


def test_maps_look_trained():
    label = np.stack([ring(20, centre=(80, 84), size=160)] * 3)
    grid = Grid((160, 160), (160, 160), (160, 160), (1.5, 1.5))
    image = GridImage(40 * label, 50.0, 30.0, grid)
    maps = maps_that_look_trained(image, label, list(MEMBERS), seed=0)
    raw = np.stack([maps.probabilities[m] for m in MEMBERS])
    assert raw.dtype == np.float16 and raw.shape == (2, 3, 160, 160, 4)
    np.testing.assert_allclose(raw.astype(np.float32).sum(-1), 1, atol=2e-3)
    mean = raw.astype(np.float32).mean(0)
    assert 0.02 < (mean.max(-1) < 0.99).mean() < 0.15
    assert 0.002 < (mean.argmax(-1) != label).mean() < 0.04
    assert 0.002 < (raw[0].argmax(-1) != raw[1].argmax(-1)).mean() < 0.04
    again = maps_that_look_trained(image, label, list(MEMBERS), seed=0)
    assert all(np.array_equal(again.probabilities[m], maps.probabilities[m]) for m in MEMBERS)


def test_every_topic_can_be_run():
    assert all(callable(import_module(f"benchmarks.{module}").run) for module in TOPICS.values())


def test_quick_run_writes_numbers_and_tables(tmp_path, monkeypatch):
    # Whole but for the steps: tracing a training takes longer than the rest together.
    steps = [{"no input": 0.5, "1": 1.0, "2": 0.625}] * 2
    monkeypatch.setattr(feeding, "time_steps", lambda bench: steps)
    monkeypatch.delitem(machine.LIBRARIES, "openvino")
    assert main(["--quick", "--only", "input", "--output", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    described = {"cpu", "cores", "flags", "memory_gib", "versions", "git_commit"}
    assert described <= set(results["machine"])
    measured = results["measurements"]["input"]
    assert measured["steps"] == steps and len(measured["batches"]) == results["sizes"]["rounds"]
    for batch in measured["batches"]:
        assert batch["1"] > 0 and batch["2"] > 0 and batch["peak_memory_mib"] > 0
    text = (tmp_path / "results.md").read_text()
    assert "### Highest rates" in text and "### Training input" in text
    assert "| 500 | " in text and "| 625 | 1.25 [1.25, 1.25] | 20 % |" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results.json", "results.md"]


def test_a_run_that_is_none_is_refused(tmp_path, capsys):
    assert main(["--run", str(tmp_path)]) == 2
    assert "not a run directory" in capsys.readouterr().err
