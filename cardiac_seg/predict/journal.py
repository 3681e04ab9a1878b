"""What an interrupted `predict` has done, so that it goes on."""

import glob
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from cardiac_seg.members.external_folder import CHANNEL
from cardiac_seg.predict.measurements import ScanMeasurements
from cardiac_seg.predict.outputs import JOURNAL, Wanted
from cardiac_seg.predict.predictor import Ensemble
from cardiac_seg.predict.scans import ScanFiles
from cardiac_seg.run.folder import Run
from cardiac_seg.system.atomic import write_text
from cardiac_seg.version import __version__


class Journal:
    """The scans that a call has finished, one line each, so that it goes on when interrupted."""

    def __init__(self, output: Path, source: Path, ensemble: Ensemble, wanted: Wanted):
        self.path, self.output = output / JOURNAL, output
        self._maps = [Path(folder).expanduser() for folder in wanted.maps.values()]
        self.measured: dict[str, ScanMeasurements] = {}
        self._stamps: dict[str, list] = {}
        key = [__version__, str(source.resolve()), fingerprint(ensemble.run), asdict(wanted)]
        head = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        for line in lines[1:] if lines[:1] == [head] else []:
            try:
                entry = json.loads(line)
                measured, stamp = ScanMeasurements(**entry["measured"]), entry["stamp"]
            except (ValueError, TypeError, KeyError):
                break  # cut short by the interruption
            self.measured[measured.image], self._stamps[measured.image] = measured, stamp
        output.mkdir(parents=True, exist_ok=True)
        kept = [json.dumps(self._entry(m, self._stamps[name])) for name, m in self.measured.items()]
        write_text(self.path, "".join(f"{line}\n" for line in [head, *kept]))

    def __contains__(self, files: ScanFiles) -> bool:
        """Whether a scan is done, its files unchanged and its mask there."""
        same = self._stamps.get(files.name) == self._stamp(files)
        return same and (self.output / files.mask_path).is_file()

    def add(self, files: ScanFiles, measured: ScanMeasurements) -> None:
        """Keeps what was measured of a scan, in memory and on disk."""
        self.measured[files.name] = measured
        with self.path.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(self._entry(measured, self._stamp(files))) + "\n")

    def close(self, keep: bool) -> None:
        """Ends the call; what failed may be tried again, so what did not is then remembered."""
        if not keep:
            self.path.unlink()

    @staticmethod
    def _entry(measured: ScanMeasurements, stamp: list) -> dict:
        return {"stamp": stamp, "measured": asdict(measured)}

    def _stamp(self, files: ScanFiles) -> list:
        """What changes when a scan's files do, or softmax maps of its name."""
        paths = [path for path in files.paths if path.is_file()]
        name = glob.escape(Path(files.name).name.removesuffix(CHANNEL))
        paths += [path for folder in self._maps for path in folder.glob(f"{name}*")]
        stats = [path.stat() for path in paths]
        return [
            len(stats),
            sum(s.st_size for s in stats),
            max((s.st_mtime_ns for s in stats), default=0),
        ]


def fingerprint(run: Run) -> str:
    """SHA-256 of all that masks depend on: hashes of networks and learners, and what was chosen."""
    chosen = [path.read_text(encoding="utf-8") for path in sorted(run.meta.glob("*.json"))]
    made_of = [run.manifest.models, *chosen]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
