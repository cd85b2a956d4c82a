"""Commands one after the other in one bare process: how each ended, and what had been imported by then."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FRAMEWORKS = (
    "torch",
    "transformers",
    "peft",
    "pytorch_lightning",
    "numba",
    "ot",
    "wandb",
    "ray",
    "matplotlib",
)
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code, what it printed, the frameworks that its process had imported."""

    code: int
    text: str
    imported: list[str]


def run(commands: Sequence[tuple[Path, Sequence[str]]], scratch: Path) -> list[Said]:
    """Each command (its folder, its words) in its turn.

    Args:
        commands: whose words follow `goracs`.
        scratch: a folder to leave files in.
    """
    (scratch / "asked.json").write_text(
        json.dumps([[str(folder), list(words)] for folder, words in commands])
    )
    words = [sys.executable, "-m", "tests.bare", str(scratch)]
    subprocess.run(words, cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return [Said(**said) for said in json.loads((scratch / "said.json").read_text())]


def _main(scratch: Path) -> None:
    asked, printed = json.loads((scratch / "asked.json").read_text()), scratch / "printed"
    said = [asdict(_run(folder, words, printed)) for folder, words in asked]
    (scratch / "said.json").write_text(json.dumps(said))


def _run(folder: str, words: Sequence[str], printed: Path) -> Said:
    from goracs import cli

    os.chdir(folder)
    sys.argv, code = ["goracs", *words], 0
    out = os.open(printed, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(out, stream)
    os.close(out)
    try:
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        print(end.code if isinstance(end.code, str) else "")
    for printer in (sys.stdout, sys.stderr):
        printer.flush()
    logging.getLogger().handlers.clear()  # Hydra's, of this command
    return Said(code, printed.read_text(), [name for name in FRAMEWORKS if name in sys.modules])


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
