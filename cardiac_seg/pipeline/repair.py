"""Puts a run's record right after somebody deleted what a finished stage had left."""

from cardiac_seg.pipeline.measure_run import forget_measures
from cardiac_seg.run.folder import RESULTS, Run
from cardiac_seg.system.log import log


def repair(run: Run, stages: tuple[str, ...]) -> None:
    """Marks stages as not done whose results are gone, so that they are made again.

    Args:
        run: The run.
        stages: Those that are about to run; others are left as they are.
    """
    if run.is_done("stack") and not run.meta.exists() and "stack" in stages:
        log.info("meta: deleted; stacked again, networks and maps are kept")
        run.forget_stacking()
    lost = [name for name in RESULTS if not (run.folder / name).is_file()]
    if run.is_done("evaluate") and lost and "evaluate" in stages:
        log.info("%s: deleted; the test cases are scored again", lost[0])
        forget_measures(run)
        run.update_manifest(stages={"evaluate": {"done": False}})
