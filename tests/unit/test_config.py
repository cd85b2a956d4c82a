"""The configuration: the one source of every default, and every node fits what it builds."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import get_object, instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from goracs.config import build, conf_dir, quoted

FILES = [file for file in sorted(conf_dir().glob("*/*.yaml")) if file.parent.name != "experiment"]
FOLDER = conf_dir() / "experiment"
EXPERIMENTS = [str(file.relative_to(FOLDER).with_suffix("")) for file in sorted(FOLDER.rglob("*.yaml"))]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "_target_" in value:
            yield value
        for inner in value.values():
            yield from nodes(inner)


def filled(node: dict[str, Any]) -> set[str]:
    """The parameters that a node gives: its own, and those that another file of the group fills (x@name)."""
    others = [entry for entry in node.get("defaults", []) if entry != "_self_"]
    return set(node) - {"_target_", "defaults"} | {entry.partition("@")[2] for entry in others}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parts[-2]}/{file.stem}")
def test_every_node_binds_to_its_signature_without_python_defaults(file: Path) -> None:
    for node in nodes(OmegaConf.to_container(OmegaConf.load(file), resolve=False)):
        parameters = inspect.signature(get_object(node["_target_"])).parameters
        assert filled(node) == set(parameters), node["_target_"]
        defaults = [name for name, p in parameters.items() if p.default is not inspect.Parameter.empty]
        assert defaults == [], f"{node['_target_']} has defaults of its own"


def test_every_file_of_a_group_builds_something_or_is_plain_values() -> None:
    plain = {file.parent.name for file in FILES if "_target_" not in OmegaConf.load(file)}
    assert plain == {"logger"}


@pytest.mark.parametrize("experiment", [None, *EXPERIMENTS])
def test_every_experiment_composes_and_builds_its_objects(experiment: str | None) -> None:
    """As the last job of its sweep, where it is one; ties go by the file in the runs of the paper alone."""
    chosen = [f"experiment={experiment}"] if experiment else []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        swept = compose("config", overrides=chosen, return_hydra_config=True).hydra.sweeper.params or {}
        job = [f"{name}={str(values).rpartition(',')[2]}" for name, values in swept.items()]
        config = compose("config", overrides=[*chosen, *job])
    for name in map(str, OmegaConf.missing_keys(config)):
        OmegaConf.update(config, name, "left to the user")
    made = build(config)
    assert made["dataset"].name
    assert hasattr(made["selector"], "needs")
    papers = (experiment or "").startswith(("paper/", "ablation/"))  # the ablations are of its runs
    assert made["split"].ties == ("file" if papers else "hash")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_says_what_it_is_for_and_what_it_costs(experiment: str) -> None:
    lines = (FOLDER / f"{experiment}.yaml").read_text().splitlines()
    said = [line for line in lines if line.startswith("# ") and "@package" not in line]
    assert lines[0] == "# @package _global_"
    assert said
    if "/" in experiment:
        assert re.search(r"[Cc]osts", " ".join(said))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parts[-2]}/{file.stem}")
def test_every_alternative_composes(file: Path) -> None:
    group, node = file.parent.name, OmegaConf.load(file)
    missing = [str(key) for key in node if OmegaConf.is_missing(node, key)]
    days = {"valid": "2017-01-01", "test": "2018-01-01"} if group == "split" else {}
    left_to_the_user = [f"{group}.{key}={days.get(key, 'tiny')}" for key in missing]
    overrides = [f"{group}={file.stem}", *left_to_the_user]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        instantiate(compose("config", overrides=overrides), _convert_="all")


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12).filter(
        lambda value: "${" not in value
    )
)
def test_a_quoted_value_is_read_back_whatever_its_characters(value: str) -> None:
    (word,) = shlex.split(quoted("dataset.path", value))
    read = OverridesParser.create().parse_override(word)
    made = OmegaConf.create({"path": read.value()})
    assert (read.key_or_group, made.path) == ("dataset.path", value)


def test_selectors_follow_the_task_and_an_override_wins() -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        ctr = compose("config", overrides=["task=ctr"])
        seqrec = compose("config", overrides=["task=seqrec", "selector.lam=0.3"])
    assert (ctr.selector.lam, ctr.selector.by_class) == (ctr.task.lam, True)
    assert (seqrec.selector.lam, seqrec.selector.by_class) == (0.3, False)


@pytest.mark.parametrize("name", ["goracs_paper", "goracs_released"])
def test_the_searches_of_the_paper_take_its_parameters_from_the_task(name: str) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for task, expected in (("ctr", (0.5, 20, 3, True)), ("seqrec", (0.1, 100, 30, False))):
            chosen = compose("config", overrides=[f"task={task}", f"selector={name}"]).selector
            assert (chosen.lam, chosen.max_exchanges, chosen.candidates, chosen.by_class) == expected
