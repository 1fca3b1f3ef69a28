"""The tools that judge the chart, and its rendering, for all tests of the folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from chart import ROOT, Objects, render_text


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    subprocess.run([ROOT / "scripts" / "setup", "chart"], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def render(tmp_path: Path):
    """render({...}, helm="helm4") -> Objects"""
    return lambda values=None, **options: Objects(render_text(tmp_path, values or {}, **options))
