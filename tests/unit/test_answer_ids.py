"""Answers follow prompts as every family of tokenizer has them in context, without a space of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaTokenizerFast, PreTrainedTokenizerFast

from goracs.data.prompts import prompt
from goracs.data.tokens import Encoded, answer_ids, answer_tokens, tokenized
from goracs.llm.losses import AnswerLoss, loss_of, read
from goracs.types import Example, GoracsError
from tests.unit.test_tokens import task_of

TITLES = ("Toy Story (1995)", "Heat", '"Great Performances" Cats (1998)', "Amélie", "2001: A Space Odyssey")
WORDS = "Instruction Input Response Which movie comes next Answer Yes or No Liked Disliked none system user"
TEXTS = [f'{title} "{title}" Yes No {WORDS} : . ### "Yes" "No" assistant' for title in TITLES] * 20
LINES = "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
TEMPLATES = {
    "lines": LINES,
    "colon": "{instruction} {input} Answer:",
    "space": "{instruction} {input} Answer: ",
    "word": "{instruction} {input} Answer",
    "input": "{instruction}\n{input}",
    "chat": "chat",
}
CHAT = "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}{% endfor %}{{ '<s>assistant\n' }}"
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
QUIET: dict[str, Any] = {"show_progress": False}


def wrapped(made: Tokenizer, front: str = "", end: str = "") -> Any:
    """As transformers has it, with marks around every text."""
    single = " ".join(filter(None, (front, "$A", end)))
    marks = [(mark, made.token_to_id(mark)) for mark in (front, end) if mark]
    made.post_processor = processors.TemplateProcessing(single=single, special_tokens=marks)
    found = PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    found.chat_template = CHAT
    return found


def byte_bpe(splitter: Any, front: str = "") -> Any:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = splitter, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=900, special_tokens=SPECIAL, initial_alphabet=alphabet, **QUIET)
    )
    return wrapped(made, front)


def llama_3() -> Any:
    """Splits digits and whole runs of line breaks, as its published rule does."""
    rule = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    return byte_bpe(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(rule), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        "<s>",
    )


def pieces() -> tuple[dict[str, int], list[Any]]:
    """A SentencePiece-like vocabulary with bytes for what it lacks, the line break above all."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=900, special_tokens=[*SPECIAL, *BYTES], **QUIET)
    )
    model = json.loads(made.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def llama(legacy: bool) -> Any:
    vocab, merges = pieces()
    found = LlamaTokenizerFast(vocab=vocab, merges=merges, legacy=legacy)
    found.chat_template, found.pad_token = CHAT, "</s>"
    return found


def sentencepiece_bpe(prepended: bool) -> Any:
    """The form of most tokenizer.json files: spaces become a letter, and one goes in front (Gemma: none)."""
    vocab, merges = pieces()
    made = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.add_special_tokens(SPECIAL)
    front = [normalizers.Prepend("▁")] if prepended else []
    made.normalizer = normalizers.Sequence([*front, normalizers.Replace(" ", "▁")])
    back = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*back, *([decoders.Strip(" ", 1, 0)] if prepended else [])])
    return wrapped(made, "<s>")


def unigram(scheme: Any) -> Any:
    made = pieces_by_chance(pre_tokenizers.Metaspace(prepend_scheme=scheme))
    made.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return wrapped(made, "<s>")


def t5() -> Any:
    """White space of any kind is one space, an end mark stands behind every text."""
    splitter = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    made = pieces_by_chance(pre_tokenizers.Sequence(splitter))
    made.decoder = decoders.Metaspace()
    return wrapped(made, end="</s>")


def pieces_by_chance(splitter: Any) -> Tokenizer:
    """A Unigram tokenizer in whose vocabulary the answers are, with a space and without."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = splitter
    options: dict[str, Any] = {"vocab_size": 400, "special_tokens": SPECIAL, "unk_token": "<unk>", **QUIET}
    trained.train_from_iterator([*TEXTS, "\n"], trainers.UnigramTrainer(**options))
    vocabulary = dict(json.loads(trained.to_str())["model"]["vocab"])
    vocabulary |= dict.fromkeys(("▁Yes", "▁No", "Yes", "No"), -1.0)
    made = Tokenizer(models.Unigram(list(vocabulary.items()), unk_id=0))
    made.add_special_tokens(SPECIAL)
    made.pre_tokenizer = splitter
    return made


def bert() -> Any:
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer, made.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    made.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=600, special_tokens=SPECIAL, **QUIET)
    )
    return wrapped(made, "<s>", "</s>")


FAMILIES: dict[str, Callable[[], Any]] = {
    "byte-BPE": lambda: byte_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "byte-BPE with a space in front": lambda: byte_bpe(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "byte-BPE of LLaMA-3": llama_3,
    "SentencePiece BPE, legacy": lambda: llama(True),
    "SentencePiece BPE": lambda: llama(False),
    "SentencePiece BPE, normalised": lambda: sentencepiece_bpe(True),
    "SentencePiece BPE of Gemma": lambda: sentencepiece_bpe(False),
    "Unigram, a space first": lambda: unigram("first"),
    "Unigram, always a space": lambda: unigram("always"),
    "Unigram, no space": lambda: unigram("never"),
    "Unigram of T5": t5,
    "WordPiece": bert,
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param, FAMILIES[request.param]()


def asked(output: str, title: str = "Heat") -> Example:
    words = ("Which movie comes next?", f'Liked: "{title}"\nNext movie: "{title}"', output)
    return Example("u", "i", 0, 1, (), (), *words)


OUTPUTS = ("Yes", "No", *(f'"{title}"' for title in TITLES))


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_asked_is_the_beginning_of_what_is_trained_on(family: tuple[str, Any], template: str) -> None:
    """And the Yes and No of the loss are the tokens that follow every prompt."""
    _, tokenizer = family
    ctr, seq = (task_of(name, template=TEMPLATES[template]) for name in ("ctr", "seqrec"))
    loss = loss_of(ctr, tokenizer)
    assert isinstance(loss, AnswerLoss)
    for title in TITLES:
        examples = [asked(output, title) for output in OUTPUTS]
        encoded = tokenized(examples, TEMPLATES[template], tokenizer)
        questions, trained = (read(encoded, examples, task, tokenizer) for task in (ctr, seq))
        for question, start, answer in zip(questions.prompts, trained.prompts, trained.answers, strict=True):
            assert (start + answer)[: len(question)] == question == encoded[0].prompt
        ids = (loss.yes_id, loss.no_id)
        assert [text.answer for text in encoded[:2]] == [(id_, tokenizer.eos_token_id) for id_ in ids]
        for words in ("answer", "all"):
            spelled = read(encoded[:2], examples[:2], replace(ctr, loss=words), tokenizer)
            assert list(spelled.answers) == [(id_,) for id_ in ids]


def in_context(text: str, prompt_ids: tuple[int, ...], tokenizer: Any, chat: bool) -> tuple[int, ...] | None:
    """What follows the prompt where the tokenizer reads all of it; None where it merges across the border."""
    ids = tuple(tokenizer(text, add_special_tokens=not chat).input_ids)
    return ids[len(prompt_ids) :] if ids[: len(prompt_ids)] == prompt_ids else None


@pytest.mark.parametrize("template", ["lines", "colon", "chat"])
def test_answers_are_tokenised_as_the_whole_text_is(family: tuple[str, Any], template: str) -> None:
    name, tokenizer = family
    for title in TITLES:
        examples = [asked(output, title) for output in OUTPUTS]
        for example, ids in zip(examples, tokenized(examples, TEMPLATES[template], tokenizer), strict=True):
            text = prompt(example, TEMPLATES[template], tokenizer) + example.output
            wanted = in_context(text, ids.prompt, tokenizer, template == "chat")
            if wanted is not None:
                ends = (2,) if wanted[-1] != tokenizer.eos_token_id else ()
                assert ids.answer == (*wanted, *ends), tokenizer.convert_ids_to_tokens(ids.answer)
            else:
                assert ":" in TEMPLATES[template][-1], (name, text)  # `:"` may be one token


@pytest.mark.parametrize("template", TEMPLATES)
def test_an_answer_gets_no_space_of_its_own(family: tuple[str, Any], template: str) -> None:
    """What is trained on says prompt and answer, whatever is merged across the border."""
    name, tokenizer = family
    if (name, template) == ("WordPiece", "word"):
        pytest.skip("two words glued together are unknown to it")
    for example in [asked(output, title) for output in OUTPUTS for title in TITLES]:
        (ids,) = tokenized([example], TEMPLATES[template], tokenizer)
        text = prompt(example, TEMPLATES[template], tokenizer) + example.output
        said = tokenizer.decode([*ids.prompt, *ids.answer[:-1]])
        wanted = tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids)
        assert said.removeprefix("<s>").lstrip() == wanted.removeprefix("<s>").lstrip()


@pytest.mark.parametrize("name", [name for name in FAMILIES if name.startswith("SentencePiece")])
def test_yes_after_a_line_break_is_the_token_without_a_space(name: str) -> None:
    """The ids of the paper."""
    tokenizer = FAMILIES[name]()
    (ids,) = tokenized([asked("Yes")], LINES, tokenizer)
    assert tokenizer.convert_ids_to_tokens([*ids.prompt, *ids.answer])[-3:] == ["<0x0A>", "Yes", "</s>"]
    pair = answer_tokens("No", "Yes", LINES, tokenizer)
    assert tokenizer.convert_ids_to_tokens(pair) == ["No", "Yes"]


class Merging:
    """A tokenizer of letters, and of the given pairs of letters wherever they meet."""

    eos_token_id, chat_template = 2, None

    def __init__(self, *pairs: str) -> None:
        self.pairs = pairs

    def __call__(self, texts: list[str], add_special_tokens: bool = True) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[[1] * add_special_tokens + self.ids(text) for text in texts])

    def ids(self, text: str) -> list[int]:
        place, ids = 0, []
        while place < len(text):
            size = 2 if text[place : place + 2] in self.pairs else 1
            ids.append(sum(ord(letter) << 20 * at for at, letter in enumerate(text[place : place + size])))
            place += size
        return ids if text != "Yes" else [7, *ids]  # alone it has a space in front


@pytest.mark.parametrize(
    ("pairs", "ids"),
    [
        (("xY",), "Yes"),
        ((":Y",), "Yes"),
        ((":Y", "\nY"), "Yes"),
        ((":Y", "\nY", ".Y"), "Yes"),
        ((":Y", "\nY", ".Y", "aY"), None),
    ],
    ids=["not across the border", "a line break", "a full stop", "a letter", "alone"],
)
def test_what_is_merged_across_the_border_follows_the_first_neighbour_left_whole(
    pairs: tuple[str, ...], ids: str | None
) -> None:
    tokenizer = Merging(*pairs)
    wanted = tuple(map(ord, "Yes")) if ids else (7, *map(ord, "Yes"))
    assert answer_ids(["Yes"], "{instruction}{input}:", tokenizer) == {"Yes": wanted}


def test_a_neighbour_that_the_tokenizer_drops_is_none() -> None:
    """After a line break that leaves no token, an answer would be tokenised alone."""

    class Dropping(Merging):
        def ids(self, text: str) -> list[int]:
            return super().ids(text.lstrip("\n"))

    assert answer_ids(["Yes"], "{instruction}{input}:", Dropping(":Y")) == {"Yes": tuple(map(ord, "Yes"))}


def test_a_mark_behind_every_text_does_not_end_a_prompt() -> None:
    tokenizer = FAMILIES["WordPiece"]()
    (ids,) = tokenized([asked("Yes")], LINES, tokenizer)
    assert ids == Encoded(
        (1, *tokenizer(prompt(asked("Yes"), LINES, tokenizer), add_special_tokens=False).input_ids),
        (tokenizer.convert_tokens_to_ids("Yes"), 2),
    )


def test_a_tokenizer_without_an_end_mark_is_refused() -> None:
    tokenizer = FAMILIES["byte-BPE"]()
    tokenizer.eos_token = None
    with pytest.raises(GoracsError, match="has no end token"):
        tokenized([replace(asked("Yes"), label=None)], LINES, tokenizer)


def test_a_tokenizer_whose_marks_change_the_text_is_refused_in_words() -> None:
    class Odd:
        eos_token_id = 1

        def __call__(self, texts: list[str], add_special_tokens: bool = True) -> Any:
            ids = [[9, 8] if add_special_tokens else [5] for _ in texts]
            return type("Found", (), {"input_ids": ids})

    with pytest.raises(GoracsError, match="writes a text otherwise beside its own marks"):
        tokenized([], "{instruction} {input}", Odd())
