"""Words of somebody else's files end no block of code, and command nothing."""

import re

from hypothesis import given
from hypothesis import strategies as st

from goracs.harmless import fenced, in_markdown


@given(st.text("`\n~<a\x1b", max_size=30))
def test_nothing_within_a_block_of_code_ends_it(words: str) -> None:
    first, *inner, last = fenced(words, "python").split("\n")
    assert first == f"{last}python"
    assert not any(re.fullmatch(rf" *`{{{len(last)},}} *", line) for line in inner)
    assert "\x1b" not in "".join(inner)


def test_text_is_no_element_and_no_link() -> None:
    assert in_markdown("<b> & [x](y)\u202e") == "&lt;b> &amp; [x]\\(y)[U+202E]"
