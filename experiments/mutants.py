"""Would the tests notice? Small changes of the code, one at a time, each given to the tests that run it.

`python -m experiments.mutants package=ot [mutants=50] [seed=0] [out=/tmp/mutants]` needs the extra `mutants`.
It runs the package's tests once under coverage.py, then a sample of mutants, and prints those that survived
and a line of a table; package=ot,search for several. `out` keeps what was tried: the same command goes on.

Mutant    one change by an operator of cosmic-ray, at a place drawn without replacement from all places of the
          package's `FILES` where one applies (annotations left out), the operator drawn among those there.
Tests     of a mutant are those of `TESTS` that run its line, the quickest first, up to `MOST` seconds in all;
          of a line that is run on import those that run anything of its file. One that takes `LONGEST` is
          left out. Laws have `EXAMPLES` examples, one seed, and no search for a smaller one.
Killed    a test fails; timed out: `SLACK` and `PATIENCE` times the tests' own seconds are over.
Kernels   are a package of their own, run as plain Python: in compiled code a mutant would be the old one.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

import hypothesis
import numba
import numpy as np

ROOT = Path(__file__).parents[1]
FILES = {  # of a package, those that are changed: of the large ones a part
    "ot": "ot/cost.py ot/distance.py ot/exact.py ot/neighbours.py ot/one_point.py",
    "search": "search/greedy.py search/lazily.py search/starts.py",
    "selection": "selection/blend.py selection/ccs.py selection/kmm.py selection/ranked.py "
    "selection/scores.py selection/strata.py selection/tsds.py",
    "evaluation": "evaluation/*.py",
    "store": "store.py store_lock.py",
    "data": "data/candidates.py data/filters.py data/popularity.py data/splits.py",
    "llm": "llm/adapter.py llm/chances.py llm/losses.py llm/saved_adapter.py",
    "kernels": "ot/*.py search/*.py",
}
TESTS = {  # files below tests/ that are about them
    "ot": "unit/test_cost unit/test_exact unit/test_neighbours unit/test_one_point",
    "search": "unit/test_greedy unit/test_starts",
    "selection": "golden/test_ccs_golden unit/test_by_scores unit/test_kmm unit/test_tsds",
    "evaluation": "golden/test_eval_golden laws/test_evaluation_laws unit/test_bootstrap "
    "unit/test_ctr_metrics unit/test_grounding unit/test_head unit/test_ranking unit/test_written",
    "store": "unit/test_store",
    "data": "unit/test_candidates unit/test_filters unit/test_popularity unit/test_splits",
    "llm": "unit/test_adapter unit/test_chances unit/test_losses",
    "kernels": "unit/test_bounds unit/test_lagrangian unit/test_neighbours unit/test_starts",
}
FIRST = ("numba", "scipy.optimize", "scipy.spatial", "polars", "pytest")  # imported once for all
HEAD = ("package", "mutants", "killed", "timed out", "survived", "run by no test")
MOST = 5.0  # seconds of tests a mutant
SLACK, PATIENCE = 10.0, 4.0
EXAMPLES = 10  # of a law
LONGEST = 2  # seconds of one test: a longer one is left out
COMPILED = {"kernel", "inlined", "njit", "intrinsic"}  # decorators


@dataclass(frozen=True)
class Mutant:
    """A change: the file and line, the operator and which of its places, and the line before and after."""

    file: str
    line: int
    operator: str
    occurrence: int
    before: str
    after: str


class _Fewer:
    """A pytest plugin: laws with fewer examples."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            law = getattr(item.function, "_hypothesis_internal_use_settings", None)
            if law is not None:
                fewer = hypothesis.settings(law, max_examples=min(law.max_examples, EXAMPLES))
                item.function._hypothesis_internal_use_settings = fewer


class _Clock:
    """A pytest plugin: says which test runs, and keeps the seconds of each that passes."""

    def __init__(self, begins: Callable[[str], None]) -> None:
        self.begins, self.seconds, self.failed = begins, dict[str, float](), list[str]()

    def pytest_runtest_setup(self, item: Any) -> None:
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        self.begins(item.nodeid)
        self.start = time.process_time()

    def pytest_runtest_logreport(self, report: Any) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.when == "call" and report.passed:
            self.seconds[report.nodeid] = time.process_time() - self.start


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"longer than {LONGEST} s")


def _pytest(tests: list[str], *plugins: Any) -> int:
    """Run tests in this process, hypothesis with one seed, without shrinking or memory."""
    import pytest

    if numba.config.DISABLE_JIT:
        compiled: Any = importlib.import_module("goracs.ot.compiled")
        compiled.smaller = min
    kept = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutants", phases=kept, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")
    quiet = ["-q", "-n0", "-o", "addopts=", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    plain = ["-Wignore::RuntimeWarning"] if numba.config.DISABLE_JIT else []  # numpy's, of overflows
    words = [*quiet, "-Wignore::pytest.PytestWarning", *plain, *(() if plugins else ("-x",)), *tests]
    return int(pytest.main(words, plugins=[_Fewer(), *plugins]))


def _forked(work: Callable[[], int], seconds: float, said: Path) -> int:
    """The exit status of work done in a process of its own, ended after that much of the processor's time."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    status = 70
    try:
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
        signal.alarm(3600)  # and one that sleeps
        status = work()
    finally:
        sys.stdout.flush()
        os._exit(status)


def traced(package: str, out: Path) -> tuple[dict[str, float], Any]:
    """The seconds of each test of the package, and the coverage data with the tests that run each line."""
    import coverage

    data, clocked = out / f"{package}.coverage", out / f"{package}.json"

    def work() -> int:
        numba.config.DISABLE_JIT = package == "kernels"
        watch = coverage.Coverage(data_file=str(data), branch=True, source=[str(ROOT / "goracs")])
        clock = _Clock(watch.switch_context)
        signal.signal(signal.SIGPROF, _too_long)
        watch.start()
        code = _pytest([f"tests/{name}.py" for name in TESTS[package].split()], clock)
        watch.stop()
        watch.save()
        clocked.write_text(json.dumps({"seconds": clock.seconds, "failed": clock.failed}))
        return 0 if clock.seconds else code

    if not clocked.exists() and _forked(work, 3600, out / f"{package}.log"):
        sys.exit(f"the tests of {package} did not run: see {out / f'{package}.log'}")
    found = json.loads(clocked.read_text())
    watch = coverage.Coverage(data_file=str(data), branch=True)
    watch.load()
    seconds: dict[str, float] = found["seconds"]
    print(f"{package}: {len(seconds)} tests, {sum(seconds.values()):.0f} s; left out: {found['failed']}")
    return seconds, watch


def _passed(source: str, kernels: bool) -> set[tuple[int, int]]:
    """Every place within an annotation or a decorator that compiles, and outside of what is asked for."""
    nodes = list(ast.walk(ast.parse(source)))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    found: list[Any] = [n.annotation for n in nodes if isinstance(n, (ast.arg, ast.AnnAssign))]
    found += [function.returns for function in functions]
    found += [way for function in functions for way in function.decorator_list if _compiles(way)]
    places = {place for node in found if node for place in _within(node)}
    compiled = {
        place
        for function in functions
        if any(map(_compiles, function.decorator_list))
        for place in _within(function)
    }
    everywhere = {(y + 1, x) for y, line in enumerate(source.splitlines()) for x in range(len(line) + 1)}
    return places | (everywhere - compiled if kernels else compiled)


def _compiles(decorator: ast.expr) -> bool:
    return any(
        COMPILED & {getattr(node, "id", None), getattr(node, "attr", None)} for node in ast.walk(decorator)
    )


def _within(node: Any) -> Iterator[tuple[int, int]]:
    """The places from the first character of a node to its last."""
    for line in range(node.lineno, node.end_lineno + 1):
        first = node.col_offset - 1 if line == node.lineno else 0
        for column in range(first, node.end_col_offset + 1 if line == node.end_lineno else 999):
            yield line, column


def places(file: Path, kernels: bool) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """The places of a file where operators apply: of each these, and which of an operator's places it is."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    source = file.read_text()
    passed, nodes = _passed(source, kernels), list(ast_nodes(get_ast(source)))
    found: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for name in sorted(set(operator_names()) - {"core/NoOp"}):
        if get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        spots = (spot for node in nodes for spot in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(spots):
            if start not in passed:
                found.setdefault(start, []).append((name, occurrence))
    return found


def sample(package: str, count: int, seed: int) -> Iterator[tuple[Mutant, str]]:
    """Mutants of a package, with the whole text of the changed file."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    draw, kernels, files = np.random.default_rng(seed), package == "kernels", files_of(package)
    every = [(file, *spot) for file in files for spot in sorted(places(file, kernels).items())]
    print(f"{package}: {len(every)} places in {len({file for file, *_ in every})} files")
    for at in draw.permutation(len(every)):
        file, (line, _), ways = every[at]
        name, occurrence = ways[int(draw.integers(len(ways)))]
        source = file.read_text()
        text = mutate_code(source, get_operator(name)(), occurrence)
        if not _is_python(text):  # such as another sign for the star among the arguments
            continue
        if count == 0:
            return
        count -= 1
        pairs = zip(source.splitlines(), text.splitlines(), strict=False)
        old, new = next(pair for pair in pairs if pair[0] != pair[1])
        where = str(file.relative_to(ROOT))
        yield Mutant(where, line, name.removeprefix("core/"), occurrence, old.strip(), new.strip()), text


def _is_python(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "", "exec")
        except SyntaxError:
            return False
    return True


class _Changed(SourceFileLoader):
    """Finds and loads one module with another text."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self.text = text

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == self.name else None
        if spec is not None:
            spec.loader = self
        return spec

    def get_code(self, fullname: str) -> Any:  # noqa: ARG002
        return compile(self.text, self.path, "exec")


def tests_of(mutant: Mutant, seconds: dict[str, float], watch: Any) -> list[str]:
    """The tests that run the mutant's line, the quickest first."""
    by_line = watch.get_data().contexts_by_lineno(str(ROOT / mutant.file))
    names = set(by_line.get(mutant.line, [])) - {""}
    if not names and "" in by_line.get(mutant.line, []):
        names = {name for line in by_line.values() for name in line} - {""}
    found, total = list[str](), 0.0
    for name in sorted(names & set(seconds), key=lambda name: (seconds[name], name)):
        total += seconds[name]
        if total > MOST and found:
            break
        found.append(name)
    return found


def judged(mutant: Mutant, text: str, tests: list[str], usual: float, said: Path, kernels: bool) -> str:
    """What becomes of a mutant: killed, timed out, survived, or not run where no test runs its line."""
    if not tests:
        return "not run"

    def work() -> int:
        numba.config.DISABLE_JIT = kernels
        module = mutant.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        sys.meta_path.insert(0, _Changed(module, str(ROOT / mutant.file), text))
        return _pytest(tests)

    status = _forked(work, SLACK + PATIENCE * usual, said)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL):
        return "timed out"
    return "killed" if status else "survived"


def tried(package: str, count: int, seed: int, out: Path) -> list[tuple[Mutant, str]]:
    """Mutants of a package, each with what became of it, found or kept."""
    seconds, watch = traced(package, out)
    kept = out / f"{package}.jsonl"
    lines = map(json.loads, kept.read_text().splitlines() if kept.exists() else [])
    ends = {json.dumps(line["mutant"]): line["end"] for line in lines}
    found = []
    for mutant, text in sample(package, count, seed):
        key = json.dumps(asdict(mutant))
        if key not in ends:
            tests = tests_of(mutant, seconds, watch)
            usual = sum(seconds[name] for name in tests)
            ends[key] = judged(mutant, text, tests, usual, out / f"{package}.last", package == "kernels")
            with kept.open("a") as file:
                file.write(json.dumps({"mutant": asdict(mutant), "end": ends[key], "tests": tests}) + "\n")
        found.append((mutant, ends[key]))
    return found


def main(words: list[str]) -> int:
    """Try the mutants of packages, print what survived and the table."""
    asked = {"mutants": "50", "seed": "0", "out": "/tmp/mutants", "package": ",".join(TESTS)}
    asked |= dict(word.split("=", 1) for word in words)
    out, table = Path(asked["out"]), ["", f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}"]
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    for name in FIRST:
        importlib.import_module(name)
    for package in asked["package"].split(","):
        found = tried(package, int(asked["mutants"]), int(asked["seed"]), out)
        for mutant, end in found:
            if end in ("survived", "not run"):
                change = f"    - {mutant.before}\n    + {mutant.after}"
                print(f"{mutant.file}:{mutant.line} {end}\n{change}")
        ends = Counter(end for _, end in found)
        counts = [ends[end] for end in ("killed", "timed out", "survived", "not run")]
        table.append(f"| {package} | {len(found)} | {' | '.join(map(str, counts))} |")
    print("\n".join(table))
    return 0


def files_of(package: str) -> list[Path]:
    """The sources of a package that are changed."""
    return sorted(file for pattern in FILES[package].split() for file in (ROOT / "goracs").glob(pattern))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
