"""The documentation matches the code: generated pages, settings, events, exit codes, links and file names."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from demo.group import REPOSITORY
from docs.generate import EXITS, HERE, PAGES, shown
from docs.settings import COMMON, FLEET, GROUP, KINDS
from pyrotorque.events import Durable, Live
from pyrotorque.settings import packaged_text
from pyrotorque.settings.group import read_group
from pyrotorque.settings.handlers import Kind
from pyrotorque.settings.schema import CustomSettings, FleetSettings, JobSettings, RTorrentSettings, Settings
from pyrotorque_control import exit_codes
from tests.docs_blocks import pages

# Not settings: the name is in the key, cmd.NAME makes `commands`; `params` and `texts` have all other settings.
_NOT_SETTINGS = {"name", "commands", "params", "texts", "group_maxima"}


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (HERE / name).read_text() == PAGES[name](), "run python -m docs.generate"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_setting_of_a_job_is_documented(kind: Kind) -> None:
    written = {field.name for field in msgspec.structs.fields(kind)} - _NOT_SETTINGS - set(COMMON)
    documented = {name for name in KINDS[kind][2] if name not in ("cmd.NAME", "group_max.NAME", "…")}
    assert documented == written


def test_every_kind_of_job_is_documented() -> None:
    assert set(KINDS) == set(JobSettings.__subclasses__())


def test_the_common_settings_are_documented() -> None:
    assert set(COMMON) == {field.name for field in msgspec.structs.fields(JobSettings)} - _NOT_SETTINGS


def test_every_setting_of_the_group_is_documented_with_its_default() -> None:
    known = set(re.findall(r'^    "(\w+)":', _source(read_group.__code__.co_filename), re.MULTILINE))
    assert set(GROUP) == known
    defaults = {
        field.name: shown(field.default) for struct in (Settings, RTorrentSettings) for field in _fields(struct)
    }
    for name in ("connect_timeout", "read_timeout", "queue_startable_base", "log_level", "dry_run"):
        assert GROUP[name][0] == defaults[name]


def test_every_setting_of_the_fleet_is_documented() -> None:
    assert list(FLEET) == [field.name for field in _fields(FleetSettings)]


def _source(file: str) -> str:
    """The lines of the table of settings."""
    return Path(file).read_text().partition("_GROUP_KEYS")[2].partition("}")[0]


def _fields(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(struct)


def test_the_packaged_defaults_contain_every_setting_of_the_built_in_jobs() -> None:
    for kind, (_, intro, texts) in KINDS.items():
        if kind is not CustomSettings:
            job = re.findall(r"`(job\.\w+)`", intro)[0]
            missing = [name for name in texts if f"{job}.{name.replace('NAME', 'nfo')} " not in packaged_text()]
            assert missing == []


def test_every_event_is_documented() -> None:
    documented = re.findall(r"^### (\w+)$", (HERE / "events.md").read_text(), re.MULTILINE)
    assert documented == [event.__name__ for event in (*get_args(Durable), *get_args(Live))]


def test_every_exit_code_is_documented() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.startswith("EX_")} | {exit_codes.INTERRUPTED}
    assert set(EXITS) == codes


# --- links


@dataclass(frozen=True)
class Link:
    page: Path
    target: str


def links() -> list[Link]:
    without_code = ((page, re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)) for page in pages())
    found = ((page, re.findall(r"\]\(([^)\s]+)\)", text)) for page, text in without_code)
    return [Link(page, target) for page, targets in found for target in targets if "://" not in target]


def anchors(page: Path) -> set[str]:
    """The anchors of a page, in the form that GitHub generates."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("link", links(), ids=lambda link: f"{link.page.name}-{link.target}")
def test_a_link_has_a_target(link: Link) -> None:
    path, _, anchor = link.target.partition("#")
    target = (link.page.parent / path).resolve() if path else link.page
    assert target.exists(), "made later" if target.name == "jobs.md" else ""
    if anchor:
        assert anchor in anchors(target)


def test_the_list_of_contents_names_every_page() -> None:
    contents = (HERE / "README.md").read_text()
    assert [
        page.name for page in HERE.glob("*.md") if page.name != "README.md" and f"({page.name}" not in contents
    ] == []


def test_files_named_in_the_pages_exist() -> None:
    for page in pages():
        for name in re.findall(r"`((?:deploy|tests|docs|shared|services)/[\w@./-]+)`", page.read_text()):
            assert (REPOSITORY / name).exists(), f"{page.name}: {name}"


def test_tests_named_as_sources_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (HERE / "rtorrent.md").read_text()))
    written = {
        name
        for file in (REPOSITORY / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert len(named) > 20
    assert sorted(named - written) == []


def test_the_messages_in_the_quickstart_exist_in_the_code() -> None:
    code = "".join(file.read_text() for part in ("services", "shared") for file in (REPOSITORY / part).rglob("*.py"))
    table = (HERE / "quickstart.md").read_text().partition("## Troubleshooting")[2]
    messages = re.findall(r"^\| `([^`|]+ [^`|]+)`", table, re.MULTILINE)
    ours = [message for message in messages if not message.startswith(("CRIT", "DEPRECATION"))]
    assert len(ours) >= 3
    missing = [part for message in ours for part in message.split("…") if part.strip(" :") not in code]
    assert missing == []


def test_every_dependency_has_its_reason() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text()
    (listed,) = re.findall(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    (extras,) = re.findall(r"^\[project.optional-dependencies\]\n(.*?)\n\n", project, re.MULTILINE | re.DOTALL)
    names = re.findall(r'"([\w.-]+)', listed)
    page = (HERE / "dependencies.md").read_text()
    assert [name for name in re.findall(r'"([\w.-]+)', extras) if f"[{name}](" not in page.lower()] == []
    names.append("nats-py")
    documented = re.findall(r"^\| \[([\w.-]+)\]\(", (HERE / "dependencies.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(names)


def test_the_readme_names_the_packages_that_the_tests_install() -> None:
    (listed,) = re.findall(r"packages\.sh (rtorrent promtool .*)", (REPOSITORY / "Makefile").read_text())
    packages = {"promtool": "prometheus", "nginx": "nginx-light"}
    (shown,) = re.findall(r"Debian packages \((.*?)\)", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert set(re.findall(r"`([\w-]+)`", shown)) == {packages.get(name, name) for name in listed.split()}
