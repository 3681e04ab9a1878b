"""The section `report` of the configuration, and what a page says first."""

import re
from dataclasses import replace

import pandas as pd
import pytest
import yaml

import analyze_results
from cardiac_seg.anatomy import Anatomy, Structure
from cardiac_seg.config.loading import load_config
from cardiac_seg.data.acdc import ACDC
from cardiac_seg.report.captions import captions
from cardiac_seg.report.headline import headline_table
from cardiac_seg.report.shown import methods_shown
from cardiac_seg.run.open import open_run
from cardiac_seg.system.errors import UserError
from tests.support.analyses import analyze, table
from tests.support.finished_runs import quick

pytestmark = pytest.mark.usefixtures("few_draws")


def figures_of(folder):
    return {p.stem for p in (folder / "analysis" / "figures").iterdir()}


def page_of(folder):
    return (folder / "analysis" / "report.html").read_text()


def test_figures_are_chosen_and_ordered_on_a_finished_run(copied, measured, drawn):
    folder = copied()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["report"] = {"figures": ["roc_test", "dice_test"], "panel_letters": True}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with quick():
        assert analyze(folder) == 0
    assert figures_of(folder) == {"median_case", "roc_test", "dice_test"}
    page = page_of(folder)
    assert page.index("roc_test.pdf") < page.index("dice_test.pdf")
    assert measured == [] and drawn == []  # nothing is run again for it


def test_methods_and_widths_are_chosen_on_the_command_line(copied, monkeypatch):
    folder, widths = copied(), []
    monkeypatch.setattr(
        "cardiac_seg.report.figures.elements.save",
        lambda figure, stem: (widths.append((stem.name, figure.get_figwidth())), [stem, stem])[1],
    )
    monkeypatch.setattr("cardiac_seg.report.page.page.write_report", lambda path, page: None)
    chosen = ["--set", "report.methods=[mean, logistic]", "--set", "report.column_width=[90, 180]"]
    assert analyze_results.main([str(folder), *chosen]) == 0
    assert dict(widths)["accuracy_test"] == pytest.approx(90 / 25.4)
    assert dict(widths)["dice_test"] == pytest.approx(180 / 25.4)
    assert set(table(folder, "summary").method) > {"mean", "logistic", "ensemble"}  # tables stay


def test_roc_curves_are_of_the_chosen_methods(copied, monkeypatch):
    folder, panels = copied(), []
    monkeypatch.setattr(
        "cardiac_seg.report.figures.elements.save",
        lambda figure, stem: (
            panels.append([a.get_title() for a in figure.axes])
            if stem.name == "roc_test"
            else None,
            [stem, stem],
        )[1],
    )
    monkeypatch.setattr("cardiac_seg.report.page.page.write_report", lambda path, page: None)
    chosen = ["report.methods=[logistic, ensemble, mean]", "report.figures=[roc_test]"]
    arguments = [word for setting in chosen for word in ("--set", setting)]
    before = table(folder, "auc")
    assert analyze_results.main([str(folder), *arguments]) == 0
    (titles,) = panels
    assert titles[::2] == ["Logistic", "Mean"]
    after = table(folder, "auc")
    assert set(after.method) == set(before.method) | {"logistic"}
    same = after[after.method.isin(before.method)].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, before)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("report.methods=[magic]", "report.methods: 'magic' is no method"),
        ("report.figures=[magic]", "report.figures: there is no 'magic'"),
        ("report.figures=[roc_test, roc_test]", "names one twice"),
        ("report.colour=red", "unknown key"),
        ("train.epochs=3", "only keys of `report` change an analysis"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(copied, capsys, setting, said):
    assert analyze_results.main([str(copied()), "--set", setting]) == 2
    assert said in capsys.readouterr().err


def test_a_stored_run_without_the_section_has_its_defaults(copied):
    folder = copied()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    del config["report"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert open_run(folder).config.report.figures is None
    del config["predict"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="lacks predict"):
        open_run(folder)


def test_the_section_changes_no_run(copied):
    folder = copied()
    path = folder / "config.yaml"
    before = load_config(path, ["data.root=x"])
    after = load_config(path, ["data.root=x", "report.panel_letters=true"])
    assert before.model_copy(update={"report": after.report}) == after


@pytest.mark.parametrize("kind", ["mri", "echo"])
def test_the_first_screen_has_numbers_and_a_picture_before_any_verdict(kind, request):
    run = request.getfixturevalue(kind)
    page = page_of(run.folder)
    first = page[page.index('id="first"') : page.index('id="summary"')]
    for said in ("Dice", "HD95 (mm)", "EF, bias (points)", "low", "high", "median_case"):
        assert said in first
    assert 'class="verdicts"' not in page[: page.index('id="summary"')].split("</style>")[1]
    rows = table(run, "headline")
    assert rows.measure.unique().tolist() == [
        *("Dice", "HD95 (mm)", "EF, bias (points)", "EF, mean absolute error (points)")
    ]
    assert (rows.low <= rows.value).all() and (rows.value <= rows.high).all()


def test_phantoms_are_not_held_against_published_targets(mri):
    assert "Published targets" not in page_of(mri.folder)


OTHERS = [("mri", "echo|biplane|2CH"), ("echo", "MRI|apex|mri")]


@pytest.mark.parametrize(("kind", "others"), OTHERS)
def test_a_report_speaks_of_its_own_modality_alone(kind, others, request):
    page = page_of(request.getfixturevalue(kind).folder)
    unread = r"<style>.*?</style>|<script>.*?</script>|<[^>]*>"
    text = re.sub(unread, "", page, flags=re.DOTALL)
    text = text[: text.index("Provenance", 1000)]
    assert re.findall(rf"[^.]*\b(?:{others})\b[^.]*", text) == []


def test_a_dataset_without_an_ejection_fraction_has_none_on_the_first_screen():
    metrics = [(s, m) for s in ("a", "mean") for m in ("dice", "hd95_mm")]
    rows = [("ensemble", *both, 0.9, 0.8, 1.0, 3) for both in metrics]
    columns = ["method", "structure", "metric", "mean", "low", "high", "patients"]
    clinical = pd.DataFrame(columns=["patient", "method", "volume_method", "index", "value"])
    found = headline_table(
        pd.DataFrame(rows, columns=columns), clinical, Anatomy((Structure("a"),)), seed=0
    )
    assert found.measure.unique().tolist() == ["Dice", "HD95 (mm)"]


def test_the_cavity_is_called_as_the_dataset_calls_it(echo):
    anatomy = Anatomy((Structure("wall", "myocardium"), Structure("blood pool", "lv_cavity")))
    names = [(s, m) for s in (*anatomy.names, "mean") for m in ("dice", "hd95_mm")]
    rows = [("ensemble", *both, 0.9, 0.8, 1.0, 2) for both in names]
    columns = ["structure", "metric", "mean", "low", "high", "patients"]
    clinical = pd.DataFrame(
        [
            (patient, method, "voxels", "lv_ef_percent", value)
            for patient in ("a", "b")
            for method, value in (("ensemble", 61.0), ("reference", 60.0))
        ],
        columns=["patient", "method", "volume_method", "index", "value"],
    )
    summary = pd.DataFrame(rows, columns=["method", *columns])
    table = headline_table(summary, clinical, anatomy, seed=0).set_index("measure")
    assert table.structure["EF, bias (points)"] == "blood pool"
    assert table.value["EF, bias (points)"] == 1
    caption = captions(replace(ACDC, anatomy=anatomy), methods_shown(echo))["dice_groups"][2]
    assert "slices that hold blood pool in the reference" in caption
    bare = replace(ACDC, anatomy=Anatomy((Structure("wall"),)))
    assert "Base" not in captions(bare, methods_shown(echo))["dice_groups"][2]
