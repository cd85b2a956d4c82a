"""Does anything that is read end without words? Valid files, broken in every way, given to every reader.

`python -m experiments.fuzz [reader=all] [inputs=1000] [first=0] [seed=0]` prints a table: a line for each
reader, with how many inputs were tried, read and refused in words, and of how many the reader crashed,
hung or left something; those are named, by reader, seed and number, which make them again.

Input    one to four changes of one file of a valid set: bytes turned, cut, doubled, of another reader's file,
         words of `NASTY`; in JSON also a value in the place of another. What is packed is packed again, or
         changed as it is.
"""

from __future__ import annotations

import gzip
import json
import logging
import signal
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments import fuzz_jobs, fuzz_kept
from experiments.fuzz_files import TARGETS
from experiments.fuzz_target import Target
from goracs.types import GoracsError

LIMIT, IDLE = 20, 900  # seconds of work, and in all, after which an input hangs
MOST = 4  # changes of an input
LATE = {**fuzz_kept.LATE, **fuzz_jobs.LATE}
WELL = ("read", "refused")
WHOLE = 0.6  # of the JSON inputs are still JSON
NASTY = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b'"', b'""', b"'", b",", b"\t", b"::", b"\n", b"\r"),
    *(b"\\", b"nan", b"NaN", b"inf", b"-inf", b"1e400", b"-1", b"0", b"1.5", b"9" * 30, b"null", b"true"),
    *(b"-9223372036854775809", b"{}", b"[]", b"[" * 2000, b"{" * 2000, b'{"a":' * 500, b"x" * 70_000),
    *(b"${oc.env:HOME}", b"../../x", "\u202e".encode(), "é".encode("cp1252"), b"\xed\xa0\x80", b"\\ud800"),
    *(b"<script>", b"2024-01-31", b"1970"),
)
ODD: tuple[Any, ...] = (
    *(None, True, "", "x", [], {}, 0, -1, 1.5, 1e308, 10**30, float("nan"), float("inf"), "nan", "\ud800"),
    *(["x"], {"x": 1}, [[]], [None], "x" * 70_000, -(10**18), "../../x", [[[[[]]]]]),
)
Draw = np.random.Generator


@dataclass(frozen=True)
class Outcome:
    """What became of an input (read, refused, crashed, hung, left, wrong), and what was said of it."""

    kind: str
    said: str = ""


def changed(content: bytes, draw: Draw, others: list[bytes]) -> bytes:
    """A file's content after some changes."""
    if content.startswith(b"\x1f\x8b") and draw.random() < 0.7:
        with suppress(OSError, EOFError, zlib.error):  # it may be what an earlier change has left
            return gzip.compress(changed(gzip.decompress(content), draw, others), mtime=0)
    ways = (_valued,) if content.lstrip()[:1] in (b"[", b"{") and draw.random() < WHOLE else WAYS
    for _ in range(int(draw.integers(1, MOST + 1))):
        way = ways[int(draw.integers(len(ways)))]
        content = way(content, draw, others)
    return content


def _span(content: bytes, draw: Draw, longest: int = 200) -> tuple[int, int]:
    start = int(draw.integers(len(content) + 1))
    return start, min(len(content), start + int(draw.integers(longest)))


def _turned(content: bytes, draw: Draw, _: list[bytes]) -> bytes:
    start, _end = _span(content, draw)
    return content[:start] + bytes([int(draw.integers(256))]) + content[start + 1 :]


def _cut(content: bytes, draw: Draw, _: list[bytes]) -> bytes:
    start, end = _span(content, draw)
    return content[:start] if draw.random() < 0.2 else content[:start] + content[end:]


def _doubled(content: bytes, draw: Draw, _: list[bytes]) -> bytes:
    start, end = _span(content, draw)
    return content[:end] + content[start:end] * int(draw.integers(1, 4)) + content[end:]


def _told(content: bytes, draw: Draw, _: list[bytes]) -> bytes:
    start, end = _span(content, draw, 12)
    word = NASTY[int(draw.integers(len(NASTY)))]
    return content[:start] + word + content[end if draw.random() < 0.5 else start :]


def _spliced(content: bytes, draw: Draw, others: list[bytes]) -> bytes:
    other = others[int(draw.integers(len(others)))]
    (start, _end), (first, last) = _span(content, draw), _span(other, draw, 2000)
    return content[:start] + other[first:last] + content[start:]


def _valued(content: bytes, draw: Draw, _: list[bytes]) -> bytes:
    """Another value in one place of JSON, or of a line of it; as it is where that is none."""
    lines = (
        [content] if content.lstrip()[:1] in (b"[", b"{") and b"}\n{" not in content else content.split(b"\n")
    )
    at = int(draw.integers(len(lines)))
    try:
        whole = json.loads(lines[at])
        lines[at] = json.dumps(_replaced(whole, draw)).encode()
    except (ValueError, RecursionError):
        return content
    return b"\n".join(lines)


def _replaced(value: Any, draw: Draw) -> Any:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    if not len(keys) or draw.random() < 0.1:
        return ODD[int(draw.integers(len(ODD)))]
    key = keys[int(draw.integers(len(keys)))]
    if isinstance(value, dict) and draw.random() < 0.1:
        return {name: inner for name, inner in value.items() if name != key}
    value[key] = _replaced(value[key], draw)
    return value


WAYS = (_turned, _cut, _doubled, _told, _told, _spliced, _valued)


@contextmanager
def limited() -> Iterator[None]:
    """Ends what computes longer than LIMIT, or takes longer than IDLE, by a TimeoutError."""

    def end(*_: object) -> None:
        raise TimeoutError(f"no end after {LIMIT} seconds of work, or {IDLE} in all")

    signal.signal(signal.SIGPROF, end)
    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)  # so that a busy machine lets nothing hang
    signal.alarm(IDLE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def tried(target: Target, folder: Path, files: Mapping[str, bytes]) -> Outcome:
    """What a reader makes of these files, in an empty folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    before = sorted(folder.rglob("*"))
    found = outcome(lambda: target.read(folder))
    left = [path for path in sorted(folder.rglob("*")) if path not in before and path.name != ".lock"]
    return Outcome("left", str(left)) if left and found.kind == "refused" else found


def outcome(ask: Callable[[], object]) -> Outcome:
    """What became of a call, whatever it raises."""
    try:
        with limited():
            ask()
    except GoracsError as error:
        return Outcome("refused", str(error))
    except TimeoutError as error:
        return Outcome("hung", str(error))
    except KeyboardInterrupt:
        raise
    except BaseException:
        return Outcome("crashed", traceback.format_exc())
    return Outcome("read", "")


def trial(target: Target, seed: int, number: int) -> tuple[dict[str, bytes], Outcome]:
    """An input by its number, and what became of it."""
    draw = np.random.default_rng([seed, number])
    files = dict(target.files)
    names = target.changed or list(files)
    name = names[int(draw.integers(len(names)))]
    others = [content for one in TARGETS.values() for content in one.files.values()]
    files[name] = changed(files[name], draw, others)
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        return files, tried(target, Path(folder), files)


def table(asked: Mapping[str, str], names: list[str], tried: Callable[[str, int], Outcome]) -> int:
    """Try inputs of each name and print the table, of those so far on Ctrl-C; 1 where one ended badly.

    Args:
        asked: `inputs`, how many; `first`, the number of the first; `seed`.
        names: what is tried, one after the other.
        tried: what became of an input of a name, by its number.
    """
    logging.disable(logging.CRITICAL)
    found = {name: Counter[str]() for name in names}
    seen: set[str] = set()
    with suppress(KeyboardInterrupt):
        for name in names:
            for number in range(int(asked["first"]), int(asked["first"]) + int(asked["inputs"])):
                outcome = tried(name, number)
                found[name][outcome.kind] += 1
                end = "\n".join(outcome.said.splitlines()[-4:])
                if outcome.kind not in WELL and end not in seen:
                    seen.add(end)
                    said = f"{name}, seed {asked['seed']}, input {number}: {outcome.kind}\n{outcome.said}"
                    print(said, flush=True)
            print(f"{name}: {dict(found[name])}", file=sys.stderr, flush=True)
    print("\n| reader | inputs | read | refused in words | crashed | hung | left or wrong |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, counts in found.items():
        counts["left"] += counts.pop("wrong", 0)
        kinds = " | ".join(f"{counts[kind]:,}" for kind in (*WELL, "crashed", "hung", "left"))
        print(f"| {name} | {counts.total():,} | {kinds} |")
    return int(any(counts[kind] for counts in found.values() for kind in counts if kind not in WELL))


def asked_for(words: list[str], what: str) -> dict[str, str]:
    """What the words ask for, or all of it."""
    usual = {what: "all", "inputs": "1000", "first": "0", "seed": "0"}
    return usual | dict(word.split("=", 1) for word in words)


def main(words: list[str]) -> int:
    """Try the inputs and print the table; 1 where something ended without words."""
    asked = asked_for(words, "reader")
    names = [*TARGETS, *LATE] if asked["reader"] == "all" else asked["reader"].split(",")
    targets = {name: TARGETS[name] if name in TARGETS else LATE[name]() for name in names}
    return table(asked, names, lambda name, number: trial(targets[name], int(asked["seed"]), number)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
