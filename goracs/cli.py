"""The command.

The first word is looked at before Hydra parses anything: none at all means experiment=quickstart, an override
or a flag means a run, help is answered without importing a framework. Exit code 0, or 1 after an error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from goracs.config import conf_dir

HELP = """\
goracs chooses a small coreset of the training data of an LLM recommender, fine-tunes on it and evaluates.

  goracs                                   the quickstart: goracs and random side by side
  goracs experiment=movielens_ctr          another experiment
  goracs selector=kcenter budget=32        one run of the defaults of conf/config.yaml, with overrides
  goracs -m selector=goracs,random seed=0,1,2 budget=32,64      a sweep; the same again resumes it
  goracs until=select                      stop after a stage: prepare embed adapter score select finetune
  goracs data dataset=movielens_small      the card of a data set; with output=json, or output=card.png
  goracs --cfg job                         show the configuration, run nothing

Choices (a file each under conf/; any value in them is an override, as in finetune.lr=1e-4):
{choices}
Results lie under multirun/, finished stages in store.root. HYDRA_FULL_ERROR=1 shows tracebacks.
"""


def main() -> None:
    """Run the command line; exits with 0, or 1 after a user's mistake or ours."""
    words = sys.argv[1:]
    if words and words[0] in ("-h", "--help", "help"):
        print(help_text())
        return
    if not words:
        sys.argv.append("experiment=quickstart")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads of one library slow the other's down
    if words and words[0] == "data":
        from goracs import datacard

        sys.exit(datacard.run(words[1:]))
    if words and "=" not in words[0] and not words[0].startswith(("-", "~")):
        sys.exit(
            f"goracs: '{words[0]}' is neither an override (name=value) nor a flag. "
            "For a sweep: goracs -m name=value,value. Help: goracs --help"
        )
    from goracs import sweep

    sys.exit(sweep.run())


def help_text() -> str:
    """What goracs --help prints: the forms of the command and the choices that conf/ holds."""
    lines = [_choices(folder) for folder in sorted(conf_dir().iterdir()) if folder.name != "hydra"]
    return HELP.format(choices="\n".join(filter(None, lines)))


def _choices(folder: Path) -> str:
    names = sorted(str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.yaml"))
    return f"  {folder.name + '=':<12}{', '.join(names)}" if names else ""


if __name__ == "__main__":
    main()
