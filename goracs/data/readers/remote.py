"""Objects of S3 and Google Cloud Storage (s3://, gs://): known by what a server tells, fetched to be read.

Known    an object enters a key by its ETag, version and size: to digest its bytes every command would have to
         read all of them. Of S3 an ETag is of the bytes and of how they were sent, so the same bytes sent in
         other parts, or lying on this machine, have another key; what has changed always has.
Fetched  to a folder of the system's temporary ones, a block at a time, each of which must come with that
         ETag. There they are read as any file is, packed, broken or cut short, and then they go.
Secrets  credentials come from the environment alone (AWS_*, GOOGLE_*); a URL that holds some is refused and
         not shown. What a server answers is not shown either: it may hold an access key.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from goracs.types import InvalidInput

SCHEMES = ("s3", "gs")
BLOCK = 1 << 25  # bytes of an object that are asked for at once
PATIENCE = {"connect_timeout": "5s", "timeout": "60s"}
RETRIES = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
CREDENTIALS = (
    "Credentials and addresses are those of the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
    "AWS_REGION, AWS_ENDPOINT_URL (AWS_ALLOW_HTTP=true where it begins with http:), AWS_SKIP_SIGNATURE=true "
    "for what is public, GOOGLE_APPLICATION_CREDENTIALS."
)


@dataclass(frozen=True)
class Remote:
    """An object; as text its URL."""

    url: str
    size: int
    tag: str
    version: str | None

    def __str__(self) -> str:
        return self.url

    @property
    def suffixes(self) -> list[str]:
        """As of a path."""
        return PurePosixPath(self.url).suffixes

    @property
    def digest(self) -> str:
        """sha256 (hex) of its ETag, version and size."""
        return hashlib.sha256(f"{self.tag} {self.version} {self.size}".encode()).hexdigest()


def is_url(path: str) -> bool:
    """Whether a configured name is a URL of any kind."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def refuse_url(path: str, key: str) -> None:
    """Raise InvalidInput if a configured name is a URL where only a file or folder will do."""
    if is_url(path):
        raise InvalidInput(
            f"{key} is a URL, and must be a place on a file system: only dataset.interactions, "
            "dataset.reviews and their dataset.items are read from s3:// and gs://."
        )


@cache  # a key and what is read for it are of one moment
def objects(url: str, key: str) -> list[Remote]:
    """The objects that the URL `url` of the configured value `key` names, in the order of their names.

    Raises:
        InvalidInput: there is none, no bucket, no access, no answer within seconds, no URL that is known.
    """
    scheme, bucket, name = _parts(url, key)
    pattern = glob.has_magic(name)
    prefix = str(PurePosixPath(re.split(r"[*?\[]", name)[0] + "x").parent) if pattern else name
    with _told(url, bucket):
        store = _store(scheme, bucket)
        if pattern:
            from obstore import list as listing

            found: Any = [one for some in listing(store, None if prefix == "." else prefix) for one in some]
        else:
            found = [_head(store, name)]
    matching = [
        one for one in found if one and (one["path"] == name or _matcher(name).fullmatch(one["path"]))
    ]
    if not matching:
        raise InvalidInput(f"no object {url}: {key} must name one, or several by a pattern.")
    ordered = sorted(matching, key=lambda one: PurePosixPath(one["path"]).parts)
    return [_remote(f"{scheme}://{bucket}/{one['path']}", one) for one in ordered]


@contextmanager
def fetched(one: Remote) -> Iterator[Path]:
    """A copy of an object, as long as it is needed.

    Raises:
        InvalidInput: it is another one by now, or what `objects` refuses.
    """
    scheme, bucket, name = _parts(one.url, "dataset")
    with tempfile.TemporaryDirectory(prefix="goracs-") as folder:
        copy = Path(folder) / PurePosixPath(name).name
        with copy.open("wb") as file, _told(one.url, bucket):
            for block in _blocks(one, _store(scheme, bucket), name):
                file.write(block)
        yield copy


def _blocks(one: Remote, store: Any, name: str) -> Iterator[memoryview]:
    from obstore import get

    for start in range(0, one.size, BLOCK):
        wanted: Any = {"range": (start, min(start + BLOCK, one.size))}
        got = get(store, name, options=wanted)
        if got.meta["e_tag"] != one.tag:
            raise InvalidInput(f"{one.url} has changed since it was looked at: start again.")
        yield memoryview(got.bytes())


def _parts(url: str, key: str) -> tuple[str, str, str]:
    scheme, _, rest = url.partition("://")
    bucket, _, name = rest.partition("/")
    if "@" in bucket or ":" in bucket:
        raise InvalidInput(
            f"{key} is a URL with a user or a password in it, which would be kept. {CREDENTIALS}"
        )
    if scheme not in SCHEMES or not bucket or not name:
        shown = url.partition("?")[0]  # behind it could be what signs
        raise InvalidInput(f"{shown} is no URL that {key} can name: s3://BUCKET/NAME or gs://BUCKET/NAME.")
    return scheme, bucket, name


def _store(scheme: str, bucket: str) -> Any:
    from obstore.store import from_url

    options: Any = {"allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true", **PATIENCE}
    retries: Any = RETRIES
    return from_url(f"{scheme}://{bucket}", client_options=options, retry_config=retries)


def _head(store: Any, name: str) -> Any:
    """What is told of an object; None where the bucket has none of that name."""
    from obstore import head
    from obstore import list as listing

    try:
        return head(store, name)
    except FileNotFoundError:
        next(iter(listing(store, name)), None)  # which tells a bucket that is not there
        return None


@contextmanager
def _told(url: str, bucket: str) -> Iterator[None]:
    """What goes wrong with an object store, in words of ours."""
    try:
        from obstore.exceptions import BaseError
    except ImportError:
        raise InvalidInput(f"{url} is read by obstore: pip install 'goracs[cloud]'.") from None
    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError) as error:
        raise InvalidInput(_fault(url, bucket, str(error))) from None


def _fault(url: str, bucket: str, answer: str) -> str:
    if "NoSuchBucket" in answer or "status code: 404" in answer:
        return f"{url} cannot be read: there is no bucket {bucket}."
    if re.search("status code: 40[13]", answer):
        return f"{url} may not be read with the credentials at hand. {CREDENTIALS}"
    return (
        f"{url} cannot be read: its server, or the one that has the credentials, gave no answer within some "
        f"seconds, or none that is known. {CREDENTIALS}"
    )


def _remote(url: str, told: Any) -> Remote:
    tag = told["e_tag"]
    if not tag or tag.startswith("W/"):
        raise InvalidInput(f"{url} has no ETag by which its content is known: copy it to this machine.")
    return Remote(url, told["size"], tag, told["version"])


def _matcher(pattern: str) -> re.Pattern[str]:
    """Of names; as patterns of files, * stays within a folder and ** is any number of them."""
    *folders, last = pattern.split("/")
    before = "".join("(?:.*/)?" if folder == "**" else f"{_within(folder)}/" for folder in folders)
    return re.compile(before + (".*" if last == "**" else _within(last)))


def _within(part: str) -> str:
    """A regular expression of the name of one folder or file."""
    found = []
    for piece in re.split(r"(\*+|\?|\[!?[^]]+\])", part):
        if piece.startswith("[") and piece.endswith("]"):
            found.append(f"(?!/)[{piece[1:-1].replace('!', '^', 1) if piece[1] == '!' else piece[1:-1]}]")
        else:
            found.append({"*": "[^/]*", "?": "[^/]"}.get(piece[:1], re.escape(piece)))
    return "".join(found)
