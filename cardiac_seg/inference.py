"""A trained run on new data: scans in; masks, maps, pictures and a summary out."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cardiac_seg.analysis.pictures import overlay
from cardiac_seg.curve import draw_curve
from cardiac_seg.data.nifti import write_map, write_mask
from cardiac_seg.data.scans import Scan, ScanFiles, find_scans, open_scan
from cardiac_seg.dicom_seg import write_seg
from cardiac_seg.ensemble import Ensemble, Phase, native_probabilities, relative_entropy
from cardiac_seg.errors import UserError
from cardiac_seg.examination import Measured, measure
from cardiac_seg.files import whole_file
from cardiac_seg.progress import bar, log
from cardiac_seg.run import Run
from cardiac_seg.summary import write_summary

JOURNAL = ".predict.jsonl"  # what an interrupted call has done; gone when one is finished


@dataclass(frozen=True)
class Wanted:
    """What is written beside the masks, and what is said of all scans.

    Attributes:
        probabilities: The softmax maps of the model in use.
        uncertainty: Their entropy.
        members: Each network's own mask.
        overlay: A picture of the structures on the image.
        spacing: (slice, row, column) distance in mm instead of the headers'; 0 keeps the headers'.
        heart_rate: Beats a minute instead of the headers'.
        batch_size: Slices a step instead of the run's.
    """

    probabilities: bool = False
    uncertainty: bool = False
    members: bool = False
    overlay: bool = False
    spacing: tuple[float, float, float] | None = None
    heart_rate: float | None = None
    batch_size: int | None = None


def predict_folder(run_folder: Path, source: Path, output: Path, wanted: Wanted) -> int:
    """Segments every scan under a file or folder.

    A NIfTI image's mask has its shape, affine, relative path and name. A DICOM series' mask is a
    NIfTI file in the patient's space and a DICOM segmentation a phase. A scan that fails costs one
    line, and the rest goes on; an interrupted call goes on where it was.

    Args:
        run_folder: A finished run.
        source: A file or folder, see `find_scans`.
        output: Folder for the results.
        wanted: What else to write.

    Returns:
        The number of scans that failed.

    Raises:
        UserError: If the run or the folders are unusable.
    """
    scans = find_scans(source)
    if output.resolve() == scans[0].root.resolve():
        raise UserError(f"--output {output}: would overwrite the images; choose another folder")
    # Results of an earlier call, inside the input folder, are no images.
    inside = output.resolve()
    scans = [s for s in scans if inside not in s.paths[0].resolve().parents]
    if not scans:
        raise UserError(f"{source}: holds nothing but the results of an earlier call")
    ensemble = Ensemble.load(run_folder)
    done, failed = _Journal(output, ensemble, wanted), {}
    for files in bar(scans, "predict", unit="scan"):
        if files in done:
            continue
        try:
            done.add(files, _predict_scan(ensemble, files, output, wanted))
        except UserError as error:
            log.error("%s", error)
            failed[files.name] = str(error).replace(f"{files.root}/", "")
    to_review = write_summary(output, ensemble, scans, done.measured, failed)
    done.close()
    log.info(
        "%d masks in %s, %d failed, %d to review: summary.csv",
        len(scans) - len(failed),
        output,
        len(failed),
        to_review,
    )
    return len(failed)


def _predict_scan(ensemble: Ensemble, files: ScanFiles, output: Path, wanted: Wanted) -> Measured:
    """Segments one scan and writes all that is wanted of it."""
    began = time.perf_counter()
    run = ensemble.run
    scan = open_scan(files, run.dataset.modality, wanted.spacing)
    members = {member: [] for member in run.config.members if wanted.members}
    masks, quality = [], []
    for k, phase in enumerate(_with_progress(ensemble.phases(scan, wanted.batch_size), scan)):
        masks.append(phase.mask)
        quality.append(phase.quality)
        for member, own in members.items():
            own.append(ensemble.member_mask(phase, member))
        _write_maps(output, scan, k, phase, wanted)
    target = output / files.mask_path
    for member, own in members.items():
        write_mask(_beside(output, files, f"_{member}.nii.gz"), own, scan.layout)
    rate = wanted.heart_rate or scan.heart_rate
    measured = measure(
        scan, masks, quality, run.dataset, rate, round(time.perf_counter() - began, 2)
    )
    if scan.phases > 1:
        draw_curve(_beside(output, files, "_curve.png"), measured)
    if wanted.overlay:
        shown = [(name, scan.image(k), masks[k]) for name, k in measured.shown.items()]
        with whole_file(_beside(output, files, "_overlay.png")) as partial:
            partial.write_bytes(overlay(shown, scan.spacing, run.dataset.structures))
    if scan.series is not None:
        _write_segs(ensemble, output, scan, masks)
    write_mask(target, masks, scan.layout)  # last: it says that the scan is done
    return measured


def _with_progress(phases: Iterator[Phase], scan: Scan) -> Iterator[Phase]:
    """A bar for the phases of a cine."""
    if scan.phases == 1:
        return phases
    return bar(phases, "phases", total=scan.phases, unit="phase")


def _write_maps(output: Path, scan: Scan, k: int, phase: Phase, wanted: Wanted) -> None:
    """One file a phase: the maps of a whole cine would not fit in memory."""
    if not (wanted.probabilities or wanted.uncertainty):
        return
    at = f"_phase{k + 1:02d}.nii.gz" if scan.phases > 1 else ".nii.gz"
    probabilities = native_probabilities(phase)
    if wanted.probabilities:
        write_map(_beside(output, scan.files, f"_probabilities{at}"), probabilities, scan.layout)
    if wanted.uncertainty:
        unsure = relative_entropy(probabilities)
        write_map(_beside(output, scan.files, f"_entropy{at}"), unsure, scan.layout)


def _write_segs(ensemble: Ensemble, output: Path, scan: Scan, masks: list[np.ndarray]) -> None:
    for k, mask in enumerate(masks):
        stored = np.ascontiguousarray(scan.layout.orientation.to_stored(mask).T)
        at = f"_phase{k + 1:02d}_seg.dcm" if scan.phases > 1 else "_seg.dcm"
        path = _beside(output, scan.files, at)
        structures = ensemble.run.dataset.structures
        write_seg(path, stored, scan.series, k, structures, f"cardiac_seg {ensemble.model}")


def _beside(output: Path, files: ScanFiles, ending: str) -> Path:
    return output / f"{files.name}{ending}"


class _Journal:
    """The scans that a call has finished, a line each, so that it goes on when interrupted."""

    def __init__(self, output: Path, ensemble: Ensemble, wanted: Wanted):
        self.path, self.output = output / JOURNAL, output
        self.measured: dict[str, Measured] = {}
        head = json.dumps({"run": _fingerprint(ensemble.run), "wanted": asdict(wanted)})
        self._stamps: dict[str, list] = {}
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        if lines[:1] != [head]:
            lines = [head]
        for line in lines[1:]:
            try:
                entry = json.loads(line)
            except ValueError:
                break  # cut short by the interruption
            self._stamps[entry["measured"]["image"]] = entry["stamp"]
            self.measured[entry["measured"]["image"]] = Measured(**entry["measured"])
        output.mkdir(parents=True, exist_ok=True)
        kept = lines[: len(self.measured) + 1]
        self.path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def __contains__(self, files: ScanFiles) -> bool:
        """Whether a scan is done, its files unchanged and its mask there."""
        same = self._stamps.get(files.name) == _stamp(files)
        return same and (self.output / files.mask_path).is_file()

    def add(self, files: ScanFiles, measured: Measured) -> None:
        self.measured[files.name] = measured
        entry = {"stamp": _stamp(files), "measured": asdict(measured)}
        with self.path.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(entry) + "\n")

    def close(self) -> None:
        self.path.unlink()


def _stamp(files: ScanFiles) -> list:
    stats = [path.stat() for path in files.paths if path.is_file()]
    return [
        len(stats),
        sum(s.st_size for s in stats),
        max((s.st_mtime_ns for s in stats), default=0),
    ]


def _fingerprint(run: Run) -> str:
    made_of = [run.manifest.get("models"), (run.meta / "choice.json").read_text()]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
