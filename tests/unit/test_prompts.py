"""The text of an example that is a dialogue: nothing of it is lost, whichever way it is framed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from transformers import AutoTokenizer

from goracs.data.prompts import embedding_text, prompt
from goracs.types import Example, GoracsError

PLAIN = Example("u", "i", 0, None, (), (), "What next?", "A, B", "C")
DIALOGUE = replace(PLAIN, system="Be brief.", turns=(("Hello", "Hi"), ("Who?", "Me {x}")))
TEMPLATE = "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
CHAT = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHAT
)


@pytest.fixture(scope="module")
def tokenizer(tiny_weights: Any) -> Any:
    return AutoTokenizer.from_pretrained(tiny_weights)


def test_a_chat_template_gets_system_and_turns_as_messages(tokenizer: Any) -> None:
    tokenizer.chat_template = CHAT
    assert prompt(DIALOGUE, "chat", tokenizer) == (
        "<system>Be brief.<user>Hello<assistant>Hi<user>Who?<assistant>Me {x}"
        "<user>What next?\n\nA, B<assistant>"
    )
    assert prompt(PLAIN, "chat", tokenizer) == "<user>What next?\n\nA, B<assistant>"


def test_a_template_is_preceded_by_the_dialogue(tokenizer: Any) -> None:
    def framed(instruction: str, given: str) -> str:
        return TEMPLATE.replace("{instruction}", instruction).replace("{input}", given)

    asked = framed("What next?", "A, B")
    assert prompt(PLAIN, TEMPLATE, tokenizer) == asked
    assert prompt(DIALOGUE, TEMPLATE, tokenizer) == (
        f"Be brief.\n\n{framed('Hello', '')}Hi\n\n{framed('Who?', '')}Me {{x}}\n\n{asked}"
    )


def test_a_chat_template_without_a_system_role_is_told(tokenizer: Any) -> None:
    tokenizer.chat_template = NO_SYSTEM
    assert prompt(PLAIN, "chat", tokenizer).startswith("<user>")
    with pytest.raises(GoracsError, match=r"refuses a prompt of the roles system, user, .*no system role"):
        prompt(DIALOGUE, "chat", tokenizer)


def test_every_text_of_a_dialogue_is_embedded() -> None:
    assert embedding_text(PLAIN, embed_output=True) == "What next?\nA, B\nC"
    said = "Be brief.\nHello\nHi\nWho?\nMe {x}\nWhat next?\nA, B"
    assert embedding_text(DIALOGUE, embed_output=False) == said
