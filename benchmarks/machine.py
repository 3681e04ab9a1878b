"""The machine: what it is, and the highest rates that a library reaches on it."""

import os
import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.tables import Outcome, Table, number
from benchmarks.timing import repeated
from benchmarks.worker import measure_once
from cardiac_seg.run.environment import describe_environment

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
OPTIONAL = ("openvino", "onnxruntime", "torch")
LIBRARIES = {
    "tensorflow": "benchmarks.machine:tensorflow_rates",
    "openvino": "benchmarks.machine:openvino_rates",
    "torch": "benchmarks.machine:torch_rates",
}
PRECISIONS = ("float32", "bfloat16")
PRODUCT, CONVOLUTION = "matrix product", "convolution"
REPEATS, LONGEST_SECONDS = 8, 3.0
KERNEL = 3


def describe() -> dict:
    """The hardware, versions and commit."""
    environment = describe_environment()
    optional = {name: version(name) for name in OPTIONAL if find_spec(name)}
    return {
        "cpu": _cpu_value("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in (_cpu_value("flags") or "").split()],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        **environment,
        "versions": environment["versions"] | optional,
    }


def highest_rates(matrix: int, convolution: tuple[int, int, int]) -> tuple[float, Outcome]:
    """Measures a large matrix product and a large convolution with each library at hand.

    Args:
        matrix: Rows and columns of the matrices.
        convolution: Images, side in pixels, and channels in and out, of a 3x3 convolution.

    Returns:
        The highest rate in operations a second, and the table.
    """
    images, side, channels = convolution
    operations = {
        PRODUCT: 2 * matrix**3,
        CONVOLUTION: 2 * images * side**2 * KERNEL**2 * channels**2,
    }
    rows, rates = [], {}
    for library, target in LIBRARIES.items():
        if not find_spec(library):
            continue
        measured = measure_once(target, matrix=matrix, convolution=convolution)
        for operation, precision, seconds in measured["fastest"]:
            rate = operations[operation] / seconds
            rates[f"{library}, {operation}, {precision}"] = rate
            rows.append([operation, precision, library, number(rate / 1e9)])
    table = Table(
        "Highest rates",
        ["operation", "precision", "library", "GFLOP/s"],
        sorted(rows),
        f"{matrix} x {matrix} matrices; {images} images of {side} x {side} pixels, {channels} "
        "channels in and out, 3x3 kernel. The fastest of several calls. Shares below are of the "
        "largest number here, whatever the precision. A multiplication with its addition is two "
        "operations; a training step is counted as three passes.",
    )
    return max(rates.values()), Outcome([table], rates)


def tensorflow_rates(matrix: int, convolution: list[int]) -> Callable[[], dict]:
    """Prepares TensorFlow's; it gives operation, precision and the seconds of the fastest call."""
    import tensorflow as tf

    def measure() -> dict:
        fastest = []
        for precision in PRECISIONS:
            a, image, kernel = (tf.cast(x, precision) for x in _operands(matrix, convolution))
            product = tf.function(lambda a=a: tf.matmul(a, a))
            convolve = tf.function(lambda x=image, k=kernel: tf.nn.conv2d(x, k, 1, "SAME"))
            for operation, call in ((PRODUCT, product), (CONVOLUTION, convolve)):
                # Some of it is fetched: on a GPU the call returns before it has computed.
                seconds = _best(lambda call=call: call()[0, 0].numpy())
                fastest.append((operation, precision, seconds))
        return {"fastest": fastest}

    return measure


def torch_rates(matrix: int, convolution: list[int]) -> Callable[[], dict]:
    """Prepares PyTorch's, on the CPU."""
    import torch

    torch.set_grad_enabled(False)

    def measure() -> dict:
        fastest = []
        for precision in PRECISIONS:
            operands = _operands(matrix, convolution)
            a, image, kernel = (torch.from_numpy(x).to(getattr(torch, precision)) for x in operands)
            # Channels first by name, last in memory: the layout it is fastest in.
            image, kernel = image.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1)
            kernel = kernel.contiguous(memory_format=torch.channels_last)
            convolve = partial(torch.nn.functional.conv2d, image, kernel, padding="same")
            fastest.append((PRODUCT, precision, _best(partial(torch.matmul, a, a))))
            fastest.append((CONVOLUTION, precision, _best(convolve)))
        return {"fastest": fastest}

    return measure


def openvino_rates(matrix: int, convolution: list[int]) -> Callable[[], dict]:
    """Prepares OpenVINO's; a precision that it does not take on this CPU is left out."""
    import openvino as ov
    from openvino import opset13 as ops

    a, image, kernel = _operands(matrix, convolution)
    # It takes channels first by name, and arranges them as it likes.
    image, kernel = image.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1)

    def compiled(build: Callable, value: np.ndarray, precision: str):
        given = ops.parameter(value.shape, np.float32)
        hint = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32"}
        model = ov.Core().compile_model(ov.Model([build(given)], [given]), "CPU", hint)
        taken = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        return model if taken == hint["INFERENCE_PRECISION_HINT"] else None

    def product(given):
        return ops.matmul(given, ops.constant(a), False, False)

    def convolve(given):
        return ops.convolution(given, ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])

    def measure() -> dict:
        fastest = []
        for precision in PRECISIONS:
            for name, build, value in (
                (PRODUCT, product, a),
                (CONVOLUTION, convolve, np.ascontiguousarray(image)),
            ):
                if model := compiled(build, value, precision):
                    request = model.create_infer_request()
                    request.set_input_tensor(ov.Tensor(value, shared_memory=True))
                    fastest.append((name, precision, _best(request.infer)))
        return {"fastest": fastest}

    return measure


def _operands(matrix: int, convolution: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matrix, images with channels last, and a kernel (row, column, in, out), float32."""
    images, side, channels = convolution
    rng = np.random.default_rng(0)
    shapes = (
        (matrix, matrix),
        (images, side, side, channels),
        (KERNEL, KERNEL, channels, channels),
    )
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def _best(call: Callable[[], object]) -> float:
    """Seconds of the fastest of several calls; fewer where a precision is emulated and slow."""
    work = repeated(call)
    seconds = []
    while len(seconds) < REPEATS and sum(seconds) < LONGEST_SECONDS:
        seconds.append(work(1))
    return min(seconds)


def _cpu_value(key: str) -> str | None:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return None
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None
