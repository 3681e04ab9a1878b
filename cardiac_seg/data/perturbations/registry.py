"""The perturbations of a modality, in the order of tables and figures."""

from cardiac_seg.data.modality import Modality
from cardiac_seg.data.perturbations.echo import ECHO_PERTURBATIONS
from cardiac_seg.data.perturbations.mri import MRI_PERTURBATIONS
from cardiac_seg.data.perturbations.perturbation import Perturbation


def perturbations_of(modality: Modality) -> tuple[Perturbation, ...]:
    """Those of stacks of slices, or those of single planes."""
    return MRI_PERTURBATIONS if modality.ndim == 3 else ECHO_PERTURBATIONS
