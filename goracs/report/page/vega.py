"""Vega-Lite's own code for the page, and its figures as files, by vl-convert; nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from goracs.report.page.charts import WIDTH
from goracs.report.page.theme import resolved
from goracs.types import GoracsError

VERSION = "6.4"  # of Vega-Lite


def bundle() -> str:
    """The JavaScript that draws a specification: vega, vega-lite and vega-embed, about 0.9 MB."""
    return str(_library().javascript_bundle(vl_version=VERSION))


def svg(spec: Mapping[str, Any]) -> bytes:
    """A figure as SVG, in the light colours."""
    return str(_library().vegalite_to_svg(_on_paper(spec), vl_version=VERSION)).encode()


def pdf(spec: Mapping[str, Any]) -> bytes:
    """A figure as PDF, in the light colours."""
    return bytes(_library().vegalite_to_pdf(_on_paper(spec), vl_version=VERSION))


def _on_paper(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {**resolved(spec), "width": WIDTH}


def _library() -> ModuleType:
    try:
        import vl_convert
    except ImportError as error:
        raise GoracsError(
            "a report needs vl-convert: pip install 'goracs[report]', or pip install vl-convert-python."
        ) from error
    return vl_convert
