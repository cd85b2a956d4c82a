"""Figures of a rule that ranks the SeqRec candidates by the pool alone: no text is read, no LLM is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from goracs.llm.settings import Evaluate
from goracs.stages.common import write_json
from goracs.store import Stage


def stage(prepared: Stage, settings: Evaluate, rule: str) -> Stage:
    """metrics.json of a rule, a function of `goracs.data.popularity`, on the candidates that an LLM ranks."""

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.data import popularity
        from goracs.data.candidates import to_rank
        from goracs.data.prepare import read_catalogue, read_examples, read_seen
        from goracs.evaluation.ranking import ranked_figures

        source = inputs["prepare"]
        pool, catalogue = popularity.read_pool(source), list(read_catalogue(source))
        test, items = to_rank(
            settings.candidates,
            read_examples(source, settings.part),
            read_seen(source),
            catalogue,
            settings.negatives,
            settings.seed,
        )
        distances = getattr(popularity, rule)(test, items, pool)
        figures = ranked_figures(
            distances,
            items,
            [example.user for example in test],
            popularity.popularity(pool),
            catalogue,
            draws=settings.draws,
            seed=settings.seed,
        )
        write_json(folder / "metrics.json", figures.metrics)

    names = ("part", "seed", "candidates", "negatives", "draws")
    params = {"rule": rule, **{name: getattr(settings, name) for name in names}}
    return Stage("item_rule", 1, params, {"prepare": prepared}, build)
