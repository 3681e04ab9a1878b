"""What depends on the machine and on the framework below Keras; the only importer of TensorFlow.

Import this module before anything that imports Keras: it keeps the framework's start-up chatter
away, and sets what must be set before the framework starts.
"""

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2

from cardiac_seg.system.errors import UserError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX: memory as needed
# TensorFlow takes oneDNN's kernels by itself only on the newest processors; on one with AVX2 alone
# these networks train 1.3 to 1.7 times as fast with them (16 and 32 filters, 96 x 96).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drops what C++ libraries print to standard error while a framework starts."""
    sys.stderr.flush()
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


with _quiet():
    import keras

    BACKEND = keras.backend.backend()
    if BACKEND == "tensorflow":
        import tensorflow as tf

        GPUS = tf.config.list_physical_devices("GPU")
        for gpu in GPUS:
            # Without it TensorFlow takes all memory, and two jobs cannot share a card.
            with contextlib.suppress(RuntimeError):  # already in use: another caller has set it
                tf.config.experimental.set_memory_growth(gpu, True)
    elif BACKEND == "jax":
        import jax

        GPUS = [device for device in jax.devices() if device.platform == "gpu"]
    elif BACKEND == "openvino":  # predicts only, on a CPU; takes bfloat16 by itself where it pays
        GPUS = []
    else:
        raise UserError(
            f"KERAS_BACKEND={BACKEND}: use tensorflow (the default), jax, or openvino to predict"
        )

# Batches are prepared in several threads; OpenCV's own would only get in their way.
cv2.setNumThreads(1)


def device_line() -> str:
    """One line that says what the run uses."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if not GPUS:
        return f"no GPU found, running on {cores} CPU core{'s' * (cores > 1)} ({BACKEND})"
    return f"running on {len(GPUS)} GPU: {_gpu_name()} ({BACKEND})"


def set_precision(name: str) -> str:
    """Sets the global dtype policy.

    Args:
        name: `auto`, `float32`, `bfloat16` or `float16`; `auto` takes bfloat16 where the hardware
            computes in it (AMX or AVX512-BF16 CPU, GPU of compute capability 8 or more).

    Returns:
        The precision in use; weights and softmax stay float32.
    """
    if name == "auto":
        name = "bfloat16" if BACKEND != "openvino" and _has_bfloat16() else "float32"
    keras.config.set_dtype_policy("float32" if name == "float32" else f"mixed_{name}")
    return name


def start_training(seed: int) -> None:
    """Frees the last model's memory, seeds initial weights and asks for repeatable kernels.

    Raises:
        UserError: If the backend cannot train.
    """
    if BACKEND == "openvino":
        raise UserError("KERAS_BACKEND=openvino: it predicts only; train with tensorflow or jax")
    keras.backend.clear_session()
    gc.collect()
    keras.utils.set_random_seed(seed)
    if BACKEND == "tensorflow" and not GPUS:
        # On a CPU it costs little, and a resumed run then equals an uninterrupted one.
        tf.config.experimental.enable_op_determinism()


def keep_freed_memory() -> None:
    """Lets the C library keep freed memory for the next step instead of returning it.

    TensorFlow's generator input sets glibc to return all of it at once, and a training step on a
    CPU then spends much of its time fetching the pages again. To be called when input has started.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc; others have no such switch
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        libc.mallopt(mmap_threshold, 2**30)
        libc.mallopt(trim_threshold, 2**31 - 1)


@contextlib.contextmanager
def memory_advice(batch_size: int, key: str) -> Iterator[None]:
    """Turns a framework's out-of-memory error into advice.

    Raises:
        UserError: With the batch size to try next.
    """
    try:
        yield
    except Exception as error:
        text = f"{type(error).__name__} {error}"
        signs = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "MemoryError", "out of memory")
        if not any(sign in text for sign in signs):
            raise
        if batch_size == 1:
            advice = "the batch size is 1 already; use a smaller preprocess.size or fewer filters"
        elif key.startswith("--"):
            advice = f"try {key} {batch_size // 2}"
        else:  # another training batch gives another result; prediction's does not
            again = "with another --run-dir" if key.startswith("train") else "and go on"
            advice = f"try --set {key}={batch_size // 2} {again}"
        raise UserError(f"{key}: {batch_size} slices do not fit in memory; {advice}") from None


def tensorboard_callback(folder: Path) -> keras.callbacks.Callback | None:
    """Keras's TensorBoard callback, or None where TensorFlow is not the backend."""
    return keras.callbacks.TensorBoard(folder) if BACKEND == "tensorflow" else None


def versions() -> dict[str, str]:
    """Versions of the framework in use."""
    import importlib.metadata as metadata

    return {name: metadata.version(name) for name in ("keras", BACKEND)}


def _gpu_name() -> str:
    if BACKEND == "tensorflow":
        return tf.config.experimental.get_device_details(GPUS[0]).get("device_name", "unknown")
    return GPUS[0].device_kind


def _has_bfloat16() -> bool:
    if GPUS:
        if BACKEND == "tensorflow":
            details = tf.config.experimental.get_device_details(GPUS[0])
            return details.get("compute_capability", (0, 0))[0] >= 8
        return float(getattr(GPUS[0], "compute_capability", 0) or 0) >= 8
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
