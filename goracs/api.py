"""The public door to selection: plain arrays in, a coreset out, without Hydra's command line.

Defaults   those of conf/selector/<name>.yaml, overridden by keyword; only the seed has a default here.
Not here   judging a coreset (`goracs.selection.figures.assess`), the stages of a run (`goracs.pipeline`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from goracs.config import conf_dir
from goracs.selection import by_class
from goracs.types import Coreset, InvalidInput, SelectionProblem, Selector, resolve_budget

if TYPE_CHECKING:
    from omegaconf import DictConfig


def select(
    problem: SelectionProblem, budget: float | str, selector: str, seed: int = 0, **overrides: Any
) -> Coreset:
    """The coreset that a named method chooses.

    Args:
        problem: pool and validation set as arrays.
        budget: a whole number of rows, a share of the pool in (0, 1), or "all".
        selector: a file name of conf/selector, such as "goracs" or "random".
        seed: a whole number >= 0; a method that draws nothing ignores it.
        **overrides: fields of that selector, such as lam=0.1 or by_class=True.

    Returns:
        Exactly as many distinct rows as the budget, with the method's report and trace.

    Raises:
        InvalidInput: an unknown selector or field (the known ones are named), a budget outside 1..N,
            a negative seed, or what the method itself refuses.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InvalidInput(f"seed must be a whole number >= 0, got {seed!r}.")
    method = build(selector, overrides)
    return by_class.select(method, problem, resolve_budget(budget, problem.pool_size), int(seed))


def build(selector: str, overrides: dict[str, Any]) -> Selector:
    """The selector of that name, its fields from its YAML file but for the overrides.

    Raises:
        InvalidInput: an unknown selector or field.
    """
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    node = _node(selector)
    fields = sorted(set(node) - {"_target_"})
    unknown = sorted(set(overrides) - set(fields))
    if unknown:
        raise InvalidInput(
            f"selector {selector} has no {', '.join(unknown)}; its fields: {', '.join(fields)}."
        )
    plain = {
        name: value.item() if isinstance(value, np.generic) else value for name, value in overrides.items()
    }
    built: Selector = instantiate(OmegaConf.merge(node, plain))
    return built


def _node(selector: str) -> DictConfig:
    from omegaconf import DictConfig, OmegaConf

    known = {path.stem: path for path in sorted((conf_dir() / "selector").glob("*.yaml"))}
    if selector not in known:
        raise InvalidInput(f"there is no selector {selector!r}; the selectors: {', '.join(known)}.")
    node = OmegaConf.load(known[selector])
    assert isinstance(node, DictConfig)
    return node
