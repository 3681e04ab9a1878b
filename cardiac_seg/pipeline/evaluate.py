"""Maps, masks and measures of the test cases, and all scores of the run.

Where a run holds nobody out (`split.scheme: all`), its training cases take the place of both
development and test cases, and their subset is called `all`.
"""

import pandas as pd

from cardiac_seg.data.split import deployed_folds
from cardiac_seg.masks.postprocessing import STEPS, Postprocessing
from cardiac_seg.meta.combine import Combiner
from cardiac_seg.pipeline.cross_fit import DEVELOPMENT, cross_fitted_scores
from cardiac_seg.pipeline.external import take_maps
from cardiac_seg.pipeline.maps import map_cases
from cardiac_seg.pipeline.measure_run import evaluate_patients, keep_measures
from cardiac_seg.pipeline.prepare import Prepared
from cardiac_seg.pipeline.scores import Scores, describe_cases, scores_of, summarize
from cardiac_seg.run.folder import Run
from cardiac_seg.run.formats import read_stored
from cardiac_seg.run.meta_folder import (
    control_of,
    final_method,
    methods_of,
    read_choice,
    read_combiner,
    read_steps,
)
from cardiac_seg.run.metrics_file import score_table
from cardiac_seg.run.provenance import check_networks
from cardiac_seg.run.scoring import begin_scoring, finished_scorings
from cardiac_seg.system.atomic import whole_file, write_json
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import log


def evaluate(run: Run, data: Prepared) -> None:
    """Maps the test cases, writes their masks and measures, and scores every method.

    Raises:
        UserError: If the meta-learner has not been fitted, or a network was trained on a patient
            that the split holds out, or a member brings no map of a test case.
    """
    if not run.is_done("stack"):
        raise UserError(f"{run.folder}: stage evaluate needs stage stack; run it first")
    check_networks(run)
    take_maps(run, data, scoring=True)
    with run.stage("evaluate") as recorded:
        split, methods = run.split(), methods_of(run)
        combiner, steps = read_combiner(run, methods), read_steps(run)
        patients = set(split.patient[split.subset == run.scored])
        chosen = [file for file in data.files if file.patient in patients]
        begin_scoring(run)
        map_cases(run, data, chosen, deployed_folds(run.config))
        measures = evaluate_patients(run, chosen)
        scores = {DEVELOPMENT: cross_fitted_scores(run)} if run.holds_out else {}
        structures = run.dataset.structures
        scores[run.scored] = scores_of(measures, chosen, methods, structures, run.scored)
        with whole_file(run.folder / "test_cases.csv") as partial:
            describe_cases(chosen).to_csv(partial, index=False)
        _write_scores(run, scores, steps)
        keep_measures(run)
        run.update_manifest(combining=_costs(run, combiner, scores[run.scored]))
        recorded["scored"] = finished_scorings(run)
        log.info("%s", score_table(read_stored(run.folder / "metrics.json"), run.scored))


def _write_scores(run: Run, scores: dict[str, Scores], steps: Postprocessing) -> None:
    """Writes `cases.csv` and `metrics.json`."""
    structures, control = run.dataset.structures, control_of(run)
    names = dict(enumerate(structures, start=1))
    metrics = {
        "dataset": run.config.data.dataset,
        "phantom": run.manifest.dataset.phantom,
        "structures": list(structures),
        "grid": "per patient: native grid, after postprocessing; pooled: network grid, before it",
        "postprocessing": {s: [names[label] for label in steps.steps[s]] for s in STEPS},
        "control": control,
        "final_method": final_method(run),
        "chosen_by": read_choice(run).by,
        "subsets": {
            subset: summarize(of_subset, structures, control, run.config.seed)
            for subset, of_subset in scores.items()
        },
    }
    with whole_file(run.folder / "cases.csv") as partial:
        pd.concat([of_subset.cases for of_subset in scores.values()]).to_csv(partial, index=False)
    write_json(run.folder / "metrics.json", metrics)


def _costs(run: Run, combiner: Combiner, scored: Scores) -> dict[str, dict]:
    """Method -> what combining costs, for the manifest: times are no result, and vary."""
    cases, costs = scored.cases.case.nunique(), {}
    for name, seconds in scored.seconds.items():
        costs[name] = {"seconds_per_case": round(seconds / cases, 4)}
        if learner := combiner.learners.get(name):
            size = (run.meta / f"{name}.skops").stat().st_size
            costs[name] |= {
                "features": len(learner.features),
                "fit_seconds": round(learner.seconds, 2),
                "mib_on_disk": round(size / 2**20, 3),
            }
    return costs
