"""First what was run, what is sure, and what to beware of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from goracs.report.blocks import Block
from goracs.report.comparison import Comparison, against
from goracs.report.markdown import FEW
from goracs.report.page.document import Grid, Part, Section, Text, counted, ends, shown_p, signed
from goracs.report.page.gathered import Gathered, entries
from goracs.report.results import Result
from goracs.report.table import TITLES

BASE = "random"
SURE = 0.05
LISTED = 6  # names in one sentence


def section(found: Gathered) -> Section:
    """The report's first part."""
    parts: list[Part] = [Text(words) for words in _verdicts(found)]
    parts += [Text(words, "warning") for words in cautions(found)]
    if found.unfinished:
        rows = [[one["job"], one["status"], one["message"]] for one in found.unfinished]
        caption = "Jobs without a result: they are in no other part of this report."
        parts.append(Grid("unfinished", caption, ["job", "status", "reason"], rows))
    return Section("overview", "What it says", parts)


def lead(found: Gathered) -> str:
    """One line of what was run."""
    seeds = sorted({job.seed for job in found.jobs})
    told = [counted(len(found.results), "job"), counted(len(found.methods), "method")]
    told += (
        [f"budget {', '.join(dict.fromkeys(block.budget for block in found.blocks))}"] if found.blocks else []
    )
    told += [f"seeds {', '.join(map(str, seeds))}"] if seeds else []
    for part in ("dataset", "task", "backbone"):
        names = dict.fromkeys(str(one["config"].get(part, {}).get("name", "")) for one in found.results)
        told += [", ".join(filter(None, names))] if any(names) else []
    return " · ".join(told)


def base_of(block: Block) -> str | None:
    """The method that the others of a block are compared with: random choice, else none."""
    return next((entry.method for entry in block.entries if entry.method.split(" ")[0] == BASE), None)


def _verdicts(found: Gathered) -> Iterator[str]:
    """What is sure, each verdict once for all that it holds of."""
    if not found.blocks:
        yield "No run got as far as an evaluation: there is nothing to compare yet."
    told: dict[tuple[str, str], list[str]] = {}
    for metric in found.main[:2]:
        for block in found.blocks:
            if metric in block.comparisons:
                verdict = _verdict(block, block.comparisons[metric])
                told.setdefault((TITLES[metric], verdict), []).append(block.name)
    for (title, verdict), names in told.items():
        yield f"{title[0].upper()}{title[1:]}, {'; '.join(names)}: {verdict}"
    if found.blocks and not told:
        where = "; ".join(f"{b.name}: {_listed([e.method for e in b.entries])}" for b in found.blocks)
        yield f"No two methods have one set-up, so nothing is compared ({where})."


def _verdict(block: Block, told: Comparison) -> str:
    """Who is ahead in one figure, if anybody surely is."""
    if not any(one.p is not None for one in told.pairs.values()):
        return "no verdict: a test needs two seeds that both methods ran, and no pair has them."
    base = base_of(block)
    others = [entry.method for entry in block.entries if entry.method != base]
    compared = against(base, others, told.pairs) if base else {}
    sure = {name: one for name, one in compared.items() if one[1] is not None and one[1] <= SURE}
    first = (
        f"{told.best} is surely the best." if told.best else "no method is surely better than every other."
    )
    if base is None:
        return first
    if not sure:
        return f"{first} None differs surely from {base}."
    pairs = (
        f"{name} {signed(one.mean)} {ends(one.both or one.seeds)}, p {shown_p(p)}"
        for name, (one, p) in sure.items()
    )
    return f"{first} Surely other than {base}: {'; '.join(pairs)}."


def cautions(found: Gathered) -> Iterator[str]:
    """What makes the figures less sure than they look."""
    few = {entry.method: len(entry.runs) for _, entry in entries(found) if len(entry.runs) < 3}
    if few:
        what = "1 or 2 seeds" if set(few.values()) == {1, 2} else counted(min(few.values()), "seed")
        names = _listed(list(few))
        yield f"Fewer than three seeds ({what}): {names}. Deviations and tests over so few are rough."
    same = [entry.method for _, entry in entries(found) if _one_coreset(entry.runs.values())]
    if same:
        yield (
            f"One coreset for all seeds: {_listed(list(dict.fromkeys(same)))}. The method is "
            "deterministic and the "
            "pools were not drawn anew, so its deviation is that of the training alone; draw a pool for each "
            "seed by dataset.seed='${seed}'."
        )
    users = {a.users for _, entry in entries(found) for a in entry.answers.values() if a is not None}
    if users and min(users) < FEW:
        yield (
            f"Fewer than {FEW} test users ({min(users)}): intervals over users are rough, and mostly too "
            "narrow."
        )
    unanswered = [entry.method for _, entry in entries(found) if None in entry.answers.values()]
    if unanswered:
        yield (
            "No predictions.parquet beside some results of "
            f"{_listed(list(dict.fromkeys(unanswered)))}: they are "
            "compared over seeds alone, for these test users only."
        )
    lacking = [name for b, e in entries(found) for name in b.metrics if not _told_by_all(e.runs, name)]
    if lacking:
        titles = ", ".join(TITLES[name] for name in dict.fromkeys(lacking))
        yield f"Some seeds lack {titles}, which others have. Pairs are made of shared seeds alone."
    if found.taken:
        yield (
            "Results of several versions: what some do not tell is taken to be as in the others "
            f"({_listed(list(found.taken))})."
        )


def _one_coreset(runs: Iterable[Result]) -> bool:
    keys = [run["digests"].get("select") for run in runs]
    return len(keys) > 1 and None not in keys and len(set(keys)) == 1


def _told_by_all(runs: Mapping[int, Result], name: str) -> bool:
    have = [bool(run["metrics"]["tuned"].get(name)) for run in runs.values()]
    return all(have) or not any(have)


def _listed(names: list[str]) -> str:
    rest = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")
