"""Words of somebody else's files as they may be shown: they command no terminal and turn nothing around."""

from __future__ import annotations

import re

COMMANDING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def shown(words: str) -> str:
    """Words in which control characters, and marks that turn the words behind them, are named instead."""
    return COMMANDING.sub(lambda mark: f"[U+{ord(mark[0]):04X}]", words)


def fenced(words: str, language: str = "") -> str:
    """The same as a block of code of Markdown, which nothing within it ends."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", words)), default=0))
    return f"{fence}{language}\n{shown(words)}\n{fence}"


def in_markdown(words: str) -> str:
    """The same as text of Markdown: no element of HTML, no link in its place."""
    return shown(words).replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")
