"""`predict` on NIfTI scans, with networks that read the label off the image."""

import json
import tracemalloc
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes

from cardiac_seg.anatomy import Anatomy, Structure
from cardiac_seg.data.modality import MRI
from cardiac_seg.predict.predictor import even_batches
from cardiac_seg.predict.scans import find_scans
from cardiac_seg.predict.volume_curve import draw_curve
from cardiac_seg.system.errors import UserError
from tests.support.scans import PLACE, RADII, of, predict, save, stack, summary, without_spacing
from tests.support.stub_run import SPACING

CUT = "MYO and LV cut off at the edge of the image"  # where nothing but the heart is drawn


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
        assert row.review == "yes" and row.predicted_dice > 0.8  # they fill their images


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


def test_a_curve_has_the_name_and_the_colour_of_the_datasets_cavity(tmp_path, monkeypatch):
    colours, labels, plot = [], [], Axes.plot

    def spy(axes, *values, **style):
        colours.append(style["color"])
        return plot(axes, *values, **style)

    monkeypatch.setattr(Axes, "plot", spy)
    monkeypatch.setattr(Axes, "set_ylabel", lambda axes, label: labels.append(label))
    anatomy = Anatomy((Structure("wall"), Structure("blood pool", "lv_cavity", "#123456")))
    measured = SimpleNamespace(
        times_ms=None, frames=3, lv_ml=[90.0, 40.0, 80.0], shown={"ED": 0, "ES": 1}
    )
    draw_curve(tmp_path / "curve.png", measured, anatomy)
    assert colours == ["#123456", "black", "black"] and labels == ["blood pool volume in mL"]


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
    assert result.review == (CUT,) and result.predicted_dice > 0.8
    save(tmp_path / "b.nii.gz", cine)
    with pytest.raises(UserError, match="2 images"):
        ensemble.predict(tmp_path)


def test_a_given_spacing_stands_in_for_the_headers(mri_run, tmp_path):
    path = save(tmp_path / "a.nii", stack(12))
    without_spacing(path)
    spacing = f"{SPACING},{SPACING},8"
    assert predict(mri_run, path, tmp_path / "out", "--spacing", spacing) == 0
    assert summary(tmp_path / "out").lv_ml["a"] == pytest.approx(of(stack(12)), abs=0.01)


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

    scan = open_scan(find_scans(path)[0], MRI)
    list(ensemble.frames(scan))  # what is loaded once
    tracemalloc.start()
    held = [frame.mask for frame in ensemble.frames(scan)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    masks = sum(mask.nbytes for mask in held)
    assert masks == cine.size and peak < masks + 0.4 * cine.size * 4  # of float32
