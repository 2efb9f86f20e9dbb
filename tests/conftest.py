import logging

import pytest


@pytest.fixture(autouse=True)
def _own_logging():
    """A test that sets logging up, as the commands do, leaves it as it was: caplog needs records to propagate."""
    logger = logging.getLogger("bacon")
    handlers, propagate, level = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [], True
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)
