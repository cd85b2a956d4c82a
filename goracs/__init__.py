"""Coreset selection for fine-tuning LLM recommenders by exact optimal transport (GORACS, KDD 2025).

Symbols   N = pool, m = validation (the target), n = budget.
Door      problem = SelectionProblem(features=X, target_features=V, scores={"gradient_norm": g})
          coreset = select(problem, 64, "goracs", lam=0.1); coreset.indices, coreset.report
          assess(problem, coreset.indices, lam=0.1) judges any coreset by the same figures
          certify(problem, coreset.indices, lam=0.1) adds how far from the best it can be
Weight    importing this imports neither torch nor POT nor Hydra: each comes with the call that needs it.
"""

from importlib.metadata import version

from goracs.api import select
from goracs.selection.certificate import certify
from goracs.selection.figures import assess
from goracs.types import Coreset, GoracsError, SelectionProblem

__version__ = version("goracs")
__all__ = ["Coreset", "GoracsError", "SelectionProblem", "__version__", "assess", "certify", "select"]
