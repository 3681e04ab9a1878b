"""Which images of a patient belong together, and their maps beside each other."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from cardiac_seg.grid.companions import OTHER_PHASE, Companions, OtherMaps
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


def companions_of(
    image: One, images: Iterable[One], read: Callable[[One], CaseMaps | None]
) -> Companions:
    """The maps of a patient's other images.

    Args:
        image: The image that they are beside.
        images: All of the patient at least.
        read: Gives an image's maps; None for one that is to count as not there.
    """
    images = [o for o in images if o.patient == image.patient]

    def maps_of(other: One | None) -> OtherMaps | None:
        maps = None if other is None else read(other)
        return None if maps is None else as_companion(maps)

    return Companions(
        image.phase, maps_of(other_phase(image, images)), maps_of(other_view(image, images))
    )


def _only(images: Iterable[One]) -> One | None:
    """The one there is; none where it is not clear which is meant."""
    found = list(images)
    return found[0] if len(found) == 1 else None
