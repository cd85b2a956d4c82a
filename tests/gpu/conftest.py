"""What the tests of a device take from the others."""

from tests.pipeline.conftest import goracs, store_root
from tests.unit.test_gradient import model

__all__ = ["goracs", "model", "store_root"]
