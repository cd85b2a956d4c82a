"""Raw files, compressed, broken or cut short: the lines that stay are those that can be read."""

from __future__ import annotations

import bz2
import gzip
import json
import logging
import lzma
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data.readers import raw
from goracs.data.readers.lines import json_lines, text_lines
from goracs.data.readers.raw import digest, found, unpacked
from goracs.types import InvalidInput

FIELDS = {"u": pl.String(), "r": pl.Float64()}
GOOD = b'{"u": "a", "r": 5.0, "more": [1, {"u": "x"}]}\n'
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def rows(file: Path, content: bytes, most_broken: int = 1) -> tuple[list[tuple[object, ...]], dict[str, int]]:
    file.write_bytes(content)
    read = json_lines(file, FIELDS, list(FIELDS), most_broken)
    return read.table.rows(), read.left_out


@pytest.mark.parametrize("name", ["x.gz", "x.json", "we[i]rd*?.bin"])
@pytest.mark.parametrize("packer", PACKERS)
def test_compression_is_seen_by_the_content_whatever_the_name(tmp_path: Path, name: str, packer: str) -> None:
    found, left_out = rows(tmp_path / name, PACKERS[packer](GOOD * 2))
    assert (found, left_out) == ([("a", 5.0)] * 2, {})
    assert text_lines(tmp_path / name, 0, line=pl.col("line")).table.rows()[1][0] == 2
    assert unpacked(tmp_path / name) == GOOD * 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"u": "b", "r"', r"is not JSON"),
        (b"[1, 2]", "is no JSON object with u, r"),
        (b'{"u": "b"}', "has no r among its fields u"),
        (b'{"u": null, "r": 1}', "has no u among its fields u, r"),
        (b'{"u": "b", "r": "good"}', "has a value of the wrong type in one of u, r"),
        (b'{"u": "b", "r": 1} {"u": "c", "r": 1}', "is not JSON"),
        (b'{"u": "\xff", "r": 1}', "is not JSON"),
    ],
)
@pytest.mark.parametrize("block", [1 << 25, 8])
def test_a_broken_line_is_left_out_counted_and_told_with_its_number(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    line: bytes,
    why: str,
    block: int,
) -> None:
    monkeypatch.setattr(raw, "BLOCK", block)
    with caplog.at_level(logging.WARNING, "goracs"):
        found, left_out = rows(tmp_path / "x.jsonl", GOOD + b"\n" + line + b"\n" + GOOD)
    assert found == [("a", 5.0)] * 2
    assert left_out == {"broken line (the first: 3)": 1}
    assert "x.jsonl, line 3 is left out" in caplog.text
    with pytest.raises(InvalidInput, match=rf"x\.jsonl .*broken_lines=0: the first, line 3, {why}"):
        rows(tmp_path / "x.jsonl", GOOD + b"\n" + line + b"\n" + GOOD, most_broken=0)


@given(st.lists(st.sampled_from(["good", "broken", "blank"]), max_size=40), st.integers(0, 5))
def test_the_lines_kept_equal_a_line_by_line_reading(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], allowed: int
) -> None:
    texts = {"broken": b'{"u": ', "blank": b" "}
    lines = [texts.get(kind, json.dumps({"u": str(k), "r": k}).encode()) for k, kind in enumerate(kinds)]
    good = [(str(k), float(k)) for k, kind in enumerate(kinds) if kind == "good"]
    bad = [number for number, kind in enumerate(kinds, 1) if kind == "broken"]
    file = tmp_path_factory.mktemp("lines") / "x.jsonl"
    if len(bad) > allowed or not good:
        with pytest.raises(InvalidInput, match=f"line {bad[0]}," if len(bad) > allowed else "is empty"):
            rows(file, b"\n".join(lines), allowed)
    else:
        reason = {f"broken line (the first: {bad[0]})": len(bad)} if bad else {}
        assert rows(file, b"\n".join(lines), allowed) == (good, reason)


def test_json_lines_names_the_fields_there_are_when_one_is_missing_everywhere(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"x\.jsonl has no line with r: its first one has the fields u, s\."
    ):
        rows(tmp_path / "x.jsonl", b'{"u": "a", "s": 1}\n' * 3, most_broken=9)


def test_json_lines_skips_a_byte_order_mark(tmp_path: Path) -> None:
    assert rows(tmp_path / "x.jsonl", b"\xef\xbb\xbf" + GOOD, most_broken=0) == ([("a", 5.0)], {})


@pytest.mark.parametrize("packer", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("broken", [b"", b"broken\n"])
def test_a_file_cut_short_is_refused(tmp_path: Path, packer: str, broken: bytes) -> None:
    """Not read as far as it goes, whichever way it is read."""
    lines = b"".join(json.dumps({"u": str(k * 7919 % 10007), "r": k}).encode() + b"\n" for k in range(9000))
    packed = PACKERS[packer](broken + lines)
    with pytest.raises(InvalidInput, match=r"x\.packed cannot be read to its end .*cut short or damaged"):
        rows(tmp_path / "x.packed", packed[: len(packed) // 2], most_broken=10)
    with pytest.raises(InvalidInput, match="cannot be read to its end"):
        text_lines(tmp_path / "x.packed", 0, line=pl.col("line"))
    with pytest.raises(InvalidInput, match="cannot be read to its end"):
        unpacked(tmp_path / "x.packed")


def test_text_lines_refuses_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\n\xe9\n")
    with pytest.raises(InvalidInput, match=r"x is not text in UTF-8"):
        text_lines(tmp_path / "x", 0, line=pl.col("line"))


def test_found_names_the_key_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no file .*nowhere: dataset\.items must name one"):
        found(str(tmp_path / "nowhere"), "dataset.items")
    with pytest.raises(InvalidInput, match=r"dataset\.items must name one"):
        found(str(tmp_path), "dataset.items")


def test_digest_is_unchanged_by_name_and_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(GOOD)
    (tmp_path / "b.gz").write_bytes(GOOD)
    assert digest(tmp_path / "a") == digest(tmp_path / "b.gz")
