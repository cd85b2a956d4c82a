"""Broken files, guided by what of goracs they reach: a change that reaches new lines is changed further.

`python -m experiments.fuzz_guided reader=trace.json [file=0] [runs=10000] [seed=1]` with the extra `fuzz`
(atheris, which is libFuzzer) gives one reader of `experiments.fuzz` that file of its set changed, by bytes
and, every other time, by `fuzz.changed`, which keeps JSON what it is. It prints each new way in which the
reader ends without words, and at the end libFuzzer's line: `cov` is how many edges of goracs were reached.

Import   atheris sees only what is imported while it watches, so goracs is imported here and nowhere before.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["goracs"], enable_loader_override=False):
    import numpy as np

    from experiments import fuzz
    from experiments.fuzz_files import TARGETS
    from goracs.types import GoracsError

LONGEST = 1 << 16  # bytes of a file


def main(words: list[str]) -> None:
    """Fuzz one reader; libFuzzer ends the process."""
    asked = {"reader": "trace.json", "file": "0", "runs": "10000", "seed": "1"}
    asked |= dict(word.split("=", 1) for word in words)
    target = TARGETS[asked["reader"]]
    name = list(target.changed or target.files)[int(asked["file"])]
    others = [content for one in TARGETS.values() for content in one.files.values()]
    folder, corpus = Path(tempfile.mkdtemp(prefix="fuzz")), Path(tempfile.mkdtemp(prefix="fuzz"))
    (corpus / "valid").write_bytes(target.files[name])
    seen: set[str] = set()

    def tried(content: bytes) -> None:
        shutil.rmtree(folder)
        for place, whole in {**target.files, name: content}.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(whole)
        try:
            target.read(folder)
        except GoracsError:
            pass
        except Exception as error:
            where = f"{type(error).__name__} {traceback.extract_tb(error.__traceback__)[-1]}"
            if where not in seen:
                seen.add(where)
                print(f"FOUND {where}\n{content[:2000]!r}\n{traceback.format_exc()}", flush=True)

    def mutated(content: bytes, longest: int, seed: int) -> bytes:
        if seed % 2 and content.strip():
            return fuzz.changed(content, np.random.default_rng(seed), others)[:longest]
        return bytes(atheris.Mutate(content, longest))

    limits = [f"-runs={asked['runs']}", f"-seed={asked['seed']}", f"-max_len={LONGEST}", "-timeout=60"]
    atheris.Setup([sys.argv[0], str(corpus), *limits], tried, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
