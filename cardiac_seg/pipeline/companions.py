"""Which images of a patient belong together, and their maps beside each other."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from cardiac_seg.grid.companions import OTHER_PHASE, Companions
from cardiac_seg.members.maps import CaseMaps, as_companion

KEPT = 4  # cases whose maps are kept while a patient is gone through: two phases, two views


class Image(Protocol):
    """What tells where an image belongs, as `data.case.CaseFile` and a row of a table do.

    Attributes:
        patient: Whose it is.
        view: `2CH` or `4CH` for echo, empty for MRI.
        phase: `ED`, `ES`, or empty where unknown.
    """

    @property
    def patient(self) -> str:
        """See above."""

    @property
    def view(self) -> str:
        """See above."""

    @property
    def phase(self) -> str:
        """See above."""


One = TypeVar("One", bound=Image)


def other_phase(image: One, images: Iterable[One]) -> One | None:
    """The image of the same patient and view in the other phase."""
    return _only(
        o
        for o in images
        if (o.patient, o.view) == (image.patient, image.view)
        and o.phase == OTHER_PHASE.get(image.phase)
    )


def other_view(image: One, images: Iterable[One]) -> One | None:
    """The image of the same patient and phase in another view."""
    return _only(
        o
        for o in images
        if (o.patient, o.phase) == (image.patient, image.phase)
        and image.view
        and o.view
        and o.view != image.view
    )


def companions_of(image: One, images: Iterable[One], read: Callable[[One], CaseMaps]) -> Companions:
    """The maps of a patient's other images.

    Args:
        image: The image that they are beside.
        images: All of the patient at least.
        read: Gives an image's maps.
    """
    images = [o for o in images if o.patient == image.patient]
    phase, view = other_phase(image, images), other_view(image, images)
    return Companions(
        image.phase,
        None if phase is None else as_companion(read(phase)),
        None if view is None else as_companion(read(view)),
    )


def _only(images: Iterable[One]) -> One | None:
    """The one there is; none where it is not clear which is meant."""
    found = list(images)
    return found[0] if len(found) == 1 else None
