"""The page of a check, in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import PASSWORD, make_project
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from liftlock import settings
from liftlock.check.formats import FORMATS
from liftlock.commands.check import check
from liftlock.events import silent
from liftlock.postgres.signals import Signals
from liftlock.settings import Address

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESK = 360, 1280
HOSTILE = "<script>alert(1)</script> " + "a_name_without_an_end" * 8
TABLE = """op.create_table("person", sa.Column("id", sa.Integer, primary_key=True), sa.Column("nick", sa.String(20)))"""
INDEX = """op.create_index("ix_nick", "person", ["nick"])"""
FILLED = """op.add_column("person", sa.Column("token", sa.Text, server_default=sa.text("random()::text"), nullable=False))"""
ALTERED = f"""op.execute("ALTER TABLE person ADD CONSTRAINT {"long_" * 12} CHECK (nick <> '{HOSTILE}')")"""


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two branches that meet again, checked, as a page."""
    folder = tmp_path_factory.mktemp("page")
    project = make_project(
        folder,
        Address(host="nowhere.invalid", port="1", user="nobody", password=PASSWORD, dbname="none"),
    )
    project.revision("r1", None, TABLE, 'op.drop_table("person")')
    project.revision("r2", "r1", INDEX, 'op.drop_index("ix_nick")')
    project.revision("r3", "r1", FILLED, 'op.drop_column("person", "token")')
    project.revision("r4", ("r2", "r3"), "pass")
    altered = project.revision("r5", "r4", ALTERED)
    altered.write_text(altered.read_text().replace('"""r5"""', f'"""{HOSTILE}"""'))
    with Signals() as interrupts:
        report = check(
            settings.read({"ALEMBIC_CONFIG": project.ini, "XDG_CACHE_HOME": str(folder / "cache")}),
            "base:heads",
            interrupts=interrupts,
            notify=silent,
        )
    (folder / "page.html").write_text(FORMATS["html"](report))
    return folder / "page.html"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, as the system has it."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def page(browser: Browser, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, which says nothing on the console, asks for nothing, and shows no dialog."""
    page = browser.new_page(viewport={"width": request.param, "height": 700})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on(
        "request",
        lambda asked: (
            said.append(asked.url)
            if not asked.url.startswith(("data:", page_file.as_uri()))
            else None
        ),
    )
    page.goto(page_file.as_uri())
    yield page
    assert said == []
    page.close()


def test_it_is_as_wide_as_the_screen(page: Page) -> None:
    """Nothing is to be scrolled sideways, with everything open; and no text is smaller than 14 pixels."""
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = """[...document.querySelectorAll('main *, header *')]
        .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML)"""
    assert page.evaluate(beyond) == []
    smallest = "Math.min(...[...document.querySelectorAll('p, pre, a, summary, h3')].map(one => parseFloat(getComputedStyle(one).fontSize)))"
    assert page.evaluate(smallest) >= 14


def test_the_chain_is_a_picture(page: Page) -> None:
    """A dot for each revision; two lanes between the branch and the merge; a line from each to what it follows."""
    dots = page.locator("nav svg circle").evaluate_all(
        "all => all.map(one => [one.getAttribute('cx'), one.getAttribute('class')])"
    )
    assert len({x for x, _ in dots}) == 2
    assert [kind for _, kind in dots] == ["ok", "ok", "ok", "ok", "error"]
    assert page.locator("nav svg path").count() == 5
    middles = (
        "all => all.map(one => one.getBoundingClientRect()).map(one => one.top + one.height / 2)"
    )
    rows, drawn = (
        page.locator(each).evaluate_all(middles) for each in ("nav li", "nav svg circle")
    )
    assert rows == pytest.approx(drawn, abs=2)


def section(page: Page, revision: str) -> Locator:
    """What is said of a revision."""
    return page.locator(
        "section", has=page.get_by_role("heading", name=f"{revision} {revision}", exact=True)
    )


def test_both_timelines_are_drawn(page: Page) -> None:
    """Of an index that plain Alembic builds while writes wait, and liftlock while they go on; and of a column that is filled in batches."""
    bars = "[...one.querySelectorAll('rect')].map(bar => [bar.getAttribute('class'), bar.getBoundingClientRect().width])"
    found = section(page, "r2").locator("svg").evaluate_all(f"all => all.map(one => {bars})")
    plain, ours = found
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


def test_it_is_used_with_the_keyboard(page: Page) -> None:
    """Past the overview, to a revision, and into its statements; one always sees where one is."""
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


def test_it_is_readable_in_the_dark(page: Page) -> None:
    """Text and its ground differ enough, by the measure of WCAG, in both schemes."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        contrasts = page.evaluate(_CONTRASTS)
        assert min(contrasts.values()) >= 4.5, (scheme, contrasts)


_CONTRASTS = """() => {
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    const luminance = colour => parts(colour).slice(0, 3).map(one => one / 255)
        .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, which) => sum + one * [0.2126, 0.7152, 0.0722][which], 0);
    const ground = one => { for (; one; one = one.parentElement) { const colour = getComputedStyle(one).backgroundColor;
        if (parts(colour)[3] !== 0) return colour; } return 'rgb(255, 255, 255)'; };
    const found = {};
    for (const one of document.querySelectorAll('p, a, pre, .mark, .soft, summary, h1, h2, h3')) {
        const [a, b] = [luminance(getComputedStyle(one).color), luminance(ground(one))].sort((x, y) => y - x);
        found[one.tagName + '.' + one.className] = (a + 0.05) / (b + 0.05);
    }
    return found;
}"""
