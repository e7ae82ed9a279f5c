"""Arguments of a service are paths, given in either form."""

from pathlib import Path

import pytest

from pyrotorque.service.arguments import path_arguments


@pytest.mark.parametrize("words", [["--config-dir", "/c", "--run-dir", "/r"], ["--run-dir=/r", "--config-dir=/c"]])
def test_paths_are_given_in_two_forms(words: list[str]) -> None:
    assert path_arguments(words, "config-dir", "run-dir") == {"config-dir": Path("/c"), "run-dir": Path("/r")}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "--config-dir is missing"),
        (["--config-dir"], "--config-dir needs a path"),
        (["--config-dir="], "--config-dir needs a path"),
        (["--config-dir=/c", "more"], "unexpected argument more"),
        (["--other", "/c"], "unexpected argument --other"),
        (["config-dir=/c"], "unexpected argument config-dir=/c"),
    ],
)
def test_invalid_arguments_are_exit_code_2(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        path_arguments(words, "config-dir")
    assert exited.value.code == 2
    assert text in capsys.readouterr().err
