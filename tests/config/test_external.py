"""Members that bring their maps, in the configuration."""

import pytest

from cardiac_seg.config.loading import dump_config, load_config
from cardiac_seg.system.errors import UserError

ACDC = "data: {dataset: acdc, root: somewhere}\n"

EXTERNAL = "networks: {nnunet_3d: {kind: external, maps: results, %s}}\n"


def load(folder, text, *overrides):
    (folder / "config.yaml").write_text(text)
    return load_config(folder / "config.yaml", list(overrides))


def test_a_member_may_bring_its_maps_under_a_name_of_its_own(tmp_path):
    text = ACDC + "members: [unet_advanced, nnunet_3d]\n" + EXTERNAL % "trained_on: s.json"
    config = load(tmp_path, text)
    own = config.external["nnunet_3d"]
    assert (own.maps, own.trained_on, own.vouch_for_test) == ("results", "s.json", False)
    assert config.trained_members == ["unet_advanced"]
    assert config.for_member("nnunet_3d") == config  # on the ensemble's grid
    assert load(tmp_path, dump_config(config)) == config
    assert not load(tmp_path, ACDC + EXTERNAL % "").external  # it is no member of that run
    by_set = "networks.nnunet_3d={kind: external, maps: results, trained_on: s.json}"
    assert load(tmp_path, ACDC + "members: [unet_advanced, nnunet_3d]", by_set) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (EXTERNAL % "train: {epochs: 3}", "nnunet_3d.train: unknown key; allowed here: kind, maps"),
        (EXTERNAL % "preprocess: {}", "nnunet_3d.preprocess: unknown key"),
        (EXTERNAL % "vouch_for_test: 1", "nnunet_3d.vouch_for_test: 1 is not allowed"),
        ("networks: {a: {kind: external}}", "networks.a.maps: missing; set it in the file or with"),
        ("networks: {a: {kind: nnunet, maps: x}}", "a.kind: 'nnunet' is not allowed"),
        ("networks: {a: {maps: x}}", "networks: 'a' is not known; known: unet_advanced, deep"),
        ("networks: {unet_advanced: {kind: external}}", "unet_advanced.kind: unknown key"),
        ("networks: {mean: {kind: external, maps: x}}", "'mean' is the name of something else"),
        ("networks: {logistic_core: {kind: external, maps: x}}", "name of something else"),
        ("networks: {a/b: {kind: external, maps: x}}", "'a/b' cannot name a member"),
        ("networks: {1: {kind: external, maps: x}}", "1 cannot name a member"),
        ("members: [unet_advanced, nnunet_3d]", "'nnunet_3d' is no known network"),
    ],
)
def test_what_cannot_be_a_member_that_brings_its_maps_is_refused(tmp_path, text, said):
    with pytest.raises(UserError) as caught:
        load(tmp_path, ACDC + text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_validation_patients_decide_nothing_about_maps_from_elsewhere(tmp_path):
    text = ACDC + EXTERNAL % "" + "members: [nnunet_3d]\nstacking: {learners: []}\n"
    stop = "train: {early_stopping: 5}\n"
    assert load(tmp_path, ACDC + stop).chosen_by_validation
    assert not load(tmp_path, text + stop + "predict: {checkpoint: last}").chosen_by_validation
