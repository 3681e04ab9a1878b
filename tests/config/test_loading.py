"""Configuration: defaults, `extends`, `--set`, and one-line answers to every mistake."""

import subprocess
import sys

import pytest

from cardiac_seg.config.loading import dump_config, load_config
from cardiac_seg.config.registry import NETWORKS
from cardiac_seg.data.registry import check_config
from cardiac_seg.system.errors import UserError
from tests.support.paths import REPO

ACDC = "data: {dataset: acdc, root: somewhere}\n"


def write(folder, text, name="config.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def load(folder, text, *overrides):
    return load_config(write(folder, text), list(overrides))


def refusal(folder, text, *overrides):
    """The message that a configuration is refused with, which is one line."""
    with pytest.raises(UserError) as caught:
        check_config(load(folder, text, *overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_config_with_only_its_data_gets_every_default(tmp_path):
    config = load(tmp_path, ACDC)
    assert config.members == ["unet_advanced", "deep_unet_improved"]
    assert (config.data.phases, config.data.phantom) == (["ED", "ES"], None)
    assert (config.preprocess.size, config.preprocess.spacing) == ((192, 192), 1.5)
    assert config.networks["deep_unet_improved"].filters == 64
    assert config.augment.rotation == 0 and config.train.epochs == 150


def test_extends_changes_single_keys_of_its_base(tmp_path):
    write(tmp_path, ACDC + "train: {epochs: 7, batch_size: 3}\nseed: 5\n", "base.yaml")
    config = load(tmp_path, "extends: base.yaml\ntrain: {epochs: 9}\n")
    assert (config.train.epochs, config.train.batch_size, config.seed) == (9, 3, 5)


def test_extends_goes_over_several_steps_and_the_nearest_file_wins(tmp_path):
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", ACDC + "train: {epochs: 7, batch_size: 3}\nseed: 1\n", "first.yaml")
    write(tmp_path, "extends: deep/first.yaml\ntrain: {batch_size: 4}\nseed: 2\n", "second.yaml")
    config = load(tmp_path, "extends: second.yaml\nseed: 3\n")
    assert (config.train.epochs, config.train.batch_size, config.seed) == (7, 4, 3)


def test_extends_in_a_circle_is_told_with_its_files(tmp_path):
    write(tmp_path, "extends: config.yaml\n", "second.yaml")
    message = refusal(tmp_path, "extends: second.yaml\n")
    assert "circle: config.yaml extends second.yaml extends config.yaml" in message
    assert "circle" in refusal(tmp_path, "extends: config.yaml\n")


def test_extends_names_the_missing_base(tmp_path):
    assert "nowhere.yaml" in refusal(tmp_path, "extends: nowhere.yaml\n")
    assert "not a file name" in refusal(tmp_path, "extends: [a.yaml]\n")


def test_set_overrides_nested_keys_and_reads_yaml_values(tmp_path):
    config = load(
        tmp_path,
        ACDC + "train: {epochs: 7}\n",
        "train.epochs=20",
        "networks.unet_advanced.filters=8",
        "preprocess.size=[64, 96]",
        "preprocess.spacing=null",
        "data.phantom.patients=3",
        "data.root=a=b",
    )
    assert (config.train.epochs, config.networks["unet_advanced"].filters) == (20, 8)
    assert (config.preprocess.size, config.preprocess.spacing) == ((64, 96), None)
    assert (config.data.phantom.patients, config.data.root) == (3, "a=b")


@pytest.mark.parametrize("override", ["train.epochs", "=3", "train..epochs=3", "seed=[1"])
def test_set_in_the_wrong_form_is_quoted_back(tmp_path, override):
    assert f"--set {override}" in refusal(tmp_path, ACDC, override)


@pytest.mark.parametrize(
    ("overrides", "source"),
    [
        (["train.epochs=many"], "--set train.epochs=many: train.epochs"),
        (["seed=1", "train.epoch=3", "seed=2"], "--set train.epoch=3: train.epoch"),
        (["train=3", "seed=1"], "--set train=3: train"),
        (["seed=1", "train.warmup=200"], "--set train.warmup=200: train.warmup"),
        (["predict.mirror=both", "seed=1"], "--set predict.mirror=both: predict.mirror"),
        (
            ["split.validation=0.5", "split.test=0.5"],
            "--set split.validation=0.5 --set split.test=0.5: split.validation + test",
        ),
    ],
)
def test_a_mistake_of_an_override_is_told_as_its_own(tmp_path, overrides, source):
    assert refusal(tmp_path, ACDC, *overrides).startswith(source)


@pytest.mark.parametrize("overrides", [["seed=1"], ["seed=1", "data.root=elsewhere"]])
@pytest.mark.parametrize(
    ("text", "key"),
    [
        (ACDC + "train: {epoch: 3}", "train.epoch"),
        (ACDC + "predict: {mirror: both}", "predict.mirror"),
        ("data: {dataset: acdc, root: 3}\ntrain: {epochs: 0}", "train.epochs"),
    ],
)
def test_a_mistake_of_the_file_is_the_files_beside_good_overrides(tmp_path, text, key, overrides):
    if "root: 3" in text and len(overrides) == 1:
        key = "data.root"
    assert refusal(tmp_path, text, *overrides).startswith(f"{tmp_path / 'config.yaml'}: {key}")


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ("train: {epoch: 3}", "train.epoch:", "epochs, batch_size"),
        ("networks: {unet_advanced: {depth: 3}}", "networks.unet_advanced.depth:", "dropout"),
        ("trian: {}", "trian:", "seed, members, data, split"),
    ],
)
def test_an_unknown_key_is_answered_with_its_path_and_the_allowed_ones(
    tmp_path, text, key, allowed
):
    message = refusal(tmp_path, ACDC + text)
    assert "config.yaml" in message and f"{key} unknown key" in message and allowed in message


def test_an_unknown_key_of_an_optional_section_is_answered_too(tmp_path):
    message = refusal(tmp_path, ACDC, "data.phantom.number=3")
    assert "data.phantom.number: unknown key" in message and "patients, seed" in message


def test_a_missing_key_says_how_to_set_it(tmp_path):
    assert "--set data.root=" in refusal(tmp_path, "data: {dataset: acdc}")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epochs=many", ["train.epochs", "'many'"]),
        ("train.epochs=2.5", ["train.epochs", "2.5"]),
        ("train.epochs=true", ["train.epochs", "True"]),
        ("train.epochs=0", ["train.epochs", "0"]),
        ("train.learning_rate=-1", ["train.learning_rate", "-1"]),
        ("train.learning_rate=.inf", ["train.learning_rate", "inf"]),
        ("train.learning_rate=.nan", ["train.learning_rate", "nan"]),
        ("train.loss=hinge", ["train.loss", "'hinge'", "dice_ce"]),
        ("data.dataset=mnist", ["data.dataset", "acdc", "camus"]),
        ("preprocess.size=[64]", ["preprocess.size"]),
        ("members=[]", ["members"]),
        ("train=3", ["train", "3"]),
    ],
)
def test_a_wrong_value_is_answered_with_its_key_and_what_was_found(tmp_path, override, words):
    message = refusal(tmp_path, ACDC, override)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["train.reduce_lr=3"], ["train.reduce_lr", "cosine"]),
        (["train.epochs=2", "train.warmup=2"], ["train.warmup", "2"]),
        (["data.dataset=camus", "augment.symmetry=dihedral"], ["augment.symmetry", "horizontal"]),
        (["augment.shadow=0.1"], ["augment.shadow", "echo"]),
        (["predict.mirror=both"], ["predict.mirror", "augment.symmetry", "none"]),
        (["predict.mirror=both", "augment.symmetry=horizontal"], ["predict.mirror", "horizontal"]),
        (["train.crop=[100, 96]"], ["train.crop", "multiples of 32"]),
        (["train.crop=[96, 256]"], ["train.crop", "within preprocess.size"]),
        (["data.dataset=camus", "augment.shadow=0.1", "train.crop=[96, 96]"], ["train.crop"]),
        (["data.dataset=my_hearts"], ["data.dataset", "'my_hearts' is not known; use acdc or"]),
        (["preprocess.size=[64, 100]"], ["preprocess.size", "100", "multiple of 32"]),
        (["preprocess.clip=[90, 10]"], ["preprocess.clip", "below"]),
        (["preprocess.field=heart", "preprocess.spacing=null"], ["preprocess.field", "in mm"]),
        (["preprocess.field=sector"], ["preprocess.field", "needs spacing: null"]),
        (
            ["preprocess.field=heart", "data.dataset=camus"],
            ["preprocess.field: 'heart' is found in stacks of MRI", "'sector'", "camus"],
        ),
        (
            ["preprocess.field=sector", "preprocess.spacing=null"],
            ["preprocess.field: no sector in", "'heart'", "acdc"],
        ),
        (
            ["networks.unet_advanced.preprocess.field=heart"],
            ["networks.unet_advanced.preprocess.field: 'heart'", "'image'", "same part"],
        ),
        (["preprocess.field=middle"], ["preprocess.field", "'middle'", "sector"]),
        (["split.validation=0.5", "split.test=0.5"], ["split.validation + test"]),
        (["split.folds=1"], ["split.folds"]),
        (["split.test=0"], ["split.test", "no patients to test on"]),
        (["split.test=0", "split.validation=0"], ["split.test"]),
        (["split.validation=0"], ["split.validation", "holdout", "out_of_fold"]),
        (["members=[unet_advanced, unet_advanced]"], ["members", "twice"]),
        (["members=[unet_advanced]"], ["members", "only unet_advanced", "learners: []"]),
        (["stacking.scheme=out_of_fold", "predict.checkpoint=best"], ["fixed schedule", "last"]),
        (["stacking.scheme=out_of_fold", "train.early_stopping=5"], ["fixed schedule"]),
        (["stacking.learners=[logistic]", "stacking.choose=random_forest"], ["stacking.choose"]),
        (["stacking.features=[margin, margin]"], ["stacking.features", "twice"]),
        (["stacking.random_forest.min_samples_leaf=10"], ["min_samples_leaf", "50"]),
        (["stacking.features=[colour]"], ["stacking.features", "colour", "disagreement"]),
    ],
)
def test_an_impossible_combination_is_refused(tmp_path, overrides, words):
    message = refusal(tmp_path, ACDC, *overrides)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    "overrides",
    [
        ["preprocess.field=heart"],
        ["data.dataset=camus", "preprocess.field=sector", "preprocess.spacing=null"],
    ],
)
def test_a_heart_is_found_in_mri_and_a_sector_in_echo(tmp_path, overrides):
    config = load(tmp_path, ACDC, *overrides)
    check_config(config)
    assert config.for_member("unet_advanced").preprocess == config.preprocess


@pytest.mark.parametrize("override", ["train.schedule=constant", "train.reduce_lr=0"])
def test_reduce_lr_goes_with_a_constant_schedule(tmp_path, override):
    assert load(tmp_path, ACDC, "train.reduce_lr=3", override)


@pytest.mark.parametrize("text", ["data: [1", "a: b: c", "\tx: 1"])
def test_invalid_yaml_names_file_and_line(tmp_path, text):
    message = refusal(tmp_path, text)
    assert "config.yaml: line 1: not valid YAML" in message


def test_a_date_that_does_not_exist_is_a_mistake_like_others(tmp_path):
    assert "config.yaml" in refusal(tmp_path, "data: {dataset: acdc, root: 2024-13-45}")
    assert "--set" in refusal(tmp_path, ACDC, "data.root=2024-13-45")


def test_a_file_that_is_no_mapping_or_not_there_is_named(tmp_path):
    assert "found list" in refusal(tmp_path, "- 1\n")
    assert "found an empty file" in refusal(tmp_path, "")
    with pytest.raises(UserError, match="nowhere.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml")


def test_dump_then_load_gives_the_same_config(tmp_path):
    config = load(tmp_path, ACDC, "preprocess.spacing=null", "data.phantom.seed=4", "data.root=é")
    assert load(tmp_path, dump_config(config)) == config


@pytest.mark.parametrize("path", sorted((REPO / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_config_loads_and_survives_a_dump(tmp_path, path):
    config = load_config(path)
    assert load(tmp_path, dump_config(config)) == config


def test_a_bad_config_ends_the_command_with_one_line_and_code_2(tmp_path):
    path = write(tmp_path, ACDC + "train: {epoch: 3}\n")
    command = [sys.executable, "train_ensemble.py", "--config", str(path)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    assert "train.epoch" in done.stderr


def test_a_bad_config_is_answered_before_anything_heavy_is_imported(tmp_path):
    path = write(tmp_path, ACDC + "train: {epoch: 3}\n")
    script = (
        "import sys, train_ensemble\n"
        "code = train_ensemble.main(['--config', sys.argv[1]])\n"
        "heavy = {'keras', 'tensorflow', 'torch', 'jax', 'sklearn', 'cv2', 'pandas'}\n"
        "print(code, sorted(heavy & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    assert done.stdout == "2 []\n", done.stderr


def test_a_bare_on_or_off_is_what_it_says(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("data: {dataset: acdc, root: x}\npredict: {fill_holes: on}")
    config = load_config(path, ["predict.largest_component=off"])
    assert (config.predict.fill_holes, config.predict.largest_component) == ("on", "off")


@pytest.mark.parametrize("override", ["augment.rotation=yes", "train.tensorboard=1"])
def test_true_is_no_number_and_one_no_switch(override, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("data: {dataset: acdc, root: x}")
    with pytest.raises(UserError, match=override.split("=")[0]):
        load_config(path, [override])


def test_a_network_with_a_name_that_runs_use_for_something_else_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(NETWORKS, "image", NETWORKS["unet_advanced"])
    path = tmp_path / "a.yaml"
    path.write_text("data: {dataset: acdc, root: x}\nmembers: [unet_advanced, image]\n")
    with pytest.raises(UserError, match="'image' is the name of something else in a run"):
        load_config(path)


def test_a_member_may_differ_and_mistakes_name_whose_they_are(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "data: {dataset: acdc, root: x}\n"
        "networks: {unet_advanced: {train: {epochs: 7}, preprocess: {size: [64, 64]}}}\n"
    )
    config = load_config(path)
    own, other = (config.for_member(name) for name in ("unet_advanced", "deep_unet_improved"))
    assert (own.train.epochs, own.preprocess.size) == (7, (64, 64))
    assert other.train == config.train and other.preprocess == config.preprocess
    assert own.stacking == config.stacking
    for text, words in {
        "train: {epoch: 7}": "networks.unet_advanced.train.epoch: unknown key",
        "train: {epochs: 0}": "networks.unet_advanced.train.epochs: 0 trains nothing",
        "train: {crop: [48, 48]}": "networks.unet_advanced.train.crop: ",
        "filter: 8": "networks.unet_advanced.filter: unknown key; allowed here: filters",
    }.items():
        path.write_text(
            f"data: {{dataset: acdc, root: x}}\nnetworks: {{unet_advanced: {{{text}}}}}\n"
        )
        with pytest.raises(UserError, match=words):
            load_config(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: {dataset: acdc, root: x}\nnetworks:", "networks: None is not allowed; expected"),
        ("data: {dataset: acdc, root: x}\nnetworks: {unet_advanced: 5}", "unet_advanced: 5 is not"),
        ("data: {dataset: acdc, root: x}\nnetworks: {nope: {}}", "networks: 'nope' is not known"),
        (
            "data: {dataset: acdc, root: x}\npreprocess: {size: [64]}",
            r"size: \[64\] is not allowed",
        ),
        ("data: {dataset: acdc, root: x}\ntrain: 3", "train: 3 is not allowed; expected a section"),
        ("data: {dataset: acdc, root: x}\nmembers: []", "one value at least"),
        ("data: {dataset: acdc, root: x}\ndata: {phases: [ED]}", "line 2: .*'data' is there twice"),
        ("", "found an empty file"),
        ("extends: none.yaml", r"a\.yaml: extends: .*none\.yaml is no file"),
    ],
)
def test_a_mistake_is_told_in_plain_words(tmp_path, text, words):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        load_config(path)
    assert "instance of" not in str(caught.value)


def test_comparing_and_ablating_load_no_network_library():
    code = "import sys, cardiac_seg.report.development, cardiac_seg.report.ablation; "
    code += "sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO).returncode == 0
