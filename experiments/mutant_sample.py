"""Where a package can be changed a little, and a random sample of such changes (for `experiments.mutants`).

A place is where an operator of cosmic-ray applies: not in annotations, and in kernels only if asked for.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
FILES = {  # of a package, those that are changed: all but of llm, where it is adapters, losses and gradients
    "ot": "ot/*.py",
    "search": "search/*.py",
    "selection": "selection/*.py",
    "evaluation": "evaluation/*.py",
    "store": "store.py store_lock.py",
    "data": "data/*.py data/readers/*.py",
    "llm": "llm/adam.py llm/adapter.py llm/blocked.py llm/chances.py llm/course.py llm/diverged.py "
    "llm/early_stop.py llm/finetune.py llm/finetune_module.py llm/gradient.py llm/losses.py llm/merge.py "
    "llm/output_layer.py llm/saved_adapter.py llm/schedule.py llm/targets.py",
    "stages": "stages/*.py",
    "kernels": "ot/*.py search/*.py",
}
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

    draw, kernels, files = np.random.default_rng(seed), package == "kernels", below("goracs", FILES[package])
    every = [(file, *spot) for file in files for spot in sorted(places(file, kernels).items())]
    print(f"{package}: {len(every)} places in {len({file for file, *_ in every})} files")
    for at in draw.permutation(len(every)):
        file, (line, _), ways = every[at]
        name, occurrence = ways[int(draw.integers(len(ways)))]
        source = file.read_text()
        try:
            text = mutate_code(source, get_operator(name)(), occurrence)
        except AttributeError:  # cosmic-ray's own, of `except module.Error`
            continue
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


def below(folder: str, patterns: str, ending: str = "") -> list[Path]:
    """The files below a folder of the repository that patterns name."""
    return sorted(file for pattern in patterns.split() for file in (ROOT / folder).glob(pattern + ending))
