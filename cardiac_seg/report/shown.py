"""Which of a run's methods a report shows, under which names."""

from dataclasses import dataclass

from cardiac_seg.data.split import TRAINING_CASES
from cardiac_seg.meta.methods import CALIBRATED_MEAN, ENSEMBLE, Method, ensemble_of, list_methods
from cardiac_seg.pipeline.measure_run import study_of
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import control_of, final_method, read_choice
from cardiac_seg.system.errors import UserError


@dataclass(frozen=True)
class Shown:
    """Lists of methods for figures and text.

    Attributes:
        every: All that the run scores, the ensemble last.
        main: Members, control and ensemble: where few fit.
        pixels: Those whose probabilities are measured.
        curves: Those of a reliability diagram.
        members: The networks.
        control: The method that the others are compared with.
        ensemble: The method in use, under that name.
        learner: The method in use if it is a learner, else the best learner on development
            patients; None where there is none.
        full_learner: The same among the learners on the full feature set.
        titles: Name -> title of every method of the run, shown or not.
        holds_out: Whether the patients that are scored trained no network.
    """

    every: list[Method]
    main: list[Method]
    pixels: list[Method]
    curves: list[Method]
    members: list[Method]
    control: Method
    ensemble: Method
    learner: Method | None
    full_learner: Method | None
    titles: dict[str, str]
    holds_out: bool = True

    @property
    def scored(self) -> str:
        """What the patients and cases that are scored are called."""
        return "test" if self.holds_out else "training"

    def told(self, text: str) -> str:
        """A caption, which says so where its figures are of no patient that was held out."""
        said = f"{TRAINING_CASES[0].upper()}{TRAINING_CASES[1:]}."
        return text if self.holds_out else f"{text.rstrip('.')}. {said}" if text else said


def methods_shown(run: Run) -> Shown:
    """The methods of a run as `report.methods` wants them.

    Raises:
        UserError: If that names a method that the run does not have.
    """
    all_of_run = list_methods(run.config.members, run.config.stacking)
    methods = {m.name: m for m in all_of_run}
    ensemble = ensemble_of(methods[final_method(run)])
    methods |= {ENSEMBLE: ensemble}
    members, control = [methods[m] for m in run.config.members], methods[control_of(run)]
    main = list(dict.fromkeys([*members, control, ensemble]))
    wanted = run.config.report.methods
    for name in wanted or []:
        if name not in methods:
            raise UserError(
                f"report.methods: {name!r} is no method of {run.folder}; it has "
                f"{', '.join(methods)}"
            )
    every = [methods[name] for name in wanted or methods]
    pixels = [m for m in every if m.name in (*study_of(run).pixel_methods, ENSEMBLE)]
    in_curves = {m.name for m in main} | {CALIBRATED_MEAN} | set(wanted or [])
    return Shown(
        every=every,
        main=every if wanted else main,
        pixels=pixels,
        curves=[m for m in pixels if m.name in in_curves],
        members=members,
        control=control,
        ensemble=ensemble,
        learner=_learner_shown(run, [m for m in all_of_run if m.kind == "learner"]),
        full_learner=_learner_shown(run, [m for m in all_of_run if m.features == "all"]),
        titles={name: method.title for name, method in methods.items()},
        holds_out=run.holds_out,
    )


def _learner_shown(run: Run, learners: list[Method]) -> Method | None:
    """The method in use if it is among them, else the best on development."""
    dice = read_choice(run).development_dice
    in_use = [m for m in learners if m.name == final_method(run)]
    return max(in_use or learners, key=lambda m: dice.get(m.name, 0.0), default=None)
