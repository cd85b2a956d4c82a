"""The text of an example: what the LLM reads before it answers, and what the encoder embeds.

Template   a string with {instruction} and {input}, or the word `chat`: the backbone's own chat template, with
           both as the user's message. The answer follows the prompt directly (`goracs.data.tokens`), so one
           prompt serves training and inference.
Dialogue   of an example with `system` and `turns`: `chat` gets them as messages. Another template is preceded
           by the system text and by each query, framed as an instruction without input, with its response; an
           empty line stands behind each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from goracs.data.tasks import Task, as_examples
from goracs.types import Example, GoracsError, InvalidInput

CHAT = "chat"
Turns = Sequence[tuple[str, str]]


def prompt(example: Example, template: str, tokenizer: Any) -> str:
    """The template filled with the example's instruction and input: the text before the answer.

    Raises:
        InvalidInput, GoracsError: as `framed`.
    """
    return framed(
        example.instruction, example.input, template, tokenizer, system=example.system, turns=example.turns
    )


def framed(instruction: str, input_: str, template: str, tokenizer: Any, *, system: str, turns: Turns) -> str:
    """The template filled with an instruction and an input, behind a system text and turns of a dialogue.

    Raises:
        InvalidInput: the template lacks {instruction} or {input}, or has another placeholder.
        GoracsError: the chat template of a tokenizer that has none, or that refuses the dialogue.
    """
    if template == CHAT:
        return _chat(instruction, input_, tokenizer, system, turns)
    if "{instruction}" not in template or "{input}" not in template:
        raise InvalidInput(
            f"task.template must hold {{instruction}} and {{input}}, or be the word chat; got {template!r}."
        )
    try:
        return "".join(
            [
                *(f"{text}\n\n" for text in filter(None, [system])),
                *(f"{template.format(instruction=query, input='')}{answer}\n\n" for query, answer in turns),
                template.format(instruction=instruction, input=input_),
            ]
        )
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
    """System text and turns, if any, instruction, input and, if `embed_output`, output: what is embedded."""
    before = [example.system] if example.system else []
    before += [text for turn in example.turns for text in turn]
    parts = [*before, example.instruction, example.input]
    return "\n".join([*parts, example.output] if embed_output else parts)


def embedding_texts(blocks: Iterable[Sequence[Example]], embed_output: bool) -> Iterator[list[str]]:
    """What is embedded of examples, a block at a time."""
    return ([embedding_text(example, embed_output) for example in examples] for examples in blocks)


def _chat(instruction: str, input_: str, tokenizer: Any, system: str, turns: Turns) -> str:
    if not getattr(tokenizer, "chat_template", None):
        raise GoracsError(
            "task.template=chat needs a backbone with a chat template, and this one has none: take an "
            "instruct model, or a template of your own with {instruction} and {input}."
        )
    messages = [{"role": "system", "content": system}] if system else []
    for query, response in turns:
        messages += [{"role": "user", "content": query}, {"role": "assistant", "content": response}]
    message = "\n\n".join(filter(None, (instruction, input_)))
    messages.append({"role": "user", "content": message})
    return _templated(messages, tokenizer)


def _templated(messages: Sequence[Mapping[str, str]], tokenizer: Any) -> str:
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise GoracsError(
            f"the chat template of this backbone refuses a prompt of the roles {roles} ({error}): take "
            "another backbone, or a task.template of your own with {instruction} and {input}."
        ) from error
    return text
