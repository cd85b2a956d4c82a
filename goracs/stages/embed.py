"""Features from the sentence encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from goracs.cluster.settings import Cluster
from goracs.data.tasks import Task
from goracs.llm.settings import Encoder, Runtime
from goracs.stages.common import SIDES, Source, checkpoint, passed, take_arrays
from goracs.store import Stage

if TYPE_CHECKING:
    from goracs.llm.rows import Pass


def stage(
    prepared: Stage, files: Source, encoder: Encoder, task: Task, runtime: Runtime, cluster: Cluster
) -> Stage:
    """pool_embedding.npy [N, d] and target_embedding.npy [m, d], float32.

    An interrupted run leaves finished batches in a checkpoint; the next one goes on from there.
    """

    def passes(folder: Path, inputs: Mapping[str, Path]) -> Iterator[Pass]:
        from goracs.data.prepare import read_blocks
        from goracs.data.prompts import embedding_texts
        from goracs.llm.embedding import embedding, read

        kept = checkpoint(folder)
        for side, part in SIDES.items():
            blocks = embedding_texts(read_blocks(inputs["prepare"], part), task.embed_output)
            texts = read(blocks, inputs["weights"], encoder, side, kept)
            yield embedding(texts, inputs["weights"], encoder, runtime, kept, side)
        take_arrays(kept, folder)

    params = {
        "max_length": encoder.max_length,
        "batch_tokens": encoder.batch_tokens,
        "embed_output": task.embed_output,
    }
    inputs = {"prepare": prepared, "weights": files}
    return Stage("embed", 1, params, inputs, passed(runtime, cluster, passes))
