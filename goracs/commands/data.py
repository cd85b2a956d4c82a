"""The word `data`: the card of a data set, without running anything but its preparation.

    goracs data dataset=movielens_small                   as text
    goracs data dataset=movielens_small output=json       as JSON
    goracs data dataset=movielens_small output=card.png   as pictures

The other words are those of a run, --config-dir=FOLDER among them: the same artifact serves it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from goracs import mistakes
from goracs.config import build, composed, refuse_unreadable, store_root
from goracs.harmless import shown
from goracs.report.card import card, render, token_counts
from goracs.report.card_plot import FORMATS, draw
from goracs.stages import prepare
from goracs.stages import weights as weights_stage
from goracs.store import Stage, Store
from goracs.types import GoracsError, InvalidInput

NEEDED = ("dataset", "split", "task", "backbone")
OUTPUT = "output="


def run(words: Sequence[str]) -> int:
    """Print the card that the words ask for, or write its pictures; the exit code."""
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return 0
    outputs = [word for word in words if word.startswith(OUTPUT)]
    overrides = [word for word in words if not word.startswith(OUTPUT)]
    try:
        _tell(_unquoted((outputs or ["output=text"])[-1]), composed(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        print(f"error: {mistakes.told(error)}", file=sys.stderr)
        return 1
    except (GoracsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _unquoted(word: str) -> str:
    """The value of an override; where it begins with a quote, as Hydra reads it.

    Raises:
        InvalidInput: quotes that Hydra cannot read.
    """
    value = word.removeprefix(OUTPUT)
    if not value.startswith(('"', "'")):
        return value
    refuse_unreadable([word], [])
    return str(OverridesParser.create().parse_override(word).value())


def _tell(output: str, config: DictConfig) -> None:
    picture = Path(output) if output.endswith(FORMATS) else None
    if picture is None and output not in ("text", "json"):
        raise InvalidInput(
            f"output must be text, json, or a file that ends in {', '.join(FORMATS)}; got {output!r}."
        )
    made = build(OmegaConf.masked_copy(config, list(NEEDED)))
    store = Store(store_root(config))
    folder = store.get(prepare.stage(made["dataset"], made["split"], made["task"])).path
    if picture:
        draw(folder, picture)
        print(picture)
        return
    found = card(folder)
    tokens, why = _tokens(folder, made, store)
    for part, counts in tokens.items():
        found[part]["tokens"] = counts
    if output == "json":
        print(json.dumps(found, indent=1))
    else:
        print(shown("\n".join(filter(None, (render(made["dataset"].name, found), why)))))


def _tokens(folder: Path, made: dict[str, Any], store: Store) -> tuple[dict[str, Any], str]:
    """Token counts by part, or none and the reason: a card does not need a backbone."""
    from goracs.llm import weights
    from goracs.llm.backbone import load_tokenizer

    backbone = made["backbone"]
    tiny = weights_stage.stage("tiny") if backbone.model == "tiny" else None
    source = store.get(tiny) if isinstance(tiny, Stage) else weights.at_hand(backbone.model)
    if source is None:
        return {}, f"tokens were not counted: backbone {backbone.name} is not on this machine"
    tokenizer = load_tokenizer(source.path, backbone.trust_remote_code)
    return token_counts(folder, made["task"], tokenizer, backbone.max_length), ""
