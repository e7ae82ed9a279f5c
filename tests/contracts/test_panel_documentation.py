"""The tables of docs/panel.md about pages, callers and calls, compared with the panel itself."""

import re
from collections.abc import Iterator
from typing import Final
from unittest.mock import patch

import pytest

from demo.group import REPOSITORY
from pyrotorque.layout import Layout
from pyrotorque_panel.command_runner import CommandRunner
from pyrotorque_panel.exchange import PanelRoute
from tests.contracts.test_panel_gate import EVIL, call
from tests.panel_scene import PanelScene, panel_scene

PAGE: Final = (REPOSITORY / "docs/panel.md").read_text()
KINDS: Final = {"pages": ("page", "read"), "API, read": ("api", "read"), "API, act": ("api", "act")}
"""The columns of the table of callers; without a number, their cells are words."""


def _no_command(*_: object) -> tuple[str, str]:
    return "", "this test runs no command"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelScene]:
    layout = Layout.below(tmp_path_factory.mktemp("p"))
    layout.prepare()
    with patch.object(CommandRunner, "_run", _no_command), panel_scene(layout) as made:
        yield made


def table(heading: str) -> list[dict[str, str]]:
    """The rows of the first table below a heading, by the names of its columns."""
    text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    first = text[text.index("\n|") :].strip().partition("\n\n")[0]
    names, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines()]
    return [dict(zip(names, row, strict=True)) for row in rows]


def headers_of(scene: PanelScene, caller: str) -> tuple[dict[str, str], str]:
    """A request of this caller in the table, and the fields of its form."""
    origin = {"Origin": scene.origin}
    match caller:
        case "without a login":
            return origin, ""
        case "session (cookie)":
            cookie = scene.login()
            return origin | {"Cookie": cookie}, f"token={scene.form_token(cookie)}"
        case "token `read`" | "token `act`":
            return origin | scene.token(caller.split("`")[1]), ""
        case "a form from another site, or without the token of its page":
            cookie = scene.login()
            return {"Cookie": cookie, "Origin": EVIL}, f"token={scene.form_token(cookie)}"
        case "a name that is not ours in `Host`":
            return {"Cookie": scene.login(), "Host": "evil.example"} | scene.token("act"), ""
        case _:
            raise AssertionError(f"an unknown caller: {caller}")


def answers(scene: PanelScene, caller: str, kind: tuple[str, str]) -> set[str]:
    """What all routes of a kind answer this caller, in the words of the table."""
    found: set[str] = set()
    is_form = caller.startswith("a form")
    headers, fields = headers_of(scene, caller)
    for route in scene.app.routes:
        if _is_chosen(route, kind, is_form):
            reply = call(scene, route, headers, fields)
            is_login = reply.status == 303 and reply.headers["location"] == "/login"
            refused = str(reply.status) if reply.status in (401, 403, 421) else "yes"
            found.add("login page" if is_login else refused)
    return found


def _is_chosen(route: PanelRoute, kind: tuple[str, str], is_form: bool) -> bool:
    ends = ("/live", "/logout")  # a stream does not end, and a session would
    return (
        (route.kind, "act" if is_form else route.scope) == (kind[0], "act" if is_form else kind[1])
        and (route.method == "POST") == (is_form or kind[1] == "act")
        and not route.path.endswith(ends)
    )


@pytest.mark.parametrize("row", table("Who may do what"), ids=lambda row: row["caller"])
def test_callers_get_what_the_table_says(scene: PanelScene, row: dict[str, str]) -> None:
    for column, kind in KINDS.items():
        if row[column] != "–":
            assert answers(scene, row["caller"], kind) == {row[column]}, column


def test_every_page_is_in_the_table_and_has_its_tab(scene: PanelScene) -> None:
    names = {row["page"] for row in table("Pages")}
    page = scene.request("GET", "/g/main/events", {"Cookie": scene.login()}).text
    tabs = set(re.findall(r"</svg>([A-Z][\w-]+)</a>", page.partition('class="tabs"')[2].partition("</nav>")[0]))
    assert tabs <= names
    assert names - tabs == {"Why?", "Settings", "Fleet", "API"}


def test_the_statuses_of_errors_are_those_of_the_document(scene: PanelScene) -> None:
    text = PAGE.partition("with the status ")[2].partition("(a service is")[0]
    document = scene.request("GET", "/api/v1/openapi.json", scene.token("read")).json
    for path in document["paths"].values():
        for operation in path.values():
            assert set(operation["responses"]) == {"200", *re.findall(r"\d{3}", text)}


def test_each_call_that_the_page_names_exists(scene: PanelScene) -> None:
    document = scene.request("GET", "/api/v1/openapi.json", scene.token("read")).json
    patterns = [re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in document["paths"]]
    named = set(re.findall(r"/api/v1/[\w/.-]+", PAGE))
    assert named
    assert [path for path in named if not any(re.fullmatch(pattern, path) for pattern in patterns)] == []
