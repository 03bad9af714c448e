"""No page shuts anybody out, as far as axe can tell, by day and by night; and pages follow the ledger while they are open."""

from importlib.resources import files
from typing import Any

import pytest
from bookkeeping import Ledger
from playwright.sync_api import Browser, Page, expect
from test_looks import PAGES

pytestmark = pytest.mark.browser
RULES = """async () => {
  const found = await axe.run(document, {rules: {region: {enabled: false}}});
  if (found.passes.length < 10) return ['axe has looked at almost nothing'];
  return found.violations.filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => one.id + ': ' + one.nodes.slice(0, 3).map(node => node.target.join(' ') + ' ' + node.failureSummary).join(' | '));
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    """Deque's axe-core, as a development package brings it; it is never served."""
    package = pytest.importorskip("axe_playwright_python")
    return (files(package) / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_on_any_page(chromium: Browser, address: str, axe: str, scheme: Any) -> None:
    context = chromium.new_context(color_scheme=scheme, viewport={"width": 1100, "height": 900})
    page = context.new_page()
    faults: dict[str, list[str]] = {}
    for name, path in PAGES.items():
        page.goto(address + path)
        page.evaluate(axe)
        found = page.evaluate(RULES)
        if found:
            faults[name] = found
    context.close()
    assert faults == {}


def test_an_open_page_shows_a_moved_pointer_at_once_and_keeps_what_was_opened(
    chromium: Browser, address: str, month: Ledger
) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/p/shops")
    wait_until_it_listens(page)
    page.locator("summary").first.click()
    month.publish("2024-02-04", rows=77, model=1, salt="again")
    expect(page.locator(".tile", has_text="02-04")).to_contain_text("published")
    expect(page.get_by_role("status")).to_have_text("This page has just been brought up to date.")
    assert page.locator("details").first.evaluate("one => one.open")
    page.close()


def test_rows_that_somebody_reads_are_not_replaced_but_told_about(chromium: Browser, address: str, month: Ledger) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/p/shops/rows")
    wait_until_it_listens(page)
    before = page.locator("main").inner_html()
    month.publish("2024-02-04", rows=77, model=1, salt="again")
    expect(page.get_by_text("Something here has changed since.")).to_be_visible()
    assert page.locator("main").inner_html() == before
    page.get_by_role("link", name="Show it").click()
    expect(page.locator("h1")).to_contain_text("4 Feb 2024")
    page.close()


def wait_until_it_listens(page: Page) -> None:
    with page.expect_response("**/events"):
        page.reload()


def test_keys_lead_to_the_search_box_and_through_the_nights(chromium: Browser, address: str) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/p/shops")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    first = page.locator(".tile").first
    assert first.evaluate("one => one === document.activeElement")
    page.keyboard.press("/")
    page.keyboard.type("2024-01-20")
    page.keyboard.press("Enter")
    page.wait_for_url("**/p/shops/2024-01-20")
    page.goto(f"{address}/p/shops/rows?limit=20")
    page.keyboard.press("n")
    page.wait_for_url("**after=**")
    page.keyboard.press("p")
    page.wait_for_url("**/rows?limit=20")
    page.close()


def test_values_narrow_the_rows_down_without_scripts(chromium: Browser, address: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/p/shops/rows")
    narrow = page.get_by_label("Narrow down")
    narrow.get_by_role("link", name="north", exact=True).click()
    assert page.url.endswith("region=north")
    assert "51 that match" in page.locator("main table caption").first.inner_text()
    narrow.get_by_role("link", name="north is set, remove it").click()
    assert page.url.endswith("/rows")
    context.close()
