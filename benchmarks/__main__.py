"""`python -m benchmarks`: measures speed, memory and start-up, and writes tables.

Every comparison is made side by side in this one run, A and B in turns. Leave the machine to it.
"""

import dataclasses
import sys
import tempfile
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.tables import Outcome
from cardiac_seg.commands.guard import guarded, parser
from cardiac_seg.system.atomic import write_json, write_text
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import clock, log, start_log

TOPICS = {
    "training": "training",
    "input": "feeding",
    "inference": "inference",
    "runtimes": "runtimes",
    "growth": "growth",
    "startup": "startup",
}
DEMO = Path("outputs/demo")


def arguments(argv: list[str] | None):
    """Reads the command line."""
    p = parser(__doc__, prog="benchmarks")
    p.add_argument("--only", nargs="+", choices=TOPICS, default=list(TOPICS), metavar="TOPIC")
    p.add_argument("--quick", action="store_true", help="tiny sizes: does it work, not how fast")
    p.add_argument("--patients", nargs="+", type=int, metavar="N", help="of growth: 100 1000")
    p.add_argument(
        "--run", type=Path, help="a finished run for the member runtimes (default: outputs/demo)"
    )
    p.add_argument("--output", type=Path, default=Path("outputs/bench"))
    p.epilog = f"topics: {', '.join(TOPICS)}"
    return p.parse_args(argv)


@guarded
def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = arguments(argv)
    sizes = QUICK if args.quick else FULL
    if args.patients:
        sizes = dataclasses.replace(sizes, patients=tuple(args.patients))
    trained = args.run or (DEMO if not args.quick else None)
    if args.run and not (args.run / "config.yaml").is_file():
        raise UserError(f"{args.run}: not a run directory (no config.yaml); check the path")
    if trained and not (trained / "metrics.json").is_file():
        trained = None
    import cardiac_seg.system.backend  # noqa: F401  before Keras, see there

    start_log()
    from benchmarks import machine, workload

    began = datetime.now(UTC)
    log.info("machine: what it is, and its highest rates")
    results = {"began": began.isoformat(timespec="seconds"), "sizes": dataclasses.asdict(sizes)}
    results["machine"] = machine.describe()
    highest, rates = machine.highest_rates(sizes.matrix, sizes.convolution)
    outcomes = {"machine": rates}
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".work-", dir=args.output) as folder:
        bench = Bench(sizes, Path(folder).resolve(), highest, trained)
        workload.make_patients(bench.folder)
        for topic in args.only:
            outcomes[topic] = import_module(f"benchmarks.{TOPICS[topic]}").run(bench)
            # After each: what is measured is not lost where a later one fails.
            write_results(args.output, results, outcomes)
    write_results(args.output, results, outcomes)
    took = clock((datetime.now(UTC) - began).total_seconds())
    log.info("done in %s: %s", took, args.output / "results.md")
    return 0


def write_results(output: Path, about: dict, outcomes: dict[str, Outcome]) -> None:
    """Writes `results.json` (every measurement) and `results.md` (the tables)."""
    raw = {topic: outcome.raw for topic, outcome in outcomes.items()}
    write_json(output / "results.json", about | {"measurements": raw})
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    head = (
        f"# Benchmarks\n\n{machine['cpu']}, {machine['cores']} cores, "
        f"{' '.join(machine['flags']) or 'no vector flags'}, {machine['memory_gib']} GiB; "
        f"{machine['device']}; {versions}; commit {machine['git_commit']}; {about['began']}.\n\n"
        f"A and B were measured in turns, {about['sizes']['rounds']} rounds; numbers are medians, "
        "ratios medians of the rounds with the smallest and the largest.\n"
    )
    tables = [table.markdown() for outcome in outcomes.values() for table in outcome.tables]
    write_text(output / "results.md", "\n".join([head, *tables]))


if __name__ == "__main__":
    sys.exit(main())
