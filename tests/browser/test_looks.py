"""Each page in a real browser: at the desk, in the dark, on a phone, at 320 pixels, and on paper from a dark desk. Pictures are
kept where OVERNIGHT_SCREENSHOTS says."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = pytest.mark.browser
PAGES = {
    "morning": "/", "pipeline": "/p/shops", "night": "/p/shops/2024-02-03", "held": "/p/shops/2024-02-04",
    "verdict": "/p/shops/2024-02-04/verdict", "search": "/search?q=nothing",
    "model": "/p/shops/models/2", "rows": "/p/shops/rows?region=north", "key": "/p/shops/key/s000003",
    "docs": "/docs", "answers": "/docs/answers",
}  # fmt: skip
LOOKS = {
    "desk": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "light"), "small": (320, 640, "dark"),
    "paper": (1280, 900, "dark"),
}  # fmt: skip
CONTRAST = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const ground = node => { for (; node; node = node.parentElement) { const c = rgb(getComputedStyle(node).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const bad = [];
  for (const node of document.querySelectorAll('h1, h2, p, a, td, th, dt, dd, small, caption, span, label, summary')) {
    if (!node.textContent.trim() || !node.offsetParent || node.closest('.quiet, .skip')) continue;
    const a = light(rgb(getComputedStyle(node).color).slice(0, 3)), b = light(ground(node));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push(node.className + ' ' + node.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(2));
  }
  for (const node of document.querySelectorAll('input[placeholder]')) {
    const a = light(rgb(getComputedStyle(node, '::placeholder').color).slice(0, 3)), b = light(ground(node));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push('placeholder ' + node.placeholder + ' ' + ratio.toFixed(2));
  }
  return bad;
}"""


@pytest.mark.parametrize("look", LOOKS)
def test_pages_fit_are_readable_and_load_without_complaint(chromium: Browser, address: str, look: str) -> None:
    width, height, scheme = LOOKS[look]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.emulate_media(media="print" if look == "paper" else "screen", color_scheme=scheme)  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(_text(message)))
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url) if not request.url.startswith(address) else None)
    for name, path in PAGES.items():
        answer = page.goto(address + path)
        assert answer is not None
        assert answer.status == 200
        assert len(answer.body()) < 60_000
        _keep_picture(page, f"{name}-{look}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {look}"
        assert page.evaluate(CONTRAST) == [], f"{name} is hard to read in {look}"
        assert page.locator("h1").count() == 1
    assert complaints == []
    assert foreign == []
    context.close()


def _text(message: ConsoleMessage) -> str:
    return message.text


def _keep_picture(page: Page, name: str) -> None:
    folder = os.environ.get("OVERNIGHT_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def test_a_reader_without_scripts_filters_pages_and_looks_a_key_up(chromium: Browser, address: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/")
    page.get_by_role("link", name="shops", exact=True).click()
    page.get_by_role("link", name="Browse published rows").click()
    page.locator("select[name=where]").select_option("region")
    page.locator("input[name=value]").fill("north")
    page.get_by_role("button", name="Show").click()
    assert page.url.endswith("region=north")
    assert page.locator("tbody tr").count() == 51
    page.get_by_label("Remove the filter region = north").click()
    page.get_by_role("link", name="Next page").click()
    assert page.locator("tbody tr").count() == 53
    page.locator("tbody th a").first.click()
    assert "What was said of it" in page.locator("caption").inner_text()
    context.close()


def test_the_first_key_press_offers_the_way_to_the_content(chromium: Browser, address: str) -> None:
    page = chromium.new_page()
    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.close()
