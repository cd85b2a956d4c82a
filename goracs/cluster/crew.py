"""Who does what: shards are handed out one by one, so that a slow worker takes fewer of them.

A pass     hands a shard to whoever is idle, those that the worker has open first.
Owners     for what a worker remembers of a shard (`goracs.cluster.questions.Next`): who had it first keeps
           it. Whatever is remembered only saves time: a worker that begins anew answers the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol


class Hands(Protocol):
    """Workers by number, 0 to `count` - 1.

    Each answers as `goracs.cluster.questions.Worker` does, or `goracs.llm.workers.Worker`, its own questions.
    """

    @property
    def count(self) -> int: ...  # noqa: D102

    def send(self, worker: int, folder: str, numbers: Sequence[int], question: Any) -> Any:
        """A handle of what a worker was asked."""

    def first(self, sent: Collection[Any]) -> Any:
        """One of some handles whose answers are there; waits for it."""

    def answers(self, handle: Any) -> list[Any]:
        """The answers."""


Numbered = Iterator[tuple[int, Any]]


class Crew:
    """Some workers, and which shards of one pool each has been asked about."""

    def __init__(self, hands: Hands, folder: str, shards: int) -> None:
        self.hands, self.folder, self.shards = hands, folder, shards
        self.owner: dict[int, int] = {}

    def passed(self, question: Callable[[], Any]) -> Numbered:
        """The answer of each shard, as they come; the question is made when it is asked."""
        todo = list(range(self.shards))

        def take(worker: int) -> list[int]:
            if not todo:
                return []
            number = next((number for number in todo if self.owner.get(number) == worker), todo[0])
            todo.remove(number)
            return [number]

        return self._asked(take, question)

    def remembered(self, wanted: Collection[int], question: Callable[[], Any]) -> Numbered:
        """The answers of some shards, each by its owner; one that has none gets one."""
        todo = sorted(wanted)

        def take(worker: int) -> list[int]:
            mine = [number for number in todo if self.owner.get(number) == worker]
            mine = mine or [number for number in todo if number not in self.owner][:1]
            for number in mine:
                todo.remove(number)
            return mine

        return self._asked(take, question)

    def _asked(self, take: Callable[[int], list[int]], question: Callable[[], Any]) -> Numbered:
        """Ask each worker about what it takes, until none takes anything."""
        sent: dict[Any, tuple[int, list[int]]] = {}
        idle = list(range(self.hands.count))
        while True:
            for worker in idle:
                if numbers := take(worker):
                    self.owner |= {number: self.owner.get(number, worker) for number in numbers}
                    handle = self.hands.send(worker, self.folder, numbers, question())
                    sent[handle] = (worker, numbers)
            if not sent:
                return
            handle = self.hands.first(sent)
            worker, numbers = sent.pop(handle)
            idle = [worker]
            yield from zip(numbers, self.hands.answers(handle), strict=True)
