"""Train the members, combine them and score the result.

A killed command continues where it stopped when it is given again.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cardiac_seg.config.loading import dump_config, load_config
from cardiac_seg.config.sections import STAGES, Config
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import start_log

if TYPE_CHECKING:
    from cardiac_seg.run.folder import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, help="YAML file, see configs/")
    source.add_argument("--resume", type=Path, metavar="RUN", help="continue a run as it is stored")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a config key"
    )
    parser.add_argument(
        "--run-dir", type=Path, help="create or join a run (default: outputs/<config>)"
    )
    parser.add_argument("--stage", choices=STAGES, help="only this stage")
    parser.add_argument("--member", metavar="NAME", help="train only this network")
    parser.add_argument("--fold", type=int, help="train only this fold")
    parser.add_argument(
        "--stack",
        metavar="NAME",
        help="with --config: names its stack; with --resume: puts a kept stack into use again",
    )
    parser.add_argument(
        "--print-config", action="store_true", help="show the resolved config and stop"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the stages that are not done yet; returns the exit code."""
    if args.resume and (args.set or args.run_dir):
        raise UserError("--resume takes the stored config; --set and --run-dir go with --config")
    if args.stack is not None:
        _check_stack(args)
    # Before anything heavy is loaded: an invalid config is reported at once.
    config = load_config(args.config, args.set) if args.config else None
    if config:
        from cardiac_seg.data.registry import check_config

        check_config(config)
    if args.print_config:
        print(dump_config(config or _stored_config(args.resume)), end="")
        return 0
    start_log()
    with _at_work(args, config) as current:
        import cardiac_seg.system.backend  # noqa: F401  before Keras, see there
        from cardiac_seg.pipeline.stages import run_stages

        run_stages(current, _stages(args), args.member, args.fold)
    if current.is_done("evaluate"):
        print(f"\nnext: {_analyze_command()} {current.folder}")
    return 0


@contextmanager
def _at_work(args: argparse.Namespace, config: Config | None) -> Iterator["Run"]:
    """The run that the arguments name, made where it is new, and held while it is worked on."""
    from cardiac_seg.run.open import at_work, create, join, open_run
    from cardiac_seg.run.stacks import switch_stack

    folder = args.resume or args.run_dir or Path("outputs") / args.config.stem
    if config:
        _check_data(config)
        create(config, folder)
    open_run(folder, changing=True).check_whole()
    with at_work(folder, beside_others=_trains_one_part(args)):
        start_log(folder / "log.txt")
        if config is None and args.stack is not None:
            switch_stack(open_run(folder), args.stack)
        yield join(config, folder, args.stack) if config else open_run(folder)


def _check_stack(args: argparse.Namespace) -> None:
    from cardiac_seg.run.stacks import check_name

    check_name(args.stack)
    if args.resume and _trains_one_part(args):
        raise UserError(
            "--stack with --resume changes the whole run; leave --member and --fold out"
        )


def _stored_config(folder: Path) -> Config:
    from cardiac_seg.run.open import open_run

    return open_run(folder).config


def _check_data(config: Config) -> None:
    """Looks for the data before a run directory is made for it."""
    from cardiac_seg.data.registry import dataset_of

    root = Path(config.data.root).expanduser()
    if root.exists() or not config.data.phantom:
        dataset_of(config).find(root, config.data.views, config.data.phases)


def _trains_one_part(args: argparse.Namespace) -> bool:
    """Whether this is one job of several that train networks side by side."""
    return args.member is not None or args.fold is not None


def _stages(args: argparse.Namespace) -> tuple[str, ...]:
    """The stages asked for; what needs all networks comes after a job that trains one."""
    if args.stage:
        return (args.stage,)
    return ("prepare", "train") if _trains_one_part(args) else STAGES


def _analyze_command() -> str:
    """How `analyze` is spelled here: in a checkout the script lies beside."""
    return (
        "python analyze_results.py"
        if Path("analyze_results.py").is_file()
        else "cardiac-seg analyze"
    )
