"""The page in a real browser: typing, filters, reasons, documents, the back button, errors, hostile text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from splade_engine.engine import SearchEngine
from splade_engine.server import Access, Limits, ServedIndex, Settings, create_app
from splade_engine.server import page as page_module
from splade_engine.server.page import Page
from tests.fake_encoder import FakeEncoder
from tests.server.conftest import RECORDS
from tests.server.running import Running

CHROMIUM = next(
    (p for p in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if p.exists()), None
)
KEY = "k3y-of-sixteen-chars"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
HOSTILE_ID = f'"/><svg onload=window.hacked=1>?#%2F{HOSTILE}'
MORE = [
    {
        "_id": HOSTILE_ID,
        "title": f"yeast {HOSTILE}",
        "text": f"yeast water {HOSTILE} \U0001f9c2 salt yeast",
        HOSTILE: HOSTILE,
        "lang": f"'] or {HOSTILE}",
    },
    *({"_id": f"s{i}", "text": f"star night sky {i}", "year": 1990 + i, "lang": "en"} for i in range(25)),
]

# a value and its count, which becomes that of the matches
DE, EN = re.compile(r"^de \d+$"), re.compile(r"^en \d+$")

if CHROMIUM is None:
    pytest.skip("no chromium at /usr/bin: the page is not tested in a browser", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "ix"
    SearchEngine.build(folder, RECORDS + MORE, FakeEncoder())
    return ServedIndex("ix", SearchEngine.open(folder, FakeEncoder()))


@pytest.fixture(scope="module")
def running(served):
    made = Running(create_app([served], Settings(Limits(threads=2))))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield made
        made.close()


@pytest.fixture
def page(browser, running):
    """A fresh page; at the end nothing has run that should not, and nothing was asked of another server."""
    context = browser.new_context(viewport={"width": 1600, "height": 900})
    made = context.new_page()
    made.set_default_timeout(15_000)
    wrong, asked = [], []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda m: wrong.append(m.text) if "Content Security" in m.text else None)
    made.on("request", lambda request: asked.append(request.url))
    made.goto(running.url)
    expect(made.locator(".facts")).to_be_visible()
    yield made
    assert made.evaluate("() => window.hacked") is None
    assert wrong == []
    assert [url for url in asked if not url.startswith((running.url, "data:"))] == []
    context.close()


def titles(page):
    return page.locator(".hit .link").all_inner_texts()


def type_query(page, text):
    page.locator("#q").press_sequentially(text)


def test_it_answers_as_one_types(page):
    type_query(page, "tide")
    expect(page.locator(".hit")).to_have_count(1)
    assert titles(page) == ["Tides"]
    expect(page.locator("#status")).to_contain_text(re.compile(r"1 hit in [\d.]+ (µs|ms), \d+ ms in all"))
    assert page.locator(".snippet mark").all_inner_texts() == ["tide"]
    page.fill("#q", "storm")
    expect(page.locator(".hit .link")).to_have_text(["Sea storm"])
    page.fill("#q", "qqq")
    expect(page.locator("#status")).to_contain_text("Nothing shares a term")
    page.fill("#q", "")
    expect(page.locator(".facts")).to_be_visible()
    expect(page.locator(".hit")).to_have_count(0)


def test_it_says_how_a_query_was_read(page):
    type_query(page, "sea -moon")
    expect(page.locator(".hit")).to_have_count(1)
    expect(page.locator("#status")).to_contain_text("· without moon")


def test_reasons_are_bars(page):
    type_query(page, "sea tide")
    why = page.locator(".hit").first.locator(".why")
    expect(why).to_have_attribute("aria-expanded", "false")
    why.click()
    expect(why).to_have_attribute("aria-expanded", "true")
    rows = page.locator(".hit").first.locator(".reasons tbody tr")
    expect(rows).to_have_count(2)
    shares = [float(t.rstrip("%")) for t in rows.locator(".num").all_inner_texts()]
    assert 99 <= sum(shares) <= 101
    widths = rows.locator(".meter i").evaluate_all("all => all.map(i => i.getBoundingClientRect().width)")
    assert widths[0] > widths[1] > 0
    assert widths[1] / widths[0] == pytest.approx(shares[1] / shares[0], abs=0.05)


def test_filters_are_made_from_the_metadata(page):
    type_query(page, "star")
    expect(page.locator(".hit")).to_have_count(10)
    page.get_by_label("year at least").fill("2013")
    page.get_by_label("year at least").press("Enter")
    expect(page.locator(".hit")).to_have_count(2)
    expect(page.locator("#filters-title")).to_have_text("Filters (1)")
    page.fill("#q", "sea")
    expect(page.locator("#status")).to_contain_text("Nothing that the filters leave shares a term")
    expect(page.locator(".hit")).to_have_count(0)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".hit")).to_have_count(2)
    page.get_by_role("checkbox", name=DE).check()
    expect(page.locator(".hit")).to_have_count(0)
    page.fill("#q", "bread")
    expect(page.locator(".hit")).to_have_count(1)
    page.reload()  # the address holds all of it
    expect(page.locator(".hit")).to_have_count(1)
    expect(page.get_by_role("checkbox", name=DE)).to_be_checked()


def test_pages_fit_together(page):
    type_query(page, "star")
    expect(page.locator(".hit")).to_have_count(10)
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#place")).to_have_text("Page 2")
    expect(page.locator(".hit .rank").first).to_have_text("11")
    expect(page.locator("#exact")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".hit")).to_have_count(5)
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    assert "page=3" in page.url
    page.go_back()
    expect(page.locator("#place")).to_have_text("Page 2")
    seen = page.locator(".hit").evaluate_all("all => all.map(item => item.dataset.id)")
    page.get_by_role("button", name="Previous").click()
    expect(page.locator(".hit .rank").first).to_have_text("1")
    assert not set(seen) & set(page.locator(".hit").evaluate_all("all => all.map(item => item.dataset.id)"))
    page.fill("#q", "star night")
    expect(page.locator("#place")).to_have_text("Page 1")
    page.goto(f"{page.url.partition('?')[0]}?q=star&page=9")
    expect(page.locator("#status")).to_contain_text("There are no more hits")


def test_counts_become_those_of_the_matches(page):
    label = page.locator("small[data-field=lang][data-value=en]")
    expect(label).to_have_text("27")
    type_query(page, "star")
    expect(label).to_have_text("25")
    expect(page.locator("#sampled")).to_have_text("Counted over the matches")
    page.fill("#q", "bread")
    expect(label).to_have_text("0")


def test_order_and_groups(page):
    type_query(page, "star")
    page.get_by_label("Order").select_option("-year")
    expect(page.locator(".hit").first).to_have_attribute("data-id", "s24")
    page.get_by_label("Order").select_option("year")
    expect(page.locator(".hit").first).to_have_attribute("data-id", "s0")
    page.get_by_label("One hit for each").select_option("lang")
    expect(page.locator(".hit")).to_have_count(1)
    assert "group=lang" in page.url and "sort=year" in page.url
    page.reload()
    expect(page.locator(".hit")).to_have_count(1)
    expect(page.get_by_label("Order")).to_have_value("year")


def test_all_words_count_where_that_is_asked(page):
    type_query(page, "sea wind")
    for name in ("#terms-time", "#hybrid-time"):
        expect(page.locator(name)).to_have_text(re.compile(r"[\d.]+ (µs|ms)"))
    before = page.locator(".hit .score").first.inner_text()
    page.locator("#hybrid").click()
    expect(page.locator("#hybrid")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".hit .score").first).not_to_have_text(before)
    assert "hybrid=1" in page.url


def test_a_slip_and_a_weak_answer_are_told(page):
    type_query(page, "brread night")
    page.get_by_role("button", name="bread night").click()
    expect(page.locator("#q")).to_have_value("bread night")
    expect(page.locator("#doubt")).to_be_hidden()
    page.fill("#q", "yeast storm sail moon bake")
    expect(page.locator("#status")).to_contain_text("related terms count besides")


def test_fast_and_exact_and_the_time_of_each(page):
    type_query(page, "sea wind")
    for name in ("#fast-time", "#exact-time"):
        expect(page.locator(name)).to_have_text(re.compile(r"[\d.]+ (µs|ms)"))
    expect(page.locator("#agree")).to_have_text("fast and exact agree")
    page.locator("#exact").click()
    expect(page.locator("#exact")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#fast")).to_have_attribute("aria-pressed", "false")
    assert "exact=1" in page.url


def test_a_document_with_neighbours_and_the_back_button(page):
    type_query(page, "bread")
    page.locator(".hit .link").click()
    document = page.locator("#doc")
    expect(document.locator("h2")).to_have_text("bread")
    expect(document.locator("h2")).to_be_focused()
    assert document.locator(".text mark").all_inner_texts() == ["Bread"]
    expect(document).to_contain_text("Why it answers “bread”: 1st of all")
    document.get_by_role("button", name="before Tides").click()
    expect(document.locator("h2")).to_have_text("Tides")
    page.go_back()
    expect(document.locator("h2")).to_have_text("bread")
    page.go_back()
    expect(document).to_be_hidden()
    expect(page.locator("#q")).to_have_value("bread")
    page.go_forward()
    expect(document.locator("h2")).to_have_text("bread")
    page.keyboard.press("Escape")
    expect(document).to_be_hidden()


def test_back_undoes_a_filter(page):
    type_query(page, "bread")
    expect(page.locator(".hit")).to_have_count(1)
    page.get_by_role("checkbox", name=EN).check()
    expect(page.locator(".hit")).to_have_count(0)
    page.go_back()
    expect(page.locator(".hit")).to_have_count(1)
    expect(page.get_by_role("checkbox", name=EN)).not_to_be_checked()


def test_by_keyboard_alone(page):
    page.locator("#theme").focus()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("sea wind")
    expect(page.locator(".hit")).to_have_count(3)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".hit .link").nth(1)).to_be_focused()
    second = titles(page)[1]
    page.keyboard.press("Enter")
    expect(page.locator("#doc h2")).to_have_text(second)
    page.keyboard.press("Escape")
    expect(page.locator(".hit .link").nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#q")).to_be_focused()


@pytest.mark.parametrize("width", [390, 700, 1100, 1440, 1920])
def test_hits_have_room_where_there_is_nothing_to_filter_by(browser, tmp_path, width):
    plain = [{"id": f"n{i}", "text": f"star night sky {i}"} for i in range(12)]
    SearchEngine.build(tmp_path / "plain", plain, FakeEncoder())
    served = ServedIndex("plain", SearchEngine.open(tmp_path / "plain", FakeEncoder()))
    running = Running(create_app([served], Settings(Limits(threads=2))))
    try:
        context = browser.new_context(viewport={"width": width, "height": 900})
        made = context.new_page()
        made.goto(f"{running.url}?q=star")
        expect(made.locator(".hit")).to_have_count(10)
        expect(made.locator("#hybrid-time")).to_have_text(re.compile("."))
        assert made.locator(".hit").first.bounding_box()["width"] >= min(width - 40, 600)
        one_line = made.locator(".modes button, .pages button").evaluate_all(
            "all => all.map(item => item.getBoundingClientRect().height)"
        )
        assert max(one_line) < 50
        assert made.evaluate("() => document.documentElement.scrollWidth") <= width
        context.close()
    finally:
        running.stop()


def test_for_screen_readers(page):
    expect(page.get_by_role("search")).to_be_visible()
    expect(page.get_by_role("searchbox", name="Search")).to_be_visible()
    type_query(page, "sea")
    expect(page.get_by_role("status")).to_contain_text("hits")
    expect(page.get_by_role("list", name="Hits")).to_be_visible()
    expect(page.get_by_role("heading", level=2, name="Tides")).to_be_visible()
    for name in ("How much to look at", "What counts"):
        expect(page.get_by_role("group", name=name)).to_be_visible()
    for name in ("Order", "One hit for each"):
        expect(page.get_by_role("combobox", name=name)).to_be_visible()
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select")].filter(e => e.offsetParent
             && !e.textContent.trim() && !e.ariaLabel && !(e.labels && e.labels.length)).length"""
    )
    assert unnamed == 0


def test_nothing_from_a_document_becomes_markup(page):
    type_query(page, "yeast salt")
    expect(page.locator(".hit")).to_have_count(2)
    hit = page.locator(".hit").first
    expect(hit.locator(".link")).to_have_text(f"yeast {HOSTILE}")
    expect(hit.locator(".id")).to_have_text(HOSTILE_ID)
    expect(hit.locator(".snippet")).to_contain_text(f"water {HOSTILE} \U0001f9c2 salt yeast")
    assert hit.locator(".snippet mark").all_inner_texts() == ["yeast", "salt", "yeast"]  # behind an emoji too
    hit.locator(".why").click()
    hit.locator(".link").click()
    expect(page.locator("#doc .text")).to_contain_text(HOSTILE)
    expect(page.locator("#doc .top .id")).to_have_text(HOSTILE_ID)
    page.reload()
    expect(page.locator("#doc .top .id")).to_have_text(HOSTILE_ID)
    page.keyboard.press("Escape")
    page.locator("label.pick", has_text="] or").locator("input").check()  # a value that looks like a filter
    expect(page.locator(".hit")).to_have_count(1)
    assert page.locator("img").count() == 0
    assert page.locator("body script").count() == 1
    page.fill("#q", HOSTILE)
    expect(page.locator("#status")).to_contain_text("Nothing that the filters leave")
    assert page.evaluate("() => window.hacked") is None


def test_an_address_written_by_an_enemy_is_harmless(page, running):
    page.goto(f"{running.url}?q=sea&k=NaN&where=%5B1%5D&doc=%3Cimg%20src%3Dx%3E&index=__proto__")
    expect(page.locator(".alert")).to_contain_text("no document with id")
    page.goto(f'{running.url}?q=sea&where=%7B"__proto__":%7B"x":1%7D,"lang":%7B"~":1%7D%7D')
    expect(page.locator(".alert")).to_be_visible()
    expect(page.locator(".alert")).to_contain_text("Request ")


def test_an_error_of_the_server_is_told_and_passes(page):
    page.route("**/search", lambda route: route.fulfill(status=500, content_type="text/html", body="<h1>no"))
    type_query(page, "sea")
    expect(page.locator(".alert")).to_contain_text("The server answered 500.")
    page.unroute("**/search")
    page.route("**/search", lambda route: route.abort())
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".alert")).to_contain_text("The server cannot be reached.")
    page.unroute("**/search")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".hit")).to_have_count(2)
    expect(page.locator(".alert")).to_have_count(0)
    page.route("**/search", lambda route: route.abort())
    type_query(page, "bread")  # what is left of the sea is not taken for an answer
    expect(page.locator(".alert")).to_contain_text("The hits below are those of the last answer.")


def test_a_late_answer_never_replaces_a_newer_one(page):
    held = []
    page.route("**/search", lambda route: held.append(route) if not held else route.continue_())
    type_query(page, "tide")
    page.wait_for_timeout(200)
    page.fill("#q", "storm")
    expect(page.locator(".hit .link")).to_have_text(["Sea storm"])
    page.unroute("**/search")
    page.wait_for_timeout(100)
    assert titles(page) == ["Sea storm"]


def test_a_key_is_asked_for(browser, served):
    running = Running(create_app([served], Settings(Limits(threads=2), Access(keys=(KEY,)))))
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(running.url)
        expect(page.locator(".alert")).to_contain_text("asks for a key")
        page.get_by_label("Key").fill("wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.locator(".alert")).to_contain_text("asks for a key")
        page.get_by_label("Key").fill(KEY)
        page.get_by_role("button", name="Open").click()
        expect(page.locator(".facts")).to_be_visible()
        page.fill("#q", "tide")
        expect(page.locator(".hit")).to_have_count(1)
        assert KEY not in page.url
    finally:
        context.close()
        running.stop()


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out(browser, running, width, scheme):
    """No sideways scrolling, at any width, with a hit, its reasons and a document open; text stands out."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{running.url}?q=yeast+salt+sea")
    page.locator(".why").first.click()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert _contrast(page, ".snippet") > 7 and _contrast(page, ".id") > 4.5
    page.locator(".hit .link").first.click()
    expect(page.locator("#doc h2")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    page.keyboard.press("Escape")
    expect(page.locator("#doc")).to_be_hidden()
    context.close()


def _contrast(page, selector):
    """Of a text with the card that it stands on (WCAG 2.2, relative luminance)."""
    ink, card = page.locator(selector).first.evaluate(
        "e => [getComputedStyle(e).color, getComputedStyle(e.closest('.hit')).backgroundColor]"
    )

    def luminance(colour):
        parts = [int(v) / 255 for v in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(ink), luminance(card)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_file_asks_nobody_and_makes_no_markup_of_text():
    text = page_module.FILE.read_text(encoding="utf-8")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
    ):
        assert forbidden not in text
    assert " style=" not in text and not re.search(r"\son\w+=", text)
    assert "'unsafe" not in Page().policy
