"""What depends on the machine: precision, memory advice."""

import keras
import numpy as np
import pytest

from cardiac_seg.members.networks.unet_advanced import unet_advanced
from cardiac_seg.run.members import _for_this_hardware
from cardiac_seg.system import backend
from cardiac_seg.system.errors import UserError


@pytest.mark.parametrize(("hardware", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_the_hardware_has_it(monkeypatch, hardware, expected):
    monkeypatch.setattr(backend, "_has_bfloat16", lambda: hardware)
    assert backend.set_precision("auto") == expected


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_keeps_weights_and_softmax_in_float32(precision):
    backend.set_precision(precision)
    model = unet_advanced((32, 32, 1), 4, filters=4)
    output = model(np.zeros((1, 32, 32, 1), np.float32))
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    assert model.layers[1].compute_dtype == precision


def test_a_network_saved_in_bfloat16_computes_in_what_this_machine_has():
    backend.set_precision("bfloat16")
    saved = unet_advanced((32, 32, 1), 4, filters=4)
    backend.set_precision("float32")
    network = _for_this_hardware(saved, "float32")
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    for mine, theirs in zip(network.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("batch_size", "advice"), [(8, "train.batch_size=4"), (1, "fewer filters")]
)
def test_out_of_memory_suggests_what_to_try(batch_size, advice):
    with (
        pytest.raises(UserError, match=advice),
        backend.memory_advice(batch_size, "train.batch_size"),
    ):
        raise RuntimeError("RESOURCE_EXHAUSTED: OOM when allocating tensor")


def test_other_errors_pass_unchanged():
    with pytest.raises(KeyError), backend.memory_advice(8, "train.batch_size"):
        raise KeyError("x")


def test_the_device_line_says_what_is_used(monkeypatch):
    monkeypatch.setattr(backend, "GPUS", [])
    assert "no GPU found, running on" in backend.device_line()
