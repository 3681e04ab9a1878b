"""The JSON files of a run directory as frozen models, and how they are read.

Each model says what its readers rely on; a file may hold more. `manifest.json` gives the format
that a run was written with, and `run.formats` turns files of earlier formats into today's words
first.
"""

import reprlib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cardiac_seg.run.formats import FORMAT, read_stored
from cardiac_seg.system.errors import UserError

MIN_TEMPERATURE = 1e-3  # logits are divided by it

T = TypeVar("T")
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]  # neither a bool nor text
Temperature = Annotated[Number, Field(ge=MIN_TEMPERATURE)]
Weight = Annotated[Number, Field(ge=0)]
Confidence = Annotated[Number, Field(gt=0, le=1)]
Label = Annotated[int, Field(strict=True, ge=1)]


class Stored(BaseModel):
    """A document of a run, or a part of one; what no reader relies on is passed over."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class StageRecord(Stored):
    """`stages.<name>` of the manifest.

    Attributes:
        done: Whether the stage has run to its end.
        seconds: What it took, without interrupted tries.
        peak_memory_mib: Largest resident memory of its process.
    """

    done: bool
    seconds: float | None = None
    peak_memory_mib: int | None = None


class DatasetRecord(Stored):
    """`dataset` of the manifest: the data as the prepare stage found it; None before that.

    Attributes:
        name: See `data.registry.DATASETS`.
        phantom: Whether the images are generated.
        fingerprint: SHA-256 of the cached slices.
        patients, cases, slices: How many.
    """

    name: str | None = None
    phantom: bool | None = None
    fingerprint: str | None = None
    patients: int | None = None
    cases: int | None = None
    slices: int | None = None


class StartRecord(Stored):
    """`start.<member>` of the manifest: the network that a member's trainings start from.

    All that is needed of it once they have begun, so that its folder may go.

    Attributes:
        path: Its run, as the configuration names it.
        labels: Structure names of its classes.
        sha256: Of its file.
        trained_on: Dataset, see `run.provenance.data_name` -> the patients it was trained on, and
            those of what it started from itself.
    """

    path: str
    labels: list[str]
    sha256: str
    trained_on: dict[str, list[str]]


class BroughtMap(Stored):
    """A file of softmax maps of a case.

    Attributes:
        file: Its path under the folder of the maps.
        sha256: Of its content.
        made_by: See `members.external_folder.FoundMap`.
    """

    file: str
    sha256: str
    made_by: str


class BroughtMaps(Stored):
    """`models/<member>/maps.json`: the maps that a run takes of a member of another program.

    Attributes:
        maps: Case -> its file.
        trained_on: What made maps -> the patients that it has seen; None where nobody knows.
    """

    maps: dict[str, BroughtMap] = {}
    trained_on: dict[str, list[str] | None] = {}

    def patients(self, case: str) -> frozenset[str] | None:
        """The patients that the networks behind a case's map have seen."""
        known = self.trained_on.get(self.maps[case].made_by)
        return None if known is None else frozenset(known)


class Scoring(Stored):
    """An item of `scored` of the manifest: one time that the test patients were scored.

    Attributes:
        number: From 1.
        date: UTC, when it began.
        stack: Name of the stack, where it had one.
        changed: `key: old -> new` of the settings that differ from the previous scoring's.
        settings: Hash of the resolved settings, without paths of a machine.
        git_commit: Of the code.
        method: In use.
        finished: Whether it reached its end.
        values: The settings, of the last scoring alone: key -> value as JSON.
    """

    number: int
    date: str
    stack: str | None = None
    changed: list[str] = []
    settings: str
    git_commit: str | None = None
    method: str
    finished: bool = False
    values: dict[str, str] | None = None


class KeptStack(Stored):
    """`stacks/<name>/stack.json`: what a kept stack needs to be put into use again.

    Attributes:
        stacking: Its section of the configuration.
        mirror: `predict.mirror`, on which its maps depend.
        stages, models, combining: Its part of the manifest.
        networks: Path of each network that its maps are of -> SHA-256.
    """

    stacking: dict[str, Any]
    mirror: str
    stages: dict[str, dict[str, Any]]
    models: dict[str, str]
    combining: dict[str, dict[str, Any]]
    networks: dict[str, str]


class StackChange(Stored):
    """`stacks/change.json`: a change of stacks that is under way, see `run.stacks`.

    Attributes:
        keep: Where under `stacks/` the present stack goes.
        kept: The files and folders of the run that go there.
        record: Its `KeptStack`.
        take: Which kept stack takes its place, if one does.
        taken: The files and folders that come from there.
        manifest, config, split: What the run's files receive.
        remap: Whether the maps are dropped.
    """

    keep: str
    kept: list[str]
    record: dict[str, Any]
    take: str | None
    taken: list[str]
    manifest: dict[str, Any]
    config: str
    split: str | None
    remap: bool


class Manifest(Stored):
    """`manifest.json`: what is recorded about a run.

    Attributes:
        format: Of the run's files, see `run.formats`.
        stages: Stage -> whether it is done, and what it took.
        models: Path of a network or learner in the run -> SHA-256.
        dataset: The data as the prepare stage found it.
        start: Member -> what its trainings start from, where that is no random network.
        versions: Package -> version.
        combining: Method -> what combining costs.
        stack: Name of the stack in `meta/`, if it has one.
        fold_train: What networks of folds are trained with that came to a run without, as JSON.
        scored: Each time that the test patients were scored.
        scored_from_start: Whether `scored` knows of all times; those of earlier versions it does
            not.
        device, git_commit: What the run was made with.
        exported: Whether it is what `export` keeps of a run: enough to predict.
    """

    format: Annotated[int, Field(ge=1, le=FORMAT)] = 1
    stages: dict[str, StageRecord] = {}
    models: dict[str, str] = {}
    dataset: DatasetRecord = DatasetRecord()
    start: dict[str, StartRecord] = {}
    versions: dict[str, str] = {}
    combining: dict[str, dict[str, Any]] = {}
    stack: str | None = None
    fold_train: str | None = None
    scored: list[Scoring] = []
    scored_from_start: bool = False
    device: str | None = None
    git_commit: str | None = None
    exported: bool = False


class PredictedDiceFit(Stored):
    """See `metrics.expected_dice.fit_predicted_dice`."""

    optimism: Number
    review_below: Number


class Choice(Stored):
    """`meta/choice.json`: the method in use.

    Attributes:
        method: Its name.
        by: `development`, or `config` where the configuration names it.
        development_dice: Method -> mean cross-fitted Dice.
        predicted_dice: What turns the method's probabilities into a predicted Dice.
    """

    method: str
    by: str = "unknown"
    development_dice: dict[str, float] = {}
    predicted_dice: PredictedDiceFit


class Threshold(Stored):
    """A learner of `meta/thresholds.json`: it acts where the mean is less confident than `below`.

    Attributes:
        below: The confidence.
        share, share_before: Of the pixels acted on, with the threshold and without.
        dice_change, expected_dice_change: What the threshold changes.
    """

    below: Confidence
    share: float | None = None
    share_before: float | None = None
    dice_change: float | None = None
    expected_dice_change: float | None = None


class StoredSteps(Stored):
    """`meta/postprocessing.json`: the labels that each step acts on, see `masks.postprocessing`."""

    model_config = ConfigDict(extra="forbid")

    fill_holes: list[Label]
    heart: list[Label]
    largest_component: list[Label]


class Features(Stored):
    """`meta/features.json`: what the columns of the features are; for people, no code reads it."""

    members: list[str]
    classes: list[str]
    groups: list[str]
    context_mm: list[float]
    act_below: float
    core: list[str]
    all: list[str]


class FoldEvidence(Stored):
    """`meta/cross_fit/fold<N>.json`: counts of one fold, scored with what the others gave.

    Attributes:
        format: See `run.formats`.
        pooled: Method -> confusion matrix of all pixels of the network grid.
        seconds: Method -> what combining took.
        changes: Method -> pixels changed against the control.
        changes_by_place: Learner -> place -> structure -> pixels changed against the calibrated
            mean; of an earlier version empty.
        errors: Member -> each later member -> pixels where the two err.
        thresholds: Learner -> scores at each threshold.
        calibration: Method -> counts by confidence where learners act.
        importance: Learner -> feature group -> permutation importance in nats.
        importance_by_place: Learner -> place -> structure -> sums of it; of an earlier version
            empty.
    """

    format: int = 1
    pooled: dict[str, list[list[int]]]
    seconds: dict[str, float]
    changes: dict[str, dict[str, Any]]
    errors: dict[str, dict[str, Any]]
    thresholds: dict[str, dict[str, Any]]
    calibration: dict[str, dict[str, Any]]
    importance: dict[str, dict[str, float]]
    changes_by_place: dict[str, dict[str, dict[str, Any]]] = {}
    importance_by_place: dict[str, dict[str, dict[str, Any]]] = {}


class PooledScores(Stored):
    """Scores over all pixels of the network grid, before postprocessing."""

    confusion: Annotated[list[list[int]], Field(min_length=1)]


class MethodScores(Stored):
    """Scores of one method over the patients of a subset."""

    mean_foreground_dice: float
    dice_native_per_patient: Annotated[dict[str, float], Field(min_length=1)]
    interval_95: dict[str, list[float] | None]
    pooled_network_grid: PooledScores


class SubsetScores(Stored):
    """`subsets.<name>` of `metrics.json`."""

    patients: int
    methods: dict[str, MethodScores]


class Metrics(Stored):
    """`metrics.json`: all scores of a run, as far as they are read again."""

    dataset: str
    phantom: bool
    structures: list[str]
    postprocessing: dict[str, list[str]]
    control: str
    final_method: str
    chosen_by: str
    subsets: dict[str, SubsetScores]


def read(kind: type[T], path: Path, expected: str, advice: str) -> T:
    """Reads a JSON file of a run, of any format.

    Args:
        kind: A model, or any type that pydantic knows, as dict[str, Number].
        path: The file.
        expected: What it should hold, in words.
        advice: What to do where it does not.

    Raises:
        UserError: If it is missing or does not.
    """
    if not path.exists():
        raise UserError(f"{path}: missing; {advice}")
    try:
        values = read_stored(path)
    except UserError as error:
        raise UserError(f"{error}; {advice}") from None
    return checked(kind, values, path, expected, advice)


def checked(kind: type[T], values: object, path: Path, expected: str, advice: str) -> T:
    """`read` for values that were read from `path` already."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        found = "nothing" if first["type"] == "missing" else reprlib.repr(first["input"])
        at = ".".join(map(str, first["loc"]))
        raise unusable(path, expected, f"{found} at {at}" if at else found, advice) from None


def unusable(path: Path, expected: str, found: str, advice: str) -> UserError:
    """The one line that tells of a file of a run that does not hold what it should."""
    return UserError(f"{path}: expected {expected}, found {found}; {advice}")
