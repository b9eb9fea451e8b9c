"""The report's page in a headless Chromium: on a desk and on a phone, light and dark.

No console message, nothing that reaches beyond the screen, charts with axes, units and legends that can be read. The pictures are
left in target/usage-report for people to look at.
"""

import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

LOCAL = sys.argv[1]
OUT = Path("target/usage-report")
SCREENS = {"desk": (1280, 900), "phone": (375, 812)}

# What of the page reaches beyond the screen, apart from what scrolls in a box of its own.
BEYOND = """() => [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll *') && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.outerHTML.slice(0, 100))"""

# Each visible chart: the height of its letters in pixels, its letters' texts, and what is drawn.
CHARTS = """() => [...document.querySelectorAll('svg')].filter(svg => svg.getBoundingClientRect().width > 0).map(svg => ({
  letters: Math.min(...[...svg.querySelectorAll('text')].map(t => t.getBoundingClientRect().height)),
  texts: [...svg.querySelectorAll('text')].map(t => t.textContent.trim()),
  outside: [...svg.querySelectorAll('text')].filter(t => {
    const [a, b] = [t.getBoundingClientRect(), svg.getBoundingClientRect()];
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
  }).map(t => t.textContent.trim()),
  drawn: svg.querySelectorAll('rect, polyline, circle').length,
}))"""

CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/\\d+/g).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
    return .2126 * r + .7152 * g + .0722 * b };
  const ratio = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll('h1, p, th, td, figcaption, li, footer, svg text')]
    .filter(e => e.getBoundingClientRect().width > 0)
    .map(e => ratio(light(e.closest('svg') ? getComputedStyle(e).fill : getComputedStyle(e).color), paper))
    .reduce((a, b) => Math.min(a, b));
}"""


def page(window):
    command = [LOCAL, "report", "--window", window, "--out", str(OUT / window)]
    subprocess.run(command, check=True, capture_output=True)
    return OUT / window / "report.html"


def look(browser, file, window, screen, scheme):
    width, height = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=2 if screen == "phone" else 1)
    tab = context.new_page()
    said = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: request.url.startswith("file:") or said.append(f"asks for {request.url}"))
    tab.goto(file.resolve().as_uri())
    tab.screenshot(path=OUT / f"{window}-{screen}-{scheme}.png", full_page=True)
    where = f"{window}, {screen}, {scheme}"
    assert not said, f"{where}: {said}"
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where}: the page scrolls sideways"
    if screen == "desk":
        assert tab.evaluate("[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth)"), f"{where}: a table is cut"
    beyond = tab.evaluate(BEYOND)
    assert not beyond, f"{where}: {beyond}"
    charts = tab.evaluate(CHARTS)
    assert len(charts) >= 3, f"{where}: {len(charts)} charts"
    for chart in charts:
        assert chart["letters"] >= 9, f"{where}: letters of {chart['letters']} pixels"
        assert not chart["outside"], f"{where}: cut off: {chart['outside']}"
        assert {"USD", "calls", "seconds"} & set(chart["texts"]), f"{where}: no unit: {chart['texts']}"
        assert sum(bool(re.fullmatch(r"[\d.]+k?", text)) for text in chart["texts"]) >= 3, f"{where}: no axis: {chart['texts']}"
        assert chart["drawn"] > 2, f"{where}: nothing is drawn"
    legends = tab.locator(".legend").count()
    assert legends >= 2, f"{where}: {legends} legends"
    contrast = tab.evaluate(CONTRAST)
    assert contrast >= 4.5, f"{where}: a contrast of {contrast:.1f}"
    context.close()


def the_page_is_read_everywhere():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for window in ("day", "week", "month", "PT6H"):
            file = page(window)
            for screen in SCREENS:
                for scheme in ("light", "dark"):
                    look(browser, file, window, screen, scheme)
        browser.close()


the_page_is_read_everywhere()
print("the_page_is_read_everywhere: ok")
