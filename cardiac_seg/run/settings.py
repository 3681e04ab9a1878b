"""The parts of a run's configuration: what belongs to a machine, to the networks, to the stack."""

import yaml

from cardiac_seg.config.loading import dump_config
from cardiac_seg.config.sections import Config

LOCAL_KEYS = ("root", "cache")  # of the data section: they belong to a machine, not to a run
# Keys that no result depends on; a run may be continued with other values.
NEUTRAL_KEYS = (("train", "workers"), ("train", "tensorboard"), ("predict", "batch_size"))


def run_yaml(config: Config) -> str:
    """The configuration without what belongs to one machine."""
    values = yaml.safe_load(dump_config(config))
    for key in LOCAL_KEYS:
        del values["data"][key]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


# Of a member that brings its maps: the run keeps what the files held, wherever they lie.
SOURCE_KEYS = ("maps", "trained_on", "vouch_for_test")


def shared_settings(config: Config) -> dict:
    """The configuration without what belongs to one machine or changes no result."""
    values = yaml.safe_load(run_yaml(config))
    for section, key in NEUTRAL_KEYS:
        del values[section][key]
    del values["report"]
    return values


def grows(new: Config, old: Config) -> bool:
    """Whether only networks of folds come to those that there are, and more patients to stack."""
    return (old.stacking.scheme, new.stacking.scheme) == ("holdout", "both")


def network_settings(config: Config, grown: bool = False) -> dict:
    """The part of the configuration that networks depend on.

    Args:
        config: The configuration.
        grown: Leaves out what networks of folds depend on, for a run that has none.
    """
    values = shared_settings(config)
    stacking = values["stacking"]
    values["stacking"] = {} if grown else {"scheme": stacking["scheme"]}
    if not grown and stacking["scheme"] != "holdout":  # else there are no networks of folds
        values["stacking"]["fold_train"] = stacking["fold_train"]
    del values["predict"]["mirror"]
    for member in config.external:
        for key in SOURCE_KEYS:
            del values["networks"][member][key]
    return values


def stack_settings(config: Config) -> dict:
    """The part that a run may change without training again: learners are fitted anew."""
    values = yaml.safe_load(dump_config(config))["stacking"]
    for key in ("scheme", "fold_train"):  # what networks are trained on, and how
        del values[key]
    return values


def first_difference(new: dict, old: dict, path: str = "") -> str | None:
    """The first key in which two configurations differ, with both values; None where none does."""
    for key in new:
        here = f"{path}{key}"
        if isinstance(new[key], dict) and isinstance(old.get(key), dict):
            if found := first_difference(new[key], old[key], f"{here}."):
                return found
        elif new[key] != old.get(key):
            return f"{here}: {old.get(key)} there, {new[key]} here"
    return None
