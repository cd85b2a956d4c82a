"""A mistake at a word of the command line: at most three lines that name the fix, exit code 1, no traceback.

Those at a run itself are in `tests/pipeline/test_errors.py`.
"""

from __future__ import annotations

import re
import shlex

import pytest

from tests import bare
from tests.unit.test_results import result, save

MISTAKES = [
    ("budget=8 -m seed=0,1", r"seed=0,1: flags stand before all words, as in goracs -m seed=0,1\."),
    ("--budget=8", r"there is no flag --budget=8\. A value has no dashes before it: budget=8\."),
    ("--mutlirun seed=0,1", r"Did you mean --multirun\?"),
    ("--cfg jobb", r"choose from '?job'?, '?hydra'?, '?all'?.*goracs --help"),
    ("--config-name=foo", r"one configuration, conf/config\.yaml: .* experiment=NAME"),
    ("--config-path=foo", r"--config-dir=FOLDER adds"),
    ("hydra/launcher=nope", r"there is no hydra/launcher=nope\. There are basic, joblib"),
    ("-m hydra/launcher=job_lib", r"Did you mean hydra/launcher=joblib\?"),
    ("-m selector=[goracs,random]", r"a run has one selector: for a sweep goracs -m selector=goracs,random"),
    ("selector=[goracs]", r"a run has one selector: selector=goracs, without brackets"),
    ("tabel multirun", r"'tabel' is neither .*\. Did you mean goracs table\?"),
    ("budget 8", r"'budget' is neither an override \(name=value\)"),
    ("quickstart", r"'quickstart' is neither an override"),
    ("table", r"the following arguments are required: FOLDER"),
    ("table /nowhere", r"/nowhere is not a folder: give folders that hold runs"),
    ("table .", r"no result\.json below \.: a finished run leaves one"),
    ("table --stor x .", r"error"),
    ("report /nowhere", r"/nowhere is not a folder"),
    ("report run --out afile", r"afile is there already, and no folder: name another place by --out"),
    ("report .", r"no result\.json below"),
    ("trace /nowhere", r"/nowhere is not a folder"),
    ("export run", r"the following arguments are required: FOLDER"),
    ("export /nowhere out", r"/nowhere is not the folder of one job"),
    ("export run out merged=yes", r"'merged=yes' is no word of goracs export: merged=true"),
    ("export run out", r"run has no fine-tune: its run ended before it"),
    ("recommend run", r"history="),
    ("recommend /nowhere history=Heat", r"/nowhere is not the folder of one job"),
    ("recommend run history=Heat history=Alien", r"history= and top= are given once each"),
    ("recommend run/result.json history=A", r"run/result\.json is not the folder of one job: give the one"),
    ("recommend run history=Heat", r"run has no fine-tune"),
    ("verify", r"the following arguments are required: JOB_FOLDER"),
    ("verify run/result.json", r"run/result\.json is not the folder of one job: give the one"),
    ("verify run", r"stopped before select"),
    ("sweep", r"status FOLDER|required"),
    ("sweep stop .", r"status"),
    ("sweep status /nowhere", r"/nowhere"),
    ("sweep status afile", r"afile is a file: name the folder of the sweep"),
    ("methods gorac", r"gorac"),
    ("methods output=xml", r"output="),
    ("plan budgt=3", r"has no budgt\. Did you mean budget\?"),
    ("plan selector=gorac", r"Did you mean selector=goracs\?"),
    ("data dataset=movielens_smal", r"Did you mean dataset=movielens_small\?"),
    ("data dataset=movielens_small output=card.xyz", r"output="),
    ("lab selector=goracs", r"is of a run; the lab tries several"),
    ("lab lab.featurs=[x]", r"Did you mean lab\.features\?"),
    ("reproduce paper/game_ctr", r"no preset 'paper/game_ctr' .*\. Did you mean paper/games_ctr\?"),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bare.Said]:
    """What is said of each mistake, by its command: in a folder with a run, or where "." is one without."""
    places = {name: tmp_path_factory.mktemp(name) for name in ("ran", "bare")}
    save(places["ran"] / "run", result())
    (places["ran"] / "afile").touch()
    commands = [shlex.split(command) for command, _ in MISTAKES]
    said = bare.run(
        [(places["bare" if "." in words else "ran"], words) for words in commands],
        tmp_path_factory.mktemp("mistakes"),
    )
    return {command: one for (command, _), one in zip(MISTAKES, said, strict=True)}


@pytest.mark.xdist_group("mistakes")
@pytest.mark.parametrize(("command", "fix"), MISTAKES, ids=lambda value: value if " " in value else None)
def test_a_mistake_at_a_word_names_the_fix_in_three_lines_at_once(
    told: dict[str, bare.Said], command: str, fix: str
) -> None:
    """At once: before a framework is imported, which takes seconds."""
    said = told[command]
    assert said.code == 1
    assert "Traceback" not in said.text
    assert re.search(fix, said.text), said.text
    told_lines = [line for line in said.text.splitlines() if line.strip() and not line.startswith("goracs: ")]
    assert len(told_lines) <= 3, said.text
    assert said.imported == []
