"""Phantoms: official layouts, labels that agree with the closed-form truth, reproducible files."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cardiac_seg.data.phantoms import dataset
from cardiac_seg.data.phantoms.dataset import PHANTOM_MARKER, is_phantom, write_phantoms
from cardiac_seg.data.phantoms.heart import draw_hearts, heart_between
from cardiac_seg.data.phantoms.painting import contraction
from cardiac_seg.system.errors import UserError

# Group: EF limits in percent, wide enough for every draw.
EF_LIMITS = {"NOR": (50, 70), "DCM": (10, 35), "HCM": (60, 80), "MINF": (20, 40), "RV": (50, 66)}


@pytest.fixture(scope="module")
def mri(tmp_path_factory):
    root = tmp_path_factory.mktemp("mri") / "phantoms"
    write_phantoms(root, patients=5, modality="mri", seed=3)
    return root


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    root = tmp_path_factory.mktemp("echo") / "phantoms"
    write_phantoms(root, patients=10, modality="echo", seed=3)
    return root


@pytest.fixture(scope="module")
def mri_cine(tmp_path_factory):
    root = tmp_path_factory.mktemp("mri_cine") / "phantoms"
    write_phantoms(root, patients=2, modality="mri", seed=3, cine=True)
    return root


@pytest.fixture(scope="module")
def echo_cine(tmp_path_factory):
    root = tmp_path_factory.mktemp("echo_cine") / "phantoms"
    write_phantoms(root, patients=1, modality="echo", seed=3, cine=True)
    return root


def read(path):
    """Array and voxel spacing (mm) of a NIfTI file."""
    image = nib.load(path)
    return np.asarray(image.dataobj), image.header.get_zooms()


def read_cfg(path):
    return dict(line.split(": ") for line in path.read_text().splitlines())


def mri_cases(root):
    """Per patient: name, cfg, truth, and (image, label, spacing) for ED and ES."""
    truth = json.loads((root / PHANTOM_MARKER).read_text())["truth"]
    for folder in sorted((root / "training").iterdir()):
        cfg = read_cfg(folder / "Info.cfg")
        frames = []
        for phase in ("ED", "ES"):
            stem = f"{folder.name}_frame{int(cfg[phase]):02d}"
            image, spacing = read(folder / f"{stem}.nii.gz")
            frames.append((image, read(folder / f"{stem}_gt.nii.gz")[0], spacing))
        yield folder.name, cfg, truth[folder.name], frames


def millilitres(label, value, spacing):
    return np.count_nonzero(label == value) * np.prod(spacing) / 1000


def all_arrays(root):
    return {str(p.relative_to(root)): read(p)[0] for p in sorted(root.rglob("*.nii.gz"))}


def same_files(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def test_mri_layout(mri):
    assert is_phantom(mri)
    cases = list(mri_cases(mri))
    assert [name for name, *_ in cases] == [f"patient{i:03d}" for i in range(1, 6)]
    assert {cfg["Group"] for _, cfg, *_ in cases} == set(EF_LIMITS)
    for name, cfg, _, frames in cases:
        assert set(cfg) == {"ED", "ES", "Group", "Height", "NbFrame", "Weight"}
        assert 1 <= int(cfg["ED"]) < int(cfg["ES"]) <= int(cfg["NbFrame"])
        assert len(list((mri / "training" / name).iterdir())) == 5
        for image, label, spacing in frames:
            assert image.dtype == np.int16 and label.dtype == np.uint8
            assert image.shape == label.shape and 7 <= image.shape[2] <= 10
            assert all(128 <= side <= 180 for side in image.shape[:2])
            assert 1.2 <= spacing[0] == spacing[1] <= 1.8 and 8 <= spacing[2] <= 10
            assert set(np.unique(label)) == {0, 1, 2, 3}
            assert image.min() >= 0 and image.std() > 0
            edge = np.ones(label.shape[:2], bool)
            edge[1:-1, 1:-1] = False
            assert not label[edge].any(), "the heart must not touch the border"


def test_mri_volumes_match_truth(mri):
    for _, cfg, truth, ((_, ed, spacing), (_, es, _)) in mri_cases(mri):
        measured = {
            "edv_ml": millilitres(ed, 3, spacing),
            "esv_ml": millilitres(es, 3, spacing),
            "rv_edv_ml": millilitres(ed, 1, spacing),
            "rv_esv_ml": millilitres(es, 1, spacing),
            "myo_ed_ml": millilitres(ed, 2, spacing),
        }
        for key, value in measured.items():
            assert value == pytest.approx(truth[key], rel=0.04), key
        # The muscle neither grows nor shrinks: its wall thickens as it shortens.
        assert millilitres(es, 2, spacing) == pytest.approx(truth["myo_ed_ml"], rel=0.04)
        ef = 100 * (1 - measured["esv_ml"] / measured["edv_ml"])
        assert ef == pytest.approx(truth["ef_percent"], abs=2)
        low, high = EF_LIMITS[cfg["Group"]]
        assert low <= truth["ef_percent"] <= high
        assert truth["edv_ml"] > truth["esv_ml"] and truth["rv_edv_ml"] > truth["rv_esv_ml"]


def test_mri_anatomy(mri):
    by_group = {cfg["Group"]: (truth, frames) for _, cfg, truth, frames in mri_cases(mri)}
    truths = {group: truth for group, (truth, _) in by_group.items()}
    assert max(truths, key=lambda group: truths[group]["edv_ml"]) == "DCM"
    assert max(truths, key=lambda group: truths[group]["rv_edv_ml"]) == "RV"
    assert max(truths, key=lambda g: truths[g]["myo_ed_ml"] / truths[g]["edv_ml"]) == "HCM"

    for _, frames in by_group.values():
        for image, label, _ in frames:
            middle = label.shape[2] // 2
            cut, grey = label[..., middle], image[..., middle]
            around = ndimage.binary_dilation(cut == 3) & (cut != 3)
            assert set(np.unique(cut[around])) == {2}, "myocardium must enclose the cavity"
            beside = ndimage.binary_dilation(cut == 1, iterations=2)
            assert (beside & (cut == 2)).any(), "RV must lie on the septum"
            for value in (1, 2, 3):
                assert ndimage.label(cut == value, np.ones((3, 3)))[1] == 1
            assert np.median(grey[cut == 3]) > 1.5 * np.median(grey[cut == 2])


def test_echo_layout(echo):
    assert is_phantom(echo)
    folders = sorted((echo / "database_nifti").iterdir())
    assert [folder.name for folder in folders] == [f"patient{i:04d}" for i in range(1, 11)]
    truth = json.loads((echo / PHANTOM_MARKER).read_text())["truth"]
    for folder in folders:
        assert len(list(folder.iterdir())) == 10
        for view in ("2CH", "4CH"):
            cfg = read_cfg(folder / f"Info_{view}.cfg")
            assert list(cfg) == [
                "ED",
                "ES",
                "NbFrame",
                "Sex",
                "Age",
                "ImageQuality",
                "EF",
                "FrameRate",
            ]
            assert cfg["ImageQuality"] in ("Good", "Medium", "Poor")
            assert int(cfg["EF"]) == round(truth[folder.name]["ef_percent"])
            for phase in ("ED", "ES"):
                path = folder / f"{folder.name}_{view}_{phase}.nii.gz"
                image, spacing = read(path)
                label, _ = read(path.with_name(path.name.replace(".nii", "_gt.nii")))
                assert image.dtype == label.dtype == np.uint8
                assert image.shape == label.shape and len(spacing) == 2
                assert all(160 <= side <= 224 for side in image.shape)
                assert set(np.unique(label)) == {0, 1, 2, 3}
                # The second axis is depth: ventricle above atrium, black beside the probe.
                assert np.mean(np.nonzero(label == 1)[1]) < np.mean(np.nonzero(label == 3)[1])
                assert not image[0, 0] and not image[-1, 0]


def area_and_length(label, spacing):
    """Area (mm^2) of the LV and distance (mm) from its apex to the middle of the mitral plane."""
    valve = ndimage.binary_dilation(label == 3) & (label == 1)
    middle = np.argwhere(valve).mean(0) * spacing
    reach = np.linalg.norm(np.argwhere(label == 1) * spacing - middle, axis=1).max()
    return np.count_nonzero(label == 1) * np.prod(spacing), reach


def test_echo_volumes_match_truth(echo):
    """The biplane area-length formula, exact for a half-ellipsoid, overshoots by about 2 % here."""
    record = json.loads((echo / PHANTOM_MARKER).read_text())
    for name, truth in record["truth"].items():
        volumes = {}
        for phase in ("ED", "ES"):
            stem = echo / "database_nifti" / name / name
            views = [read(f"{stem}_{view}_{phase}_gt.nii.gz") for view in ("2CH", "4CH")]
            (area_2, length_2), (area_4, length_4) = (area_and_length(*view) for view in views)
            length = (length_2 + length_4) / 2
            volumes[phase] = 8 * area_2 * area_4 / (3 * np.pi * length) / 1000
        assert volumes["ED"] == pytest.approx(truth["edv_ml"], rel=0.06)
        assert volumes["ES"] == pytest.approx(truth["esv_ml"], rel=0.06)
        ef = 100 * (1 - volumes["ES"] / volumes["ED"])
        assert ef == pytest.approx(truth["ef_percent"], abs=3)


def test_echo_split_is_disjoint_and_complete(echo):
    parts = {
        part: (echo / "database_split" / f"subgroup_{part}.txt").read_text().split()
        for part in ("training", "validation", "testing")
    }
    assert {part: len(names) for part, names in parts.items()} == {
        "training": 6,
        "validation": 2,
        "testing": 2,
    }
    everyone = [name for names in parts.values() for name in names]
    assert sorted(everyone) == [f"patient{i:04d}" for i in range(1, 11)]


@pytest.mark.parametrize("modality", ["mri", "echo"])
def test_files_depend_on_seed_and_patient_only(tmp_path, modality):
    for name, patients, seed in (("one", 1, 0), ("two", 2, 0), ("other", 1, 1)):
        write_phantoms(tmp_path / name, patients, modality, seed)
    one, two, other = (all_arrays(tmp_path / name) for name in ("one", "two", "other"))
    assert same_files(one, {key: two[key] for key in one})
    assert not same_files(one, {key: other.get(key) for key in one})
    again = tmp_path / "empty"
    again.mkdir()  # an empty folder may be filled
    write_phantoms(again, 2, modality, 0)
    assert same_files(two, all_arrays(again))


@pytest.mark.parametrize("modality", ["mri", "echo"])
def test_cine_changes_nothing_else(request, modality):
    plain, cine = (request.getfixturevalue(name) for name in (modality, f"{modality}_cine"))
    added = set()
    for path in sorted(cine.glob("*/patient*/*")):
        other = plain / path.relative_to(cine)
        if other.exists():
            assert path.read_bytes() == other.read_bytes(), path.name
        else:
            added.add(path.name.split("_", 1)[1])
    assert (
        added
        == {
            "mri": {"4d.nii.gz"},
            "echo": {"2CH_half_sequence.nii.gz", "4CH_half_sequence.nii.gz"},
        }[modality]
    )
    before, after = (json.loads((r / PHANTOM_MARKER).read_text())["truth"] for r in (plain, cine))
    for name, truth in after.items():
        new = {"cine_lv_ml", "heart_rate"} if modality == "mri" else {"cine_lv_ml"}
        assert {k: v for k, v in truth.items() if k not in new} == before[name]
        assert truth.keys() - before[name].keys() == new


def assert_beats(volumes, ed, es, truth):
    """ED is the largest, ES the smallest, and each limb between them is strictly monotone."""
    from_ed = np.roll(volumes, -ed)
    assert np.all(np.diff(from_ed[: es - ed + 1]) < 0)
    assert np.all(np.diff([*from_ed[es - ed :], volumes[ed]]) > 0)
    assert volumes[ed] == truth["edv_ml"] and volumes[es] == truth["esv_ml"]


def test_mri_cine(mri_cine):
    for name, cfg, truth, frames in mri_cases(mri_cine):
        path = mri_cine / "training" / name / f"{name}_4d.nii.gz"
        film, zooms = read(path)
        (ed_image, ed_label, spacing), (es_image, *_) = frames
        phases, ed, es = int(cfg["NbFrame"]), int(cfg["ED"]) - 1, int(cfg["ES"]) - 1
        assert film.dtype == np.int16 and film.shape == (*ed_image.shape, phases)
        assert np.array_equal(film[..., ed], ed_image)
        assert np.array_equal(film[..., es], es_image)

        assert zooms[:3] == spacing and nib.load(path).header.get_xyzt_units() == ("mm", "sec")
        assert 60 / (zooms[3] * phases) == pytest.approx(truth["heart_rate"], abs=0.01)
        assert 55 <= truth["heart_rate"] <= 85

        volumes = truth["cine_lv_ml"]
        assert len(volumes) == phases
        assert_beats(volumes, ed, es, truth)
        # The smaller the cavity, the more dark muscle where it was at ED.
        assert np.corrcoef(film[ed_label == 3].mean(0), volumes)[0, 1] > 0.8


def test_echo_cine(echo_cine):
    folder = echo_cine / "database_nifti" / "patient0001"
    truth = json.loads((echo_cine / PHANTOM_MARKER).read_text())["truth"][folder.name]
    volumes = truth["cine_lv_ml"]
    for view in ("2CH", "4CH"):
        stem = f"{folder.name}_{view}"
        film, zooms = read(folder / f"{stem}_half_sequence.nii.gz")
        (ed, spacing), (es, _) = (read(folder / f"{stem}_{p}.nii.gz") for p in ("ED", "ES"))
        frames = int(read_cfg(folder / f"Info_{view}.cfg")["NbFrame"])
        assert film.dtype == np.uint8 and film.shape == (*ed.shape, frames)
        assert zooms[:2] == spacing and len(volumes) == frames
        assert np.array_equal(film[..., 0], ed) and np.array_equal(film[..., -1], es)
        cavity = read(folder / f"{stem}_ED_gt.nii.gz")[0] == 1
        assert np.corrcoef(film[cavity].mean(0), volumes)[0, 1] < -0.9  # muscle is bright here
    assert_beats(volumes, 0, len(volumes) - 1, truth)


@pytest.mark.parametrize(("frames", "ed", "es"), [(20, 1, 9), (20, 4, 12), (14, 1, 14)])
def test_contraction_wraps_round_to_ed(frames, ed, es):
    beat = contraction(frames, ed, es)
    assert len(beat) == frames and beat[ed - 1] == 0 and beat[es - 1] == 1
    assert_beats([1 - share for share in beat], ed - 1, es - 1, {"edv_ml": 1, "esv_ml": 0})
    if ed > 1:  # before ED the last beat still fills
        assert beat[-1] > beat[0] > beat[1] > beat[2] > 0


@pytest.mark.parametrize("group", ["DCM", "HCM"])
def test_heart_between_ed_and_es(group):
    ed, es, z, thickness = draw_hearts(np.random.default_rng(5), group)
    heart = heart_between(ed, es, 0.3, z, thickness)
    at = np.arange(-110, 90, 0.5, dtype=np.float32)
    u, v = np.meshgrid(at, at, indexing="ij")
    label = np.stack([heart.labels(u, v, cut) for cut in z], -1)
    ends = zip(ed.volumes(z, thickness), es.volumes(z, thickness), strict=True)
    for value, (start, end) in zip((3, 2, 1), ends, strict=True):
        expected = 0.7 * start + 0.3 * end
        assert millilitres(label, value, (0.5, 0.5, thickness)) == pytest.approx(expected, rel=0.02)


def test_three_echo_patients_fill_three_lists(tmp_path):
    write_phantoms(tmp_path / "few", 3, "echo", 0)
    for path in (tmp_path / "few" / "database_split").iterdir():
        assert len(path.read_text().split()) == 1


def test_refuses_folder_that_holds_something(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds"):
        write_phantoms(tmp_path, 1, "echo", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not is_phantom(tmp_path)


def test_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("cardiac_seg.data.phantoms.dataset.nib.save", fail)
    with pytest.raises(UserError, match="disk full"):
        write_phantoms(tmp_path / "phantoms", 1, "echo", 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("patients", "modality", "seed"), [(0, "mri", 0), (1, "ct", 0), (1, "echo", -1)]
)
def test_refuses_bad_arguments(tmp_path, patients, modality, seed):
    with pytest.raises(UserError):
        write_phantoms(tmp_path / "phantoms", patients, modality, seed)
    assert not list(tmp_path.iterdir())


def meanwhile(monkeypatch, root, seed):
    """While phantoms are drawn, another process writes its own to the same folder."""
    draw = dataset.mri_patient

    def interrupted(*arguments):
        monkeypatch.setattr(dataset, "mri_patient", draw)
        write_phantoms(root, 1, "mri", seed)
        return draw(*arguments)

    monkeypatch.setattr(dataset, "mri_patient", interrupted)


def test_of_two_processes_that_write_the_same_phantoms_one_gives_way(tmp_path, monkeypatch):
    meanwhile(monkeypatch, tmp_path / "root", seed=3)
    write_phantoms(tmp_path / "root", 1, "mri", seed=3)
    assert is_phantom(tmp_path / "root")
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_other_phantoms_that_appear_meanwhile_are_kept_and_told_of(tmp_path, monkeypatch):
    meanwhile(monkeypatch, tmp_path / "root", seed=4)
    with pytest.raises(UserError, match="appeared meanwhile; name another folder"):
        write_phantoms(tmp_path / "root", 1, "mri", seed=3)
    assert json.loads((tmp_path / "root" / "phantom.json").read_text())["seed"] == 4
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
