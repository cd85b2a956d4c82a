"""All that a run on the tiny backbone imports, so that processes that fork from here have paid for it.

Nothing is computed: threads that a library starts at work would be missing in a fork.
"""

import ot  # noqa: F401
import polars  # noqa: F401
import transformers.models.llama.modeling_llama
import transformers.models.llama.tokenization_llama  # noqa: F401
from hydra.core.plugins import Plugins

from goracs import cli, pipeline  # noqa: F401
from goracs.commands import run  # noqa: F401
from goracs.llm import (  # noqa: F401
    embedding,
    evaluation,
    finetune,
    gradient,
    loggers,
    resume,
    rows,
    selection,
    starter,
)
from goracs.search import itra  # noqa: F401

Plugins.instance()  # Hydra's, found by looking through all packages
