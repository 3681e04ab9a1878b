#!/usr/bin/env python3
"""Train the two U-Nets, combine them and score the result, in one command.

  python train_ensemble.py --config configs/acdc.yaml --set data.root=/data/ACDC
  python train_ensemble.py --resume outputs/acdc

A killed command continues where it stopped when it is given again.
"""

import sys
from pathlib import Path

from cardiac_seg.commands.guard import guarded, parser
from cardiac_seg.config.loading import dump_config, load_config
from cardiac_seg.config.sections import MEMBERS, STAGES, Config
from cardiac_seg.system.errors import UserError


def arguments(argv: list[str] | None):
    """Reads the command line."""
    p = parser(__doc__)
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, help="YAML file, see configs/")
    source.add_argument("--resume", type=Path, metavar="RUN", help="continue a run as it is stored")
    p.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a config key"
    )
    p.add_argument("--run-dir", type=Path, help="create or join a run (default: outputs/<config>)")
    p.add_argument("--stage", choices=STAGES, help="only this stage")
    p.add_argument("--member", choices=MEMBERS, help="train only this network")
    p.add_argument("--fold", type=int, help="train only this fold")
    p.add_argument("--print-config", action="store_true", help="show the resolved config and stop")
    return p.parse_args(argv)


def check_data(config: Config) -> None:
    """Looks for the data before a run directory is made for it."""
    from cardiac_seg.data.registry import DATASETS

    root = Path(config.data.root).expanduser()
    if root.exists() or not config.data.phantom:
        DATASETS[config.data.dataset].find(root, config.data.views, config.data.phases)


@guarded
def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = arguments(argv)
    if args.resume and (args.set or args.run_dir):
        raise UserError("--resume takes the stored config; --set and --run-dir go with --config")
    config = load_config(args.config, args.set) if args.config else None
    if args.print_config and config:
        print(dump_config(config), end="")
        return 0

    # Only now: a mistake in the config is told before anything heavy is loaded.
    from cardiac_seg.run.open import at_work, create, join, open_run
    from cardiac_seg.system.log import start_log

    start_log()
    if args.print_config:
        print(dump_config(open_run(args.resume).config), end="")
        return 0
    if config:
        check_data(config)
    folder = args.resume or args.run_dir or Path("outputs") / args.config.stem
    chosen_part = args.member is not None or args.fold is not None
    # Training one part of several is a job beside others; what needs all parts comes after.
    stages = (args.stage,) if args.stage else ("prepare", "train") if chosen_part else STAGES
    if config:
        create(config, folder)
    open_run(folder).check_whole()
    with at_work(folder, beside_others=chosen_part):
        run = join(config, folder) if config else open_run(folder)

        import cardiac_seg.system.backend  # noqa: F401  before Keras, see there
        from cardiac_seg.pipeline.stages import run_stages

        start_log(run.folder / "log.txt")
        run_stages(run, stages, args.member, args.fold)
    if run.is_done("evaluate"):
        print(f"\nnext: python analyze_results.py {run.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
