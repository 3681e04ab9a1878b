"""The stages of a run in their order, from files on disk to scores.

Each reads what the earlier ones left in the run directory, skips what is finished and can be killed
at any time.
"""

from cardiac_seg.config.sections import STAGES
from cardiac_seg.pipeline.evaluate import evaluate
from cardiac_seg.pipeline.maps import write_development_maps
from cardiac_seg.pipeline.prepare import Prepared, find_cases, prepare
from cardiac_seg.pipeline.repair import repair
from cardiac_seg.pipeline.stack import fit_meta_learner
from cardiac_seg.pipeline.train import train_members
from cardiac_seg.run.environment import record_environment
from cardiac_seg.run.folder import Run
from cardiac_seg.run.provenance import check_networks
from cardiac_seg.system.log import log


def run_stages(
    run: Run, stages: tuple[str, ...] = STAGES, member: str | None = None, fold: int | None = None
) -> None:
    """Runs stages in order, skipping what is done.

    Args:
        run: The run directory.
        stages: Some of `STAGES`.
        member: Train only this member.
        fold: Train only this fold.
    """
    repair(run, stages)
    if run.is_done("evaluate"):
        log.info("finished already; results are in metrics.json")
        return
    record_environment(run)
    files = find_cases(run)
    data = prepare(run, files)
    if "train" in stages:
        train_members(run, data, member, fold)
    if "stack" in stages:
        stack(run, data)
    if "evaluate" in stages:
        evaluate(run, data)


def stack(run: Run, data: Prepared) -> None:
    """Maps the development cases by networks that never saw them, and fits the meta-learner there.

    Test cases are not touched here: everything that is chosen is chosen now.
    """
    if not run.is_done("stack"):
        check_networks(run)
        with run.stage("stack"):
            write_development_maps(run, data)
            fit_meta_learner(run, data)
