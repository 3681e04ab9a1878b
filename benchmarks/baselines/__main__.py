"""`python -m benchmarks.baselines`: nnU-Net, the published networks and this project, in turns.

All segment the ED and ES images of one phantom patient on the CPU. Leave the machine to it.
"""

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from benchmarks import machine
from benchmarks.baselines.report import System, compare
from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.tables import percent
from benchmarks.timing import alternate
from benchmarks.worker import ROOT, Worker, measure_once, prepared
from cardiac_seg.commands.guard import guarded, parser
from cardiac_seg.system.atomic import write_json, write_text
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import clock, log, start_log

PYTHON = Path(".venv-baselines/bin/python")
DEMO = Path("outputs/demo")
QUICK_SLICES, QUICK_SIDE, QUICK_NARROWER = 1, 64, 16
NNUNET, PLAIN, PUBLISHED = "nnU-Net 2D", "nnU-Net 2D, no mirroring", "published, both"
BASELINES = (NNUNET, PLAIN, PUBLISHED)
MUCH = 0.1  # of the machine, taken by others


class PeerWorker(Worker):
    """A process of another environment that answers like a `Worker`.

    Args:
        python: Its interpreter.
        module: What it runs, from this repository's root.
        arguments: The module's.
    """

    def __init__(self, python: Path, module: str, *arguments: str | Path):
        self.target = module
        self._process = subprocess.Popen(
            [str(python), "-m", module, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def arguments(argv: list[str] | None):
    """Reads the command line."""
    p = parser(__doc__, prog="benchmarks.baselines")
    p.add_argument("--run", type=Path, nargs="+", help=f"finished ACDC runs (default: {DEMO})")
    p.add_argument("--rounds", type=int, default=FULL.rounds)
    p.add_argument("--slices", type=int, help="only that many middle slices of each image")
    p.add_argument("--quick", action="store_true", help="tiny sizes: does it work, not how fast")
    p.add_argument("--python", type=Path, default=PYTHON, help="the interpreter that has nnU-Net")
    p.add_argument("--output", type=Path, default=Path("outputs/bench"))
    return p.parse_args(argv)


@guarded
def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = arguments(argv)
    if not args.python.is_file():
        raise UserError(f"{args.python}: no such interpreter; make bench-baselines installs it")
    runs = finished_runs(args.run)
    start_log()
    sizes, slices = (QUICK, args.slices or QUICK_SLICES) if args.quick else (FULL, args.slices)
    began = datetime.now(UTC)
    about = {
        "began": began.isoformat(timespec="seconds"),
        "rounds": args.rounds,
        "quick": args.quick,
        "machine": machine.describe(),
    }
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".work-", dir=args.output) as folder:
        bench = Bench(sizes, Path(folder).resolve(), 1.0, None)
        settings = {"folder": bench.folder, "slices": slices}
        images = measure_once("benchmarks.baselines.patient:prepare", **settings)["images"]
        log.info("making a run of the size of acdc_cpu.yaml")
        about["runs"] = {str(run): _describe(run) for run in [*runs, bench.run]}
        about["busy"] = busy_share()
        measured = measure(bench, runs, images, args)
    systems = [
        *nnunet_systems(measured["nnunet"]),
        *published_systems(measured["published"]),
        *our_systems(measured, about["runs"]),
    ]
    write_results(args.output, about | {"measurements": measured}, systems)
    took = clock((datetime.now(UTC) - began).total_seconds())
    log.info("done in %s: %s", took, args.output / "baselines.md")
    return 0


def finished_runs(given: list[Path] | None) -> list[Path]:
    """The runs to measure: those given, else the demo's if it is there.

    Raises:
        UserError: If a given one is not finished.
    """
    for run in given or []:
        if not (run / "meta" / "choice.json").is_file():
            raise UserError(f"{run}: not a finished run; make demo makes {DEMO}")
    if given:
        return given
    return [DEMO] if (DEMO / "meta" / "choice.json").is_file() else []


def measure(bench: Bench, runs: list[Path], images: list[str], args) -> dict[str, list[dict]]:
    """All systems in turns; by system, one measurement per round."""
    patient = Path(images[0]).parent
    published = {"side": QUICK_SIDE, "narrower": QUICK_NARROWER} if args.quick else {}
    workers = {
        "nnunet": PeerWorker(args.python, "benchmarks.baselines.nnunet", *images),
        "published": Worker(
            "benchmarks.baselines.published:prepare", plain=True, patient=patient, **published
        ),
    }
    for backend in backends():
        for run in runs:
            workers[f"{run}, {backend}"] = Worker(
                "benchmarks.baselines.ours:prepare",
                backend,
                run_folder=run,
                patient=patient,
                seconds=bench.sizes.seconds,
            )
        workers[f"{bench.run}, {backend}"] = Worker(
            "benchmarks.inference:ours", backend, run_folder=bench.run, folder=bench.folder
        )
    log.info("preparing %s", ", ".join(workers))
    with prepared(*workers.values()):
        log.info("measuring, %d rounds", args.rounds)
        rounds = alternate(*(w.measure for w in workers.values()), rounds=args.rounds)
    return dict(zip(workers, rounds, strict=True))


def backends() -> list[str]:
    """What this project predicts with here: TensorFlow, and OpenVINO where it is installed."""
    return ["tensorflow", *(["openvino"] if find_spec("openvino") else [])]


def nnunet_systems(rounds: list[dict]) -> list[System]:
    """nnU-Net with its default mirroring and without."""
    about, systems = rounds[0], []
    size = (
        f"{' '.join(map(str, about['features']))} features, patch "
        f"{' x '.join(map(str, about['patch']))}"
    )
    for name, variant, passes in ((NNUNET, "mirroring", 4), (PLAIN, "no_mirroring", 1)):
        seconds = [r[variant] for r in rounds]
        slices, patches = seconds[0]["slices"], seconds[0]["patches"]
        systems.append(
            System(
                name,
                size,
                [s["to_grid"] + s["network"] + s["to_native"] for s in seconds],
                slices,
                [s["network"] for s in seconds],
                about["parameters"],
                about["gflop"] * passes * patches / slices,
                peak(rounds),
            )
        )
    return systems


def published_systems(rounds: list[dict]) -> list[System]:
    """The published networks each alone, and both with the average of their maps."""
    about, slices, grid = (rounds[0][key] for key in ("networks", "slices", "grid"))
    filters, systems = rounds[0]["filters"], []
    for name, members in [*((f"published {m}", [m]) for m in about), (PUBLISHED, list(about))]:
        network_seconds = [sum(r[m] for m in members) for r in rounds]
        systems.append(
            System(
                name,
                f"{filters[0]} to {max(filters)} filters, {grid[0]} x {grid[1]}",
                [s + r["rest"] for s, r in zip(network_seconds, rounds, strict=True)],
                slices,
                network_seconds,
                sum(about[m]["parameters"] for m in members),
                sum(about[m]["gflop"] for m in members),
                peak(rounds),
            )
        )
    return systems


def our_systems(measured: dict, runs: dict) -> list[System]:
    """This project with each run, backend and model."""
    systems = []
    for backend in backends():
        for run, about in runs.items():
            key = f"{run}, {backend}"
            for model, (seconds, network_seconds) in our_seconds(measured[key]).items():
                systems.append(
                    System(
                        f"{_run_name(run, measured[key])}, {backend}, {model}",
                        _our_size(about),
                        seconds,
                        measured[key][0]["slices"],
                        network_seconds,
                        about["parameters"],
                        about["gflop"],
                        peak(measured[key]),
                    )
                )
    return systems


def peak(rounds: list[dict]) -> int:
    """Largest resident memory of a process in MiB, after its last round."""
    return rounds[-1]["peak_memory_mib"]


def write_results(output: Path, raw: dict, systems: list[System]) -> None:
    """Writes `baselines.json` (every measurement) and `baselines.md` (the table)."""
    write_json(output / "baselines.json", raw)
    about, peer = raw["machine"], raw["measurements"]["nnunet"][0]
    versions = ", ".join(f"{k} {v}" for k, v in (about["versions"] | peer["versions"]).items())
    head = (
        f"# Peers\n\n{about['cpu']}, {about['cores']} cores, {' '.join(about['flags'])}, "
        f"{about['memory_gib']} GiB; {versions}; commit {about['git_commit']}; {raw['began']}.\n\n"
        f"Measured in turns, {raw['rounds']} rounds; medians with the smallest and the largest, "
        f"ratios round by round. {_caveats(raw)}\n"
    )
    baselines = [system for system in systems if system.name in BASELINES]
    write_text(output / "baselines.md", f"{head}\n{compare(systems, baselines).markdown()}")


def busy_share(seconds: float = 2.0) -> float | None:
    """The share of the machine that others use, 0 to 1; None where Linux is not there to ask.

    Args:
        seconds: How long to look, while nothing is measured.
    """
    path = Path("/proc/stat")
    if not path.is_file():
        return None

    def jiffies() -> tuple[int, int]:
        values = [int(v) for v in path.read_text().splitlines()[0].split()[1:9]]
        return sum(values), values[3] + values[4]  # all; idle and waiting for a disk

    (all_before, idle_before), _ = jiffies(), time.sleep(seconds)
    all_after, idle_after = jiffies()
    return 1 - (idle_after - idle_before) / max(1, all_after - all_before)


def _caveats(raw: dict) -> str:
    """What keeps the times from being quoted."""
    words = ["Tiny sizes (--quick): not to be quoted."] if raw["quick"] else []
    if raw["busy"] is not None:
        words.append(f"Other processes took {percent(raw['busy'])} of the machine before it began.")
        words += ["Times taken so are not to be quoted."] if raw["busy"] > MUCH else []
    return " ".join(words)


def _describe(run: Path) -> dict:
    return measure_once("benchmarks.baselines.ours:describe", run_folder=run)


def our_seconds(rounds: list[dict]) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of the pair, and of the networks where they are known, by model."""
    if "models" in rounds[0]:
        return {m: ([r["models"][m] for r in rounds], []) for m in rounds[0]["models"]}
    networks = [r["members"] for r in rounds]
    learners = [m for m in ("random_forest", "gradient_boosting") if m in rounds[0]]
    return {m: ([r["members"] + r[m] + r["rest"] for r in rounds], networks) for m in learners}


def _run_name(run: str, rounds: list[dict]) -> str:
    return run if "models" in rounds[0] else "acdc_cpu.yaml"


def _our_size(about: dict) -> str:
    filters = " and ".join(str(f) for f in dict.fromkeys(about["filters"].values()))
    return f"{filters} filters, {' x '.join(map(str, about['grid']))}"


if __name__ == "__main__":
    sys.exit(main())
