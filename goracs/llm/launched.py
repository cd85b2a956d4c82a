"""How this process was started: alone, or as one of several by torchrun, perhaps on several machines.

Names   those of torchrun; whoever starts the processes otherwise gives them the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from goracs.llm.settings import Runtime
from goracs.types import InvalidInput

COUNT, RUN = "WORLD_SIZE", "TORCHELASTIC_RUN_ID"
OWN = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
SHARED = ("MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """One of `count` processes, `places` of them on its machine, where it is the one at `place`.

    They find each other by a store at `host` and `port`, which torchrun has opened if it is `hosted`;
    `attempt` counts how often torchrun has started them anew.
    """

    number: int
    count: int
    place: int
    places: int
    host: str
    port: int
    hosted: bool
    attempt: int


current: list[Launch] = []  # of this process: one, or none where it was started alone


def claim() -> Launch | None:
    """What this process was told of its start, which processes that it starts are not told again.

    They, and Lightning, would take themselves for it.

    Raises:
        InvalidInput: it is one of several, and was not told all; or what it was told is no number.
    """
    _refuse_no_numbers()
    if int(os.environ.get(COUNT, "1")) == 1:
        return None
    if missing := [name for name in (*OWN, *SHARED) if name not in os.environ]:
        raise InvalidInput(
            f"{COUNT}={os.environ[COUNT]} says that this process is one of several, and {', '.join(missing)} "
            "not which, or where the others are: torchrun sets them all (docs/devices.md); unset "
            f"{COUNT} to run alone."
        )
    number, place, places = (int(os.environ.pop(name)) for name in OWN)
    launch = Launch(
        number, int(os.environ.pop(COUNT)), place, places,
        host=os.environ["MASTER_ADDR"], port=int(os.environ["MASTER_PORT"]),
        hosted=os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True),
        attempt=int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")),
    )  # fmt: skip
    os.environ.pop(RUN, None)
    current[:] = [launch]
    return launch


def _refuse_no_numbers() -> None:
    for name in (COUNT, *OWN, "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"):
        value = os.environ.get(name, "0")
        if not value.isdecimal():
            raise InvalidInput(f"{name}={value!r} in the environment is no number; torchrun sets it.")


def refuse_misfit(runtime: Runtime) -> None:
    """Raise InvalidInput unless the runtime asks for as many ranks as torchrun has started, if it has."""
    if not current and runtime.nodes > 1:
        raise InvalidInput(
            f"runtime.nodes={runtime.nodes} takes a process for each device of each machine, started by "
            f"torchrun: torchrun --nnodes={runtime.nodes} --nproc-per-node={runtime.devices}, and more that "
            "docs/devices.md says. On this machine alone: runtime.nodes=1."
        )
    if current and (runtime.ranks, runtime.devices) != (current[0].count, current[0].places):
        count, places = current[0].count, current[0].places
        nodes = count // places
        raise InvalidInput(
            f"torchrun has started {count} processes, {places} of them on this machine, and "
            f"runtime.nodes={runtime.nodes} runtime.devices={runtime.devices} asks for {runtime.ranks}: "
            f"set runtime.nodes={nodes} runtime.devices={places} (each machine has as many), or start others."
        )
