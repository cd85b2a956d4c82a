"""The coresets of the golden problems stay what they are, whatever moves in the code."""

import json

from tests.golden.coresets import HERE, digests


def test_every_coreset_equals_the_kept_digest() -> None:
    kept = json.loads((HERE / "coresets.json").read_text())
    found = digests()
    assert {key: value for key, value in found.items() if kept.get(key) != value} == {}
    assert found.keys() == kept.keys()
