"""The public door to selection: plain arrays in, a coreset out, without Hydra's command line.

Defaults   those of conf/selector/<name>.yaml, overridden by keyword; only the seed has a default here.
Not here   judging a coreset (`goracs.selection.figures.assess`), the stages of a run (`goracs.pipeline`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from goracs import config
from goracs.cluster.joined import joined
from goracs.cluster.settings import Cluster, refuse
from goracs.selection import by_class
from goracs.types import Coreset, InvalidInput, SelectionProblem, Selector, resolve_budget

if TYPE_CHECKING:
    from omegaconf import DictConfig


def select(
    problem: SelectionProblem,
    budget: float | str,
    selector: str,
    seed: int = 0,
    cluster: str | Mapping[str, Any] = "local",
    **overrides: Any,
) -> Coreset:
    """The coreset that a named method chooses.

    Args:
        problem: pool and validation set as arrays.
        budget: a whole number of rows, a share of the pool in (0, 1), or "all".
        selector: a file name of conf/selector, such as "goracs" or "random".
        seed: a whole number >= 0; a method that draws nothing ignores it.
        cluster: a file name of conf/cluster, "local" or "ray", or those fields of ray that differ, as in
            {"workers": 8, "address": "auto"}: who makes the passes over a large pool, for the same coreset.
        **overrides: fields of that selector, such as lam=0.1 or by_class=True.

    Returns:
        Exactly as many distinct rows as the budget, with the method's report and trace.

    Raises:
        InvalidInput: an unknown selector, cluster or field (the known ones are named), a budget outside 1..N,
            a negative seed, a method that does not work on a cluster, or what the method itself refuses.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InvalidInput(f"seed must be a whole number >= 0, got {seed!r}.")
    method, size = build(selector, overrides), resolve_budget(budget, problem.pool_size)
    where = _cluster(cluster)
    refuse(where, method, selector)
    with joined(where, Path(tempfile.gettempdir())) as spread:
        given = problem if spread is None else replace(problem, spread=spread)
        return by_class.select(method, given, size, int(seed))


def build(selector: str, overrides: dict[str, Any]) -> Selector:
    """The selector of that name, its fields from its YAML file but for the overrides.

    Raises:
        InvalidInput: an unknown selector or field, or a value that its field does not take.
    """
    built: Selector = _built("selector", selector, overrides)
    return built


def _cluster(asked: str | Mapping[str, Any]) -> Cluster:
    if not isinstance(asked, str | Mapping):
        raise InvalidInput(f"cluster must be a name or fields of ray, got {asked!r}.")
    name, overrides = (asked, {}) if isinstance(asked, str) else ("ray", asked)
    cluster: Cluster = _built("cluster", name, overrides)
    return cluster


def _built(group: str, name: str, overrides: Mapping[str, Any]) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    node = _node(group, name)
    fields = sorted(set(node) - {"_target_"})
    unknown = sorted(map(str, set(overrides) - set(fields)))
    if unknown:
        raise InvalidInput(f"{group} {name} has no {', '.join(unknown)}; its fields: {', '.join(fields)}.")
    plain = {
        field: value.item() if isinstance(value, np.generic) else value for field, value in overrides.items()
    }
    try:
        return config.build(OmegaConf.create({group: OmegaConf.merge(node, plain)}))[group]
    except OmegaConfBaseException as error:
        why = str(error).partition("\n")[0]
        raise InvalidInput(f"{group} {name} takes plain values, got {plain}: {why}.") from error


def _node(group: str, name: str) -> DictConfig:
    known = {path.stem: path for path in sorted((config.conf_dir() / group).glob("*.yaml"))}
    if not isinstance(name, str) or name not in known:
        raise InvalidInput(f"there is no {group} {name!r}; the {group}s: {', '.join(known)}.")
    return _read(known[name], known[name].stat().st_mtime_ns)


@cache  # reading takes longer than a small selection
def _read(file: Path, changed: int) -> DictConfig:  # noqa: ARG001
    from omegaconf import DictConfig, OmegaConf

    node = OmegaConf.load(file)
    assert isinstance(node, DictConfig)
    return node
