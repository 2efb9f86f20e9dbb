import json

import pytest

from tests.golden.distillation import FILE, METHODS, short_run


@pytest.mark.parametrize("method", METHODS)
def test_a_short_run_gives_the_golden_numbers(method):
    golden, found = json.loads(FILE.read_text())[method], short_run(method)
    for key in ("mean", "sd", "pixels"):
        assert found[key] == pytest.approx(golden[key], abs=1e-9), key
    assert found["terms"] == pytest.approx(golden["terms"], rel=1e-5)
