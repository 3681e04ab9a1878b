"""Members of a run that bring their maps: which file is whose, kept so that a change is noticed."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from cardiac_seg.members.external import ExternalMember
from cardiac_seg.members.external_folder import FoundMap, scan_map
from cardiac_seg.run.folder import Run
from cardiac_seg.run.stored import BroughtMaps, read
from cardiac_seg.system.errors import UserError


def record_path(run: Run, member: str) -> Path:
    """The file that says which maps of a member the run takes; its hash is in the manifest."""
    return run.folder / "models" / member / "maps.json"


def maps_folder(run: Run, member: str) -> Path:
    """The folder of a member's maps, as the configuration names it."""
    return Path(run.config.external[member].maps).expanduser()


def read_brought(run: Run, member: str) -> BroughtMaps:
    """What the run knows of a member's maps; nothing before the train stage.

    Raises:
        UserError: If the record is damaged.
    """
    path = record_path(run, member)
    if not path.is_file():
        return BroughtMaps()
    advice = f"delete it and run train_ensemble.py --resume {run.folder}"
    return read(BroughtMaps, path, "what the run wrote of a member's maps", advice)


def found_map(run: Run, member: str, case: str) -> FoundMap:
    """The file of a case's maps, as the run took it.

    Raises:
        UserError: If it has taken none.
    """
    path, brought = record_path(run, member), read_brought(run, member)
    if case not in brought.maps:
        raise UserError(
            f"{path}: no maps of {case}; run train_ensemble.py --resume {run.folder}, which looks "
            "for them"
        )
    run.check_hash(path)
    one = brought.maps[case]
    return FoundMap(maps_folder(run, member) / one.file, one.made_by, brought.patients(case))


def external_member(
    run: Run, member: str, scan_maps: Mapping[str, Path] | None = None
) -> ExternalMember:
    """A member of a run that brings its maps.

    Args:
        run: The run.
        member: Its name.
        scan_maps: Member -> folder of its maps of new images; None for the run's own cases.
    """
    folder = maps_folder(run, member) if scan_maps is None else scan_maps[member]
    find = partial(found_map, run, member)
    if scan_maps is not None:
        find = partial(scan_map, folder, member)
    config, dataset = run.config.for_member(member), run.dataset
    return ExternalMember(member, config, dataset.anatomy, dataset.modality, folder, find)


def check_scan_maps(run: Run, given: Mapping[str, str | Path]) -> dict[str, Path]:
    """The folders of the maps of new images; refuses others than the run needs.

    Args:
        run: The run.
        given: Member -> folder.

    Raises:
        UserError: If one is missing, not there, or of no such member.
    """
    external = run.config.external
    scan_maps = {member: Path(folder).expanduser() for member, folder in given.items()}
    for member, folder in scan_maps.items():
        if member not in external:
            raise UserError(
                f"--maps {member}: no member of {run.folder} that brings its maps; it has "
                f"{', '.join(external) or 'none'}"
            )
        if not folder.is_dir():
            raise UserError(f"--maps {member}={folder}: no such folder; check the path")
    if missing := [member for member in external if member not in scan_maps]:
        raise UserError(
            f"{run.folder}: its member {missing[0]} is no network of this run but brings softmax "
            "maps; let the program that makes them predict these images first (nnU-Net: "
            f"nnUNetv2_predict --save_probabilities), then give --maps {missing[0]}=FOLDER"
        )
    return scan_maps
