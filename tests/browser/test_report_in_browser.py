"""The report in headless Chromium; REPORT=path checks a real one as well. `make test-browser`."""

import os
import shutil
from pathlib import Path

import pytest

from cardiac_seg.report.page.page import write_report
from tests.support.example_report import example_report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
if not (CHROMIUM and CHROMEDRIVER):
    pytest.skip("chromium or chromedriver is not installed", allow_module_level=True)

QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage "
    "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
)
REAL = [Path(os.environ["REPORT"]).resolve()] if os.environ.get("REPORT") else []


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*QUIET.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # With its path given, selenium does not look for a driver on the network.
    service = webdriver.ChromeService(executable_path=CHROMEDRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=["example", *REAL], ids=str)
def report(request, tmp_path_factory):
    if request.param != "example":
        return request.param
    path = tmp_path_factory.mktemp("analysis") / "report.html"
    write_report(path, example_report(path.parent, cases=30, figures=4))
    return path


@pytest.fixture
def page(browser, report):
    show(browser, report, 1280)
    return browser


def show(browser, report, width):
    """Opens the report in a window of that width; a real window cannot be as narrow as 400."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("browser")  # forgets what the page before said
    browser.get(report.as_uri())


TABLES = "const tables = document.querySelectorAll('table.sortable');"
COLUMNS = TABLES + "return Array.from(tables, table => table.tHead.rows[0].cells.length);"
VALUES = (
    TABLES
    + """
const cells = Array.from(tables[arguments[0]].tBodies[0].rows, row => row.cells[arguments[1]]);
return cells.map(cell => cell.dataset.sort ?? cell.innerText);
"""
)
# Sorting follows the click by a moment.
CLICK = (
    TABLES
    + """
const done = arguments[arguments.length - 1];
const heading = tables[arguments[0]].tHead.rows[0].cells[arguments[1]];
document.addEventListener('sort-end', () => done(heading.ariaSort), {once: true});
heading.querySelector('button').click();
"""
)
IMAGE_WIDTHS = """
const width = image => image.decode().then(() => image.naturalWidth, () => 0);
Promise.all(Array.from(document.images, width)).then(arguments[0]);
"""
HIDDEN_ROWS = """
const boxes = document.querySelectorAll('.scroll');
return Array.from(boxes, box => box.scrollHeight - box.clientHeight);
"""


def click(page, table, column):
    """Clicks a heading and waits; the direction in which the table is then sorted."""
    return page.execute_async_script(CLICK, table, column)


def numbers(values):
    """The numbers of a column and how many cells are empty; None if it holds text."""
    filled = [value for value in values if value != ""]
    try:
        return [float(value) for value in filled], values[len(filled) :]
    except ValueError:
        return None


def test_the_page_runs_without_an_error(page):
    assert page.get_log("browser") == []
    assert page.title


def test_nothing_is_asked_of_a_network(page):
    asked = page.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert [address for address in asked if not address.startswith(("data:", "file:"))] == []


def test_every_image_shows(page):
    widths = page.execute_async_script(IMAGE_WIDTHS)
    assert widths and min(widths) > 0


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_does_not_scroll_sideways(browser, report, width):
    show(browser, report, width)
    inner, scroll = browser.execute_script(
        "return [innerWidth, document.scrollingElement.scrollWidth]"
    )
    assert inner == width and scroll <= inner


def test_every_column_sorts_both_ways_and_undefined_last(page):
    sorted_columns = 0
    for table, columns in enumerate(page.execute_script(COLUMNS)):
        for column in range(min(columns, 12)):
            before = page.execute_script(VALUES, table, column)
            assert click(page, table, column) == "ascending"
            up = page.execute_script(VALUES, table, column)
            assert click(page, table, column) == "descending"
            down = page.execute_script(VALUES, table, column)
            assert sorted(before) == sorted(up) == sorted(down)
            if (rising := numbers(up)) is None:
                continue
            falling = numbers(down)
            assert rising[0] == sorted(rising[0]) and falling[0] == sorted(rising[0], reverse=True)
            assert set(rising[1]) | set(falling[1]) <= {""}
            sorted_columns += 1
    assert sorted_columns


def test_the_example_has_what_is_hard_to_sort(browser, report):
    if report in REAL:
        pytest.skip("of the example only")
    show(browser, report, 1280)
    scores = 2  # after the main results and the published targets: method, Dice, difference, ...
    click(browser, scores, 2)
    assert browser.execute_script(VALUES, scores, 2) == ["-0.012", "-0.0002", "0.004", "0.3"]
    click(browser, scores, 1)
    assert browser.execute_script(VALUES, scores, 1) == ["0.0895", "0.912", "0.93", ""]
    click(browser, scores, 1)
    assert browser.execute_script(VALUES, scores, 1) == ["0.93", "0.912", "0.0895", ""]


@pytest.mark.parametrize("key", ["\ue007", " "], ids=["enter", "space"])
def test_a_heading_is_reached_and_sorted_by_keyboard(page, key):
    heading = page.find_element("css selector", "table.sortable thead th")
    button = heading.find_element("css selector", "button")
    page.execute_script("arguments[0].focus()", button)
    page.switch_to.active_element.send_keys(key)
    assert page.switch_to.active_element == button
    assert heading.get_attribute("aria-sort") == "ascending"


def test_printed_pages_cut_nothing_off(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = page.execute_script(HIDDEN_ROWS)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert max(hidden, default=0) <= 1
