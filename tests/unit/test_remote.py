"""Tables in an object store, by a real server on this machine: the rows of files, and credentials nowhere."""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from omegaconf import OmegaConf

from goracs.commands import data, run
from goracs.config import build, composed, store_root
from goracs.data.readers import movielens, remote
from goracs.stages.prepare import stage
from goracs.store import Store
from goracs.types import InvalidInput
from tests.unit.test_files import ITEMS, LOG, WRITE, reader

pytestmark = pytest.mark.xdist_group("object store")  # one server
SECRET = "SECRETSECRETSECRET"
KEY = "AKIAKEYKEYKEY"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A store of objects in the bucket `shop` of a server of this module's; the environment leads to it."""
    import obstore.store
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    leads = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in leads.items():
            patch.setenv(name, value)
        import boto3

        boto3.client("s3").create_bucket(Bucket="shop")
        yield obstore.store.from_url("s3://shop")
    server.stop()


@pytest.fixture(autouse=True)
def forgotten() -> None:
    remote.objects.cache_clear()


def put(bucket: Any, name: str, table: pl.DataFrame, folder: Path) -> None:
    """An object that holds a table in the format of its name."""
    file = folder / Path(name).name
    WRITE[name.partition(".")[2]](file, table)
    bucket.put(name, file.read_bytes())


@pytest.mark.parametrize("end", WRITE)
def test_objects_are_read_as_files_are(
    bucket: Any, tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "BLOCK", 100)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    put(bucket, f"log/b.{end}", LOG[5:], tmp_path)
    put(bucket, f"log/a.{end}", LOG[:5], tmp_path)
    put(bucket, f"log/deeper/c.{end}", LOG, tmp_path)
    put(bucket, f"items.{end}", ITEMS, tmp_path)
    found = reader(f"s3://shop/log/*.{end}", f"s3://shop/items.{end}")
    WRITE[end](tmp_path / f"log.{end}", LOG)
    WRITE[end](tmp_path / f"items.{end}", ITEMS)
    local = reader(tmp_path / f"log.{end}", tmp_path / f"items.{end}")
    assert found.read().events.equals(local.read().events)
    assert found.read().items.equals(local.read().items)
    assert found.digests().keys() == local.digests().keys()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_digest_is_that_of_the_content_that_is_read(bucket: Any, tmp_path: Path) -> None:
    """Another content has another digest, the same one the same; what has changed since is not read."""
    put(bucket, "one/log.csv", LOG, tmp_path)
    url = "s3://shop/one/log.csv"
    before = reader(url, None).digests()
    put(bucket, "one/log.csv", LOG[::-1], tmp_path)
    with pytest.raises(InvalidInput, match=r"s3://shop/one/log\.csv has changed since it was looked at"):
        reader(url, None).read()
    remote.objects.cache_clear()
    assert reader(url, None).digests() != before
    put(bucket, "one/log.csv", LOG, tmp_path)
    remote.objects.cache_clear()
    assert reader(url, None).digests() == before


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("s3://shop/none/log.csv", r"no object s3://shop/none/log\.csv: dataset\.interactions must name one"),
        ("s3://shop/none/*.csv", r"no object s3://shop/none/\*\.csv"),
        ("s3://nobody/log.csv", r"s3://nobody/log\.csv cannot be read: there is no bucket nobody"),
        ("s3://nobody/*.csv", r"s3://nobody/\*\.csv cannot be read: there is no bucket nobody"),
        ("s3://shop", r"s3://shop is no URL that dataset\.interactions can name"),
        ("https://shop/log.csv", r"https://shop/log\.csv is no URL that .*: s3://BUCKET/NAME or gs://"),
        ("s3://me:hid/den@shop/log.csv", r"dataset\.interactions is a URL with a user or a password in it"),
        ("s3://me:hidden@shop/log.csv", r"dataset\.interactions is a URL with a user or a password in it"),
    ],
)
def test_what_cannot_be_read_is_refused(bucket: Any, url: str, match: str) -> None:
    with pytest.raises(InvalidInput, match=match) as caught:
        reader(url, None).digests()
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_object_that_may_not_be_read_is_refused(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an answer of 403, as S3 gives; it holds the key."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Denies(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.end_headers()
            self.wfile.write(f"<Error><Code>AccessDenied</Code><Key>{KEY}</Key></Error>".encode())

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Denies)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    for url in ("s3://shop/log.csv", "s3://shop/*.csv"):
        with pytest.raises(InvalidInput, match="may not be read with the credentials at hand") as caught:
            reader(url, None).digests()
        assert KEY not in str(caught.value)
        assert SECRET not in str(caught.value)
    server.shutdown()
    server.server_close()


def test_no_server_is_refused(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(InvalidInput, match=r"gave no answer within some seconds.*AWS_ACCESS_KEY_ID"):
            reader("s3://shop/log.csv", None).digests()


def test_messages_and_digests_name_the_url_and_no_secret(bucket: Any, tmp_path: Path, caplog: Any) -> None:
    put(bucket, "bad/log.csv", LOG.with_columns(rating=pl.lit(9.0)), tmp_path)
    put(bucket, "bad/other.csv", LOG.drop("rating"), tmp_path)
    with pytest.raises(InvalidInput, match=r"s3://shop/bad/log\.csv has a rating outside .* in row 1: 9"):
        reader("s3://shop/bad/log.csv", None, scale=[1, 5]).read()
    with pytest.raises(InvalidInput, match=r"s3://shop/bad/other\.csv lacks one of the columns") as caught:
        reader("s3://shop/bad/other.csv", None).read()
    told = f"{caught.value} {caplog.text} {reader('s3://shop/bad/log.csv', None).digests()}"
    assert not [secret for secret in (KEY, SECRET, os.environ["AWS_ENDPOINT_URL"]) if secret in told]


def test_a_prepared_artifact_holds_no_secret(bucket: Any, tmp_path: Path) -> None:
    put(bucket, "kept/log.csv", LOG, tmp_path)
    words = ["dataset=interactions", "dataset.interactions=s3://shop/kept/log.csv", "dataset.items=null"]
    config = composed([*words, "split=paper", "split.valid=1", "split.test=1"])
    made = build(OmegaConf.masked_copy(config, ["dataset", "split", "task"]))
    Store(tmp_path / "store").get(stage(made["dataset"], made["split"], made["task"]))
    kept = [file.read_bytes() for file in (tmp_path / "store").rglob("*") if file.is_file()]
    assert len(kept) >= 7
    for secret in (KEY, SECRET, os.environ["AWS_ENDPOINT_URL"], "s3://"):
        assert not any(secret.encode() in content for content in kept), secret


@pytest.mark.parametrize("command", [data.run, run.run])
@pytest.mark.parametrize(
    "url",
    [
        '"s3://me:hidden@shop/log.csv"',
        "s3://me:hidden@shop/log.csv",
        "s3://me:hid/den@shop/log.csv",
        '"https://shop.host/log.csv?X-Amz-Date=1&X-Amz-Signature=hidden"',
    ],
)
def test_a_password_is_refused_before_anything_shows_or_keeps_it(
    command: Any, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["goracs"])
    assert command(["dataset=interactions", f"dataset.interactions={url}", "dataset.items=null"]) == 1
    told = "".join(capsys.readouterr())
    assert "error: dataset.interactions is a URL with a user, a password or a signature in it" in told
    assert "hid" not in told
    assert list(tmp_path.iterdir()) == []


def test_a_url_where_a_place_on_disk_is_needed_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"store\.root is a URL, and must be a folder: .* renames"):
        store_root({"store": {"root": "s3://shop/store"}})
    with pytest.raises(InvalidInput, match=r"dataset\.path is a URL, and must be a place on a file system"):
        movielens.read("s3://shop/ml-32m", None)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("a/*.csv", "a/b.csv", True),
        ("a/*.csv", "a/b/c.csv", False),
        ("a/**/*.csv", "a/b/c/d.csv", True),
        ("a/**/*.csv", "a/d.csv", True),
        ("a/l-?.csv", "a/l-1.csv", True),
        ("a/l-?.csv", "a/l-/.csv", False),
        ("a/l-[12].csv", "a/l-3.csv", False),
        ("a/l.csv", "a/l_csv", False),
        ("a/**", "a/b/c.csv", True),
        ("a[.]csv", "a.csv", True),
        ("a[.]csv", "a_csv", False),
        ("b[!x]c", "b/c", False),
        ("b[!x]c", "byc", True),
        ("b[!x]c", "bxc", False),
        ("a+(b).csv", "a+(b).csv", True),
    ],
)
def test_patterns_of_objects_mean_what_those_of_files_do(pattern: str, name: str, fits: bool) -> None:
    assert bool(remote._matcher(pattern).fullmatch(name)) == fits
