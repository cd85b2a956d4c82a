"""The text of an example: what the LLM reads before it answers, and what the encoder embeds.

Template   a string with {instruction} and {input}, or the word `chat`: the backbone's own chat template, with
           both as the user's message. The answer follows the prompt directly (`goracs.data.tokens`), so one
           prompt serves training and inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from goracs.data.tasks import Task, as_examples
from goracs.types import Example, GoracsError, InvalidInput

CHAT = "chat"


def prompt(example: Example, template: str, tokenizer: Any) -> str:
    """The template filled with the example's instruction and input: the text before the answer.

    Raises:
        InvalidInput, GoracsError: as `framed`.
    """
    return framed(example.instruction, example.input, template, tokenizer)


def framed(instruction: str, input_: str, template: str, tokenizer: Any) -> str:
    """The template filled with an instruction and an input.

    Raises:
        InvalidInput: the template lacks {instruction} or {input}, or has another placeholder.
        GoracsError: the chat template of a tokenizer that has none.
    """
    if template == CHAT:
        return _chat(instruction, input_, tokenizer)
    if "{instruction}" not in template or "{input}" not in template:
        raise InvalidInput(
            f"task.template must hold {{instruction}} and {{input}}, or be the word chat; got {template!r}."
        )
    try:
        return template.format(instruction=instruction, input=input_)
    except (KeyError, IndexError, ValueError) as error:
        raise InvalidInput(
            f"task.template {template!r} holds something else in braces than {{instruction}} and {{input}} "
            f"({error}); a brace that is meant as text is written twice."
        ) from error


def without_oldest(examples: Sequence[Example], task: Task, titles: pl.DataFrame) -> list[Example]:
    """The examples worded anew, the oldest item of each history left out.

    Args:
        examples: with at least one item in their history.
        task: whose wording it is.
        titles: item, title of every item in them.
    """
    frame = pl.DataFrame(
        {
            "user": [example.user for example in examples],
            "item": [example.item for example in examples],
            "time": [example.time for example in examples],
            "liked": [example.label == 1 for example in examples],
            "history": [example.history[1:] for example in examples],
            "history_liked": [example.history_liked[1:] for example in examples],
        },
        schema_overrides={"history": pl.List(pl.String), "history_liked": pl.List(pl.Boolean)},
    )
    return as_examples(task.examples(frame, titles))


def embedding_text(example: Example, embed_output: bool) -> str:
    """Instruction, input and, if `embed_output`, output, one below the other: what the encoder embeds."""
    parts = [example.instruction, example.input]
    return "\n".join([*parts, example.output] if embed_output else parts)


def _chat(instruction: str, input_: str, tokenizer: Any) -> str:
    if not getattr(tokenizer, "chat_template", None):
        raise GoracsError(
            "task.template=chat needs a backbone with a chat template, and this one has none: take an "
            "instruct model, or a template of your own with {instruction} and {input}."
        )
    message = "\n\n".join(filter(None, (instruction, input_)))
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": message}], tokenize=False, add_generation_prompt=True
    )
    return text
