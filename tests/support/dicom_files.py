"""Writers of small DICOM files: MR stacks, Enhanced MR and echo clips, all of one made-up patient.

Pixels are stored as they are given; a reader gets `SLOPE * pixels + INTERCEPT` of an MR image.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundMultiFrameImageStorage,
)

CANARY = {
    "PatientName": "CANARY^NAME",
    "PatientID": "CANARY-ID",
    "PatientBirthDate": "19010203",
}
STUDY, SERIES, FRAME = (UID(f"1.2.826.0.1.3680043.8.498.{k}") for k in (1, 2, 3))
# Two directions at right angles that lie along no axis, and what they leave over.
ALONG_ROW = np.array([2, 2, 1]) / 3
ALONG_COLUMN = np.array([-2, 1, 2]) / 3
NORMAL = np.array([1, -2, 2]) / 3
ORIGIN = np.array([-71.25, 12.5, 40.0])
DISTANCE, ROW_SPACING, COLUMN_SPACING = SPACING = (9.0, 1.5, 1.25)
SLOPE, INTERCEPT = 0.5, -20.0


def new_file(
    syntax: UID = ExplicitVRLittleEndian, sop_class: UID = MRImageStorage, **values
) -> Dataset:
    """A data set of the patient and the study, with `values` of further tags."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class
    for keyword, value in (CANARY | values).items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = STUDY
    dataset.StudyDate, dataset.StudyTime, dataset.PatientSex = "20200102", "101500", "O"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    return dataset


def set_pixels(dataset: Dataset, pixels: np.ndarray) -> None:
    """`pixels` is (rows, columns), with frames before and colours after them."""
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()


def set_encoded(dataset: Dataset, frames: list[bytes], syntax: UID, **layout) -> None:
    """Compressed `frames`, with pydicom's `encapsulate` options for fragments and their table."""
    dataset.PixelData = encapsulate(frames, **layout)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax


def mr_slice(
    pixels: np.ndarray,
    phase: int,
    k: int,
    spacing: Sequence[float] = SPACING,
    orientation: Sequence[float] = (*ALONG_ROW, *ALONG_COLUMN),
    heart_rate: float = 75,
) -> Dataset:
    """Slice k of a phase, as one classic MR image; see `write_stack`."""
    dataset = new_file(SOPInstanceUID=f"{SERIES}.{phase + 1}.{k + 1}")
    dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = SERIES, FRAME
    dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M"]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelSpacing = list(spacing[1:])
    dataset.SliceThickness = spacing[0] * 8 / 9  # and a gap: not the distance
    position = ORIGIN + k * spacing[0] * np.cross(orientation[:3], orientation[3:])
    dataset.ImageOrientationPatient = [f"{v:.13g}" for v in orientation]
    dataset.ImagePositionPatient = [f"{v:.13g}" for v in position]
    dataset.RescaleSlope, dataset.RescaleIntercept = SLOPE, INTERCEPT
    dataset.TriggerTime, dataset.NominalInterval = 30.0 + 250 * phase, round(60000 / heart_rate)
    dataset.InstanceNumber = 100 - 10 * phase + k  # leads astray
    set_pixels(dataset, pixels)
    return dataset


def write_stack(
    folder: Path,
    stored: np.ndarray,
    edit: Callable[[Dataset, int, int], bool | None] = lambda dataset, phase, k: None,
    **place,
) -> Path:
    """Writes a stack as one file per image, in an order that says nothing.

    Args:
        folder: Where to write; made if it is not there.
        stored: (phases, slices, rows, columns) int16 or uint16, the pixels as stored.
        edit: Called with the data set, the phase and the slice before each is written; what it
            returns False for is left out.
        **place: `spacing` (slice, row, column) in mm, `orientation` (6,), the direction cosines
            along a row and along a column, and `heart_rate` in beats per minute.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = iter(np.random.default_rng(3).permutation(stored.shape[0] * stored.shape[1]))
    for phase, images in enumerate(stored):
        for k, pixels in enumerate(images):
            dataset = mr_slice(pixels, phase, k, **place)
            name = f"I{next(names):03d}"
            if edit(dataset, phase, k) is not False:
                dataset.save_as(folder / name, enforce_file_format=True)
    return folder


def enhanced(stored: np.ndarray, **place) -> Dataset:
    """A stack as one Enhanced MR data set, frames in an order that says nothing.

    Args:
        stored: (phases, slices, rows, columns) int16 or uint16, the pixels as stored.
        **place: As `write_stack` takes it.
    """
    slices = [mr_slice(stored[0, 0], 0, k, **place) for k in range(stored.shape[1])]
    first = slices[0]
    dataset = mr_slice(stored[0, 0], 0, 0)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, keyword)
    for keyword in ("RescaleSlope", "RescaleIntercept", "TriggerTime", "NominalInterval"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage

    def group(**values):
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        return [item]

    (shared,) = group(
        PlaneOrientationSequence=group(ImageOrientationPatient=first.ImageOrientationPatient),
        PixelMeasuresSequence=group(
            PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness
        ),
        PixelValueTransformationSequence=group(RescaleSlope=SLOPE, RescaleIntercept=INTERCEPT),
    )
    dataset.SharedFunctionalGroupsSequence = [shared]
    order = np.random.default_rng(5).permutation(list(np.ndindex(stored.shape[:2])))
    dataset.PerFrameFunctionalGroupsSequence = [
        group(
            PlanePositionSequence=group(ImagePositionPatient=slices[k].ImagePositionPatient),
            CardiacSynchronizationSequence=group(
                NominalCardiacTriggerDelayTime=30.0 + 250 * phase,
                RRIntervalTimeNominal=float(first.NominalInterval),
            ),
        )[0]
        for phase, k in order.tolist()
    ]
    private = dataset.PerFrameFunctionalGroupsSequence[0].private_block(0x2005, "ANY", create=True)
    private.add_new(0x0F, "SQ", group(TriggerTime=9.0, ImagePositionPatient=[0, 0, 0]))
    dataset.NumberOfFrames = len(order)
    set_pixels(dataset, np.stack([stored[phase, k] for phase, k in order]))
    return dataset


def region(row: float, column: float, units: int = 3, spatial: int = 1) -> Dataset:
    """An ultrasound region of that (row, column) distance in mm, if its units are cm (3)."""
    item = Dataset()
    item.RegionSpatialFormat = spatial
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = units
    item.PhysicalDeltaX, item.PhysicalDeltaY = column / 10, row / 10  # cm
    return item


def write_clip(
    path: Path, frames: np.ndarray, regions: list[Dataset] | None = None, **values
) -> Path:
    """Writes an echo clip, at 20 ms a frame and 66 beats per minute.

    Args:
        path: The file to write; its folder is made if it is not there.
        frames: (frames, rows, columns) uint8, or (frames, rows, columns, 3) of RGB.
        regions: Its calibrated regions; one of 0.4 mm a row and 0.3 mm a column if not given.
        **values: Values of further tags.

    Returns:
        The path.
    """
    dataset = new_file(
        sop_class=UltrasoundMultiFrameImageStorage, SOPInstanceUID=f"{SERIES}.7", **values
    )
    dataset.SeriesInstanceUID, dataset.Modality = SERIES, "US"
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.NumberOfFrames, dataset.FrameTime, dataset.HeartRate = len(frames), 20, 66
    dataset.SequenceOfUltrasoundRegions = [region(0.4, 0.3)] if regions is None else regions
    if frames.ndim == 4:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.PhotometricInterpretation = "RGB"
    set_pixels(dataset, frames)
    path.parent.mkdir(exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path
