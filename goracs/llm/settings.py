"""What the configuration says about models and their jobs: plain values, no framework imported.

Every field is hashed with the stage that uses it, except those of `Runtime`, which may change how fast a
result comes, never what it is. Defaults live in conf/ alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from goracs.data.candidates import Kind
from goracs.data.numbers import check_whole, is_number
from goracs.types import InvalidInput

# The largest change of a Yes/No margin by batch_tokens alone, with weights as they are and the usual
# attention: docs/method.md, "Precision".
MARGIN_NOISE = {"bf16": 0.1, "float32": 1.3e-5}
MEASURED_ON = "HuggingFaceTB/SmolLM2-135M-Instruct"
KNOWN_BACKBONE: dict[str, tuple[Any, ...]] = {
    "attention": ("auto", "eager", "sdpa", "flash_attention_2"),
    "quantize": (None, "4bit", "8bit"),
    "trust_remote_code": (False, True),
}
AUTO = "auto"
ALL_LINEAR = "all-linear"
ALL = "all"
ACCELERATORS = ("auto", "cpu", "gpu", "mps")
LIVE = "goracs.live"  # the logger of what a training tells while it runs (`goracs.llm.live`)


@dataclass(frozen=True)
class Runtime:
    """Where and how the LLM stages run; not hashed, but for `ranks` where something is trained by several.

    `accelerator` is the Trainer's (auto, cpu, gpu, mps), `devices` how many of it on each of `nodes` machines
    share a stage's work (`goracs.llm.ranks`); `progress` shows bars; `threads` bounds the CPU threads of
    torch (None: its own choice). Every `keep_every` seconds a long stage keeps how far it is: what a killed
    run loses at most, beside the batch or step it was in.
    `gradient_checkpointing`: a training holds the activations within one layer at a time, and computes the
    others again.
    """

    accelerator: str
    nodes: int
    devices: int
    progress: bool
    threads: int | None
    keep_every: float
    gradient_checkpointing: bool

    def __post_init__(self) -> None:
        check_whole("runtime.nodes", self.nodes, 1)
        check_whole("runtime.devices", self.devices, 1)
        if self.threads is not None:
            check_whole("runtime.threads", self.threads, 1)
        if self.accelerator not in ACCELERATORS:
            raise InvalidInput(
                f"runtime.accelerator must be one of {', '.join(ACCELERATORS)}; got {self.accelerator!r}."
            )
        if is_number(self.keep_every) and self.keep_every < 0:
            raise InvalidInput(f"runtime.keep_every must be seconds >= 0, got {self.keep_every!r}.")

    @property
    def ranks(self) -> int:
        """How many processes share a stage's work, a device each."""
        return self.nodes * self.devices


@dataclass(frozen=True)
class Backbone:
    """The LLM: `model` is a name or folder, `precision` auto | bf16 | fp16 | float32, `max_length` in tokens.

    `batch_tokens` bounds the padded tokens of one forward pass. `attention` is transformers' word for how
    attention is computed (auto: its own choice). `quantize` holds the weights of the linears in 4 or 8 bits
    (None: as they are), the output layer left alone; `precision` is then what is computed in. With
    `trust_remote_code` Python code that comes with a model is run.
    """

    name: str
    model: str
    precision: str
    max_length: int
    batch_tokens: int
    attention: str
    quantize: str | None
    trust_remote_code: bool

    def __post_init__(self) -> None:
        for name, known in KNOWN_BACKBONE.items():
            if getattr(self, name) not in known:
                words = ", ".join(json.dumps(one).strip('"') for one in known)
                raise InvalidInput(f"backbone.{name} must be one of {words}; got {getattr(self, name)!r}.")

    @property
    def exactness(self) -> dict[str, Any]:
        """What says how far two runs may differ by rounding alone; `precision` must be resolved.

        A figure that nobody has measured is None.
        """
        usual = self.quantize is None and self.attention in ("auto", "sdpa")
        noise = MARGIN_NOISE.get(self.precision) if usual else None
        return {
            "backbone": self.precision,
            "batch_tokens": self.batch_tokens,
            "attention": self.attention,
            "quantize": self.quantize,
            "margin_noise": noise,
            "measured_on": None if noise is None else MEASURED_ON,
        }


@dataclass(frozen=True)
class Encoder:
    """The sentence encoder: mean-pooled last hidden states of `model`, float32."""

    name: str
    model: str
    max_length: int
    batch_tokens: int


@dataclass(frozen=True)
class Lora:
    """LoRA as peft has it: rank `r`, scaling alpha / r, dropout on its input, the linear layers it adapts.

    `rslora` scales by alpha / sqrt(r) instead; with `dora` the length of each row of the adapted weight is
    trained beside it (`lora_magnitude_vector`). Both may be.
    `targets` is a list of names, "all-linear", or a regular expression for whole names of modules; a plain
    word is the list of that one name (as an expression it would be found nowhere). "auto" is what
    `goracs.llm.targets` chooses for the backbone, and stands here only until it is known.
    """

    r: int
    alpha: int
    dropout: float
    targets: str | tuple[str, ...]
    rslora: bool
    dora: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", _targets(self.targets))
        for name in ("rslora", "dora"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(f"adapter.lora.{name} must be true or false; got {getattr(self, name)!r}.")

        if self.r < 1:
            raise InvalidInput(f"adapter.lora.r must be a whole number >= 1, got {self.r!r}.")
        if not 0 <= self.dropout < 1:
            raise InvalidInput(f"adapter.lora.dropout must be a number in [0, 1), got {self.dropout!r}.")

    def linears(self) -> frozenset[str] | None:
        """The names of the linears, None where only the backbone can tell."""
        if isinstance(self.targets, str):
            return None
        return frozenset(name.rpartition(".")[2] for name in self.targets)


def _targets(given: Any) -> str | tuple[str, ...]:
    if isinstance(given, str) and given.isidentifier() and given != AUTO:
        return (given,)
    if isinstance(given, str):
        try:
            re.compile(given)
        except re.error as error:
            raise InvalidInput(f"adapter.lora.targets={given} is no regular expression: {error}.") from error
        return given
    if not isinstance(given, Sequence) or not given or not all(isinstance(name, str) for name in given):
        raise InvalidInput(
            "adapter.lora.targets must be names of linears, as in [q_proj,v_proj], or all-linear, or auto; "
            f"got {given!r}."
        )
    return tuple(given)


@dataclass(frozen=True)
class Training:
    """AdamW over a budget that is exactly one of epochs, steps, tokens.

    `batch_size` examples make one optimiser step (all of a smaller coreset); the learning rate rises
    linearly over the first `warmup_share` of the steps, then falls linearly to zero. `at` and `examples` are
    what a message calls these settings and what is trained on.
    """

    at: ClassVar[str] = "adapter.training"
    examples: ClassVar[str] = "the warm-up"

    lr: float
    epochs: int | None
    steps: int | None
    tokens: int | None
    batch_size: int
    warmup_share: float
    weight_decay: float
    max_grad_norm: float

    def __post_init__(self) -> None:
        given = [name for name in ("epochs", "steps", "tokens") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidInput(
                f"{self.at} needs exactly one of epochs, steps, tokens; got "
                f"{' and '.join(given) or 'none'}. Set the others to null, as in {self.at}.epochs=null."
            )
        if getattr(self, given[0]) < 1 or self.batch_size < 1:
            raise InvalidInput(f"{self.at}.{given[0]} and {self.at}.batch_size must be at least 1.")
        for name in ("lr", "weight_decay", "max_grad_norm", "warmup_share"):
            value, most = getattr(self, name), 1 if name == "warmup_share" else math.inf
            if not 0 <= value <= most:
                wanted = ">= 0" if most > 1 else "in [0, 1]"
                raise InvalidInput(f"{self.at}.{name} must be a number {wanted}, got {value!r}.")


@dataclass(frozen=True)
class Finetune(Training):
    """A training that may end early.

    With `patience` the loss of the validation set is taken `looks` times, evenly over the steps; the training
    ends after `patience` looks without a smaller one, and the adapter of the best is kept. None: nobody
    looks, and the adapter of the last step is kept.
    """

    at: ClassVar[str] = "finetune"
    examples: ClassVar[str] = "the coreset"

    patience: int | None
    looks: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("patience", "looks"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not whole and not (name == "patience" and value is None):
                raise InvalidInput(f"finetune.{name} must be a whole number >= 1, got {value!r}.")


@dataclass(frozen=True)
class Head:
    """In place of a fine-tune: the output over {No, Yes}, fitted on hidden states (`goracs.evaluation.head`).

    `penalty` weighs half the squared norm of its weights beside the mean loss.
    """

    name: str
    penalty: float

    def __post_init__(self) -> None:
        if is_number(self.penalty) and not self.penalty > 0:
            raise InvalidInput(f"finetune.penalty must be a number > 0, got {self.penalty!r}.")


@dataclass(frozen=True)
class InitAdapter:
    """A fresh LoRA, drawn with `seed`: its B is 0, so it leaves the backbone's answers as they are."""

    name: str
    lora: Lora
    seed: int


@dataclass(frozen=True)
class WarmupAdapter:
    """A fresh LoRA trained a little on `rows` random pool examples, both drawn with `seed`."""

    name: str
    lora: Lora
    seed: int
    rows: int
    checkpoints: int
    training: Training


def refuse_more_rows(settings: WarmupAdapter, pool_size: int) -> None:
    """Raise InvalidInput if a warm-up asks for more rows than the pool has."""
    if settings.rows > pool_size:
        raise InvalidInput(f"adapter.rows={settings.rows} is more than the pool has: {pool_size} examples.")


@dataclass(frozen=True)
class PathAdapter:
    """A peft adapter in a folder, trained elsewhere for the same backbone."""

    name: str
    path: str


AdapterSettings = InitAdapter | WarmupAdapter | PathAdapter


@dataclass(frozen=True)
class Score:
    """Where gradients are taken, how they are sketched, what is computed beside them.

    At the LoRA of the linears called `layer` (one name, several, or all that are adapted), of the last layer
    that has such a one or of all (`depth`), with respect to lora_B or to lora_A too (`matrices`). For `layer`
    "auto" is what `goracs.llm.targets` chooses among the adapted ones, and stands here only until it is
    known.
    With `course` at every checkpoint of a warm-up instead of its end alone (`goracs.llm.course`); with `adam`
    too, the pool's sketches are of what Adam would step by there (`goracs.llm.adam`).
    Sketches are the gradient's seeded Gaussian projection to `sketch_dim` numbers. `together` names numbers
    that are computed whenever anything is, whoever asks: jobs that want different ones then share one pass.
    """

    layer: str | tuple[str, ...]
    depth: Literal["last", "all"]
    matrices: Literal["B", "AB"]
    course: bool
    adam: bool
    sketch_dim: int
    sketch_seed: int
    together: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "together", tuple(self.together))
        if not isinstance(self.layer, str):
            object.__setattr__(self, "layer", tuple(self.layer))
        if not self.layer:
            raise InvalidInput("score.layer names no linear: a name, several as in [q_proj,v_proj], or all.")
        if self.adam and not self.course:
            raise InvalidInput(
                "score.adam=true takes Adam's moments at the checkpoints of a warm-up, which "
                "score.course=true (and adapter.checkpoints of at least 2) follows: set it too."
            )

    @property
    def names(self) -> list[str]:
        """The linears that are named, in one order."""
        return [self.layer] if isinstance(self.layer, str) else sorted(set(self.layer))

    def among(self, adapted: Collection[str]) -> tuple[str, ...]:
        """The names of the linears where gradients are taken, of those that an adapter is for.

        Raises:
            InvalidInput: one of them is not among these.
        """
        if self.layer == ALL:
            return tuple(sorted(adapted))
        absent = next((name for name in self.names if name not in adapted), None)
        if absent is not None:
            raise InvalidInput(
                f"Gradients are taken at the LoRA of '{absent}', which this adapter does not have; it "
                f"adapts: {', '.join(sorted(adapted)) or 'none'}. Set score.layer to one of these, or add "
                f"'{absent}' to adapter.lora.targets."
            )
        return tuple(self.names)


@dataclass(frozen=True)
class Evaluate:
    """How answers become figures.

    `part` is whose examples are asked: test, or valid to choose settings by. `negatives` items beside the
    target (drawn with `seed`; `candidates` says how, see `goracs.data.candidates`) are ranked with it by
    `method`, see `goracs.llm.ranking`: by an answer written with `beams` beams of at most `max_new_tokens`
    tokens (ground), by `beams` beams of titles (constrained), or by the likelihood of each. `likelihood` says
    whether a title's is the mean or the sum over its tokens, for the latter two. Intervals come from `draws`
    bootstrap samples of users.
    """

    part: Literal["test", "valid"]
    seed: int
    candidates: Kind
    negatives: int
    method: Literal["ground", "constrained", "likelihood"]
    likelihood: Literal["mean", "sum"]
    beams: int
    max_new_tokens: int
    draws: int

    def __post_init__(self) -> None:
        if self.part not in ("test", "valid"):
            raise InvalidInput(f"evaluate.part must be test or valid, got {self.part!r}.")
        check_whole("evaluate.seed", self.seed, 0)
        for name in ("negatives", "beams", "max_new_tokens", "draws"):
            check_whole(f"evaluate.{name}", getattr(self, name), 1)
