"""Work on patients side by side, a process per core, with a bar."""

from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib

from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar


def for_each_patient(
    function: Callable[..., None], arguments: list[tuple], folder: Path, description: str
) -> None:
    """Calls a function for every patient, in any order; each call keeps its own result.

    Args:
        function: Of a module, so that another process finds it.
        arguments: Those of each call.
        folder: The run; an error names it.
        description: Of the bar.

    Raises:
        UserError: If a process was killed.
    """
    processes = min(joblib.cpu_count(), len(arguments) or 1)
    jobs = joblib.Parallel(n_jobs=processes, return_as="generator_unordered")
    calls = (joblib.delayed(function)(*each) for each in arguments)
    try:
        for _ in bar(jobs(calls), description, total=len(arguments), unit="patient"):
            pass
    except BrokenProcessPool:
        raise UserError(
            f"{folder}: a worker was killed, perhaps for memory; the same command goes on"
        ) from None
