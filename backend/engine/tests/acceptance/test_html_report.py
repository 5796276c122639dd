"""The HTML report of a check, in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.support.check import check_in_process
from helpers import (
    NOWHERE,
    make_project,
)
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from liftlock.check.formats import FORMATS

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = 360
DESK = 1280
HOSTILE = "<script>alert(1)</script> " + "a_name_without_an_end" * 8


CREATES_TABLE = (
    'op.create_table("person", sa.Column("id", sa.Integer, primary_key=True),'
    ' sa.Column("nick", sa.String(20)))'
)


CREATES_INDEX = 'op.create_index("ix_nick", "person", ["nick"])'


ADDS_COLUMN = (
    'op.add_column("person", sa.Column("token", sa.Text,'
    ' server_default=sa.text("random()::text"), nullable=False))'
)


ADDS_CHECK = (
    f"op.execute(\"ALTER TABLE person ADD CONSTRAINT {'long_' * 12} CHECK (nick <> '{HOSTILE}')\")"
)


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Check a project with two branches and a merge, and return the path of the HTML report."""
    folder = tmp_path_factory.mktemp("page")
    project = make_project(folder, NOWHERE)
    project.revision("r1", None, CREATES_TABLE, 'op.drop_table("person")')
    project.revision("r2", "r1", CREATES_INDEX, 'op.drop_index("ix_nick")')
    project.revision("r3", "r1", ADDS_COLUMN, 'op.drop_column("person", "token")')
    project.revision("r4", ("r2", "r3"), "pass")
    altered = project.revision("r5", "r4", ADDS_CHECK)
    altered.write_text(altered.read_text().replace('"""r5"""', f'"""{HOSTILE}"""'))
    report = check_in_process(project, folder / "cache", "base:heads")
    (folder / "page.html").write_text(FORMATS["html"](report))
    return folder / "page.html"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the Chromium of the system."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def page(browser: Browser, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open the page, and assert that it logs, requests and asks nothing."""
    page = browser.new_page(viewport={"width": request.param, "height": 700})
    events: list[str] = []
    page.on("console", lambda message: events.append(message.text))
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("dialog", lambda dialog: events.append(dialog.message))
    page.on(
        "request",
        lambda asked: (
            events.append(asked.url)
            if not asked.url.startswith(("data:", page_file.as_uri()))
            else None
        ),
    )
    page.goto(page_file.as_uri())
    yield page
    assert events == []
    page.close()


def test_page_fits_the_screen(page: Page) -> None:
    """With everything open nothing scrolls sideways, and no text is smaller than 14 pixels."""
    page.evaluate("document.querySelectorAll('details').forEach(element => element.open = true)")
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = """[...document.querySelectorAll('main *, header *')]
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
        .map(element => element.outerHTML)"""
    assert page.evaluate(beyond) == []
    smallest = """Math.min(...[...document.querySelectorAll('p, pre, a, summary, h3')]
        .map(element => parseFloat(getComputedStyle(element).fontSize)))"""
    assert page.evaluate(smallest) >= 14


def test_revisions_are_drawn_as_a_graph(page: Page) -> None:
    """A dot for each revision, two lanes between branch and merge, a line to each parent."""
    dots = page.locator("nav svg circle").evaluate_all(
        "all => all.map(dot => [dot.getAttribute('cx'), dot.getAttribute('class')])"
    )
    assert len({x for x, _ in dots}) == 2
    assert [kind for _, kind in dots] == ["ok", "ok", "ok", "ok", "error"]
    assert page.locator("nav svg path").count() == 5
    middles = """all => all.map(element => element.getBoundingClientRect())
        .map(box => box.top + box.height / 2)"""
    of_rows = page.locator("nav li").evaluate_all(middles)
    of_dots = page.locator("nav svg circle").evaluate_all(middles)
    assert of_rows == pytest.approx(of_dots, abs=2)


def section(page: Page, revision: str) -> Locator:
    """Return the section of a revision."""
    return page.locator(
        "section", has=page.get_by_role("heading", name=f"{revision} {revision}", exact=True)
    )


def test_timelines_of_alembic_and_liftlock_are_drawn(page: Page) -> None:
    """For an index that plain Alembic builds while writes wait, and a column filled in batches."""
    bars = """all => all.map(svg => [...svg.querySelectorAll('rect')]
        .map(bar => [bar.getAttribute('class'), bar.getBoundingClientRect().width]))"""
    plain, ours = section(page, "r2").locator("svg").evaluate_all(bars)
    assert [kind for kind, _ in plain] == ["writes"]
    assert [kind for kind, _ in ours] == ["nothing"]
    assert min(plain[0][1], ours[0][1]) > PHONE / 2
    plain, ours = section(page, "r3").locator("svg").all()
    assert plain.locator("rect.reads-and-writes").count() == 1
    assert ours.locator("rect.nothing").count() >= 1
    assert "others wait: milliseconds" in (ours.get_attribute("aria-label") or "")
    assert "batch by batch" in (section(page, "r3").text_content() or "")
    assert "+CREATE INDEX ix_nick ON public.person" in (section(page, "r2").text_content() or "")
    assert "SHARE on person" in (section(page, "r2").text_content() or "")


def test_page_is_usable_with_the_keyboard(page: Page) -> None:
    """Past the overview, to a revision and into its statements; the focus is always visible."""
    page.keyboard.press("Tab")
    assert page.locator(":focus").text_content() == "Skip the overview"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "r-5"
    for _ in range(5):
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
        page.keyboard.press("Tab")
    assert page.locator("#r-5 details[open]").count() == 0
    page.keyboard.press("Enter")
    assert page.locator("#r-5 details[open]").count() == 1
    assert page.locator("#r-5 details[open] pre").first.is_visible()


_CONTRASTS = """() => {
    const parts = color => color.match(/[\\d.]+/g).map(Number);
    const linear = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const weights = [0.2126, 0.7152, 0.0722];
    const luminance = color => parts(color).slice(0, 3)
        .map(part => linear(part / 255))
        .reduce((sum, part, index) => sum + part * weights[index], 0);
    const background = element => {
        for (; element; element = element.parentElement) {
            const color = getComputedStyle(element).backgroundColor;
            if (parts(color)[3] !== 0) return color;
        }
        return 'rgb(255, 255, 255)';
    };
    const contrasts = {};
    const elements = document.querySelectorAll('p, a, pre, .mark, .soft, summary, h1, h2, h3');
    for (const element of elements) {
        const colors = [getComputedStyle(element).color, background(element)];
        const [light, dark] = colors.map(luminance).sort((x, y) => y - x);
        contrasts[element.tagName + '.' + element.className] = (light + 0.05) / (dark + 0.05);
    }
    return contrasts;
}"""


def test_contrast_is_sufficient_in_both_color_schemes(page: Page) -> None:
    """Text has the contrast that WCAG demands, in the light and the dark scheme."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        contrasts = page.evaluate(_CONTRASTS)
        assert min(contrasts.values()) >= 4.5, (scheme, contrasts)
