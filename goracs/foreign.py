"""A configuration that comes out of a file somebody else may have written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from goracs.config import conf_dir
from goracs.types import InvalidInput


def refuse_foreign(config: Any) -> None:
    """Raise InvalidInput for a run's configuration that asks for what conf/ does not: it could run code.

    A `_target_` is called with what stands beside it, and `${oc.env:NAME}` reads the environment.
    """
    if isinstance(config, Mapping):
        target = str(config.get("_target_", ""))
        if "_target_" in config and target not in _targets():
            raise InvalidInput(f"its configuration names {target!r}, which no file of conf/ does.")
        for value in config.values():
            refuse_foreign(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            refuse_foreign(value)
    elif isinstance(config, str) and "${" in config:
        raise InvalidInput(f"its configuration has {config!r}, where a finished run has values.")


@cache
def _targets() -> frozenset[str]:
    """What the files of conf/ build."""
    texts = (file.read_text(encoding="utf-8") for file in conf_dir().rglob("*.yaml"))
    return frozenset(found for text in texts for found in re.findall(r"^\s*_target_:\s*(\S+)", text, re.M))
