"""The home folder and `~`, also where a user has no home folder."""

import os
import pwd
import re
from pathlib import Path

import pytest

from pyrotorque.home import UnknownHome, expand_home, home_folder
from tests.configured import configured, problems
from tests.programs import REPOSITORY


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> pwd.struct_passwd:
        raise KeyError("no entry")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_home_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_home("~") == expand_home("~/") == home_folder() == tmp_path
    assert expand_home("~/a/b") == tmp_path / "a/b"


@pytest.mark.parametrize("given", ["", "relative", "~"])
def test_a_home_that_is_no_absolute_path_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("HOME", given)
    assert home_folder() == Path(pwd.getpwuid(os.getuid()).pw_dir)


def test_other_users_and_plain_paths(homeless: None) -> None:
    assert expand_home("~root/x") == Path(pwd.getpwnam("root").pw_dir) / "x"
    assert [str(expand_home(text)) for text in ("/a/~", "a", "./~")] == ["/a/~", "a", "~"]


def test_without_a_home_the_cure_is_named(homeless: None) -> None:
    assert home_folder() is None
    with pytest.raises(UnknownHome, match=r"HOME is not set, and user \d+ is not in /etc/passwd; set HOME, or"):
        expand_home("~/x")
    with pytest.raises(UnknownHome, match="there is no user nosuchuser for the path ~nosuchuser/x"):
        expand_home("~nosuchuser/x")


@pytest.mark.parametrize("path", ["~/watch", "~nosuchuser/watch"])
def test_a_setting_with_an_unknown_home_is_a_problem_with_its_place(homeless: None, tmp_path: Path, path: str) -> None:
    (found,) = problems(tmp_path, f"[TORQUE]\njob.treewatch.path = {path}\n")
    assert found.startswith("torque.ini:2: job.treewatch.path: ")
    assert path in found


def test_the_defaults_need_no_home(homeless: None, tmp_path: Path) -> None:
    assert configured(tmp_path, "[TORQUE]\njob.queue.active = True\n").settings.jobs


def test_only_one_module_finds_the_home_folder() -> None:
    forbidden = re.compile(r"Path\.home\(|environ(\.get)?[\[(]\"HOME\"")
    found = {
        str(path.relative_to(REPOSITORY))
        for folder in ("services", "shared")
        for path in (REPOSITORY / folder).rglob("*.py")
        if forbidden.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"shared/pyrotorque/home.py"}


def test_only_one_module_says_how_python_is_started() -> None:
    found = {
        str(path.relative_to(REPOSITORY))
        for folder in ("services", "shared")
        for path in (REPOSITORY / folder).rglob("*.py")
        if re.search(r"sys\.executable, .*\"-m\"", path.read_text(encoding="utf-8"))
    }
    # The command in rTorrent's include is for its owner to read.
    assert found <= {"shared/pyrotorque/interpreter.py", "services/pyrotorque_control/rtorrent_include.py"}
