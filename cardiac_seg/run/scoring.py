"""How often a run has scored its test patients, and with which settings.

A run that holds nobody out scores its training cases instead.

Every look at the test patients is a chance to choose by them, so the manifest counts the looks:
`scored` outlives the stack that was scored. Other run directories that scored the same patients it
cannot know of.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from cardiac_seg.config.sections import Config
from cardiac_seg.run.folder import Run
from cardiac_seg.run.meta_folder import final_method
from cardiac_seg.run.settings import shared_settings
from cardiac_seg.run.stored import Scoring

HASH_DIGITS = 12
ELSEWHERE = "scorings by other run directories are not known here"


def begin_scoring(run: Run) -> None:
    """Records that the test patients are about to be scored.

    One that was interrupted goes on under its number; with other settings it is another one.
    """
    settings, records = flat_settings(run.config), run.manifest.scored
    digest = _hash(settings)
    last = records[-1] if records else None
    if last and not last.finished and last.settings == digest:
        return
    before = last.values if last else None
    record = Scoring(
        number=len(records) + 1,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        stack=run.manifest.stack,
        changed=_changes(before, settings) if before is not None else [],
        settings=digest,
        git_commit=run.manifest.git_commit,
        method=final_method(run),
        values=settings,
    )
    # The settings themselves are kept of the last one alone: the next is compared with it.
    earlier = [one.model_copy(update={"values": None}) for one in records]
    run.update_manifest(scored=_plain([*earlier, record]))


def finished_scorings(run: Run) -> list[dict]:
    """What the manifest holds of all scorings once the last one is at its end."""
    *earlier, last = run.manifest.scored
    return _plain([*earlier, last.model_copy(update={"finished": True})])


def scored_before(run: Run) -> bool:
    """Whether the test patients may have been scored before the present stack scored them."""
    manifest = run.manifest
    return not manifest.scored_from_start or len(manifest.scored) > 1


def scorings_sentence(run: Run) -> str:
    """`describe_scorings` as a sentence."""
    said = describe_scorings(run)
    return f"{scored_title(run)}{' ' if run.manifest.scored else ': '}{said}."


def scored_title(run: Run) -> str:
    """Who was scored, as the beginning of a line."""
    return "Test patients scored" if run.holds_out else "Training cases scored"


def describe_scorings(run: Run) -> str:
    """How often the test patients were scored, and what differed."""
    manifest = run.manifest
    records, known = manifest.scored, manifest.scored_from_start
    if not records:
        return f"not yet; {ELSEWHERE}" if known else "not recorded (by an earlier version)"
    if known and len(records) == 1:
        return f"once, {_told(records[0])}; {ELSEWHERE}"
    count = f"{len(records)} times" if len(records) > 1 else "once"
    if not known:
        count = f"{count} since it is recorded, and unknown how often by earlier versions"
    lines = [f"({one.number}) {_told(one)}{_what(one)}" for one in records]
    return f"{count}: {'; '.join(lines)}; {ELSEWHERE}"


def flat_settings(config: Config) -> dict[str, str]:
    """Every key that results depend on with its value as text; nothing of this machine."""
    flat = _flat(shared_settings(config))
    for key, value in flat.items():
        of_machine = ("start_from", *(f"networks.{m}.maps" for m in config.external))
        of_machine += tuple(f"networks.{m}.trained_on" for m in config.external)
        if key.endswith(of_machine) and value != "null":
            flat[key] = json.dumps(Path(json.loads(value)).name)
    return flat


def _told(record: Scoring) -> str:
    stack = f", stack {record.stack}" if record.stack else ""
    unfinished = "" if record.finished else ", not finished"
    return f"{record.date[:10]}{stack}, {record.method} in use{unfinished}"


def _what(record: Scoring) -> str:
    if record.number == 1:
        return ""
    return f", {', '.join(record.changed) or 'the same settings'}"


def _changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    keys = dict.fromkeys((*before, *now))
    return [
        f"{key}: {before.get(key, 'none')} -> {now.get(key, 'none')}"
        for key in keys
        if before.get(key) != now.get(key)
    ]


def _flat(values: dict, path: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{path}{key}.")
        else:
            flat[f"{path}{key}"] = json.dumps(value)
    return flat


def _hash(settings: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]


def _plain(records: list[Scoring]) -> list[dict]:
    return [{k: v for k, v in one.model_dump().items() if k != "values" or v} for one in records]
