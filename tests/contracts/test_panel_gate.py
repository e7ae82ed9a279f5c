"""Every route of the panel, as its own table names them, and every kind of caller: who gets what."""

from collections.abc import Iterator

import pytest

from pyrotorque.layout import Layout
from pyrotorque.passwords import password_hash
from pyrotorque_panel.exchange import PanelRoute
from tests.panel_scene import PanelScene, Reply, panel_scene

PARAMS = {"group": "main", "job": "queue", "info_hash": "A" * 40, "service": "watcher", "name": "panel.css"} | {
    "entry": "x"
}
EVIL = "http://evil.example"
MADE = "made"  # the gate let it through: whatever the handler answered


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelScene]:
    layout = Layout.below(tmp_path_factory.mktemp("p"))
    layout.prepare()
    with panel_scene(layout) as made:
        yield made


def path_of(route: PanelRoute) -> str:
    return route.path.format(**PARAMS)


def call(scene: PanelScene, route: PanelRoute, headers: dict[str, str], fields: str = "") -> Reply:
    is_form = route.method != "GET" and route.kind != "api"
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if is_form else {}
    if route.path.endswith("/live") and "Cookie" in headers and "Host" not in headers:
        pytest.skip("a stream does not end")
    return scene.request(route.method, path_of(route), kind | headers, fields if route.method != "GET" else None)


def outcome(reply: Reply) -> str:
    if reply.status in (401, 403, 421):
        return str(reply.status)
    if reply.status == 303 and reply.headers["location"].endswith("/login"):
        return "login"
    return MADE


def expected(route: PanelRoute, caller: str) -> str:
    """The rules, written a second time: see docs/panel.md."""
    is_write = route.method != "GET"
    if caller == "foreign host":
        return "421"
    if caller == "foreign origin, session":
        if is_write and route.kind != "api":
            return "403"
        return {"api": "401"}.get(route.kind, MADE)
    if route.kind == "public":
        return MADE
    if route.kind == "page":
        match caller:
            case "nobody" | "read token" | "act token":
                return "login"
            case "session without form token":
                return "403" if is_write else MADE
            case _:
                return MADE
    match caller:
        case "read token":
            return "403" if route.scope == "act" else MADE
        case "act token":
            return MADE
        case _:
            return "401"


CALLERS = (
    "nobody",
    "read token",
    "act token",
    "session",
    "session without form token",
    "foreign origin, session",
    "foreign host",
)


@pytest.mark.parametrize("caller", CALLERS)
def test_every_route_follows_the_rules(scene: PanelScene, caller: str, layout: Layout) -> None:
    problems: list[str] = []
    for route in scene.app.routes:
        if route.path in ("/login", "/logout") and caller == "session":
            continue  # they end the session, or are tested below
        cookie = scene.login()
        headers = {"Origin": scene.origin}
        fields = ""
        match caller:
            case "read token" | "act token":
                headers |= scene.token(caller.partition(" ")[0])
            case "session":
                headers["Cookie"], fields = cookie, f"token={scene.form_token(cookie)}"
            case "session without form token":
                headers["Cookie"], fields = cookie, "token=wrong"
            case "foreign origin, session":
                headers |= {"Cookie": cookie, "Origin": EVIL}
                fields = f"token={scene.form_token(cookie)}"
            case "foreign host":
                headers |= {"Cookie": cookie, "Host": "evil.example", "Origin": EVIL} | scene.token("act")
                fields = f"token={scene.form_token(cookie)}"
            case _:
                pass
        if route.path.endswith("/live") and caller not in ("nobody", "read token", "act token", "foreign host"):
            continue  # a stream does not end
        found = outcome(call(scene, route, headers, fields))
        if found == "403" and route.path == "/login" and expected(route, caller) == MADE:
            found = MADE  # a failed login
        if found != expected(route, caller):
            problems.append(f"{route.method} {route.path}: {found}, expected {expected(route, caller)}")
    assert problems == []


def test_the_table_has_every_kind_of_route(scene: PanelScene) -> None:
    kinds = {(route.kind, route.scope, route.method) for route in scene.app.routes}
    assert kinds >= {
        ("public", "none", "GET"),
        ("page", "read", "GET"),
        ("page", "act", "POST"),
        ("api", "read", "GET"),
        ("api", "act", "POST"),
    }
    assert not [route for route in scene.app.routes if route.kind == "public" and not route.path.startswith("/-/")
                and route.path not in ("/login", "/static/{name}")]  # fmt: skip
    assert not [route for route in scene.app.routes if route.method != "GET" and route.scope == "read"
                and route.path not in ("/logout", "/settings/theme")]  # fmt: skip


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_refused(scene: PanelScene, method: str) -> None:
    for path in ("/", "/api/v1/groups", "/login"):
        reply = scene.request(method, path, {"Origin": EVIL, "Access-Control-Request-Method": "POST"})
        assert reply.status in (401, 403, 405)
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_every_answer_has_the_policy(scene: PanelScene) -> None:
    cookie = scene.login()
    for path in ("/", "/login", "/static/panel.js", "/g/main/", "/nowhere", "/api/v1/groups", "/-/healthy"):
        headers = scene.request("GET", path, {"Cookie": cookie}).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_a_page_of_another_site_may_link_to_ours_and_not_load_it(scene: PanelScene, site: str) -> None:
    """Browsers send our cookie also with the requests of a page on another port of this host."""
    paths = [route.path.format(**PARAMS) for route in scene.app.routes if (route.method, route.kind) == ("GET", "page")]
    assert {"/g/main/live", "/g/main/cleanup"} <= set(paths)
    cookie = {"Cookie": scene.login(), "Sec-Fetch-Site": site}
    for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("navigate", "object")):
        fetched = cookie | {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        assert {path: scene.request("GET", path, fetched).status for path in paths} == dict.fromkeys(paths, 403)
    link = cookie | {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert scene.request("GET", "/g/main/", link).status == 200
    own = cookie | {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    for trusted in ("same-origin", "none"):
        assert scene.request("GET", "/g/main/", own | {"Sec-Fetch-Site": trusted}).status == 200
    api = scene.token("read") | own
    assert scene.request("GET", "/api/v1/groups", api).status == 200, "a token is no cookie: nothing sends it along"


def test_a_login_without_an_origin_or_from_another_site_fails(scene: PanelScene) -> None:
    link = scene.access.make_link()
    for headers in ({}, {"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site", "Origin": scene.origin}):
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert scene.request("POST", "/login", kind | headers, f"link={link}").status == 403


def test_a_link_works_once(scene: PanelScene) -> None:

    link = scene.access.make_link()
    assert scene.request("GET", f"/login?link={link}").status == 200, "a preview of it does not use it up"
    reply = scene.form("/login", {"link": link})
    assert reply.status == 303
    assert "HttpOnly; SameSite=Lax" in reply.headers["set-cookie"]
    assert "Secure" not in reply.headers["set-cookie"]
    cookie = reply.headers["set-cookie"].partition(";")[0]
    assert scene.request("GET", "/settings", {"Cookie": cookie}).status == 200
    assert scene.form("/login", {"link": link}).status == 403
    tossed = f"{cookie.partition('=')[0]}=tossed; {cookie}"  # by another server of this host
    left = scene.form("/logout", {"token": scene.form_token(cookie)}, tossed)
    assert (left.status, left.headers["location"]) == (303, "/login")
    assert left.headers["set-cookie"].startswith(f"{cookie};"), "a browser drops the pages that it keeps for 'back'"
    assert scene.request("GET", "/settings", {"Cookie": cookie}).status == 303


def test_failed_logins_are_limited(layout: Layout) -> None:
    with panel_scene(layout) as scene:
        assert [scene.form("/login", {"password": "x"}).status for _ in range(6)] == [403] * 5 + [429]


def test_logins_refused_logins_and_ended_sessions_are_recorded(layout: Layout) -> None:
    with panel_scene(layout) as scene:
        reply = scene.form("/login", {"link": scene.access.make_link()})
        cookie = reply.headers["set-cookie"].partition(";")[0]
        scene.login()
        fields = {"token": scene.form_token(cookie), "number": "2"}
        assert scene.form("/settings/sessions/end", fields, cookie).status == 303
        assert scene.form("/settings/sessions/end", fields, cookie).status == 303, "there is none any more"
        for _ in range(9):
            scene.form("/login", {"password": "x"})
        scene.form("/login", {"link": "wrong"})
        own = "panel, session 1 (127.0.0.1)"
        assert scene.recorded == [
            (own, "login", "", True), (own, "session-end", "2", True),
            ("panel, someone (127.0.0.1)", "login", "", False),
        ], "refused ones once a minute: a client must not fill the log"  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("ann", "ann"), ("j\u00fcrgen", "j\u00fcrgen"), (" voil\u00e0 ", "voil\u00e0"), ("w" * 300, "w" * 100),
        ("\u202eevil", "\\u202eevil"), ("a\x9b2J\x85", "a\\x9b2J\\x85"),
    ],
)  # fmt: skip
def test_a_user_whom_a_proxy_names_is_recorded_as_people_write_the_name(layout: Layout, sent: str, shown: str) -> None:
    with panel_scene(layout, auth_header="Remote-User", trusted_proxies=("127.0.0.1",)) as scene:
        user = {"Remote-User": sent.encode().decode("latin-1"), "Origin": scene.origin}
        page = scene.request("GET", "/settings", user).text
        token = page.partition('name="token" value="')[2].partition('"')[0]
        form = user | {"Content-Type": "application/x-www-form-urlencoded"}
        assert scene.request("POST", "/settings/tokens", form, f"token={token}&name=t").status == 200
        assert scene.recorded == [(f"panel, user {shown} (127.0.0.1)", "token", "t", True)]


def test_unknown_callers_lock_out_neither_a_link_nor_a_browser_that_has_logged_in(layout: Layout) -> None:
    with panel_scene(layout) as scene:
        scene.access.set_password(password_hash("correct horse"))
        cookie = scene.login()
        assert scene.form("/logout", {"token": scene.form_token(cookie)}, cookie).status == 303
        while scene.form("/login", {"password": "x"}).status != 429:
            pass
        assert scene.form("/login", {"password": "correct horse"}).status == 429
        assert scene.form("/login", {"password": "correct horse"}, cookie).status == 303
        for _ in range(30):
            assert scene.form("/login", {"link": "wrong"}).status == 403
        assert scene.form("/login", {"link": scene.access.make_link()}).status == 303


def test_a_cookie_that_is_no_session_shows_the_login(scene: PanelScene) -> None:
    for value in ("", "x", '"', "a=b; c", "\xff", "x" * 4000):
        reply = scene.request("GET", "/g/main/", {"Cookie": f"{scene.parts.cookie}={value}"})
        assert (reply.status, reply.headers["location"]) == (303, "/login")


@pytest.mark.parametrize(
    "other",
    [
        "a/b=1",
        'prefs={"a": 1}',
        "x=a;b c=d",
        'x="unclosed',
        "=v",
        "novalue",
        "\xfc=1",
        "OURS=bad",
        "pyrotorque_theme=x",
    ],
)
def test_cookies_of_other_programs_on_the_host_log_no_one_out(scene: PanelScene, other: str) -> None:
    """Browsers send cookies of all ports of a host; another path may have one of the same name."""
    ours, other = scene.login(), other.replace("OURS", scene.parts.cookie)
    for cookie in (f"{other}; {ours}", f"{ours}; {other}", f"pyrotorque_theme=dark; {other};{ours}; {other}"):
        page = scene.request("GET", "/settings", {"Cookie": cookie})
        assert page.status == 200
        assert ('data-theme="dark"' in page.text) == cookie.startswith("pyrotorque_theme=dark")
    assert scene.request("GET", "/login", {"Cookie": f"pyrotorque_theme=dark; {other}"}).status == 200
    assert scene.request("GET", "/settings", {"Cookie": other}).status == 303


def test_a_read_token_cannot_act_with_another_header(scene: PanelScene) -> None:
    headers = scene.token("read") | {"X-HTTP-Method-Override": "POST", "Cookie": scene.login()}
    assert scene.request("POST", "/api/v1/groups/main/jobs/queue/pause", headers).status == 403


def test_without_actions_no_caller_may_act(layout: Layout) -> None:
    with panel_scene(layout, actions=False) as scene:
        cookie = scene.login()
        assert scene.request("POST", "/api/v1/groups/main/jobs/queue/pause", scene.token("act")).status == 403
        assert scene.form("/g/main/jobs/queue/pause", {"token": scene.form_token(cookie)}, cookie).status == 403
        assert scene.request("GET", "/api/v1/groups", scene.token("read")).status == 200


def test_bodies_are_limited(scene: PanelScene) -> None:
    path, act = "/api/v1/groups/main/metafiles/retry", scene.token("act")
    json = {"Content-Type": "application/json"}
    assert scene.request("POST", path, act | json, b"[" + b" " * 300_000).status == 413
    assert scene.request("POST", path, act | {"Content-Type": "text/plain"}, b"{}").status == 415
    assert scene.request("POST", path, act | json, b"{").status == 400
    assert scene.request("POST", path, act | json, b'{"paths": []}').status == 400
    assert scene.request("POST", path, act | json, b'{"paths": ["relative"]}').status == 400
    assert scene.request("POST", path, act | json, b'{"paths": ["/w/x.torrent"]}').status == 503, "no watcher"


def test_hosts_and_a_base_path(layout: Layout) -> None:
    with panel_scene(layout, hosts=("box.example.org",), base_path="/torque/") as scene:
        assert scene.request("GET", "/login", {"Host": "box.example.org"}).status == 200
        assert scene.request("GET", "/login", {"Host": "other.example.org"}).status == 421
        for path in ("/torque/g/main/", "/g/main/"):
            assert scene.request("GET", path).headers["location"] == "/torque/login"
        link = scene.access.make_link()
        page = scene.request("GET", f"/torque/login?link={link}").text
        assert 'action="/torque/login"' in page
        assert 'href="/login' not in page


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/login", "localhost", 200),
        ("HTTP://user@127.0.0.1:1/login?x=1", "127.0.0.1:1", 200),
        ("http://localhost/login", "evil.example", 200),
        ("http://evil.example/login", "localhost", 421),
        ("http://localhost@evil.example/login", "localhost", 421),
        ("https://evil.example", "localhost", 421),
        ("http:///login", "localhost", 421),
        ("http://localhost/static/panel.css", "localhost", 200),
        ("http://localhost/api/v1/groups", "localhost", 401),
    ],
)
def test_a_target_may_be_absolute_and_its_host_counts(scene: PanelScene, target: str, host: str, status: int) -> None:
    """Such a request was redirected to the login again and again, and the host in it was not looked at."""
    client = scene.connect()
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    with client.makefile("rb") as answer:
        assert answer.readline().split()[1] == str(status).encode()


def test_a_form_is_of_the_same_origin_as_the_host_in_its_target(scene: PanelScene) -> None:
    for origin, status in (("http://localhost", b"403"), ("http://box", b"403"), ("http://127.0.0.1", b"403")):
        client = scene.connect()
        body = b"link=x"
        head = f"POST http://localhost/login HTTP/1.1\r\nHost: box\r\nOrigin: {origin}\r\nConnection: close\r\n"
        kind = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\n"
        client.sendall((head + kind).encode() + body)
        with client.makefile("rb") as stream:
            answer = stream.read()
        assert answer.split()[1] == status
        assert (b"That did not log you in" in answer) == (origin == "http://localhost")
