"""The protocol of a member: anything that gives a softmax map for each case.

A member is trained once for each fold (`TrainedMember`) or brings its maps, and says of every map
whom it was trained on. It may work on a grid and with settings of its own (`Config.for_member`);
its maps are brought to the ensemble's network grid before anything else sees them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from cardiac_seg.config.sections import Config
from cardiac_seg.grid.cache import CaseSet
from cardiac_seg.grid.resample import GridImage
from cardiac_seg.members.maps import MemberMap


class Mapper(Protocol):
    """A trained member in use, loaded once."""

    def softmax(self, images: Iterable[GridImage], batch_size: int) -> Iterator[MemberMap]:
        """The maps of some images, in their order and one at a time.

        Args:
            images: On the member's own grid (`Member.config.preprocess`), each with its name and
                its file's layout.
            batch_size: Slices (or patches) computed together; memory grows with it.

        Yields:
            (slices, height, width, classes) float16 on that grid, and their provenance.
        """


class Member(Protocol):
    """One of the models whose softmax maps are combined.

    Attributes:
        name: Its key in the configuration's `members`, and in every file and table.
        config: The run's configuration with the member's own `preprocess`, `augment` and `train`.
    """

    @property
    def name(self) -> str:
        """See above."""

    @property
    def config(self) -> Config:
        """See above."""

    def load(self, folds: list[str]) -> Mapper:
        """Loads the networks of some folds; the maps of several are averaged.

        Raises:
            UserError: If a fold is not trained, or a file is damaged or of something else.
        """


class TrainedMember(Member, Protocol):
    """A member that is trained in the run."""

    def train(self, fold: str, training: CaseSet, validation: CaseSet) -> dict[str, object]:
        """Trains to the end, from the last finished epoch if there is one.

        Args:
            fold: The training's name, `full`, `fold0`, ...
            training, validation: The cases, on the member's own grid; none to validate on is
                allowed. A field about the heart lies about the reference in training, with what
                surrounds it, and where the locator finds it in validation.

        Returns:
            What the run's manifest keeps of it, plain values.
        """

    def is_trained(self, fold: str) -> bool:
        """Whether a fold's training has reached its end."""

    def files(self, fold: str) -> list[Path]:
        """The files that a fold's training leaves; the run keeps their hashes."""
