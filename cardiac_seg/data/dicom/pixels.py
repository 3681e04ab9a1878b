"""The pixels of DICOM files, decoded frame by frame."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets, parse_fragments
from pydicom.pixels import as_pixel_options, get_decoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.tag import Tag
from pydicom.uid import UID

from cardiac_seg.data.dicom.header import missing_file, undecodable


@dataclass(frozen=True)
class PixelData:
    """Where a file's pixel data begin, and what pydicom's decoder must be told about them."""

    start: int
    syntax: UID
    options: dict[str, Any]


def find_pixels(path: Path, header: Dataset, start: int) -> PixelData:
    """Finds a file's pixel data, and refuses what is shorter than the images it should hold."""
    syntax = header.file_meta.TransferSyntaxUID
    order: Literal["little", "big"] = "little" if syntax.is_little_endian else "big"
    try:
        with path.open("rb") as file:
            file.seek(start)
            # Tag, VR unless it is implied, and length; then the value.
            element = file.read(8 if syntax.is_implicit_VR else 12)
            group, number = (int.from_bytes(element[k : k + 2], order) for k in (0, 2))
            runner = DecodeRunner(syntax)
            options = as_pixel_options(
                header,
                pixel_keyword=keyword_for_tag(Tag(group, number)),
                pixel_vr="OW" if syntax.is_implicit_VR else element[4:6].decode("ascii"),
            )
            runner.set_options(**options)
            start = file.tell()
            if syntax.is_encapsulated:
                table = runner.extended_offsets or _list_frames(file, runner.number_of_frames)
                options["extended_offsets"] = table
                whole = True  # as far as can be told without decoding
            else:
                length = int.from_bytes(element[-4:], order)
                present = min(length, file.seek(0, os.SEEK_END) - start)
                whole = present >= runner.frame_length() * runner.number_of_frames
    except Exception:  # a tag that decoding needs is missing, or of another kind
        whole = False
    if not whole:
        raise undecodable(path)
    return PixelData(start, syntax, options)


def _list_frames(file: BinaryIO, count: int) -> tuple[list[int], list[int]] | None:
    """Offsets and lengths of compressed frames that are a fragment each and that no table lists.

    Without a table, pydicom goes through all fragments again for each frame.
    """
    if parse_basic_offsets(file):
        return None
    first = file.tell()
    fragments, places = parse_fragments(file)
    if fragments != count:
        return None
    lengths = []
    for place in places:
        file.seek(place + 4)
        lengths.append(int.from_bytes(file.read(4), "little"))
    return [place - first for place in places], lengths


def decode_frames(path: Path, pixels: PixelData, indices: list[int]) -> Iterator[np.ndarray]:
    """Some images of a file, (rows, columns) or (rows, columns, colours), one after the other."""
    # Not pydicom's iter_pixels: it reads the header again each time, which takes longer than a
    # phase's pixels where that lists a thousand frames.
    try:
        with path.open("rb") as file:
            file.seek(pixels.start)
            decoder = get_decoder(pixels.syntax)
            for image, _ in decoder.iter_array(file, indices=indices, **pixels.options):
                yield image
    except FileNotFoundError:
        raise missing_file(path) from None
    except Exception:  # each codec has errors of its own
        raise undecodable(path) from None
