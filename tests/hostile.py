"""Bad input of every kind: what is written, which command is given it, and what came of it.

`python tests/hostile.py` runs them all and prints the table of `docs/RELIABILITY.md`.
"""

import gzip
import io
import json
import shutil
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import keras
import nibabel as nib
import numpy as np
from dicom_files import mr_slice
from finished_runs import make_run, without_figures
from pydicom.uid import MPEG2MPML, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

import analyze_results
import train_ensemble
from cardiac_seg import __main__ as cardiac_seg
from cardiac_seg.data.phantoms.dataset import write_phantoms
from cardiac_seg.run.folder import Run
from cardiac_seg.system.checked_reads import file_sha256

NETWORK = "unet_advanced/full/last.keras"
REPO = Path(__file__).parents[1]
COMMANDS = {
    "train": (train_ensemble.main, ["train_ensemble.py"]),
    "analyze": (analyze_results.main, ["analyze_results.py"]),
    "cardiac_seg": (cardiac_seg.main, ["-m", "cardiac_seg"]),
}
MOST_SECONDS = 10


@dataclass(frozen=True)
class Bad:
    """A bad input.

    Attributes:
        kind: Of file.
        name: What is wrong with it.
        write: From an empty folder and a copy of a finished run to the command line, which begins
            with a key of `COMMANDS`.
        harmless: A reader need not notice; the command may as well succeed.
        damages: Whether the run is changed, so that the copy serves no other.
    """

    kind: str
    name: str
    write: Callable[[Path, Path], list[str]]
    harmless: bool = False
    damages: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a command did: exit code, lines that begin as errors do, all it said, CPU time."""

    code: int
    lines: list[str]
    text: str
    seconds: float

    def fault(self, bad: Bad) -> str | None:
        """Why the outcome is not acceptable; None where it is."""
        if "Traceback" in self.text:
            return "a traceback"
        if self.seconds > MOST_SECONDS:
            return f"{self.seconds:.0f} s"
        if self.code not in (0, 1, 2) or (self.code == 0 and not bad.harmless):
            return f"exit code {self.code}"
        if self.code and len(self.lines) != 1:
            return f"{len(self.lines)} lines of error"
        return None


def run_here(command: list[str]) -> Outcome:
    """Gives a command in this process."""
    main, _ = COMMANDS[command[0]]
    said, began = io.StringIO(), time.process_time()  # other tests may run beside it
    with ExitStack() as stack:
        for context in (redirect_stderr(said), redirect_stdout(said), without_figures()):
            stack.enter_context(context)
        try:
            code = main(command[1:])
        except SystemExit as stop:  # argparse
            code = stop.code
    return outcome(code, said.getvalue(), time.process_time() - began)


def outcome(code: int, text: str, seconds: float) -> Outcome:
    """What is to be judged of a finished command; scans that `predict` passes over count too."""
    lines = [x for x in text.splitlines() if x.startswith(("error: ", tempfile.gettempdir()))]
    return Outcome(code, lines, text, seconds)


def finished_run(folder: Path) -> Run:
    """A finished and analysed run with networks that can be loaded; they know nothing."""
    write_phantoms(folder / "phantoms", 8, "mri", seed=1)
    run = make_run(folder / "run", "acdc", folder / "phantoms")
    hashes = {}
    for member in run.config.members:
        path = run.models(member, "full") / "last.keras"
        path.parent.mkdir(parents=True)
        image = keras.Input((None, None, 1))
        keras.Model(
            image, keras.layers.Conv2D(4, 1, activation="softmax")(image), name=member
        ).save(path)
        hashes[path.relative_to(run.folder).as_posix()] = file_sha256(path)
    run.update_manifest(models=hashes)
    with without_figures():
        assert analyze_results.main([str(run.folder)]) == 0
    return run


def all_bad() -> list[Bad]:
    """Every bad input; names are unique."""
    return [*bad_nifti(), *bad_dicom(), *bad_yaml(), *bad_runs()]


# NIfTI


def nifti_bytes() -> bytearray:
    """A readable image, not compressed."""
    array = np.random.default_rng(0).integers(0, 200, (32, 32, 2)).astype(np.int16)
    image = nib.Nifti1Image(array, np.diag([1.5, 1.5, 8.0, 1.0]))
    image.header.set_xyzt_units("mm")
    return bytearray(image.to_bytes())


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


def bad_nifti() -> Iterator[Bad]:
    """Images that are no images."""

    def bad(name, content, suffix=".nii.gz", harmless=False):
        def write(folder, run):
            path = folder / f"image{suffix}"
            data = content() if callable(content) else content
            path.write_bytes(data)
            return predict(run, path)

        return Bad("NIfTI", f"{name} ({suffix})", write, harmless)

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

    def folder_for_a_file(folder, run):
        (folder / "image.nii.gz").mkdir()
        return predict(run, folder / "image.nii.gz")

    def link_to_itself(folder, run):
        (folder / "image.nii.gz").symlink_to(folder / "image.nii.gz")
        return predict(run, folder / "image.nii.gz")

    yield Bad("NIfTI", "a folder", folder_for_a_file)
    yield Bad("NIfTI", "a link to itself", link_to_itself)
    yield Bad("NIfTI", "missing", lambda folder, run: predict(run, folder / "image.nii.gz"))


def predict(run: Path, image: Path) -> list[str]:
    """The command that segments an image beside it."""
    return ["cardiac_seg", "predict", str(run), str(image), "--output", str(image.parent / "out")]


def fuzzed(data: bytes, most: int, seed: int) -> bytes:
    """A few bytes changed among the first."""
    rng, changed = np.random.default_rng(seed), bytearray(data)
    for at in rng.integers(0, most, 4):
        changed[at] = rng.integers(256)
    return bytes(changed)


def compression_bomb() -> bytes:
    """A header that claims what 1 MB of deflated zeros do hold: 1.07e9 bytes."""
    data = nifti_bytes()
    struct.pack_into("<8h", data, 40, 3, 16384, 16384, 2, 1, 1, 1, 1)
    packer = zlib.compressobj(9, wbits=31)
    packed = [packer.compress(bytes(data[:352]))]
    packed += [packer.compress(bytes(2**24)) for _ in range(64)]
    return b"".join([*packed, packer.flush()])


# DICOM


def bad_dicom() -> Iterator[Bad]:
    """MR images that are no images."""

    def bad(name, change=lambda dataset: None, cut=lambda data: data, harmless=False):
        def write(folder, run):
            pixels = np.random.default_rng(0).integers(0, 200, (32, 32)).astype(np.int16)
            dataset, path = mr_slice(pixels, 0, 0), folder / "image.dcm"
            change(dataset)
            dataset.save_as(path, enforce_file_format=True)
            path.write_bytes(cut(path.read_bytes()))
            return predict(run, path)

        return Bad("DICOM", name, write, harmless)

    def without(keyword):
        def change(dataset):
            dataset["PixelData"].VR = "OW"  # which cannot be told without the other
            delattr(dataset, keyword)

        return change

    def with_value(keyword, value):
        def change(dataset):
            dataset["PixelData"].VR = "OW"
            setattr(dataset, keyword, value)

        return change

    needed = (
        *("Modality", "Rows", "Columns", "BitsAllocated", "PixelRepresentation", "PixelData"),
        *("PhotometricInterpretation", "SamplesPerPixel", "PixelSpacing"),
        *("ImagePositionPatient", "ImageOrientationPatient"),
    )
    for keyword in needed:
        yield bad(f"without {keyword}", without(keyword))
    wrong = [
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
    ]
    for keyword, value in wrong:
        yield bad(f"{keyword} of {value}", with_value(keyword, value))

    def packed_wrongly(syntax):
        def change(dataset):
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset["PixelData"].VR = "OB"
            dataset.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + bytes(64)

        return change

    yield bad("RLE of zeros", packed_wrongly(RLELossless))
    yield bad("JPEG 2000 of zeros", packed_wrongly(JPEG2000Lossless))
    yield bad("deflated", with_syntax(DeflatedExplicitVRLittleEndian))
    yield bad("a film", packed_wrongly(MPEG2MPML))
    yield bad("constant", with_value("PixelData", bytes(2 * 32 * 32)))
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


def with_syntax(syntax: str):
    """Says of the pixels that they are stored in another way."""

    def change(dataset):
        dataset.file_meta.TransferSyntaxUID = syntax

    return change


# YAML

ALIASES = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x]"]
    + [
        f"{one}: &{one} [{', '.join([f'*{other}'] * 9)}]"
        for one, other in zip("bcdefghij", "abcdefghi", strict=True)
    ]
)
CONFIG = "data: {dataset: acdc, root: %s}\n"
YAML = {
    "empty": "",
    "a list": "- 1\n- 2\n",
    "a number": "7\n",
    "a text": "text\n",
    "tabs": "data:\n\tdataset: acdc\n",
    "an open quote": 'data: {dataset: "acdc}\n',
    "an open bracket": "data: {dataset: acdc\n",
    "an alias bomb": ALIASES,
    "an alias to itself": "data: &a {root: *a}\n",
    "a merge": "x: &a {dataset: acdc}\ndata: {<<: *a, root: x}\n",
    "a python object": "data: !!python/object/apply:os.getcwd []\n",
    "a python name": "data: !!python/name:os.system\n",
    "an unknown tag": "data: !foo {dataset: acdc}\n",
    "deep lists": "a: " + "[" * 40_000,
    "deep sections": "{a: " * 20_000,
    "deep and closed": "a: " + "[" * 3000 + "]" * 3000,
    "too long": "a: " + "x" * 200_000,
    "binary": bytes(range(256)),
    "zeros": bytes(300),
    "UTF-16": CONFIG.encode("utf-16"),
    "a control character": "data: \x07\n",
    "a key that is a list": "? [a, b]\n: 1\n",
    "a key that is a section": "? {a: 1}\n: 1\n",
    "two documents": CONFIG + "---\n" + CONFIG,
    "a set": "data: !!set {a, b}\n",
    "a date": "data: 2020-01-01\n",
    "a date that is none": "data: 2020-13-45\n",
    "binary that is none": "data: !!binary '@@@'\n",
    "a base that is itself": "extends: config.yaml\n",
    "a base that is missing": "extends: nothing.yaml\n",
    "a base that is a folder": "extends: .\n",
    "a base that is a list": "extends: [a]\n",
    "an unknown section": CONFIG + "trains: {epochs: 3}\n",
    "an unknown key": CONFIG + "train: {epoch: 3}\n",
    "a section that is a list": CONFIG + "train: [1]\n",
    "a section that is nothing": CONFIG + "train:\n",
    "NaN": CONFIG + "train: {learning_rate: .nan}\n",
    "infinity": CONFIG + "train: {learning_rate: .inf}\n",
    "a negative number": CONFIG + "train: {epochs: -1}\n",
    "a fraction of an epoch": CONFIG + "train: {epochs: 1.5}\n",
    "true for a number": CONFIG + "train: {epochs: true}\n",
    "a number of a thousand digits": CONFIG + f"train: {{epochs: {'9' * 1000}}}\n",
    "a number of ten thousand digits": CONFIG + f"train: {{epochs: {'9' * 10_000}}}\n",
    "a network grid of nothing": CONFIG + "preprocess: {size: [0, 0]}\n",
    "a network grid as large as the moon": CONFIG + "preprocess: {size: [320000000, 32]}\n",
    "as many filters as pixels": CONFIG + "networks: {unet_advanced: {filters: 100000}}\n",
    "a member twice": CONFIG + "members: [unet_advanced, unet_advanced]\n",
    "no member": CONFIG + "members: []\n",
    "shares that leave nothing": CONFIG + "split: {test: .6, validation: .6}\n",
}


def bad_yaml() -> Iterator[Bad]:
    """Configurations that are none."""

    def bad(name, text):
        def write(folder, run):
            path = folder / "config.yaml"
            if isinstance(text, bytes):
                path.write_bytes(text)
            else:
                data = str(run.parent / "phantoms")  # nothing is wrong with these
                path.write_text(text.replace("%s", data), encoding="utf-8")
            return ["train", "--config", str(path), "--run-dir", str(folder / "run")]

        return Bad("YAML", name, write)

    for name, text in YAML.items():
        yield bad(name, text)

    def a_folder(folder, run):
        (folder / "config.yaml").mkdir()
        return ["train", "--config", str(folder / "config.yaml")]

    yield Bad("YAML", "a folder", a_folder)
    yield Bad("YAML", "missing", lambda f, run: ["train", "--config", str(f / "config.yaml")])
    demo = ["train", "--config", str(REPO / "configs" / "demo.yaml"), "--set"]
    for name, text in (("no value", "train.epochs"), ("no YAML", "train.epochs=[")):
        yield Bad("YAML", f"--set with {name}", lambda f, run, text=text: [*demo, text])


# Run directories and their tables


def bad_runs() -> Iterator[Bad]:
    """Runs with a file that somebody or something has changed."""
    image = nifti_bytes()

    def bad(kind, name, change, command, harmless=False):
        def write(folder, run):
            change(run)
            if command == "predict":
                (folder / "image.nii").write_bytes(image)
                return predict(run, folder / "image.nii")
            if command == "export":
                return ["cardiac_seg", "export", str(run), str(folder / "out")]
            if command == "resume":
                return ["train", "--resume", str(run)]
            return [*command.split(), str(run)]

        return Bad(kind, f"{name} ({command})", write, harmless, damages=True)

    for name, command, harmless in BY_FILE:
        kind = "CSV" if name.endswith(".csv") else "run directory"
        for what, damage in DAMAGE.items():

            def change(run, name=name, damage=damage):
                damage(found_in(run, name))

            yield bad(kind, f"{name} {what}", change, command, what in harmless)
    for name, (change, command) in EDITS.items():
        kind = "CSV" if ".csv" in name else "run directory"
        yield bad(kind, name, change, command)


def found_in(run: Path, name: str) -> Path:
    """The first file of that name or pattern."""
    return sorted(run.glob(name))[0] if "*" in name else run / name


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {
    "missing": Path.unlink,
    "empty": emptied,
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "of text": lambda path: path.write_text("[1, 2, 3]\n"),
    "a folder": replaced_by_a_folder,
}
# File, the command that reads it, and the damage that it can do without.
BY_FILE = [
    ("config.yaml", "cardiac_seg info", ()),
    ("config.yaml", "predict", ()),
    ("local.yaml", "resume", ("missing", "a folder")),
    ("local.yaml", "predict", ("missing", "a folder")),
    ("manifest.json", "resume", ("missing",)),
    ("manifest.json", "analyze", ("missing",)),
    ("manifest.json", "predict", ("missing",)),
    ("metrics.json", "analyze", ()),
    ("metrics.json", "cardiac_seg info", ("missing", "a folder")),
    ("test_cases.csv", "analyze", ("cut",)),
    ("cases.csv", "export", ("cut",)),
    ("split.csv", "export", ()),
    ("split.csv", "analyze", ()),
    ("meta/cross_fit/fold0.csv", "cardiac_seg compare", ()),
    ("meta/choice.json", "predict", ()),
    ("meta/choice.json", "analyze", ()),
    ("meta/postprocessing.json", "predict", ()),
    ("meta/temperature.json", "predict", ()),
    ("meta/weighted_mean.json", "predict", ()),
    ("meta/thresholds.json", "predict", ()),
    ("meta/interpretation.json", "analyze", ()),
    ("meta/logistic.skops", "predict", ()),
    ("models/unet_advanced/full/last.keras", "predict", ()),
    ("masks/mean/training/*/*.nii.gz", "analyze", ()),
]


def edit_json(name: str, change: Callable) -> Callable[[Path], None]:
    """Rewrites a JSON file of a run with something in it changed."""

    def edit(run):
        values = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps(change(values)))

    return edit


def edit_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Rewrites a text file of a run with a text replaced."""

    def edit(run):
        text = (run / name).read_text()
        assert old in text, (name, old)
        (run / name).write_text(text.replace(old, new))

    return edit


def swap_networks(run: Path) -> None:
    """One under the other's name; the manifest is changed to fit, as a forger would."""
    methods = run / "models"
    shutil.copyfile(methods / NETWORK, methods / "deep_unet_improved/full/last.keras")
    forget = edit_json("manifest.json", lambda values: values | {"methods": {}})
    forget(run)


EDITS = {
    "a network under another name": (swap_networks, "predict"),
    "the same, and the manifest as it was": (
        lambda run: shutil.copyfile(
            run / "models" / NETWORK,
            run / "models/deep_unet_improved/full/last.keras",
        ),
        "predict",
    ),
    "a member too many": (
        edit_text("config.yaml", "- deep_unet_improved", "- deep_unet_improved\n- deeper"),
        "predict",
    ),
    "another dataset": (edit_text("config.yaml", "dataset: acdc", "dataset: brats"), "predict"),
    "another network grid": (edit_text("config.yaml", "- 32\n  - 32", "- 33\n  - 33"), "predict"),
    "a choice of nobody": (edit_json("meta/choice.json", lambda v: v | {"method": "x"}), "predict"),
    "a choice of two": (edit_json("meta/choice.json", lambda v: v | {"method": [1]}), "analyze"),
    "no quality": (edit_json("meta/choice.json", lambda v: {"method": v["method"]}), "predict"),
    "quality of text": (edit_json("meta/choice.json", lambda v: v | {"quality": "x"}), "predict"),
    "a step for label 9": (
        edit_json("meta/postprocessing.json", lambda v: v | {"fill_holes": [9]}),
        "predict",
    ),
    "a temperature of text": (
        edit_json("meta/temperature.json", lambda v: dict.fromkeys(v, "x")),
        "predict",
    ),
    "a threshold of text": (
        edit_json("meta/thresholds.json", lambda v: dict.fromkeys(v, "x")),
        "predict",
    ),
    "a manifest that is a list": (edit_json("manifest.json", lambda v: [v]), "resume"),
    "stages of text": (edit_json("manifest.json", lambda v: v | {"stages": "x"}), "resume"),
    "a stage of text": (
        edit_json("manifest.json", lambda v: v | {"stages": {"train": 1}}),
        "resume",
    ),
    "methods of text": (edit_json("manifest.json", lambda v: v | {"methods": "x"}), "predict"),
    "no dataset": (
        edit_json("manifest.json", lambda v: {k: v[k] for k in v if k != "dataset"}),
        "analyze",
    ),
    "another fingerprint": (
        edit_json(
            "manifest.json",
            lambda v: (
                v
                | {"dataset": v["dataset"] | {"fingerprint": "x"}}
                | {"stages": v["stages"] | {"evaluate": {"done": False}}}
            ),
        ),
        "resume",
    ),
    "metrics without subsets": (
        edit_json("metrics.json", lambda v: {k: v[k] for k in v if k != "subsets"}),
        "analyze",
    ),
    "metrics of another method": (
        edit_json("metrics.json", lambda v: v | {"final_method": "x", "control": "x"}),
        "analyze",
    ),
    "test_cases.csv that leads outside": (
        edit_text("test_cases.csv", "training/", "../../training/"),
        "analyze",
    ),
    "test_cases.csv of absolute paths": (
        edit_text("test_cases.csv", "training/", "/training/"),
        "analyze",
    ),
    "test_cases.csv without a column": (edit_text("test_cases.csv", ",group,", ",grp,"), "analyze"),
    "test_cases.csv of an EF of text": (
        lambda run: (run / "test_cases.csv").write_text(
            "case,patient,path,view,phase,group,recorded_ef,heart_rate\na,b,c,,ED,NOR,x,y\n"
        ),
        "analyze",
    ),
    "split.csv without folds": (edit_text("split.csv", ",fold,", ",folds,"), "analyze"),
    "split.csv of text for folds": (
        lambda run: (run / "split.csv").write_text("patient,subset,fold,stratum\np,test,x,\n"),
        "analyze",
    ),
    "fold0.csv of other methods": (
        edit_text("meta/cross_fit/fold0.csv", ",mean,", ",mode,"),
        "cardiac_seg compare",
    ),
    "fold0.csv without scores": (
        edit_text("meta/cross_fit/fold0.csv", ",dice,", ",dices,"),
        "cardiac_seg compare",
    ),
}


def main() -> None:
    """Runs all, or those of the kinds named, and prints the table."""
    rows: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        run = finished_run(Path(scratch) / "made").folder
        chosen = [bad for bad in all_bad() if not sys.argv[1:] or bad.kind in sys.argv[1:]]
        for number, bad in enumerate(chosen):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            copy = shutil.copytree(run, folder / "run") if bad.damages else run
            found = run_here(bad.write(folder, copy))
            if fault := found.fault(bad):
                print(f"{bad.kind}: {bad.name}: {fault}\n{found.text}", file=sys.stderr)
            row = rows.setdefault(bad.kind, [0, 0, 0, 0])
            row[0] += 1
            row[1 if found.code else 2] += 1
            row[3] += bool(fault)
            shutil.rmtree(folder)
    print("| kind | count | refused, one line | read, harmless | wrong |\n|---|---|---|---|---|")
    for kind, counts in [*rows.items(), ("all", np.sum(list(rows.values()), axis=0).tolist())]:
        print(f"| {kind} | " + " | ".join(map(str, counts)) + " |")


if __name__ == "__main__":
    main()
