"""The configuration: where it lies, and the settings objects that are made from it."""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from goracs.near import no_choice
from goracs.types import GoracsError, InvalidInput

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

SWEEPS = ("-m", "--multirun")
NODES = {
    "store": "root",
    "sweep": "stop_at_first_failure",
}  # those of config.yaml that no folder of files fills, and a name in each
SWEEPERS = ("BasicSweeper", "PlannedSweeper")  # of every combination
NOT_HASHED = ("runtime", "cluster", "logger", "store", "lab", "sweep", "hydra")
# In a URL: a password, which may hold a slash, or what signs it.
SECRET = re.compile(r"://[^/\s]*(@|:.*@)|://\S*[?&](x-amz-|x-goog-|signature=|token=|sig=)", re.I)
OWN = "--config-dir="  # Hydra's flag; composing without its command line knows it by another name


def conf_dir() -> Path:
    """The folder of configuration files: one folder per choice, one YAML file per alternative."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def usual_store() -> Path:
    """Where runs keep their stages unless told otherwise."""
    from omegaconf import OmegaConf

    return Path(OmegaConf.load(conf_dir() / "config.yaml").store.root)


def store_root(config: Mapping[str, Any] | DictConfig) -> Path:
    """Where a run keeps its stages.

    Raises:
        InvalidInput: a `store.root` that is no text, or a URL.
    """
    root = config["store"]["root"]
    if not isinstance(root, str) or not root:
        raise InvalidInput(f"store.root must be a folder's name, got {root!r}.")
    if "://" in root:
        raise InvalidInput(
            "store.root is a URL, and must be a folder: a store needs locks and renames, which object stores "
            "do not have. Several machines share one on a file system (POSIX) that all of them have."
        )
    return Path(root)


def composed(words: Sequence[str]) -> DictConfig:
    """The configuration that a run's words ask for, --config-dir=FOLDER among them; nothing is run.

    Raises:
        InvalidInput: a word that is no override.
        HydraException, OmegaConfBaseException: an override that fits nothing.
    """
    from hydra import compose, initialize_config_dir

    overrides = _overrides(words)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", overrides=overrides)


def jobs(words: Sequence[str]) -> list[list[str]]:
    """The words of each job that a run's words ask for: of one, or, with -m or hydra.mode, of a sweep's.

    Raises:
        InvalidInput: a word that is no override, a sweeper that chooses its jobs as it goes.
        HydraException, OmegaConfBaseException: an override that fits nothing.
    """
    from hydra import initialize_config_dir
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    flags = [word for word in words if word in SWEEPS]
    own = [word for word in words if word.startswith(OWN)]
    given = [word for word in words if word not in (*SWEEPS, *own)]
    overrides = _overrides([*own, *given])
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        settings = loader.load_configuration("config", overrides, RunMode.MULTIRUN).hydra
        if not flags and settings.mode is not RunMode.MULTIRUN:
            return [[*own, *given]]
        if not settings.sweeper["_target_"].endswith(SWEEPERS):
            raise InvalidInput("this sweeper chooses its jobs as it goes: they cannot be told beforehand.")
        params = [f"{name}={value}" for name, value in (settings.sweeper.params or {}).items()]
        parsed = OverridesParser.create(loader).parse_overrides([*params, *given])
        (batch,) = BasicSweeper.split_arguments(parsed, None)
    return [[*own, *job] for job in batch]


def _overrides(words: Sequence[str]) -> list[str]:
    """A run's words as Hydra composes them."""
    own = [f"file://{Path(word.removeprefix(OWN)).resolve()}" for word in words if word.startswith(OWN)]
    given = [word for word in words if not word.startswith(OWN)]
    refuse_unreadable(given, [Path(word.removeprefix(OWN)) for word in words if word.startswith(OWN)])
    return [f"hydra.searchpath={own}", *given]


def refuse_unreadable(overrides: Iterable[str], own: Sequence[Path]) -> None:
    """Raise InvalidInput for the first override that Hydra cannot read, or would misread.

    `own` are folders beside conf/ that hold choices too.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for word in overrides:
        _refuse_secret(word)
        try:
            _refuse_misread(parser.parse_override(word), word, [conf_dir(), *own])
        except HydraException as error:
            name, equals, _ = word.partition("=")
            if not equals:
                raise InvalidInput(f"'{word}' is no override: name=value, as in budget=32.") from None
            why, as_it_stands = str(error).partition("\n")[0], quoted(name, word[len(name) + 1 :])
            raise InvalidInput(
                f"{word} cannot be read: {why}. A value with brackets, quotes, = , ; & or letters beyond "
                "ASCII that is meant as it stands goes between double quotes, and the whole word between "
                f"single ones for the shell: {as_it_stands}"
            ) from None


def _refuse_secret(word: str) -> None:
    """Refuse a password before it is shown, or written into a job's folder."""
    if SECRET.search(word):
        name = word.partition("=")[0]
        raise InvalidInput(
            f"{name} is a URL with a user, a password or a signature in it, which would be kept with the "
            "run: credentials are those of the environment, as AWS_ACCESS_KEY_ID."
        )


def _refuse_misread(override: Override, word: str, folders: Sequence[Path]) -> None:
    """Refuse a choice of nothing, one value in place of several, and names that nobody reads or all need."""
    name = override.key_or_group
    value: Any = override.value()
    chosen = value.list if override.is_choice_sweep() else [value]
    if override.is_delete() and ("." not in name or name.partition(".")[0] in (*NODES, "logger")):
        raise InvalidInput(f"{word}: a run does not go without {name}.")
    if name in NODES:
        raise InvalidInput(f"{word}: {name} holds names of its own, as in {name}.{NODES[name]}=VALUE.")
    if (conf_dir() / name).is_dir():
        if name != "experiment":  # of which several may follow one another
            _refuse_list(word, name, chosen)
        if any(one is None or isinstance(one, int | float) for one in chosen):
            raise InvalidInput(f"{word} chooses nothing: {name} takes the name of a file of conf/{name}.")
        if not name.startswith("hydra/"):  # there Hydra and its plugins have files of their own
            _refuse_no_file(name, chosen, folders)
    elif override.is_add() and "." not in name:
        raise InvalidInput(f"{word} would change nothing: the configuration has no {name}.")


def _refuse_list(word: str, name: str, chosen: Iterable[Any]) -> None:
    """Refuse several choices at once."""
    for one in chosen:
        if isinstance(one, list):
            several = ",".join(map(str, one))
            how = f"for a sweep goracs -m {name}={several}" if len(one) > 1 else f"{name}={several}"
            raise InvalidInput(f"{word}: a run has one {name}: {how}, without brackets.")


def _refuse_no_file(group: str, chosen: Iterable[Any], folders: Sequence[Path]) -> None:
    """Refuse a choice that no folder has: where a group is optional Hydra passes it over in silence."""
    places = [folder / group for folder in folders]
    known = {
        str(file.relative_to(place).with_suffix("")) for place in places for file in place.rglob("*.yaml")
    }
    for value in chosen:
        for one in map(str, value if isinstance(value, list) else [value]):
            if "${" not in one and one.removesuffix(".yaml") not in known:
                raise InvalidInput(no_choice(group, one, known))


def literal(name: str, value: str) -> str:
    """An override that gives a value as it stands, whatever its characters but ${."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return f"{name}={QuotedString(value, Quote.double).with_quotes()}"


def quoted(name: str, value: str) -> str:
    """The same, as a shell takes it."""
    return shlex.quote(literal(name, value))


def hashed(config: DictConfig) -> dict[str, Any]:
    """All of a job's configuration that may change its result, as plain values.

    Raises:
        OmegaConfBaseException: a value that names another which is not there.
    """
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(config, resolve=True)
    return {name: value for name, value in plain.items() if name not in NOT_HASHED}


def build(config: DictConfig) -> dict[str, Any]:
    """The settings objects of a configuration.

    Raises:
        InvalidInput: a value that is missing, of the wrong type, or refused by its receiver.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise InvalidInput(f"{', '.join(missing)} must be given, as in {missing[0]}=VALUE.")
    try:
        made: dict[str, Any] = instantiate(config, _convert_="all")
    except InstantiationException as wrapped:
        if isinstance(wrapped.__cause__, GoracsError):
            raise wrapped.__cause__ from None
        if isinstance(wrapped.__cause__, (TypeError, ValueError)):
            _refuse_misfit(config, "")
            raise InvalidInput(f"the configuration does not fit: {wrapped}") from wrapped
        raise
    for name, value in made.items():
        refuse_wrong_types(value, name)
    return made


def _refuse_misfit(config: Any, name: str) -> None:
    """Raise InvalidInput naming the first value that is not of the type that its class declares for it."""
    from hydra.utils import get_object
    from omegaconf import DictConfig

    if not isinstance(config, DictConfig):
        return
    made = get_object(config["_target_"]) if "_target_" in config else None
    declared = get_type_hints(made) if isinstance(made, type) and dataclasses.is_dataclass(made) else {}
    for key, value in ((str(key), value) for key, value in config.items()):
        place = f"{name}.{key}" if name else key
        _refuse_misfit(value, place)
        if key in declared and isinstance(value, str | int | float) and not _fits(value, declared[key]):
            raise InvalidInput(f"{place} must be {_wanted(declared[key], value)}, got {value!r}.")


def refuse_wrong_types(settings: Any, name: str) -> None:
    """Raise InvalidInput naming the first configured value that is not what its field is declared to be."""
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        return
    declared = get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, wanted = getattr(settings, field.name), declared[field.name]
        refuse_wrong_types(value, f"{name}.{field.name}")
        if not _fits(value, wanted):
            as_text = f" As text: '{name}.{field.name}=\"...\"'." if _fits("", wanted) else ""
            raise InvalidInput(
                f"{name}.{field.name} must be {_wanted(wanted, value)}, got {value!r}.{as_text}"
            )


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a plain value is of a declared plain type; types that are not plain are not judged here."""
    if get_origin(wanted) in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(wanted))
    if get_origin(wanted) is Literal:
        return isinstance(value, str | int) and value in get_args(wanted)
    if get_origin(wanted) in (Sequence, Mapping):
        return _fits_inside(value, get_args(wanted))
    if get_origin(wanted) is tuple and get_args(wanted)[1:] == (...,):
        return _fits_inside(value, get_args(wanted)[:1])
    if wanted in (int, float):
        number = isinstance(value, (int, float) if wanted is float else int) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if wanted in (str, bool, NoneType):
        return isinstance(value, wanted)
    return True


def _fits_inside(value: Any, parts: Sequence[Any]) -> bool:
    """Whether a list has items of one type, or a mapping keys and values of two."""
    if len(parts) == 1:
        return isinstance(value, (list, tuple)) and all(_fits(one, parts[0]) for one in value)
    key, inner = parts
    return isinstance(value, Mapping) and all(_fits(k, key) and _fits(v, inner) for k, v in value.items())


def _wanted(wanted: Any, value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(str, get_args(wanted)))}"
    if get_origin(wanted) in (Union, UnionType):
        return " or ".join(_wanted(one, value) for one in get_args(wanted))
    if wanted is NoneType:
        return "null"
    return f"of type {wanted.__name__ if isinstance(wanted, type) else wanted}"
