"""rTorrent's address is found in every form that people write into rtorrent.rc."""

import pytest

from pyrotorque.settings.rtorrent_rc import address_in

DEBIAN = """
method.insert = cfg.basedir,  private|const|string, (cat,"/home/me/rtorrent/")
method.insert = cfg.session,  private|const|string, (cat,(cfg.basedir),".session/")
method.insert = cfg.logfile,  private|const|string, (cat,(cfg.basedir),"rtorrent-",(system.time),".log")
session.path.set = (cat, (cfg.session))
execute.throw = sh, -c, (cat, "mkdir -p \\"", (cfg.basedir), "\\"")
network.scgi.open_local = (cat,(session.path),rpc.socket)
schedule2 = scgi_permission,0,0,"execute.nothrow=chmod,\\"g+w,o=\\",(cat,(session.path),rpc.socket)"
"""


def found(text: str, files: dict[str, str] | None = None) -> str | None:
    return address_in(text, home="/home/me", environ={"HOME": "/home/me"}, read=(files or {}).get)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        pytest.param("network.scgi.open_local = /run/rt.sock\n", "scgi:///run/rt.sock", id="plain socket"),
        pytest.param("scgi_local = ~/rtorrent/.sock", "scgi:///home/me/rtorrent/.sock", id="old name, at home"),
        pytest.param('network.scgi.open_local = "/a b/rt.sock"', "scgi:///a b/rt.sock", id="quoted, with a blank"),
        pytest.param("network.scgi.open_port = 127.0.0.1:5000", "scgi://127.0.0.1:5000", id="port"),
        pytest.param("scgi_port = localhost:5000", "scgi://localhost:5000", id="old name of port"),
        pytest.param("scgi_port = :5000", "scgi://127.0.0.1:5000", id="port without host"),
        pytest.param("# network.scgi.open_local = /x", None, id="commented out"),
        pytest.param("  # scgi_port = localhost:1\nx = 1", None, id="indented comment"),
        pytest.param("scgi_port = h:1\nscgi_local = /s", "scgi:///s", id="a socket is preferred"),
        pytest.param("scgi_local = /a\nscgi_local = /b", "scgi:///b", id="the last one counts"),
        pytest.param(DEBIAN, "scgi:///home/me/rtorrent/.session/rpc.socket", id="Debian's example"),
        pytest.param(
            "session = ~/s\nscgi_local = $cat={$session.path=,rpc.socket}",
            "scgi:///home/me/s/rpc.socket",
            id="list form of cat",
        ),
        pytest.param(
            "session.path.set = /s/\nnetwork.scgi.open_local = $cat=$session.path=,x.sock",
            "scgi:///s/x.sock",
            id="arguments form of cat",
        ),
        pytest.param(
            'network.scgi.open_local = (cat,(system.env,"HOME"),/x.sock)', "scgi:///home/me/x.sock", id="environment"
        ),
        pytest.param("scgi_local = \\\n /a.sock", "scgi:///a.sock", id="continued line"),
        pytest.param("scgi_local = (cat,(my.command),x)", None, id="only rTorrent has the value"),
        pytest.param("scgi_local = (((((", None, id="unbalanced"),
        pytest.param("", None, id="empty file"),
    ],
)
def test_the_address_is_read_from(text: str, url: str | None) -> None:
    assert found(text) == url


def test_an_imported_file_is_followed() -> None:
    files = {"/home/me/rt/config.rc": "scgi_local = /from/import.sock"}
    assert found("import = ~/rt/config.rc", files) == "scgi:///from/import.sock"


def test_a_file_that_imports_itself_ends() -> None:
    assert found("import = /loop.rc", {"/loop.rc": "import = /loop.rc\nscgi_local = /s"}) == "scgi:///s"


def test_a_missing_import_is_nothing() -> None:
    assert found("try_import = /nowhere.rc\nscgi_local = /s") == "scgi:///s"
