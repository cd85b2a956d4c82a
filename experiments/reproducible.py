"""What is the same on another day, in another store, with other threads, blocks and libraries' kernels.

`python -m experiments.reproducible [pool=600] [target=120] [budget=32] [only=selection|pipeline]` prints two
tables. A line each is a setting of the machine; what it changes is set in the environment of a new process.

Selection   every method on the same arrays, planted (`experiments.planted`) and on a coarse grid, where rows
            and costs are tied: which methods chose other rows, and the largest difference of a figure.
Pipeline    the tiny pipeline, stage by stage: the same bytes (=), or the largest difference of a number; of
            the coreset how many rows are others.
Difference  of two numbers, or of two arrays, relative to the largest number of the first.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.planted import planted
from experiments.tiny import WORDS
from goracs.types import GoracsError, SelectionProblem

Environment = Mapping[str, str]
ONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
TWO = dict.fromkeys(ONE, "2")
BF16 = ("backbone.precision=bf16",)
Settings = Mapping[str, tuple[Environment, tuple[str, ...]]]
BOTH: Settings = {
    "the same again": ({}, ()),
    "two threads": (TWO, ("runtime.threads=2",)),
    "blocks instead of all costs at once (selector.memory)": ({}, ("selector.memory=0.00001",)),
    "numpy's BLAS for AVX2 (OPENBLAS_CORETYPE=Haswell)": ({"OPENBLAS_CORETYPE": "Haswell"}, ()),
}
OF_SELECTION: Settings = {
    "numpy's BLAS for SSE (OPENBLAS_CORETYPE=Prescott)": ({"OPENBLAS_CORETYPE": "Prescott"}, ()),
    "kernels for any CPU (NUMBA_CPU_NAME=generic)": ({"NUMBA_CPU_NAME": "generic"}, ()),
}
OF_PIPELINE: Settings = {
    "torch for AVX2 (ATEN_CPU_CAPABILITY=avx2)": ({"ATEN_CPU_CAPABILITY": "avx2"}, ()),
    "bf16, the same again": ({}, BF16),
    "bf16 without its instructions (ONEDNN_MAX_CPU_ISA=AVX2)": ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, BF16),
}
STAGES = ("prepare", "embed", "adapter", "score", "select", "finetune", "evaluate")
LABELS = 2


def main(words: Sequence[str]) -> None:
    """Print the tables."""
    given = dict(word.split("=", 1) for word in words)
    only, sizes = given.pop("only", ""), {"pool": "600", "target": "120", "budget": "32"} | given
    root = Path(tempfile.mkdtemp(prefix="reproducible-"))
    if only != "pipeline":
        _selections(root, [sizes[name] for name in ("pool", "target", "budget")])
    if only != "selection":
        _pipelines(root)
    shutil.rmtree(root)


def _selections(root: Path, sizes: Sequence[str]) -> None:
    _row("setting", "chosen otherwise", "largest difference of a figure, and of which method")
    base = _selected(root, {}, (), sizes)
    for name, (environment, more) in ({**BOTH, **OF_SELECTION}).items():
        found = _selected(root, environment, more, sizes)
        other = [method for method in base if found[method]["rows"] != base[method]["rows"]]
        gaps = {method: difference(base[method], found[method]) for method in base if method not in other}
        worst = max(gaps, key=lambda method: gaps[method])
        _row(name, ", ".join(other) or "none", f"{gaps[worst]:.0e} ({worst})" if gaps[worst] else "=")
    print(
        f"\n{len(base)} selections each; refused: {sum('refused' in one for one in base.values())}.\n",
        flush=True,
    )


def _selected(root: Path, environment: Environment, words: Sequence[str], sizes: Sequence[str]) -> Any:
    """What each method says of each problem, by "method problem"."""
    file = root / "selected.json"
    memory = next((word.partition("=")[2] for word in words if word.startswith("selector.memory")), "")
    _python(["-m", "experiments.reproducible", "select", str(file), memory, *sizes], environment)
    return json.loads(file.read_text())


def select_all(file: Path, memory: str, sizes: Sequence[int]) -> None:
    """In a process of its own: every method on every problem; what it chose and reported, written down."""
    import goracs
    from goracs.config import conf_dir

    pool, target, budget = sizes
    said = {}
    for kind, problem in (("planted", scored(pool, target, False)), ("tied", scored(pool, target, True))):
        for name in sorted(path.stem for path in (conf_dir() / "selector").glob("*.yaml")):
            method = goracs.api.build(name, {})
            own: dict[str, Any] = {"memory": float(memory)} if memory and hasattr(method, "memory") else {}
            if getattr(method, "lam", None) == "auto":
                own["lam"] = 0.1
            try:
                found = goracs.select(problem, "all" if name == "full" else budget, name, **own)
            except GoracsError as error:
                said[f"{name} {kind}"] = {"rows": [], "refused": str(error)}
                continue
            said[f"{name} {kind}"] = {"rows": found.indices.tolist(), **found.report}
    file.write_text(json.dumps(said, default=float))


def scored(pool: int, target: int, tied: bool) -> SelectionProblem:
    """Planted, with every score that a method reads; tied: all numbers on a coarse grid, some rows twice."""
    plain, rng = planted(pool, target, seed=0, width=32), np.random.default_rng(1)
    features, targets = plain.features, plain.target_features
    norms = plain.scores["gradient_norm"]
    margins, sketches = rng.normal(size=(pool, 4)), rng.normal(size=(pool + target, 8))
    if tied:
        features, targets = (np.round(table[:, :4]) for table in (features, targets))
        norms, margins, sketches = np.ceil(norms), np.round(margins), np.round(sketches)
        features[1::7] = features[::7][: len(features[1::7])]
    sketches = sketches.astype(np.float32)
    units = sketches / np.maximum(np.linalg.norm(sketches, axis=1, keepdims=True), 1e-9)
    margins = margins.astype(np.float32)
    scores = {
        "gradient_norm": norms,
        "el2n": 1 / (1 + np.exp(margins[:, -1])),
        "loss": np.logaddexp(0, -margins[:, -1]),
        "sketch": sketches[:pool],
        "unit_sketch": units[:pool],
        "entropy": np.abs(margins[:, 0]),
        "influence": margins[:, 1].astype(float),
        "right_margins": margins,
        "answer_losses": np.logaddexp(0, -margins),
    }
    return SelectionProblem(
        features,
        targets,
        scores,
        {"sketch": sketches[pool:], "unit_sketch": units[pool:]},
        labels=rng.integers(LABELS, size=pool),
        target_labels=rng.integers(LABELS, size=target),
    )


def _pipelines(root: Path) -> None:
    _row("setting", *STAGES)
    bases: dict[tuple[str, ...], Path] = {}
    for name, (environment, words) in ({**BOTH, **OF_PIPELINE}).items():
        precision = tuple(word for word in words if word in BF16)
        if precision not in bases:
            bases[precision] = _ran(root, {}, precision)
        job = _ran(root, environment, words)
        _row(name, *(_compared(bases[precision], job, stage) for stage in STAGES))
        shutil.rmtree(job.parent)


def _ran(root: Path, environment: Environment, words: Sequence[str]) -> Path:
    """The job folder of the tiny pipeline, beside a store of its own."""
    place = Path(tempfile.mkdtemp(dir=root))
    folders = [f"store.root={place / 'store'}", f"hydra.run.dir={place / 'job'}"]
    _python(["-m", "goracs.cli", *WORDS, *folders, *words], environment)
    return place / "job"


def _compared(base: Path, job: Path, stage: str) -> str:
    pairs = [(one, other) for one, other in zip(_files(base, stage), _files(job, stage), strict=True)]
    if all(one.read_bytes() == other.read_bytes() for one, other in pairs):
        return "="
    if stage == "select":
        one, other = (set(json.loads((place / "indices.json").read_text())) for place in (base, job))
        return f"{len(one - other)} of {len(one)} rows"
    return f"{max(difference(_read(one), _read(other)) for one, other in pairs):.0e}"


def _files(job: Path, stage: str) -> Iterator[Path]:
    """What the artifacts of a stage hold, but for what a run took."""
    digests = json.loads((job / "result.json").read_text())["digests"]
    for name in sorted(name for name in digests if name == stage or stage in name.split("_")):
        (place,) = (job.parent / "store").glob(f"*/{digests[name][:24]}")
        yield from sorted(
            file
            for file in place.rglob("*")
            if file.is_file() and file.name not in ("manifest.json", "trace.json")
        )


def _read(file: Path) -> Any:
    if file.suffix == ".npy":
        return np.load(file, allow_pickle=False)
    if file.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return load_file(file)
    if file.suffix == ".parquet":
        import polars as pl

        return pl.read_parquet(file, glob=False).to_dict(as_series=False)
    return json.loads(file.read_text()) if file.suffix == ".json" else file.read_bytes()


def difference(one: Any, other: Any) -> float:
    """The largest difference of two numbers, relative to the largest beside it; inf where words differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return (
            max((difference(one[name], other[name]) for name in one), default=0.0)
            if one.keys() == other.keys()
            else np.inf
        )
    if any(isinstance(part, dict) for given in (one, other) if isinstance(given, list) for part in given):
        return max(map(difference, one, other), default=0.0) if len(one) == len(other) else np.inf
    try:
        left, right = np.asarray(one, float), np.asarray(other, float)
    except (TypeError, ValueError):  # words among them
        return 0.0 if one == other else np.inf
    known = ~np.isnan(left)  # None is NaN here
    if left.shape != right.shape or not np.array_equal(known, ~np.isnan(right)):
        return np.inf
    largest = max(float(np.abs(left[known]).max(initial=0)), np.finfo(float).tiny)
    return float(np.abs(left - right)[known].max(initial=0)) / largest


def _python(words: Sequence[str], environment: Environment) -> None:
    """Run it, or leave with what it printed."""
    ended = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **ONE, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        sys.exit(f"{words}, {environment}:\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}")


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)
    if cells[0] == "setting":
        print(f"|{' --- |' * len(cells)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["select"]:
        select_all(Path(sys.argv[2]), sys.argv[3], [int(word) for word in sys.argv[4:]])
    else:
        main(sys.argv[1:])
