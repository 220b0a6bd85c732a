"""Settings of the Spark job: secrets in the wrong place are refused and not repeated."""

from __future__ import annotations

import pytest

from mattebox.spark import settings


@pytest.mark.parametrize("arguments", [["--kafka", "me:hunter2@host:9092"], ["--kafka-option", "hunter2"]])
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings.parser().parse_args(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "hunter2" not in said and arguments[0] in said
