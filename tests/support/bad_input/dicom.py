"""DICOM images that are none."""

from collections.abc import Callable, Iterator

import numpy as np
from pydicom import Dataset
from pydicom.uid import MPEG2MPML, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from tests.support.bad_input.case import BadInput, fuzzed, predict
from tests.support.dicom_files import mr_slice

NEEDED = (
    *("Modality", "Rows", "Columns", "BitsAllocated", "PixelRepresentation", "PixelData"),
    *("PhotometricInterpretation", "SamplesPerPixel", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient"),
)
WRONG = (
    ("Rows", 0),
    ("Rows", 65535),
    ("Columns", 65535),
    ("Columns", 31_000),
    ("NumberOfFrames", 2_000_000_000),
    ("NumberOfFrames", -3),
    ("NumberOfFrames", 2),
    ("BitsAllocated", 7),
    ("BitsAllocated", 64),
    ("SamplesPerPixel", 3),
    ("PhotometricInterpretation", "PALETTE COLOR"),
    ("PhotometricInterpretation", "CMYK"),
    ("Modality", "CT"),
    ("Modality", "OT"),
    ("PixelSpacing", [0, 1]),
    ("PixelSpacing", [-1, 1]),
    ("PixelSpacing", [1e300, 1]),
    ("PixelSpacing", [1]),
    ("ImagePositionPatient", [0, 0]),
    ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
    ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
    ("ImageOrientationPatient", [1, 0, 0]),
)
Change = Callable[[Dataset], None]


def bad_dicom() -> Iterator[BadInput]:
    """MR images that are no images."""
    for keyword in NEEDED:
        yield bad(f"without {keyword}", without(keyword))
    for keyword, value in WRONG:
        yield bad(f"{keyword} of {value}", with_value(keyword, value))
    yield bad("RLE of zeros", packed_wrongly(RLELossless))
    yield bad("JPEG 2000 of zeros", packed_wrongly(JPEG2000Lossless))
    yield bad("deflated", with_syntax(DeflatedExplicitVRLittleEndian))
    yield bad("a film", packed_wrongly(MPEG2MPML))
    yield bad("constant", with_value("PixelData", bytes(2 * 32 * 32)))
    yield from damaged_dicom()


def damaged_dicom() -> Iterator[BadInput]:
    """Files whose bytes are cut or changed."""
    for share in (0, 0.1, 0.3, 0.5, 0.9, 0.999):
        yield bad(f"the first {share:g} of it", cut=lambda d, s=share: d[: int(s * len(d))])
    yield bad("text", cut=lambda data: b"not an image\n" * 100)
    yield bad("text behind DICM", cut=lambda data: data[:132] + b"not an image\n" * 100)
    for seed in range(15):
        yield bad(
            f"bytes at random, {seed}", cut=lambda d, s=seed: fuzzed(d, len(d), s), harmless=True
        )
        yield bad(
            f"bytes of the header at random, {seed}",
            cut=lambda d, s=seed: d[:132] + fuzzed(d[132:], len(d) - 132 - 2048, s),
            harmless=True,
        )


def bad(
    name: str,
    change: Change = lambda dataset: None,
    cut: Callable[[bytes], bytes] = lambda data: data,
    harmless: bool = False,
) -> BadInput:
    """A slice whose header is changed, and then the bytes of its file."""

    def write(folder, run):
        pixels = np.random.default_rng(0).integers(0, 200, (32, 32)).astype(np.int16)
        dataset, path = mr_slice(pixels, 0, 0), folder / "image.dcm"
        change(dataset)
        dataset.save_as(path, enforce_file_format=True)
        path.write_bytes(cut(path.read_bytes()))
        return predict(run, path)

    return BadInput("DICOM", name, write, harmless)


def without(keyword: str) -> Change:
    """Leaves a tag out."""

    def change(dataset):
        dataset["PixelData"].VR = "OW"  # which cannot be told without the other
        delattr(dataset, keyword)

    return change


def with_value(keyword: str, value) -> Change:
    """Sets a tag."""

    def change(dataset):
        dataset["PixelData"].VR = "OW"
        setattr(dataset, keyword, value)

    return change


def packed_wrongly(syntax: str) -> Change:
    """Says of zeros that they are compressed."""

    def change(dataset):
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset["PixelData"].VR = "OB"
        dataset.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + bytes(64)

    return change


def with_syntax(syntax: str) -> Change:
    """Says of the pixels that they are stored in another way."""

    def change(dataset):
        dataset.file_meta.TransferSyntaxUID = syntax

    return change
