"""The configuration: the one source of every default, and every node fits what it builds."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf

from goracs.config import conf_dir

FILES = [file for file in sorted(conf_dir().glob("*/*.yaml")) if file.parent.name != "experiment"]
EXPERIMENTS = [file.stem for file in sorted((conf_dir() / "experiment").glob("*.yaml"))]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "_target_" in value:
            yield value
        for inner in value.values():
            yield from nodes(inner)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parts[-2]}/{file.stem}")
def test_every_node_binds_to_its_signature_without_python_defaults(file: Path) -> None:
    for node in nodes(OmegaConf.to_container(OmegaConf.load(file), resolve=False)):
        parameters = inspect.signature(get_object(node["_target_"])).parameters
        assert set(node) - {"_target_"} == set(parameters), node["_target_"]
        defaults = [name for name, p in parameters.items() if p.default is not inspect.Parameter.empty]
        assert defaults == [], f"{node['_target_']} has defaults of its own"


def test_every_file_of_a_group_builds_something_or_is_plain_values() -> None:
    plain = {file.parent.name for file in FILES if "_target_" not in OmegaConf.load(file)}
    assert plain == {"features", "logger"}


@pytest.mark.parametrize("experiment", [None, *EXPERIMENTS])
def test_every_experiment_composes_and_builds_its_objects(experiment: str | None) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", overrides=[f"experiment={experiment}"] if experiment else [])
    made = instantiate(config, _convert_="all")
    assert made["dataset"].name
    assert hasattr(made["selector"], "needs")


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parts[-2]}/{file.stem}")
def test_every_alternative_composes(file: Path) -> None:
    group, node = file.parent.name, OmegaConf.load(file)
    left_to_the_user = [f"{group}.{key}=tiny" for key in map(str, node) if OmegaConf.is_missing(node, key)]
    overrides = [f"{group}={file.stem}", *left_to_the_user]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        instantiate(compose("config", overrides=overrides), _convert_="all")


def test_selectors_follow_the_task_and_an_override_wins() -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        ctr = compose("config", overrides=["task=ctr"])
        seqrec = compose("config", overrides=["task=seqrec", "selector.lam=0.3"])
    assert (ctr.selector.lam, ctr.selector.by_class) == (ctr.task.lam, True)
    assert (seqrec.selector.lam, seqrec.selector.by_class) == (0.3, False)
