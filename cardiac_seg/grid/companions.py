"""The other images of a patient that a case is seen beside: its other phase, its other view."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cardiac_seg.grid.resample import Grid


@dataclass(frozen=True)
class OtherMaps:
    """The members' maps of another image of the patient.

    Attributes:
        probabilities: Member -> (slices, height, width, classes) on that image's network grid.
        grid: Its geometry.
    """

    probabilities: Mapping[str, np.ndarray]
    grid: Grid


@dataclass(frozen=True)
class Companions:
    """What is known beside an image.

    Attributes:
        phase: Of the image itself, `ED` or `ES`; empty where unknown.
        other_phase: ES beside ED, ED beside ES; None where there is none.
        other_view: The same phase in the other view (echo); None where there is none.
    """

    phase: str = ""
    other_phase: OtherMaps | None = None
    other_view: OtherMaps | None = None


ALONE = Companions()
OTHER_PHASE = {"ED": "ES", "ES": "ED"}
