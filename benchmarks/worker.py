"""Measurements in a process of their own.

Thread pools, the precision policy, the C library's memory settings and peak memory are of a whole
process, so two measurements in one would disturb each other. A worker prepares its measurement
once and then makes one whenever it is told to; between two it sleeps, so that workers can take
turns.

    a = Worker("benchmarks.training:published", side=160, batch=8)
    b = Worker("benchmarks.training:ours", side=160, batch=8)
    with prepared(a, b):
        a.measure(), b.measure()
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cardiac_seg.run.environment import peak_memory_mib as peak_of_family

ROOT = Path(__file__).parents[1]
SETTLE_SECONDS = 0.2  # threads of the side measured before wait busily for half as long


class Worker:
    """A process that holds one measurement; starts at once, see `prepared`.

    Args:
        target: `module:function`. The function prepares the measurement, warm, and returns what
            makes one: a function without arguments to a dictionary that JSON can hold.
        backend: The Keras backend.
        plain: Leave it to TensorFlow which kernels it takes, as a script without this project does.
        settings: The function's arguments; paths arrive as text.
    """

    def __init__(self, target: str, backend: str = "tensorflow", plain: bool = False, **settings):
        self.target = target
        # TensorFlow takes any other word for no choice; without one, backend.py would choose.
        kernels = {"TF_ENABLE_ONEDNN_OPTS": "default"} if plain else {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", target, json.dumps(settings, default=str)],
            cwd=ROOT,
            env=os.environ | kernels | {"KERAS_BACKEND": backend},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self) -> dict:
        """Makes one measurement; adds the process's largest resident memory so far in MiB."""
        time.sleep(SETTLE_SECONDS)
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.receive()

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):  # it has ended by itself
            self._process.stdin.close()
        self._process.wait()

    def receive(self) -> dict:
        """What the process says next.

        Raises:
            RuntimeError: If it ends instead; its error is on the terminal.
        """
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise RuntimeError(f"{self.target}: its process ended with exit code {code}")
        return json.loads(line)


@contextlib.contextmanager
def prepared(*workers: Worker) -> Iterator[None]:
    """Waits until all workers have prepared, which they do at the same time; ends them after."""
    try:
        for worker in workers:
            worker.receive()
        yield
    finally:
        for worker in workers:
            worker.close()


def measure_once(target: str, **settings) -> dict:
    """One measurement by a worker that is not needed again."""
    worker = Worker(target, **settings)
    with prepared(worker):
        return worker.measure()


def peak_memory_mib() -> int:
    """Largest resident memory of this process so far, in MiB.

    On Linux a child's `ru_maxrss` begins with that of the process it was started from.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return peak_of_family()
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 2**10)
    return peak_of_family()


def serve(target: str, settings: dict) -> None:
    """What runs in the worker's process."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    import cardiac_seg.system.backend  # noqa: F401  before Keras, see there

    def answer(value: dict) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    module, function = target.split(":")
    measure = getattr(importlib.import_module(module), function)(**settings)
    answer({})  # prepared
    for _ in sys.stdin:
        answer(measure() | {"peak_memory_mib": peak_memory_mib()})


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
