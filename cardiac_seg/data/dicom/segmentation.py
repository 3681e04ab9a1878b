"""Masks as DICOM segmentations that name the images they were made from.

highdicom builds the object; the codes are those of DICOM's context groups.
"""

from pathlib import Path

import numpy as np
from highdicom import UID, AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import MRImageStorage, UltrasoundImageStorage

from cardiac_seg.anatomy import Anatomy, Structure
from cardiac_seg.data.dicom.header import without_pydicom_warnings
from cardiac_seg.data.dicom.series import Series
from cardiac_seg.data.modality import Modality
from cardiac_seg.system.atomic import whole_file
from cardiac_seg.system.errors import UserError
from cardiac_seg.version import __version__

# What a segmentation takes over from its images, so that it is filed with them.
OF_STUDY = (
    "SpecificCharacterSet",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
)
OF_IMAGE = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
OF_PLACE = ("FrameOfReferenceUID", "PositionReferenceIndicator")
OF_LOSS = ("LossyImageCompression", "LossyImageCompressionMethod", "LossyImageCompressionRatio")


@without_pydicom_warnings()
def write_seg(
    path: Path,
    mask: np.ndarray,
    series: Series,
    phase: int,
    anatomy: Anatomy,
    model_name: str,
) -> bool:
    """Writes one phase's mask as a DICOM segmentation.

    The object is filed under its images' patient and study, as DICOM asks, and so holds the
    patient's name and number if they do.

    Args:
        path: The file to write.
        mask: (slices, rows, columns) uint8, 0 or 1 + the index of a structure.
        series: The images that the mask belongs to.
        phase: Index of the phase in the series.
        anatomy: The label set; structures that the mask does not hold are left out.
        model_name: What made the mask, at most 64 characters.

    Returns:
        Whether a file was written; an empty mask has none.

    Raises:
        ValueError: If the mask is not of the series' shape or holds other labels.
        UserError: If an image cannot be read again, or the file not be written.
    """
    if mask.shape != series.shape[1:] or mask.dtype != np.uint8:
        raise ValueError(f"mask of {mask.dtype} {mask.shape}; expected uint8 {series.shape[1:]}")
    structures = anatomy.structures
    if mask.max() > len(structures):
        raise ValueError(f"mask holds label {mask.max()}; there are {len(structures)} structures")
    labels = [label for label in np.unique(mask).tolist() if label]
    if not labels:
        return False
    sources = [
        (_read_source(file, series.modality), frame) for file, frame in series.sources[phase]
    ]
    segmentation = _segmentation(mask, labels, series, phase, sources, anatomy, model_name)
    _refer(segmentation, sources)
    if series.modality.ndim == 2:
        segmentation.PatientOrientation = None  # unknown, and to be said without a place
    for keyword in OF_STUDY:
        if keyword in sources[0][0]:
            segmentation.add(sources[0][0][keyword])
    with whole_file(path) as partial:
        segmentation.save_as(partial)
    return True


def _segmentation(
    mask: np.ndarray,
    labels: list[int],
    series: Series,
    phase: int,
    sources: list[tuple[Dataset, int | None]],
    anatomy: Anatomy,
    model_name: str,
) -> Segmentation:
    """The object of those labels that the mask holds, numbered without gaps as DICOM asks."""
    numbers = np.zeros(len(anatomy.structures) + 1, np.uint8)
    numbers[labels] = np.arange(1, len(labels) + 1)
    segments = [
        _describe(number, anatomy.structures[label - 1], anatomy.colours, model_name)
        for number, label in enumerate(labels, 1)
    ]
    return Segmentation(
        [_stand_in(series, k, header) for k, (header, _) in enumerate(sources)],
        numbers[mask],
        SegmentationTypeValues.BINARY,
        segments,
        series_instance_uid=UID(),
        series_number=1000 + phase,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer="cardiac_seg",
        manufacturer_model_name=model_name,
        software_versions=__version__,
        device_serial_number="none",
        series_description=f"Cardiac segmentation, phase {phase + 1}",
        content_label="CARDIAC_SEG",
        content_description="Made automatically, not reviewed",
    )


def _read_source(path: Path, modality: Modality) -> Dataset:
    needed = [*OF_IMAGE, *(OF_PLACE[:1] if modality.ndim == 3 else ())]
    try:
        tags = [*OF_STUDY, *OF_IMAGE, *OF_PLACE, *OF_LOSS]
        header = dcmread(path, stop_before_pixels=True, specific_tags=tags)
        missing = [keyword for keyword in needed if not header.get(keyword)]
    except Exception:  # as in reading: what pydicom says may quote the header
        raise UserError(f"{path}: can no longer be read as DICOM; check the file") from None
    if missing:
        raise UserError(
            f"{path}: no {missing[0]}, which a DICOM segmentation must name; export it again"
        )
    return header


def _describe(
    number: int, structure: Structure, colours: dict[str, str], model_name: str
) -> SegmentDescription:
    return SegmentDescription(
        segment_number=number,
        segment_label=structure.title or structure.name,
        segmented_property_category=codes.cid7150.AnatomicalStructure,
        segmented_property_type=Code(*structure.dicom_code),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=model_name, family=codes.cid7162.ArtificialIntelligence, version=__version__
        ),
        display_color=CIELabColor.from_string(colours[structure.name]),
    )


def _stand_in(series: Series, k: int, header: Dataset) -> Dataset:
    """A single image in the place of slice k, for highdicom.

    highdicom takes images of one series or one whole multi-frame file only, and logs names that it
    finds odd. Slices may be of several series, or some frames of a file: `_refer` puts them in the
    stand-ins' place, and the patient is added last.
    """
    image = Dataset()
    for keyword in OF_STUDY:
        setattr(image, keyword, None)
    for keyword in OF_LOSS:
        if keyword in header:
            image.add(header[keyword])
    image.StudyInstanceUID = header.StudyInstanceUID
    image.SeriesInstanceUID = "2.25.0"
    image.SOPInstanceUID = f"2.25.{k + 1}"
    image.Rows, image.Columns = series.shape[2:]
    image.PixelSpacing = list(series.spacing[1:])
    image.SliceThickness = series.spacing[0]
    if series.modality.ndim == 2:  # it has no place in the patient
        image.SOPClassUID = UltrasoundImageStorage
        return image
    image.SOPClassUID = MRImageStorage
    image.FrameOfReferenceUID = header.FrameOfReferenceUID
    image.PositionReferenceIndicator = header.get("PositionReferenceIndicator")
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ series.affine  # back to DICOM's LPS
    image.ImagePositionPatient = (affine[:3, 2] * k + affine[:3, 3]).tolist()
    directions = affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0)
    image.ImageOrientationPatient = directions.T.ravel().tolist()
    return image


def _refer(segmentation: Segmentation, sources: list[tuple[Dataset, int | None]]) -> None:
    """Puts the real images in the place of the stand-ins."""
    # The frames of one slice share their references.
    references = {
        id(reference): reference
        for groups in segmentation.PerFrameFunctionalGroupsSequence
        for reference in groups.DerivationImageSequence[0].SourceImageSequence
    }
    for reference in references.values():
        header, frame = sources[int(reference.ReferencedSOPInstanceUID.rpartition(".")[2]) - 1]
        _name(reference, header, [] if frame is None else [frame])
    files: dict[str, tuple[Dataset, list[int]]] = {}
    series: dict[str, list[Dataset]] = {}
    for header, frame in sources:
        files.setdefault(header.SOPInstanceUID, (header, []))[1].extend(
            [] if frame is None else [frame]
        )
    for header, _ in files.values():
        series.setdefault(header.SeriesInstanceUID, []).append(_name(Dataset(), header, []))
    segmentation.SourceImageSequence = [_name(Dataset(), *file) for file in files.values()]
    segmentation.ReferencedSeriesSequence = []
    for uid, instances in series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedInstanceSequence = instances
        segmentation.ReferencedSeriesSequence.append(item)


def _name(reference: Dataset, header: Dataset, frames: list[int]) -> Dataset:
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if frames:
        reference.ReferencedFrameNumber = frames
    return reference
