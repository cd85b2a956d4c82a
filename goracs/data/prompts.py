"""The text of an example: what the LLM reads at inference, in training, and what the encoder embeds.

Template   a string with {instruction} and {input}; the output follows it directly. So one prompt serves
           training and inference, and is a prefix of the training text.
"""

from __future__ import annotations

from goracs.types import Example, InvalidInput


def prompt(example: Example, template: str) -> str:
    """The template filled with the example's instruction and input: the text before the answer.

    Raises:
        InvalidInput: the template lacks {instruction} or {input}, or has another placeholder.
    """
    if "{instruction}" not in template or "{input}" not in template:
        raise InvalidInput(f"task.template must hold {{instruction}} and {{input}}, got {template!r}.")
    try:
        return template.format(instruction=example.instruction, input=example.input)
    except (KeyError, IndexError, ValueError) as error:
        raise InvalidInput(
            f"task.template {template!r} holds something else in braces than {{instruction}} and {{input}} "
            f"({error}); a brace that is meant as text is written twice."
        ) from error


def text(example: Example, template: str) -> str:
    """The prompt with the output right behind it: the text that is trained on."""
    return prompt(example, template) + example.output


def embedding_text(example: Example, embed_output: bool) -> str:
    """Instruction, input and, if `embed_output`, output, one below the other: what the encoder embeds."""
    parts = [example.instruction, example.input]
    return "\n".join([*parts, example.output] if embed_output else parts)
