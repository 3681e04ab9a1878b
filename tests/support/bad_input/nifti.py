"""Images that are no NIfTI images."""

import gzip
import struct
import zlib
from collections.abc import Iterator

import nibabel as nib
import numpy as np

from tests.support.bad_input.case import BadInput, fuzzed, nifti_bytes, predict

FIELDS = {
    "sizeof_hdr": (0, "i"),
    "dim": (40, "8h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "sform_code": (254, "h"),
    "srow_x": (280, "4f"),
    "magic": (344, "4s"),
}
NAN, INFINITE = float("nan"), float("inf")
# What a field is set to; None for what a reader need not notice.
HEADERS = {
    "an empty magic": {"magic": b"\0\0\0\0"},
    "another magic": {"magic": b"ABCD"},
    "no dimensions": {"dim": (0, 0, 0, 0, 0, 0, 0, 0)},
    "nine dimensions": {"dim": (9, 32, 32, 2, 1, 1, 1, 1)},
    "one dimension": {"dim": (1, 2048, 1, 1, 1, 1, 1, 1)},
    "minus one dimensions": {"dim": (-1, 32, 32, 2, 1, 1, 1, 1)},
    "an empty dimension": {"dim": (3, 32, 0, 2, 1, 1, 1, 1)},
    "a negative dimension": {"dim": (3, 32, -32, 2, 1, 1, 1, 1)},
    "terabytes": {"dim": (3, 32767, 32767, 32767, 1, 1, 1, 1)},
    "more than terabytes": {"dim": (7, *[32767] * 7)},
    "gigabytes": {"dim": (3, 32767, 32767, 2, 1, 1, 1, 1)},
    "many phases": {"dim": (4, 32, 32, 2, 32767, 1, 1, 1)},
    "many slices": {"dim": (3, 32, 32, 32767, 1, 1, 1, 1)},
    "five axes": {"dim": (5, 8, 8, 2, 4, 4, 1, 1)},
    "no data type": {"datatype": 0},
    "a data type of bits": {"datatype": 1},
    "an unknown data type": {"datatype": 999},
    "complex numbers": {"datatype": 32, "bitpix": 64, "dim": (3, 16, 16, 2, 1, 1, 1, 1)},
    "more complex numbers": {"datatype": 2048, "bitpix": 256, "dim": (3, 8, 8, 2, 1, 1, 1, 1)},
    "pixels behind the end": {"vox_offset": 1e6},
    "pixels far behind the end": {"vox_offset": 3e38},
    "pixels nowhere": {"vox_offset": NAN},
    "pixels before the file": {"vox_offset": -400.0},
    "no spacing": {"pixdim": (1, 0, 0, 0, 1, 1, 1, 1)},
    "a spacing of NaN": {"pixdim": (1, NAN, 1.5, 8, 1, 1, 1, 1)},
    "an infinite spacing": {"pixdim": (1, 1.5, INFINITE, 8, 1, 1, 1, 1)},
    "a spacing against its affine": {"pixdim": (1, 3, 3, 8, 1, 1, 1, 1)},
    "an affine of NaN": {"srow_x": (NAN, 0, 0, 0)},
    "an infinite affine": {"srow_x": (INFINITE, 0, 0, 0)},
    "an affine of nothing": {"srow_x": (0, 0, 0, 0)},
}
HARMLESS_HEADERS = {
    "no header size": {"sizeof_hdr": 0},
    "a negative header size": {"sizeof_hdr": -1},
    "a spacing of a light year": {"pixdim": (1, 3e38, 1.5, 8, 1, 1, 1, 1), "sform_code": 0},
    "a spacing of nothing": {"pixdim": (1, 1e-38, 1e-38, 8, 1, 1, 1, 1), "sform_code": 0},
    "a slope of NaN": {"scl_slope": NAN},
    "an intercept of NaN": {"scl_slope": 1.0, "scl_inter": NAN},
    "an infinite slope": {"scl_slope": INFINITE},
    "a huge slope": {"scl_slope": 3e38},
    "negative spacing": {"pixdim": (1, -1.5, -1.5, -8, 1, 1, 1, 1), "sform_code": 0},
    "a wrong number of bits": {"bitpix": 3},
    "an unknown code": {"sform_code": 77},
}


def bad_nifti() -> Iterator[BadInput]:
    """Images that are no images."""
    yield from bad_headers()
    yield from damaged_nifti()

    def folder_for_a_file(folder, run):
        (folder / "image.nii.gz").mkdir()
        return predict(run, folder / "image.nii.gz")

    def link_to_itself(folder, run):
        (folder / "image.nii.gz").symlink_to(folder / "image.nii.gz")
        return predict(run, folder / "image.nii.gz")

    yield BadInput("NIfTI", "a folder", folder_for_a_file)
    yield BadInput("NIfTI", "a link to itself", link_to_itself)
    yield BadInput("NIfTI", "missing", lambda folder, run: predict(run, folder / "image.nii.gz"))


def bad_headers() -> Iterator[BadInput]:
    """Headers that hold what no image has."""
    for kinds, harmless in ((HEADERS, False), (HARMLESS_HEADERS, True)):
        for name, values in kinds.items():
            data = nifti_bytes()
            for field, value in values.items():
                at, form = FIELDS[field]
                several = value if isinstance(value, tuple) else (value,)
                struct.pack_into(f"<{form}", data, at, *several)
            yield bad(name, gzip.compress(data, mtime=0), harmless=harmless)
            if not harmless:
                yield bad(name, bytes(data), ".nii")


def damaged_nifti() -> Iterator[BadInput]:
    """Files that are cut, packed wrongly or changed, and pixels that are no picture."""
    whole, packed = bytes(nifti_bytes()), gzip.compress(bytes(nifti_bytes()), mtime=0)
    for share in (0, 1, 100, 347, 352, len(whole) // 2, len(whole) - 1):
        yield bad(f"the first {share} bytes", whole[:share], ".nii")
    for share in (1, 5, 20, len(packed) // 2, len(packed) - 9):
        yield bad(f"the first {share} bytes", packed[:share])
    yield bad("a wrong checksum", packed[:-8] + bytes(4) + packed[-4:])
    yield bad("text", b"not an image\n" * 50)
    yield bad("text, packed", gzip.compress(b"not an image\n" * 50))
    yield bad("packed twice", gzip.compress(packed))
    yield bad("not packed at all", whole)
    yield bad("packed, and not called so", packed, ".nii")
    yield bad("zeros", bytes(4000), ".nii")
    for name, value in (("NaN", NAN), ("infinite", INFINITE), ("constant", 7.0)):
        image = nib.Nifti1Image(np.full((32, 32, 2), value, np.float32), np.eye(4))
        yield bad(f"pixels that are {name}", gzip.compress(image.to_bytes()))
    yield bad("a bomb of a gigabyte", compression_bomb)
    for seed in range(15):
        yield bad(f"bytes of the header at random, {seed}", fuzzed(whole, 352, seed), ".nii", True)
        yield bad(f"bytes at random, {seed}", fuzzed(packed, len(packed), seed), harmless=True)


def bad(name: str, content, suffix: str = ".nii.gz", harmless: bool = False) -> BadInput:
    """A file of the given bytes, or of those that a function makes."""

    def write(folder, run):
        path = folder / f"image{suffix}"
        data = content() if callable(content) else content
        path.write_bytes(data)
        return predict(run, path)

    return BadInput("NIfTI", f"{name} ({suffix})", write, harmless)


def compression_bomb() -> bytes:
    """A header that claims what 1 MB of deflated zeros do hold: 1.07e9 bytes."""
    data = nifti_bytes()
    struct.pack_into("<8h", data, 40, 3, 16384, 16384, 2, 1, 1, 1, 1)
    packer = zlib.compressobj(9, wbits=31)
    packed = [packer.compress(bytes(data[:352]))]
    packed += [packer.compress(bytes(2**24)) for _ in range(64)]
    return b"".join([*packed, packer.flush()])
