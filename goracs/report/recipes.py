"""How other trainers would train on a coreset: their configurations, and the prompts as a data set for both.

Prompts    prompts.json has each prompt as the LLM read it (but whole, where it was shortened to
           backbone.max_length), in one piece (`instruction`), and the answer
           (`output`), so that no trainer's own template comes between; in `ended` an answer that is a text
           has its end mark, for the trainer that adds none.
Sources    LLaMA-Factory's arguments and its template `empty`; axolotl's configuration reference. Nothing of
           it is run here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from goracs.report.results import Result

PROMPTS = "prompts.json"
DATASET = "goracs_prompts"


def dataset_info() -> dict[str, Any]:
    """What LLaMA-Factory's dataset_info.json says of prompts.json."""
    return {"file_name": PROMPTS, "columns": {"prompt": "instruction", "response": "ended"}}


def llama_factory(result: Result, lora: Mapping[str, Any], linears: Sequence[str]) -> dict[str, Any]:
    """Its training arguments, for a folder that holds prompts.json and dataset_info.json."""
    config = result["config"]
    backbone, training = config["backbone"], config["finetune"]
    asked = {
        "model_name_or_path": backbone["model"],
        "trust_remote_code": backbone.get("trust_remote_code", False),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": lora["r"],
        "lora_alpha": lora["lora_alpha"],
        "lora_dropout": lora["lora_dropout"],
        "lora_target": ",".join(linears),
        "use_rslora": bool(lora.get("use_rslora")),
        "use_dora": bool(lora.get("use_dora")),
        "dataset_dir": ".",
        "dataset": DATASET,
        "template": "empty",
        "cutoff_len": backbone["max_length"],
        "train_on_prompt": _reads_prompts(config),
        "per_device_train_batch_size": training["batch_size"],
        "gradient_accumulation_steps": 1,
        "learning_rate": training["lr"],
        "lr_scheduler_type": "linear",
        "warmup_ratio": training["warmup_share"],
        "optim": "adamw_torch",
        "weight_decay": training["weight_decay"],
        "max_grad_norm": training["max_grad_norm"],
        **_length(result, "num_train_epochs"),
        "seed": result["seed"],
        "output_dir": "llama_factory",
        "logging_steps": 1,
        **_half(result),
    }
    bits = {"4bit": 4, "8bit": 8}.get(backbone.get("quantize"))
    return asked if bits is None else {**asked, "quantization_bit": bits}


def axolotl(result: Result, lora: Mapping[str, Any], linears: Sequence[str]) -> dict[str, Any]:
    """Its configuration, for a folder that holds prompts.json."""
    config = result["config"]
    backbone, training = config["backbone"], config["finetune"]
    quantize = backbone.get("quantize")
    as_it_is = "{instruction}"
    return {
        "base_model": backbone["model"],
        "trust_remote_code": backbone.get("trust_remote_code", False),
        "load_in_8bit": quantize == "8bit",
        "load_in_4bit": quantize == "4bit",
        "adapter": "qlora" if quantize == "4bit" else "lora",
        "lora_r": lora["r"],
        "lora_alpha": lora["lora_alpha"],
        "lora_dropout": lora["lora_dropout"],
        "lora_target_modules": list(linears),
        "peft_use_rslora": bool(lora.get("use_rslora")),
        "peft_use_dora": bool(lora.get("use_dora")),
        "datasets": [
            {
                "path": PROMPTS,
                "ds_type": "json",
                "type": {
                    "field_instruction": "instruction",
                    "field_output": "output",
                    "format": as_it_is,
                    "no_input_format": as_it_is,
                },
            }
        ],
        "val_set_size": 0,
        "sequence_len": backbone["max_length"],
        "sample_packing": False,
        "train_on_inputs": _reads_prompts(config),
        "micro_batch_size": training["batch_size"],
        "gradient_accumulation_steps": 1,
        "learning_rate": training["lr"],
        "lr_scheduler": "linear",
        "warmup_ratio": training["warmup_share"],
        "optimizer": "adamw_torch",
        "weight_decay": training["weight_decay"],
        "max_grad_norm": training["max_grad_norm"],
        **_length(result, "num_epochs"),
        "seed": result["seed"],
        "output_dir": "axolotl",
        "logging_steps": 1,
        **_half(result),
    }


def _reads_prompts(config: Mapping[str, Any]) -> bool:
    """Whether the loss is of the prompt too."""
    return bool(config["task"].get("loss") == "all")


def _length(result: Result, epochs: str) -> dict[str, Any]:
    """As many epochs as were configured, else the steps that were made."""
    asked = result["config"]["finetune"].get("epochs")
    return {"max_steps": result["steps"]} if asked is None else {epochs: asked}


def _half(result: Result) -> dict[str, bool]:
    precision = result["config"]["backbone"]["precision"]
    return {"bf16": precision == "bf16", "fp16": precision == "fp16"}
