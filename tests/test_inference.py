"""`predict` on every kind of input, with networks that read the label off the image."""

import json
import os
import tracemalloc

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from dicom_files import CANARY, FRAME, region, write_clip, write_stack
from hypothesis import given
from hypothesis import strategies as st
from stub_run import SPACING, ring, write_stub_run

from cardiac_seg import Ensemble
from cardiac_seg.__main__ import main
from cardiac_seg.predict import folder
from cardiac_seg.predict.predictor import even_batches
from cardiac_seg.predict.scans import find_scans
from cardiac_seg.system.errors import UserError

PLACE = (8, SPACING, SPACING)
VOXEL = SPACING * SPACING * 8 / 1000  # mL
RADII = (14, 12, 9, 7, 8, 11, 13)  # of the LV over a cine: ED first, ES fourth
ANCHOR = (slice(None), slice(0, 2), slice(0, 1))  # two pixels of LV, so that grey values reach 3


@pytest.fixture(scope="session")
def mri_run(tmp_path_factory):
    return write_stub_run(tmp_path_factory.mktemp("mri_run"), "acdc")


@pytest.fixture(scope="session")
def echo_run(tmp_path_factory):
    return write_stub_run(tmp_path_factory.mktemp("echo_run"), "camus")


@pytest.fixture(scope="session")
def ensemble(mri_run):
    return Ensemble.load(mri_run)


def stack(radius: float, slices: int = 4) -> np.ndarray:
    """(slices, 64, 64) uint8 labels that taper towards the last slice."""
    planes = np.stack([ring(radius * (1 - k / (2 * slices))) for k in range(slices)])
    planes[ANCHOR] = 3
    return planes


def apical(radius: float) -> np.ndarray:
    """(64, 64) uint8 labels in CAMUS's order: an LV above an LA, MYO around."""
    plane = ring(radius)
    plane = np.choose(plane, [0, 0, 2, 1]).astype(np.uint8)
    plane[34:] = np.where(plane[34:] > 0, 3, 0)
    return plane


def save(path, planes, affine=None):
    """Writes (slices, height, width) or (phases, slices, height, width) as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([SPACING, SPACING, 8, 1]) if affine is None else affine
    array = planes.T if planes.ndim < 4 else planes.transpose(3, 2, 1, 0)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array), affine), path)
    return path


def predict(run, source, output, *switches) -> int:
    return main(["predict", str(run), str(source), "--output", str(output), *switches])


def summary(output) -> pd.DataFrame:
    return pd.read_csv(output / "summary.csv").set_index("image")


def of(planes, label=3) -> float:
    return (planes == label).sum() * VOXEL


# NIfTI


def test_ed_and_es_of_a_patient_give_an_ejection_fraction(mri_run, tmp_path):
    folder = tmp_path / "in" / "patient007"
    ed, es = stack(14), stack(8)
    save(folder / "patient007_frame03.nii.gz", ed)
    save(folder / "patient007_frame11.nii.gz", es)
    save(folder / "patient007_frame03_gt.nii.gz", ed)
    (folder / "Info.cfg").write_text("ED: 3\nES: 11\nGroup: NOR\n")
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--heart-rate", "60") == 0
    written = sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert written == [
        "patient007_frame03.nii.gz",
        "patient007_frame11.nii.gz",
        "summary.csv",
        "summary.json",
    ]
    mask = nib.load(tmp_path / "out" / "patient007" / "patient007_frame03.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj).T, ed)
    table = summary(tmp_path / "out")
    assert table.phase.tolist() == ["ED", "ES"] and set(table.method) == {"voxels"}
    for row in table.itertuples():
        assert row.lv_edv_ml == pytest.approx(of(ed), abs=0.01)
        assert row.lv_esv_ml == pytest.approx(of(es), abs=0.01)
        assert row.lv_ef_percent == pytest.approx(100 * (1 - of(es) / of(ed)), abs=0.01)
        assert row.myocardial_mass_g == pytest.approx(1.05 * of(ed, 2), abs=0.01)
        assert row.cardiac_output_l_min == pytest.approx(0.06 * (of(ed) - of(es)), abs=0.01)
        assert row.review == "no" and row.quality > 0.8


def test_a_cine_finds_ed_and_es(mri_run, tmp_path):
    cine = np.stack([stack(radius) for radius in RADII])
    save(tmp_path / "a_4d.nii.gz", cine)
    assert predict(mri_run, tmp_path / "a_4d.nii.gz", tmp_path / "out", "--overlay") == 0
    mask = nib.load(tmp_path / "out" / "a_4d.nii.gz")
    assert mask.shape == (64, 64, 4, 7) and mask.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(mask.dataobj).transpose(3, 2, 1, 0), cine)
    row = summary(tmp_path / "out").loc["a_4d"]
    assert (row.ed_phase, row.es_phase) == (1, 4)
    ef = 100 * (1 - of(cine[3]) / of(cine[0]))
    assert row.lv_ef_percent == pytest.approx(ef, abs=0.01)
    curve = json.loads((tmp_path / "out" / "summary.json").read_text())["scans"][0]["curve"]
    assert curve["lv_ml"] == pytest.approx([of(planes) for planes in cine])
    for picture in ("a_4d_curve.png", "a_4d_overlay.png"):
        assert (tmp_path / "out" / picture).read_bytes().startswith(b"\x89PNG")


def test_what_is_asked_for_is_written_beside_the_mask(mri_run, tmp_path):
    planes = stack(12)
    save(tmp_path / "in" / "a.nii", planes)
    switches = ("--probabilities", "--uncertainty", "--members", "--batch-size", "2")
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", *switches) == 0
    read = {p.name: nib.load(p) for p in (tmp_path / "out").glob("*.nii*")}
    assert set(read) == {
        "a.nii",
        "a_probabilities.nii.gz",
        "a_entropy.nii.gz",
        "a_unet_advanced.nii.gz",
        "a_deep_unet_improved.nii.gz",
    }
    probabilities = np.asarray(read["a_probabilities.nii.gz"].dataobj)
    assert probabilities.shape == (64, 64, 4, 4)
    assert np.allclose(probabilities.sum(-1), 1, atol=1e-3)
    assert np.array_equal(probabilities.argmax(-1).T, planes)
    unsure = np.asarray(read["a_entropy.nii.gz"].dataobj)
    expected = -(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(-1) / np.log(4)
    assert unsure == pytest.approx(expected, abs=1e-5)
    for name, image in read.items():
        assert np.array_equal(image.affine, read["a.nii"].affine), name
    assert np.array_equal(np.asarray(read["a_unet_advanced.nii.gz"].dataobj).T, planes)
    second = np.where(planes == 1, 2, planes)  # as it reads the image
    assert np.array_equal(np.asarray(read["a_deep_unet_improved.nii.gz"].dataobj).T, second)


def test_the_maps_of_a_cine_are_a_file_a_phase(mri_run, tmp_path):
    save(tmp_path / "a.nii.gz", np.stack([stack(12), stack(9)]))
    assert predict(mri_run, tmp_path / "a.nii.gz", tmp_path / "out", "--uncertainty") == 0
    names = sorted(p.name for p in (tmp_path / "out").glob("*_entropy*"))
    assert names == ["a_entropy_phase01.nii.gz", "a_entropy_phase02.nii.gz"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_a_volume_stored_otherwise_has_the_same_mask_in_the_world(order, flips, mri_run, tmp_path):
    planes = stack(12)
    save(tmp_path / "in" / "a.nii.gz", planes)
    plain = nib.load(tmp_path / "in" / "a.nii.gz")
    turned = nib.orientations.axcodes2ornt("RAS")[list(order)]
    turned[list(flips), 1] *= -1
    nib.save(plain.as_reoriented(turned), tmp_path / "in" / "b.nii.gz")
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    source, mask = nib.load(tmp_path / "in" / "b.nii.gz"), nib.load(tmp_path / "out" / "b.nii.gz")
    assert mask.shape == source.shape and np.array_equal(mask.affine, source.affine)
    back = nib.as_closest_canonical(mask)
    assert np.allclose(back.affine, plain.affine, atol=1e-4)
    assert np.array_equal(np.asarray(back.dataobj).T, planes)
    first, second = summary(tmp_path / "out").lv_ml
    assert first == second
    read = sitk.ReadImage(str(tmp_path / "out" / "b.nii.gz"))
    assert read.GetSize() == source.shape


@pytest.mark.parametrize("number", [np.int16, np.float32, np.uint8])
def test_numbers_of_any_kind(number, ensemble, tmp_path):
    planes = stack(12)
    path = save(tmp_path / "a.nii.gz", (planes * 60).astype(number))
    assert np.array_equal(ensemble.predict(path).mask, planes)


def test_another_grid_gives_the_same_volume(ensemble, tmp_path):
    """Finer pixels, more of them, and a plane that is not square."""
    planes = stack(14)
    fine = planes.repeat(2, axis=1).repeat(3, axis=2)[:, 8:-4]
    path = save(tmp_path / "a.nii.gz", fine, np.diag([SPACING / 3, SPACING / 2, 8, 1]))
    result = ensemble.predict(path)
    assert result.mask.shape == fine.shape
    assert result.indices["lv_ml"] == pytest.approx(of(planes), rel=0.05)


def test_one_slice_and_a_plain_image(ensemble, tmp_path):
    plane = stack(12)[:1]
    for name, array in (("one", plane), ("flat", plane[0])):
        result = ensemble.predict(save(tmp_path / f"{name}.nii.gz", array))
        assert np.array_equal(result.mask, plane)
    assert result.scan.spacing == (1.0, SPACING, SPACING)


def test_the_library_gives_arrays_on_the_images_grid(ensemble, tmp_path):
    cine = np.stack([stack(12), stack(9)])
    result = ensemble.predict(save(tmp_path / "a.nii.gz", cine), heart_rate=60)
    assert np.array_equal(result.mask, cine)
    assert result.probabilities.shape == (*cine.shape, 4)
    assert result.entropy.shape == cine.shape and result.entropy.max() <= 1
    assert result.indices["lv_ef_percent"] == pytest.approx(100 * (1 - of(cine[1]) / of(cine[0])))
    assert result.indices["cardiac_output_l_min"] > 0
    assert result.review == () and result.quality > 0.8
    save(tmp_path / "b.nii.gz", cine)
    with pytest.raises(UserError, match="2 images"):
        ensemble.predict(tmp_path)


def broken(path):
    path.write_bytes(path.read_bytes()[:200])


def constant(path):
    save(path, np.full((4, 64, 64), 7, np.int16))


def without_spacing(path):
    content = bytearray(path.read_bytes())
    content[80:92] = bytes(12)  # pixdim[1..3]
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [(broken, "truncated"), (constant, "constant"), (without_spacing, "--spacing")],
)
def test_one_bad_file_of_ten_costs_one_line(damage, words, mri_run, tmp_path, capsys):
    for k in range(10):
        save(tmp_path / "in" / f"scan{k}.nii", stack(10 + k / 4))
    damage(tmp_path / "in" / "scan4.nii")
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "scan4" in line]
    assert len(lines) == 1 and words in lines[0]
    assert len(list((tmp_path / "out").glob("*.nii"))) == 9
    table = summary(tmp_path / "out")
    assert len(table) == 10 and table.error.notna().sum() == 1
    assert words in table.error["scan4"] and str(tmp_path) not in table.error["scan4"]


def test_a_given_spacing_stands_in_for_the_headers(mri_run, tmp_path):
    path = save(tmp_path / "a.nii", stack(12))
    without_spacing(path)
    spacing = f"{SPACING},{SPACING},8"
    assert predict(mri_run, path, tmp_path / "out", "--spacing", spacing) == 0
    assert summary(tmp_path / "out").lv_ml["a"] == pytest.approx(of(stack(12)), abs=0.01)


@pytest.mark.parametrize("switch", ["--spacing=1", "--spacing=1,2,3,4", "--heart-rate=-3"])
def test_a_senseless_switch_is_refused(switch, mri_run, tmp_path):
    with pytest.raises(SystemExit) as caught:
        predict(mri_run, tmp_path, tmp_path / "out", switch)
    assert caught.value.code == 2


def test_a_label_by_its_name_is_no_image(mri_run, tmp_path, capsys):
    save(tmp_path / "x_ED_gt.nii.gz", stack(12))
    assert predict(mri_run, tmp_path / "x_ED_gt.nii.gz", tmp_path / "out") == 2
    assert "a label by its name" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_doubtful_mask_asks_for_a_review(mri_run, tmp_path, capsys):
    without_rv = np.where(stack(12) == 1, 0, stack(12))
    save(tmp_path / "in" / "x_ED.nii.gz", without_rv)
    save(tmp_path / "in" / "x_ES.nii.gz", stack(13))
    save(tmp_path / "in" / "wide.nii.gz", stack(12), np.diag([20.0, 20, 8, 1]))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    table = summary(tmp_path / "out")
    assert set(table.review) == {"yes"}
    assert "no RV at ED" in table.reasons["x_ED"] and "at ED" not in table.reasons["wide"]
    assert "mL at ED" in table.reasons["x_ES"]  # larger at ES
    assert "1280 x 1280 mm" in table.reasons["wide"]
    told = capsys.readouterr().err
    assert f"review wide: {table.reasons['wide']}" in told and "3 to review" in told


def test_two_images_of_one_phase_are_not_mixed(mri_run, tmp_path):
    for name in ("x_2CH_ED", "x_4CH_ED", "x_ES"):  # views are of echo
        save(tmp_path / "in" / f"{name}.nii.gz", stack(12))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    table = summary(tmp_path / "out")
    assert table.lv_edv_ml.isna().all() and set(table.review) == {"yes"}
    assert set(table.reasons) == {"none: two images of ED"}


def test_scans_of_one_name_are_kept_apart(mri_run, tmp_path):
    """The first is the study's; a cine is one by itself."""
    save(tmp_path / "in" / "x_ED.nii", stack(13))
    save(tmp_path / "in" / "x_ED.nii.gz", stack(12))
    save(tmp_path / "in" / "x_ES.nii.gz", stack(9))
    save(tmp_path / "in" / "x.nii.gz", np.stack([stack(14), stack(8)]))
    write_stack(tmp_path / "in" / "x", stored(stack(11)[None]), spacing=PLACE)
    save(tmp_path / "in" / "x_2.nii.gz", stack(10))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    table = summary(tmp_path / "out")
    assert sorted(table.index) == ["x", "x_2", "x_3", "x_ED", "x_ED_2", "x_ES"]
    masks = list((tmp_path / "out").glob("*.nii*"))
    assert len(masks) == 6
    assert table.lv_ef_percent[["x", "x_ED", "x_ES"]].notna().all()
    assert table.lv_ef_percent["x_ED"] == table.lv_ef_percent["x_ES"]


def test_an_interrupted_call_goes_on(mri_run, tmp_path, monkeypatch, capsys):
    for k in range(4):
        save(tmp_path / "in" / f"scan{k}.nii.gz", stack(10 + k))
    asked, segment = [], folder._predict_scan

    def interrupted(ensemble, files, *others):
        asked.append(files.name)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return segment(ensemble, files, *others)

    monkeypatch.setattr(folder, "_predict_scan", interrupted)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 130
    save(tmp_path / "in" / "scan1.nii.gz", stack(16))  # changed meanwhile
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    assert asked == ["scan0", "scan1", "scan2", "scan1", "scan2", "scan3"]
    table = summary(tmp_path / "out")
    assert table.lv_ml["scan1"] == pytest.approx(of(stack(16)), abs=0.01)
    assert len(table) == 4 and not list((tmp_path / "out").glob(".*"))
    # Another call with other wishes does not take over what was left undone.
    asked[:] = [0, 0]
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 130
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--overlay") == 0
    assert len(list((tmp_path / "out").glob("*_overlay.png"))) == 4


def test_what_failed_before_is_tried_again_alone(mri_run, tmp_path, monkeypatch):
    for k in range(3):
        save(tmp_path / "in" / f"scan{k}.nii.gz", stack(10 + k))
    good = (tmp_path / "in" / "scan1.nii.gz").read_bytes()
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--uncertainty") == 0
    broken(tmp_path / "in" / "scan1.nii.gz")
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--uncertainty") == 1
    assert not list((tmp_path / "out").glob("scan1*"))  # nothing of the earlier call stays
    assert summary(tmp_path / "out").lv_ml.isna().tolist() == [False, True, False]
    (tmp_path / "in" / "scan1.nii.gz").write_bytes(good)
    asked, segment = [], folder._predict_scan
    monkeypatch.setattr(
        folder, "_predict_scan", lambda e, f, *more: asked.append(f.name) or segment(e, f, *more)
    )
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--uncertainty") == 0
    assert asked == ["scan1"]


def test_another_folder_is_another_call(mri_run, tmp_path, monkeypatch):
    for root, radius in (("a", 10), ("b", 14)):
        save(tmp_path / root / "scan.nii", stack(radius))
        os.utime(tmp_path / root / "scan.nii", ns=(0, 0))
    save(tmp_path / "a" / "z.nii", stack(10))
    broken(tmp_path / "a" / "z.nii")
    assert predict(mri_run, tmp_path / "a", tmp_path / "out") == 1  # remembers what it has done
    assert predict(mri_run, tmp_path / "b", tmp_path / "out") == 0
    assert summary(tmp_path / "out").lv_ml["scan"] == pytest.approx(of(stack(14)), abs=0.01)


def test_an_unforeseen_failure_is_one_scans(mri_run, tmp_path, monkeypatch, capsys):
    for k in range(2):
        save(tmp_path / "in" / f"scan{k}.nii.gz", stack(10))
    measure = folder.measure

    def fails(scan, *others):
        if scan.files.name == "scan0":
            raise ZeroDivisionError("CANARY^NAME")
        return measure(scan, *others)

    monkeypatch.setattr(folder, "measure", fails)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "scan0.nii.gz: ZeroDivisionError in test_inference.py" in error
    assert "CANARY" not in error + (tmp_path / "out" / "summary.csv").read_text()


def test_results_are_no_images_and_images_are_not_overwritten(mri_run, tmp_path, capsys):
    save(tmp_path / "in" / "a.nii.gz", stack(12))
    for output in ("out", "out", "more"):
        assert predict(mri_run, tmp_path / "in", tmp_path / "in" / output, "--members") == 0
        assert summary(tmp_path / "in" / output).index.tolist() == ["a"]
    assert "are passed over" in capsys.readouterr().err
    assert predict(mri_run, tmp_path / "in", tmp_path / "in") == 2
    save(tmp_path / "other" / "a.nii.gz", stack(9))
    before = (tmp_path / "other" / "a.nii.gz").read_bytes()
    assert predict(mri_run, tmp_path / "in" / "a.nii.gz", tmp_path / "other") == 2
    assert (tmp_path / "other" / "a.nii.gz").read_bytes() == before
    assert "no result of" in capsys.readouterr().err


@given(slices=st.integers(1, 500), most=st.integers(1, 40))
def test_batches_are_even(slices, most):
    size = even_batches(slices, most)
    batches = -(-slices // size)
    assert 1 <= size <= most and batches == -(-slices // most)  # as many as need be
    assert batches * size - slices < batches  # at most one zero slice a batch


def test_as_many_slices_as_phases(ensemble, tmp_path):
    cine = np.stack([stack(radius) for radius in (13, 11, 8, 10)])
    assert np.array_equal(ensemble.predict(save(tmp_path / "a.nii.gz", cine)).mask, cine)


def turned(path):
    """A copy of a NIfTI file with other axes in other directions, and an affine that says so."""
    image = nib.load(path)
    change = np.array([[2, -1], [0, 1], [1, -1]])  # of the axes x, y, z
    other = path.with_name("turned.nii.gz")
    nib.save(image.as_reoriented(change), other)
    return other


def test_all_results_of_a_turned_cine_lie_on_it(mri_run, ensemble, tmp_path):
    oblique = nib.affines.from_matvec(
        np.array([[-0.8, 0, 0.6], [0, -1, 0], [0.6, 0, 0.8]]) @ np.diag([SPACING, SPACING, 8])
    )
    cine = np.stack([stack(13), stack(8)])
    plain = save(tmp_path / "in" / "plain.nii.gz", cine, oblique)
    turned(plain)
    switches = ("--uncertainty", "--probabilities", "--members")
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", *switches) == 0
    names = ["", *(f"_{kind}_phase0{k}" for kind in ("entropy", "probabilities") for k in (1, 2))]
    for ending in (*names, "_unet_advanced", "_deep_unet_improved"):
        one = nib.load(tmp_path / "out" / f"plain{ending}.nii.gz")
        two = nib.load(tmp_path / "out" / f"turned{ending}.nii.gz")
        assert np.allclose(two.affine, nib.load(tmp_path / "in" / "turned.nii.gz").affine)
        back = nib.orientations.ornt_transform(
            nib.io_orientation(two.affine), nib.io_orientation(one.affine)
        )
        assert np.array_equal(two.as_reoriented(back).dataobj, one.dataobj), ending
    first = nib.load(tmp_path / "out" / "plain_probabilities_phase01.nii.gz")
    drawn = np.asarray(nib.load(plain).dataobj)[..., 0]
    assert np.array_equal(np.asarray(first.dataobj).argmax(-1), drawn)
    ensemble.predict(tmp_path / "in" / "turned.nii.gz").save_mask(tmp_path / "mask.nii.gz")
    saved = nib.load(tmp_path / "mask.nii.gz")
    assert np.array_equal(saved.dataobj, nib.load(tmp_path / "out" / "turned.nii.gz").dataobj)


def test_a_header_that_contradicts_itself_is_refused(ensemble, tmp_path):
    path = save(tmp_path / "a.nii", stack(12))
    content = bytearray(path.read_bytes())
    content[80:92] = np.float32([1, 1, 1]).tobytes()  # pixdim, beside an affine of 1.5 x 1.5 x 8
    path.write_bytes(content)
    with pytest.raises(UserError, match="1.5 x 1.5 x 8 in its affine"):
        ensemble.predict(path)
    result = ensemble.predict(path, spacing=PLACE)
    assert result.indices["lv_ml"] == pytest.approx(of(stack(12)))


def test_units_are_taken_from_the_header_and_a_field_of_metres_is_refused(ensemble, tmp_path):
    micron = np.diag([1500.0, 1500, 8000, 1])
    path = save(tmp_path / "a.nii.gz", stack(12), micron)
    with pytest.raises(UserError, match="96000 x 96000 mm"):
        ensemble.predict(path)
    image = nib.load(path)
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "b.nii.gz")
    result = ensemble.predict(tmp_path / "b.nii.gz")
    assert result.indices["lv_ml"] == pytest.approx(of(stack(12)))


def test_odd_names_and_files(mri_run, tmp_path):
    save(tmp_path / "in" / "A.NII.GZ".lower(), stack(12)).rename(tmp_path / "in" / "A.NII.GZ")
    save(tmp_path / "in" / "two\nlines.nii.gz", stack(12))
    save(tmp_path / "in" / ".cache" / "b.nii.gz", stack(12))
    (tmp_path / "in" / "unpacked.nii").mkdir()
    (tmp_path / "in" / ".nii.gz").touch()
    save(tmp_path / "in" / "p_frame01.nii.gz", stack(12))
    (tmp_path / "in" / "Info.cfg").write_bytes("ED: 1\nName: Müller\n".encode("latin-1"))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    assert sorted(summary(tmp_path / "out").index) == ["A", "p_frame01", "two\nlines"]


def test_a_complex_image_is_refused(ensemble, tmp_path):
    nib.save(nib.Nifti1Image(np.ones((9, 9), np.complex64), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(UserError, match="complex64"):
        ensemble.predict(tmp_path / "a.nii")


def test_free_text_of_a_header_is_not_passed_on(mri_run, tmp_path):
    path = save(tmp_path / "a.nii", stack(12))
    image = nib.load(path)
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = b"CANARY"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"CANARY^NAME"))
    nib.save(image, tmp_path / "b.nii")
    assert b"CANARY" in (tmp_path / "b.nii").read_bytes()
    assert predict(mri_run, tmp_path / "b.nii", tmp_path / "out") == 0
    assert b"CANARY" not in (tmp_path / "out" / "b.nii").read_bytes()


def test_a_long_cine_is_not_held_in_memory(ensemble, tmp_path):
    cine = np.zeros((60, 6, 96, 96), np.int16)
    cine[:, :, 16:80, 16:80] = np.resize(stack(12), (6, 64, 64))
    path = save(tmp_path / "a.nii", cine)
    from cardiac_seg.predict.scans import open_scan

    scan = open_scan(find_scans(path)[0], "mri")
    list(ensemble.phases(scan))  # what is loaded once
    tracemalloc.start()
    held = [phase.mask for phase in ensemble.phases(scan)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    masks = sum(mask.nbytes for mask in held)
    assert masks == cine.size and peak < masks + 0.4 * cine.size * 4  # of float32


# Echo


def test_both_views_of_a_patient_give_a_biplane_volume(echo_run, tmp_path):
    for view in ("2CH", "4CH"):
        for phase, radius in (("ED", 14), ("ES", 10)):
            save(tmp_path / "in" / f"p1_{view}_{phase}.nii.gz", apical(radius))
    assert predict(echo_run, tmp_path / "in", tmp_path / "out") == 0
    table = summary(tmp_path / "out")
    assert set(table.method) == {"biplane"} and table.lv_ef_percent.nunique() == 1
    assert table.view.tolist() == ["2CH", "2CH", "4CH", "4CH"]
    cavity = (apical(14) == 1).sum() * SPACING**2 / 100
    assert table.lv_cm2["p1_2CH_ED"] == pytest.approx(cavity, abs=0.01)
    mask = nib.load(tmp_path / "out" / "p1_2CH_ED.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj).T, apical(14))


@pytest.mark.parametrize("ndim", [3, 4])
def test_a_clip_is_a_cine(ndim, echo_run, tmp_path):
    clip = np.stack([apical(radius) for radius in RADII])
    array = clip.T if ndim == 3 else clip.T[:, :, None]
    nib.save(nib.Nifti1Image(array, np.diag([SPACING, SPACING, 1, 1])), tmp_path / "a.nii.gz")
    assert predict(echo_run, tmp_path / "a.nii.gz", tmp_path / "out") == 0
    mask = nib.load(tmp_path / "out" / "a.nii.gz")
    assert mask.shape == array.shape and np.array_equal(np.asarray(mask.dataobj), array)
    row = summary(tmp_path / "out").loc["a"]
    assert (row.ed_phase, row.es_phase, row.method) == (1, 4, "monoplane")


def test_colour_frames_are_read_by_their_luminance(echo_run, tmp_path):
    grey = apical(12)
    colour = np.zeros(grey.T.shape, [(channel, np.uint8) for channel in "RGB"])
    for channel in "RGB":
        colour[channel] = 60 * grey.T
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(colour, np.diag([SPACING, SPACING, 1, 1])), path)
    assert np.array_equal(Ensemble.load(echo_run).predict(path).mask[0], grey)


def test_a_stack_is_no_echo(echo_run, tmp_path, capsys):
    save(tmp_path / "a.nii.gz", np.stack([stack(12), stack(9)]))
    assert predict(echo_run, tmp_path / "a.nii.gz", tmp_path / "out") == 1
    assert "echocardiography" in capsys.readouterr().err


# DICOM


def stored(cine: np.ndarray) -> np.ndarray:
    """What `write_stack` is to write: 16-bit grey values of labels."""
    return 100 * cine.astype(np.uint16)


def another_series(dataset, phase, k):
    """Makes an image of `write_stack` one of another series."""
    dataset.SeriesInstanceUID += ".9"
    dataset.StudyInstanceUID += ".9"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
        f"{dataset.SeriesInstanceUID}.{phase + 1}.{k + 1}"
    )


@pytest.fixture
def series(tmp_path):
    """A folder with a cine of four slices in seven phases, a file an image."""
    cine = np.stack([stack(radius) for radius in RADII])
    folder = write_stack(tmp_path / "in" / "sax", stored(cine), spacing=PLACE)
    return folder, cine


def test_a_dicom_cine_comes_back_in_the_patients_space(series, mri_run, tmp_path):
    folder, cine = series
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--overlay") == 0
    mask = nib.load(tmp_path / "out" / "sax.nii.gz")
    assert mask.shape == (64, 64, 4, 7)
    row = summary(tmp_path / "out").loc["sax"]
    assert (row.ed_phase, row.es_phase, row.heart_rate) == (1, 4, 75)
    assert row.lv_edv_ml == pytest.approx(of(cine[0]), abs=0.01)
    assert row.cardiac_output_l_min == pytest.approx(0.075 * (of(cine[0]) - of(cine[3])), abs=0.01)
    # SimpleITK reads slices and mask by itself: the same voxels in the same places.
    reader = sitk.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(folder))
    headers = [sitk.ReadImage(name) for name in names]
    labels = np.asarray(mask.dataobj)
    for header in headers:
        index = np.linalg.inv(mask.affine) @ (np.array([*header.GetOrigin(), 1.0]) * (-1, -1, 1, 1))
        assert index[:3] == pytest.approx(np.rint(index[:3]), abs=0.01 / 8)
        k = round(float(index[2]))
        corner = header.TransformIndexToPhysicalPoint((63, 63, 0))
        ours = mask.affine @ (63, 63, k, 1)
        assert ours[:3] * (-1, -1, 1) == pytest.approx(corner, abs=0.01)
        grey = sitk.GetArrayFromImage(header)[0]
        phase = round((float(header.GetMetaData("0018|1060")) - 30) / 250)
        assert np.array_equal(labels[:, :, k, phase].T, np.rint((grey + 20) / 50))


def test_a_dicom_stack_along_whole_axes_is_taken_as_a_viewer_shows_it(ensemble, tmp_path):
    write_stack(
        tmp_path / "in", stored(stack(12)[None]), spacing=PLACE, orientation=(1, 0, 0, 0, 1, 0)
    )
    assert np.array_equal(ensemble.predict(tmp_path / "in").mask, stack(12))


def test_segmentations_name_their_images(series, mri_run, tmp_path):
    from pydicom import dcmread

    folder, cine = series
    assert predict(mri_run, folder, tmp_path / "out") == 0
    found = sorted((tmp_path / "out").glob("*_seg.dcm"))
    assert len(found) == len(RADII)
    sources = {str(dcmread(p).SOPInstanceUID) for p in folder.iterdir()}
    for phase, path in enumerate(found):
        segmentation = dcmread(path)
        assert segmentation.Modality == "SEG" and segmentation.FrameOfReferenceUID == FRAME
        named = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
        assert len(named) == 4 and {str(i.ReferencedSOPInstanceUID) for i in named} <= sources
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        assert (pixels > 0).sum() == (cine[phase] > 0).sum()


def test_a_segmentation_lies_where_its_images_do(mri_run, tmp_path):
    """Slices that run the other way than those the networks see: voxel by voxel."""
    from pydicom import dcmread

    cine = np.stack([stack(13), stack(9)])
    write_stack(tmp_path / "in" / "sax", stored(cine), spacing=PLACE)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    mask = nib.load(tmp_path / "out" / "sax.nii.gz")
    to_index = np.linalg.inv(mask.affine)
    for phase in (0, 1):
        labels = np.zeros(mask.shape[:3], np.uint8)
        segmentation = dcmread(tmp_path / "out" / f"sax_phase0{phase + 1}_seg.dcm")
        names = {s.SegmentNumber: s.SegmentLabel for s in segmentation.SegmentSequence}
        frames = np.atleast_3d(segmentation.pixel_array)
        for frame, groups in zip(
            frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True
        ):
            place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
            k = round((to_index @ [*(place * (-1, -1, 1)), 1])[2])
            number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            label = ("RV cavity", "LV myocardium", "LV cavity").index(names[number]) + 1
            labels[:, :, k][frame.T > 0] = label
        assert np.array_equal(labels, np.asarray(mask.dataobj)[..., phase])


@pytest.mark.parametrize(
    "values",
    [{"NominalInterval": -800}, {"SliceThickness": -8}],
)
def test_senseless_numbers_of_a_header_count_as_missing(values, ensemble, tmp_path):
    def edit(dataset, phase, k):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    write_stack(tmp_path / "in", stored(stack(12)[None, :1]), edit, spacing=PLACE)
    result = ensemble.predict(tmp_path / "in")
    assert result.scan.heart_rate in (None, 75) and result.scan.spacing[0] > 0


def test_images_that_a_segmentation_cannot_name_still_have_a_mask(mri_run, tmp_path, capsys):
    def edit(dataset, phase, k):
        del dataset.FrameOfReferenceUID

    write_stack(tmp_path / "in" / "sax", stored(stack(12)[None]), edit, spacing=PLACE)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 0
    assert (tmp_path / "out" / "sax.nii.gz").is_file()
    assert "without a DICOM segmentation" in capsys.readouterr().err


@pytest.mark.parametrize("place", [(10, 3, 2), (0, 3, 2)])
def test_a_given_spacing_is_measured_with_but_masks_lie_on_their_images(place, mri_run, tmp_path):
    write_stack(tmp_path / "in" / "sax", stored(stack(12)[None]), spacing=PLACE)
    save(tmp_path / "in" / "b.nii.gz", stack(12))
    switch = ",".join(map(str, [*place[1:], *([place[0]] if place[0] else [])]))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--spacing", switch) == 0
    table = summary(tmp_path / "out")
    assert table.lv_ml["sax"] == pytest.approx(table.lv_ml["b"], rel=0.2)  # rows are not columns
    for name in ("sax", "b"):
        zooms = nib.load(tmp_path / "out" / f"{name}.nii.gz").header.get_zooms()
        assert zooms[:3] == pytest.approx((SPACING, SPACING, 8))
        mask = np.asarray(nib.load(tmp_path / "out" / f"{name}.nii.gz").dataobj)
        voxel = (place[0] or 8) * 3 * 2 / 1000
        assert table.lv_ml[name] == pytest.approx((mask == 3).sum() * voxel, abs=0.01)


def test_a_clip_of_colour_frames(echo_run, tmp_path):
    clip = np.stack([apical(radius) for radius in RADII])
    colour = np.repeat(60 * clip[..., None], 3, axis=-1)
    write_clip(tmp_path / "in" / "p3_4CH.dcm", colour, [region(SPACING, SPACING)])
    assert predict(echo_run, tmp_path / "in", tmp_path / "out") == 0
    mask = nib.load(tmp_path / "out" / "p3_4CH.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj)[:, :, 0].T, clip)
    row = summary(tmp_path / "out").loc["p3_4CH"]
    assert (row.ed_phase, row.es_phase, row.method) == (1, 4, "monoplane 4CH")
    assert row.heart_rate == 66


def test_an_ultrasound_clip_is_refused_by_an_mri_run(mri_run, tmp_path, capsys):
    write_clip(tmp_path / "in" / "clip.dcm", 60 * apical(12)[None].repeat(3, 0))
    assert predict(mri_run, tmp_path / "in", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "ultrasound" in error and "MR" in error


def test_a_mixed_tree(series, mri_run, tmp_path, capsys):
    """NIfTI and DICOM together; names that meet; notes between; a file that is broken."""
    folder, cine = series
    root = tmp_path / "in"
    save(root / "sax.nii.gz", cine[0])
    write_stack(root / "deep" / "er", stored(cine[:1]), another_series, spacing=PLACE)
    (root / "notes.txt").write_text("seen")
    (root / "broken.dcm").write_bytes(b"not DICOM")
    assert predict(mri_run, root, tmp_path / "out") == 1
    table = summary(tmp_path / "out")
    assert sorted(table.index) == ["broken", "deep/er", "sax", "sax_2"]
    assert table.phases[["deep/er", "sax", "sax_2"]].tolist() == [1, 1, 7]
    assert "broken.dcm" in capsys.readouterr().err


def test_no_patient_in_what_people_pass_on(series, mri_run, tmp_path, capfd):
    folder, _ = series
    (folder / "I001").unlink()  # a slice is missing in one phase: an error
    write_stack(tmp_path / "in" / "whole", stored(series[1]), another_series, spacing=PLACE)
    assert predict(mri_run, tmp_path / "in", tmp_path / "out", "--overlay", "--members") == 1
    said = "".join(capfd.readouterr())
    written = [p for p in (tmp_path / "out").rglob("*") if p.is_file() and p.suffix != ".dcm"]
    assert any(p.suffix == ".png" for p in written)
    for name in CANARY.values():
        assert name not in said
        for path in written:
            data = path.read_bytes()
            if path.suffix == ".gz":
                data = nib.load(path).header.binaryblock
            assert name.encode() not in data, path.name


def test_what_is_no_input_is_answered(mri_run, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "empty", "no image found"),
        (tmp_path / "notes.txt", "neither NIfTI"),
        (tmp_path / "nowhere", "no such file or folder"),
    ):
        assert predict(mri_run, path, tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert words in error and str(path) in error
    assert not (tmp_path / "out").exists()


def test_names_say_what_belongs_together(tmp_path):
    for name in (
        "patient0001_2CH_ED.nii.gz",
        "patient0001_2CH_ED_gt.nii.gz",
        "patient0001_4CH_half_sequence.nii.gz",
        "patient002_4d.nii.gz",
        "patient003_frame01.nii.gz",
        ".hidden.nii.gz",
    ):
        (tmp_path / name).touch()
    places = {s.name: (s.study, s.view, s.phase) for s in find_scans(tmp_path)}
    assert places == {
        "patient0001_2CH_ED": ("patient0001", "2CH", "ED"),
        "patient0001_4CH_half_sequence": ("patient0001_half_sequence", "4CH", ""),
        "patient002_4d": ("patient002_4d", "", ""),
        "patient003_frame01": ("patient003_frame01", "", ""),  # no Info.cfg says which
    }


def test_info_says_what_a_run_expects(mri_run, capsys):
    assert main(["info", str(mri_run)]) == 0
    said = capsys.readouterr().out
    assert "short-axis cine MRI" in said and "96 x 96 mm" in said and "1 RV" in said
