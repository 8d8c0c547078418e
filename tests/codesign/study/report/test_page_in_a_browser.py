"""The page's script in a real browser, where there is one: it runs to its end and draws what is in view."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from codesign.study.report.write_report import write_report
from tests.codesign.study.report.made_up import NASTY, made_up

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.mark.parametrize("nasty", ["", NASTY], ids=["plain", "odd names"])
def test_figures_and_tables_are_there(nasty: str, tmp_path: Path) -> None:
    browser = next((path for path in map(shutil.which, BROWSERS) if path is not None), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    page = write_report(made_up(nasty=nasty), tmp_path)
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    shown = _shown([browser, *options, "--window-size=1280,6000", "--virtual-time-budget=10000", page.as_uri()])
    assert '<html lang="en" class="script">' in shown
    assert "cannot be drawn" not in shown and "cannot be shown" not in shown
    assert "12 of 12 points." in shown
    assert "<img" not in shown.split("<main>")[1].split("</main>")[0]
    for name in ("front-figure", "parallel-figure", "importance-figure"):
        part = shown.split(f'id="{name}"')[1]
        assert re.search(r'<svg class="main-svg"', part.split("</section>")[0]), name
    assert len(re.findall("<option", shown.split('id="point-select"')[1].split("</select>")[0])) == 12
    (layers,) = re.findall(r"<caption>What each layer costs.*?</table>", shown)
    head, first, pool, *_ = [re.sub("<[^>]*>", "|", row) for row in layers.split("<tr")[1:]]
    assert "weights|bits" in head and "codes|bits" in head and "fetched|bytes" in head
    assert "||3||5||83\u202f333||" in first and "||–||–||83\u202f333||" in pool
    assert "83\u202f333" in shown.split('id="point-body"')[1]  # the cycles of a layer, unpacked


def _shown(command: list[str]) -> str:
    """The page's elements after its script, without what it is made of.

    A browser's virtual time does not wait for unpacking, which another thread does: it may be asked again.
    """
    for _ in range(5):
        ran = subprocess.run([*command, "--dump-dom"], capture_output=True, encoding="utf-8", timeout=120, check=True)
        shown = ran.stdout.split('<script type="application/json"')[0]
        if shown.count("main-svg") > 20:
            break
    return shown
