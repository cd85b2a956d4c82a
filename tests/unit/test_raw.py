"""Raw files, compressed, broken or cut short: the lines that stay are those that can be read."""

from __future__ import annotations

import bz2
import gzip
import json
import logging
import lzma
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.data.readers import raw
from goracs.data.readers.encoding import mended
from goracs.data.readers.lines import json_lines, json_rows, text_lines
from goracs.data.readers.raw import digest, found, head, last_line, unpacked
from goracs.types import InvalidInput

FIELDS = {"u": pl.String(), "r": pl.Float64()}
GOOD = b'{"u": "a", "r": 5.0, "more": [1, {"u": "x"}]}\n'


def zstd(content: bytes) -> bytes:
    """Packed by the engine, which writes tables only: the content is its one value."""
    packed = BytesIO()
    table = pl.LazyFrame({"text": [content.decode()]})
    table.sink_csv(packed, include_header=False, quote_style="never", line_terminator="", compression="zstd")
    return packed.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
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
    assert head(tmp_path / name).startswith(GOOD)
    assert last_line(tmp_path / name) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"u": "b", "r"', r"is not JSON"),
        (b"[1, 2]", "is no JSON object with u, r"),
        (b'{"u": "b"}', "has no r among its fields u"),
        (b'{"u": null, "r": 1}', "has no u among its fields u, r"),
        (b'{"u": "b", "r": "good"}', "has a value of the wrong type in r:"),
        (b'{"u": "b", "r": 1} {"u": "c", "r": 1}', "is not JSON"),
        (b'{"u": "\xff", "r": }', "is not JSON"),
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


@pytest.mark.parametrize("packer", ["gz", "bz2", "xz", "zst"])
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


MIXED = "café é\n".encode() + b"Pok\xe9mon \x80 " + "é\n".encode() + b"\x81\n"
GUESS = {"line that is not UTF-8, read as Windows-1252 (the first: 2)": 2}


def test_bytes_that_are_not_utf8_are_read_as_windows_1252_and_no_other_byte_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x").write_bytes(MIXED)
    read = text_lines(tmp_path / "x", 2, line=pl.col("line"))
    assert read.table["line"].to_list() == ["café é", "Pokémon € é", "\x81"]
    assert read.noted == GUESS
    assert (
        "x is not UTF-8 in 2 lines, whose other bytes are read as Windows-1252, first line 2" in caplog.text
    )


def test_more_lines_that_are_not_utf8_than_may_be_guessed_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(MIXED)
    match = r"x is not text in UTF-8 in 2 lines, more than dataset\.broken_lines=1, the first is line 2: 'Pok"
    with pytest.raises(InvalidInput, match=match):
        text_lines(tmp_path / "x", 1, line=pl.col("line"))


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="cp1252")), max_size=9), st.data())
def test_every_line_is_read_in_its_own_encoding(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], data: st.DataObject
) -> None:
    """Whatever the encoding of the others: but for the bytes that are UTF-8 by chance."""
    file = tmp_path_factory.mktemp("encodings") / "x"
    codecs = [data.draw(st.sampled_from(["utf-8", "cp1252"])) for _ in lines]
    packed = [line.encode(codec) for line, codec in zip(lines, codecs, strict=True)]
    wrong = [k for k, line in enumerate(packed, 1) if not is_utf8(line)]
    file.write_bytes(b"\n".join(packed))
    read, noted = mended(file, None)
    for text, line, number in zip(read.decode().split("\n"), lines, range(1, len(lines) + 1), strict=False):
        if codecs[number - 1] == "utf-8" or all(not is_utf8(run) for run in runs(packed[number - 1])):
            assert text == line
    assert noted == (
        {f"line that is not UTF-8, read as Windows-1252 (the first: {wrong[0]})": len(wrong)} if wrong else {}
    )


def is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def runs(line: bytes) -> list[bytes]:
    """Every part of a line, of at least two bytes, that is not ASCII from end to end."""
    parts = [line[i:j] for i in range(len(line)) for j in range(i + 2, min(i + 4, len(line)) + 1)]
    return [part for part in parts if not any(byte < 128 for byte in part)]


@pytest.mark.parametrize("block", [1 << 25, 8])
def test_a_json_line_that_is_not_utf8_is_kept_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(raw, "BLOCK", block)
    content = GOOD + b'{"u": "caf\xe9 ' + "é".encode() + b'", "r": 1}\n' + GOOD + b'{"u": \n'
    (tmp_path / "x").write_bytes(content)
    read = json_lines(tmp_path / "x", FIELDS, list(FIELDS), 1)
    assert read.table.rows() == [("a", 5.0), ("café é", 1.0), ("a", 5.0)]
    assert read.left_out == {"broken line (the first: 4)": 1}
    assert read.noted == {"line that is not UTF-8, read as Windows-1252 (the first: 2)": 1}
    with pytest.raises(
        InvalidInput, match=r"not text in UTF-8 in more lines than dataset\.broken_lines=0.*line 2"
    ):
        json_lines(tmp_path / "x", FIELDS, list(FIELDS), 0)


def test_a_json_array_equals_its_lines(tmp_path: Path) -> None:
    objects = [{"U ": "caf\u00e9", "r": 1}, {"U ": 5, "r": 2.5, "more": []}]
    (tmp_path / "x").write_text(json.dumps(objects, ensure_ascii=False, indent=1), encoding="cp1252")
    read = json_rows(tmp_path / "x", FIELDS, list(FIELDS), 1, ())
    assert read.table.rows() == [("café", 1.0), ("5", 2.5)]
    assert list(read.noted.values()) == [1]
    (tmp_path / "x").write_text('[{"u": "a", "r"')
    with pytest.raises(InvalidInput, match="x is no JSON array of objects with u, r: "):
        json_rows(tmp_path / "x", FIELDS, list(FIELDS), 1, ())


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be"])
def test_utf16_is_refused_by_its_name(tmp_path: Path, codec: str) -> None:
    (tmp_path / "x").write_bytes(b"\xfe\xff" * (codec == "utf-16-be") + "user,item\n".encode(codec))
    for read in (head, unpacked):
        with pytest.raises(InvalidInput, match="x is text in UTF-16: save it as UTF-8"):
            read(tmp_path / "x")


def test_a_zstd_file_that_is_not_utf8_is_refused_with_what_to_do(tmp_path: Path) -> None:
    packed = bytes.fromhex("28b52ffd0002090000e9")  # one raw block of the byte e9
    (tmp_path / "x").write_bytes(packed)
    for read in (head, unpacked):
        with pytest.raises(InvalidInput, match=r"x is not text in UTF-8 .*unpack it first \(zstd -d\)"):
            read(tmp_path / "x")


@pytest.mark.parametrize("content", [b"", b"a", b'a\r\nb,"c', b"\xef\xbb\xbfa\n\n", "é\n ".encode()])
@pytest.mark.parametrize("packer", PACKERS)
def test_unpacked_equals_the_content_without_its_mark(tmp_path: Path, packer: str, content: bytes) -> None:
    (tmp_path / "x").write_bytes(PACKERS[packer](content))
    assert unpacked(tmp_path / "x") == content.removeprefix(b"\xef\xbb\xbf")
    assert last_line(tmp_path / "x") == (content.split(b"\n")[-1] or None)


def test_found_names_the_key_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no file .*nowhere: dataset\.items must name one"):
        found(str(tmp_path / "nowhere"), "dataset.items")
    with pytest.raises(InvalidInput, match=r"dataset\.items must name one"):
        found(str(tmp_path), "dataset.items")


def test_digest_is_unchanged_by_name_and_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(GOOD)
    (tmp_path / "b.gz").write_bytes(GOOD)
    assert digest(tmp_path / "a") == digest(tmp_path / "b.gz")


def test_an_array_that_is_not_utf8_in_more_lines_than_may_be_broken_is_refused(tmp_path: Path) -> None:
    file, fields = tmp_path / "array.json", {"title": pl.String()}
    file.write_bytes('[{"title": "Amélie"},\n{"title": "Zoë"}]\n'.encode("latin-1"))
    rows = json_rows(file, fields, ["title"], 2, ())
    assert rows.table["title"].to_list() == ["Amélie", "Zoë"]
    assert list(rows.noted.values()) == [2]
    with pytest.raises(InvalidInput, match=r"in 2 lines, more than dataset\.broken_lines=1"):
        json_rows(file, fields, ["title"], 1, ())


@pytest.mark.parametrize("text", ['[[1], {"title": "A"}]', '[{"title": "A"}, [1]]', "[1]", "[" * 100_000])
def test_an_array_of_something_else_than_objects_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "array.json").write_text(text)
    with pytest.raises(InvalidInput, match="is no JSON array of objects with title"):
        json_rows(tmp_path / "array.json", {"title": pl.String()}, ["title"], 1, ())
