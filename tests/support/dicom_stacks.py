"""Reading DICOM folders back, and edits of their files."""

import numpy as np
from pydicom import dcmread

from cardiac_seg.data.acdc import ACDC
from cardiac_seg.data.dicom.find import find_series
from cardiac_seg.data.dicom.series import read_series
from tests.support.dicom_files import (
    SERIES,
)

HEART = ACDC.anatomy


def read_folder(folder, **options):
    (paths,) = find_series(folder)
    return read_series(paths, **options)


def all_phases(series):
    return np.stack([series.phase(k) for k in range(series.shape[0])])


def one_series_a_slice(dataset, phase, k):
    dataset.SeriesInstanceUID = f"{SERIES}.{50 - k}"


def check_places(segmentation, label, series, phase):
    """Each labelled voxel of each frame lies where the series has it, and nothing else is there."""
    names = [segment.SegmentLabel for segment in segmentation.SegmentSequence]
    values = {"RV cavity": 1, "LV myocardium": 2, "LV cavity": 3}
    to_index = np.linalg.inv(series.affine)
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    (measures,) = shared.PixelMeasuresSequence
    along = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3))
    found = np.zeros_like(label)
    for pixels, frame in zip(
        segmentation.pixel_array, segmentation.PerFrameFunctionalGroupsSequence, strict=True
    ):
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        rows, columns = np.nonzero(pixels)
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        places = (
            position
            + columns[:, None] * float(measures.PixelSpacing[1]) * along[0]
            + rows[:, None] * float(measures.PixelSpacing[0]) * along[1]
        ) * (-1, -1, 1)
        indices = places @ to_index[:3, :3].T + to_index[:3, 3]
        assert np.abs(indices - np.round(indices)).max() < 1e-3
        x, y, z = np.round(indices).astype(int).T
        found[z, y, x] = values[names[number - 1]]
        path, frame_number = series.sources[phase, z[0]]
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        image = dcmread(path)
        assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
        assert source.ReferencedSOPClassUID == image.SOPClassUID
        assert source.get("ReferencedFrameNumber") == frame_number
    assert np.array_equal(found, label)
