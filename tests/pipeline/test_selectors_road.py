"""Every selector from the command line: a new file of conf/selector enrols itself."""

import json

from goracs.config import conf_dir
from tests.pipeline.conftest import Command


def test_every_selector_gives_its_coreset_in_one_sweep(goracs: Command) -> None:
    names = sorted({path.stem for path in (conf_dir() / "selector").glob("*.yaml")} - {"full"})  # takes all
    ended = goracs("-m", f"selector={','.join(names)}", "until=select")
    assert ended.code == 0, ended.text
    for place, name in enumerate(names):
        told = json.loads((ended.folder / str(place) / "result.json").read_text())["coreset"]
        assert (told["selector"], told["budget"]) == (name, 8)
        assert told["report"]["warnings"] is not None
