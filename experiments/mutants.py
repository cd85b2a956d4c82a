"""Would the tests notice? Small changes of the code, one at a time, each given to the tests that run it.

`python -m experiments.mutants package=ot [mutants=50] [seed=0] [out=/tmp/mutants]` needs the extra `mutants`.
It runs the package's tests once under coverage.py, then a sample of mutants, and prints those that survived
and a line of a table; package=ot,search for several. `out` keeps what was tried: the same command goes on.

Mutant    one change by an operator of cosmic-ray, at a place drawn without replacement from all places of the
          package's `FILES` where one applies (annotations left out), the operator drawn among those there.
Tests     of a mutant are those of `TESTS` that run its line, the quickest first, up to `MOST` times the
          longest in all; of a line that is run on import those that run anything of its file. One that takes
          `LONGEST` is left out. Laws have `EXAMPLES` examples, one seed, and no search for a smaller one.
Killed    a test fails; timed out: `SLACK` and `PATIENCE` times the tests' own seconds are over.
Within    a function that is not called on import, a mutant is its code, exchanged in a process that has all
          imported: much is tried in little time. A test that fails must pass again once the code is back; one
          that does not is "unclear".
Kernels   are a package of their own, run as plain Python: in compiled code a mutant would be the old one.
          That is slow, so of a test's parameters `CASES` are tried, evenly from the first to the last.
"""

from __future__ import annotations

import ast
import gc
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import hypothesis
import numba

from experiments.mutant_sample import ROOT, Mutant, below, sample

TESTS = {  # files below tests/ that run them
    "ot": "laws/test_bound_laws laws/test_odd_problems unit/test_by_class unit/test_cost unit/test_exact "
    "unit/test_figures unit/test_incremental unit/test_lagrangian unit/test_lots unit/test_neighbours "
    "unit/test_one_point unit/test_past unit/test_pool unit/test_sums unit/test_trust unit/test_uot",
    "search": "golden/test_goracs_golden unit/test_alternate unit/test_bounds "
    "unit/test_branch unit/test_chains unit/test_exchange unit/test_goracs unit/test_goracs_inner "
    "unit/test_goracs_limits unit/test_greedy unit/test_herding unit/test_lagrangian unit/test_refine "
    "unit/test_starts unit/test_uniprot",
    "selection": "golden/test_ccs_golden golden/test_coresets golden/test_dealrec_golden "
    "golden/test_dynamics_golden golden/test_fdmat_golden golden/test_geometry_golden "
    "golden/test_goracs_golden golden/test_gradients_golden golden/test_kcenter_golden "
    "golden/test_less_golden golden/test_minirec_golden golden/test_tarot_golden unit/test_alignment "
    "unit/test_auto unit/test_by_class unit/test_by_scores unit/test_dynamics unit/test_exchange "
    "unit/test_fdmat unit/test_figures unit/test_geometry_selectors unit/test_goracs_inner "
    "unit/test_goracs_released unit/test_gradient_coresets unit/test_herding unit/test_kmedoids "
    "unit/test_kmm unit/test_minirec unit/test_spot unit/test_tarot unit/test_tsds unit/test_uniprot "
    "unit/test_uot",
    "evaluation": "golden/test_eval_golden laws/test_evaluation_laws unit/test_bootstrap "
    "unit/test_ctr_metrics unit/test_fuzz_calls unit/test_grounding unit/test_head unit/test_ranking "
    "unit/test_written",
    "store": "unit/test_room unit/test_signals unit/test_store",
    "data": "golden/test_data_golden laws/test_data_laws unit/test_alpaca unit/test_amazon "
    "unit/test_candidates unit/test_ending unit/test_events unit/test_files "
    "unit/test_filters unit/test_fits unit/test_movielens unit/test_names unit/test_numbers "
    "unit/test_parts unit/test_popularity unit/test_prepare unit/test_prompts unit/test_raw unit/test_remote "
    "unit/test_samples unit/test_sequences unit/test_splits unit/test_statistics unit/test_tables "
    "unit/test_tasks unit/test_ties unit/test_tokens",
    "llm": "golden/test_less_golden unit/test_adam unit/test_adapter unit/test_answer_ids unit/test_blocked "
    "unit/test_chances unit/test_early_stop unit/test_finetune unit/test_gradient unit/test_losses "
    "unit/test_ranks unit/test_resume unit/test_security unit/test_targets",
    "stages": "pipeline/test_influence_road unit/test_assess_stage unit/test_passes unit/test_states",
    "kernels": "unit/test_alternate unit/test_bounds unit/test_branch unit/test_cost unit/test_exact "
    "unit/test_exchange unit/test_greedy unit/test_incremental unit/test_lagrangian unit/test_neighbours "
    "unit/test_pool unit/test_refine unit/test_starts unit/test_sums",
}
FIRST = ("numba", "scipy.optimize", "scipy.spatial", "polars", "pytest")  # imported once for all
LARGE = {"llm": ("torch", "peft", "transformers"), "stages": ("torch",)}  # and for these packages
HEAD = ("package", "mutants", "killed", "timed out", "survived", "run by no test")
SLACK, PATIENCE = 10.0, 4.0
EXAMPLES = 10  # of a law
CASES = 8  # of a test of kernels with parameters
UNCLEAR = 33  # exit status
LONGEST = {"stages": 30, "kernels": 2, "llm": 5, "selection": 5}  # seconds of a test that is tried, else 1
MOST = 10.0  # times that: of tests a mutant


@dataclass(frozen=True)
class Asked:
    """A mutant to be judged: the whole text of its file, the tests that run its line, and their seconds."""

    mutant: Mutant
    text: str
    tests: list[str]
    usual: float


class _Fewer:
    """A pytest plugin: laws with fewer examples; of kernels, at most `CASES` of a test's parameters."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        tests = dict[str, list[Any]]()
        for item in items:
            tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
            law = getattr(item.function, "_hypothesis_internal_use_settings", None)
            if law is not None:
                fewer = hypothesis.settings(law, max_examples=min(law.max_examples, EXAMPLES))
                item.function._hypothesis_internal_use_settings = fewer
        if numba.config.DISABLE_JIT:
            kept = {id(cases[len(cases) * x // CASES]) for cases in tests.values() for x in range(CASES)}
            items[:] = [item for item in items if id(item) in kept]


class _Clock:
    """A pytest plugin: says which test runs, and keeps the seconds of each that passes."""

    def __init__(self, begins: Callable[[str], None], longest: float) -> None:
        self.begins, self.longest = begins, longest
        self.seconds, self.failed = dict[str, float](), list[str]()

    def pytest_runtest_setup(self, item: Any) -> None:
        signal.setitimer(signal.ITIMER_PROF, self.longest, self.longest)
        self.begins(item.nodeid)
        self.start = time.process_time()

    def pytest_runtest_call(self) -> None:
        """Its time counts by itself, and again and again: what a callback raises is lost."""
        signal.setitimer(signal.ITIMER_PROF, self.longest, self.longest)

    def pytest_runtest_logreport(self, report: Any) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.when == "call" and report.passed:
            self.seconds[report.nodeid] = time.process_time() - self.start


def _too_long(*_: Any) -> None:
    raise TimeoutError("longer than a test may be here")


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
        signal.alarm(60 * int(seconds))  # and one that sleeps
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
        clock = _Clock(watch.switch_context, LONGEST.get(package, 1))
        signal.signal(signal.SIGPROF, _too_long)
        watch.start()
        code = _pytest([str(file) for file in below("tests", TESTS[package], ".py")], clock)
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


def tests_of(mutant: Mutant, seconds: dict[str, float], watch: Any, most: float) -> list[str]:
    """The tests that run the mutant's line, the quickest first."""
    by_line = watch.get_data().contexts_by_lineno(str(ROOT / mutant.file))
    names = set(by_line.get(mutant.line, [])) - {""}
    if not names and "" in by_line.get(mutant.line, []):
        names = {name for line in by_line.values() for name in line} - {""}
    found, total = list[str](), 0.0
    for name in sorted(names & set(seconds), key=lambda name: (seconds[name], name)):
        total += seconds[name]
        if total > most and found:
            break
        found.append(name)
    return found


def judged(work: Callable[[], int], usual: float, said: Path) -> str:
    """What becomes of a mutant whose tests work runs: killed, timed out, or survived."""
    status = _forked(work, SLACK + PATIENCE * usual, said)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL):
        return "timed out"
    if os.WEXITSTATUS(status) == UNCLEAR:
        return "unclear"
    return "killed" if status else "survived"


def module_of(file: str) -> str:
    """The name of the module in a file of the repository."""
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def loaded(asked: Asked, kernels: bool) -> int:
    """Run tests with the module imported from another text."""
    numba.config.DISABLE_JIT = kernels
    file = asked.mutant.file
    sys.meta_path.insert(0, _Changed(module_of(file), str(ROOT / file), asked.text))
    return _pytest(asked.tests)


def within(mutant: Mutant, watch: Any) -> bool:
    """Whether the mutant is in the body of a function that nothing calls on import."""
    nodes = ast.walk(ast.parse((ROOT / mutant.file).read_text()))
    bodies = [(n.body[0].lineno, n.end_lineno or 0) for n in nodes if isinstance(n, ast.FunctionDef)]
    on_import = "" in watch.get_data().contexts_by_lineno(str(ROOT / mutant.file)).get(mutant.line, [])
    return any(first <= mutant.line <= last for first, last in bodies) and not on_import


def change(text: str, file: str) -> None:
    """Give the functions of a module the code that they have in another text of it."""
    importlib.import_module(module_of(file))  # perhaps some function would import it only now
    path = str(ROOT / file)
    codes, more = dict[tuple[str, int], CodeType](), [compile(text, path, "exec")]
    while more:
        inner = [const for const in more.pop().co_consts if isinstance(const, CodeType)]
        codes |= {(code.co_qualname, code.co_firstlineno): code for code in inner}
        more += inner
    for function in [each for each in gc.get_objects() if isinstance(each, FunctionType)]:
        old = function.__code__
        if old.co_filename == path:
            function.__code__ = codes.get((old.co_qualname, old.co_firstlineno), old)


class _InTurn:
    """A pytest plugin: in place of a session's tests, those of one mutant after another, a process each."""

    def __init__(self, asked: list[Asked], ends: Callable[[Asked, str], None], said: Path) -> None:
        self.asked, self.ends, self.said = asked, ends, said

    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items}
        for asked in self.asked:
            chosen = [items[name] for name in asked.tests]
            self.ends(asked, judged(lambda: self._run(session, asked, chosen), asked.usual, self.said))  # noqa: B023
        return True

    def _run(self, session: Any, asked: Asked, items: list[Any]) -> int:
        change(asked.text, asked.mutant.file)
        for item, following in zip(items, [*items[1:], None], strict=True):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return self._again(session, asked, item)
        return 0

    def _again(self, session: Any, asked: Asked, item: Any) -> int:
        """1 if a test that failed passes once the code is as it was, else `UNCLEAR`."""
        change((ROOT / asked.mutant.file).read_text(), asked.mutant.file)
        session.testsfailed = 0
        item._initrequest()
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return UNCLEAR if session.testsfailed else 1


def known(kept: Path) -> dict[str, str]:
    """What became of each mutant that was judged before."""
    lines = map(json.loads, kept.read_text().splitlines() if kept.exists() else [])
    return {json.dumps(line["mutant"]): line["end"] for line in lines}


def keep(kept: Path, asked: Asked, end: str) -> None:
    """Note what became of a mutant."""
    with kept.open("a") as file:
        file.write(json.dumps({"mutant": asdict(asked.mutant), "end": end, "tests": asked.tests}) + "\n")


def judge(asked: list[Asked], watch: Any, kept: Path, kernels: bool) -> None:
    """Judge mutants: those within functions in one session, others by a new import each."""
    said, inner = kept.with_suffix(".last"), [one for one in asked if one.tests and within(one.mutant, watch)]
    for one in asked:
        if not one.tests:
            keep(kept, one, "not run")
        elif one not in inner:
            keep(kept, one, judged(partial(loaded, one, kernels), one.usual, said))

    def work() -> int:
        numba.config.DISABLE_JIT = kernels
        files = sorted({name.partition("::")[0] for one in inner for name in one.tests})
        return _pytest(files, _InTurn(inner, partial(keep, kept), said))

    if inner:
        _forked(work, 3600, kept.with_suffix(".turns"))


def tried(package: str, count: int, seed: int, out: Path) -> list[tuple[Mutant, str]]:
    """Mutants of a package, each with what became of it, found or kept."""
    seconds, watch = traced(package, out)
    kept, found, asked = out / f"{package}.jsonl", list(sample(package, count, seed)), list[Asked]()
    for mutant, text in found:
        if json.dumps(asdict(mutant)) not in known(kept):
            tests = tests_of(mutant, seconds, watch, MOST * LONGEST.get(package, 1))
            asked.append(Asked(mutant, text, tests, sum(seconds[name] for name in tests)))
    judge(asked, watch, kept, package == "kernels")
    ends = known(kept)
    return [(mutant, ends[json.dumps(asdict(mutant))]) for mutant, _ in found]


def main(words: list[str]) -> int:
    """Try the mutants of packages, print what survived and the table."""
    asked = {"mutants": "50", "seed": "0", "out": "/tmp/mutants", "package": ",".join(TESTS)}
    asked |= dict(word.split("=", 1) for word in words)
    out, table = Path(asked["out"]), ["", f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}"]
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    packages = asked["package"].split(",")
    for name in (*FIRST, *(name for package in packages for name in LARGE.get(package, ()))):
        importlib.import_module(name)
    for package in packages:
        found = tried(package, int(asked["mutants"]), int(asked["seed"]), out)
        for mutant, end in found:
            if end in ("survived", "not run", "unclear"):
                change = f"    - {mutant.before}\n    + {mutant.after}"
                print(f"{mutant.file}:{mutant.line} {end}\n{change}")
        ends = Counter(end for _, end in found)
        counts = [ends[end] for end in ("killed", "timed out", "survived", "not run")]
        table.append(f"| {package} | {len(found)} | {' | '.join(map(str, counts))} |")
    print("\n".join(table))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
