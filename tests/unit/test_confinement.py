"""A file in a watched tree chooses paths only if no other user could have written it, and only where data may be."""

import os
import stat
from pathlib import Path

import pytest

from demo.metafiles import make_metafile
from pyrotorque.confinement import StorageLimits, distrust, private_folders
from pyrotorque.errors import CommandRefused, SettingsError, UserError
from pyrotorque.layout import Layout
from pyrotorque.linux.filesystems import Mount, location
from pyrotorque.loadcommands import storage_commands
from pyrotorque.metafile import magnet, read
from pyrotorque.settings.schema import RTorrentSettings, Settings, WatchSettings
from pyrotorque.watchini import parse
from pyrotorque_watcher.load.recipes import JobRecipes, LoadRecipe, content_paths
from tests.watching import job

OTHER_USER = 12345


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "watch"
    folder.mkdir(mode=0o755)
    return folder


def ini(folder: Path, text: str = "target = /data\n") -> Path:
    path = folder / "watch.ini"
    path.write_text(text)
    path.chmod(0o644)
    return path


def reason(path: Path) -> str:
    return distrust(bytes(path), path.stat())


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `path` the file of another user: really, or by being another user."""
    if os.geteuid() == 0:
        os.chown(path, OTHER_USER, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: OTHER_USER)


def test_a_file_of_the_services_user_is_trusted(root: Path) -> None:
    assert reason(ini(root)) == ""


def test_a_file_of_another_user_is_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ini(root)
    give_away(path, monkeypatch)
    assert "belongs to user" in reason(path)


def test_a_file_or_folder_that_others_may_write_is_not(root: Path) -> None:
    path = ini(root)
    path.chmod(0o646)
    assert "everyone may write it" in reason(path)
    path.chmod(0o644)
    root.chmod(0o777)
    assert "everyone may write its folder" in reason(path)
    root.chmod(0o1777)
    assert "everyone may write its folder" in reason(path)


def test_a_group_may_write_only_if_no_other_user_is_in_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ini(root)
    path.chmod(0o664)
    private = True

    def is_private(_: int) -> bool:
        return private

    monkeypatch.setattr("pyrotorque.confinement._is_private_group", is_private)
    assert reason(path) == ""
    private = False
    assert "may write it" in reason(path)


def test_a_hard_link_is_not_trusted(root: Path) -> None:
    path = ini(root)
    os.link(path, root / "other")
    assert "several links" in reason(path)


def test_a_link_is_trusted_only_if_it_is_our_own(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = ini(tmp_path)
    link = root / "watch.ini"
    link.symlink_to(target)
    assert reason(link) == ""
    if os.geteuid() == 0:
        give_away(link, monkeypatch)
        assert "link of user" in reason(link)


@pytest.mark.parametrize("text", ["load_mode = start", "queued = yes", "priority = high", "custom1 = tv"])
def test_what_all_users_may_set(text: str) -> None:
    assert parse(text, distrust="it belongs to user mallory")


@pytest.mark.parametrize(
    "text",
    ["target = /x", "custom.targetdir = /x", "custom2 = x", "custom.x = y", "cmd.a = d.directory.set=/x", "cmd.a =",
     "on_loaded = delete"],
)  # fmt: skip
def test_what_only_the_owner_may_set(text: str) -> None:
    parse(text)
    with pytest.raises(SettingsError, match=r"watch\.ini:1: .*not allowed in this file, as it belongs to user mallory"):
        parse(text, distrust="it belongs to user mallory")


# -- where content may be stored


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("config/jobs", "session", "data/films", "data2", "other"):
        (tmp_path / "home" / folder).mkdir(parents=True)
    return tmp_path / "home"


def limits(home: Path, *below: str) -> StorageLimits:
    return StorageLimits([home / each for each in below], [home / "config", home / "session"])


def refused(found: StorageLimits, folder: Path | str, *files: bytes) -> str:
    return found.refusal(os.fsencode(folder), files)


def test_without_below_all_but_the_private_folders_are_allowed(home: Path) -> None:
    anywhere = limits(home)
    assert refused(anywhere, home / "data", b"film") == ""
    assert refused(anywhere, home / "absent" / "deep", b"film") == ""
    assert refused(anywhere, home / "config2", b"film") == ""
    for folder in ("config", "config/jobs", "session", "data/../config", "absent/../config/new"):
        assert "no content of torrents" in refused(anywhere, f"{home}/{folder}", b"x"), folder


def test_the_name_of_an_item_counts(home: Path) -> None:
    anywhere = limits(home)
    assert "no content" in refused(anywhere, home, b"config/config.py")
    assert "no content" in refused(anywhere, home.parent, b"home/config/config.py")
    assert refused(anywhere, home, b"film/config/config.py") == ""
    for name in (b"..", b"../config/x", bytes(home / "config" / "x")):
        assert refused(limits(home, "data"), home / "data", name) != "", name


def test_links_lead_where_they_lead(home: Path) -> None:
    (home / "data" / "link").symlink_to(home / "config")
    (home / "data" / "films" / "show").symlink_to("../../config")
    assert "no content" in refused(limits(home), home / "data" / "link", b"x")
    assert "no content" in refused(limits(home), home / "data" / "films", b"show/config.py")
    (home / "data" / "out").symlink_to(home / "other")
    assert "not below" in refused(limits(home, "data"), home / "data" / "out", b"x")
    assert refused(limits(home), home / "data" / "out", b"x") == ""


def test_below_is_a_folder_and_no_prefix(home: Path) -> None:
    found = limits(home, "data", "other")
    assert refused(found, home / "data" / "films", b"x") == ""
    assert refused(found, home / "other", b"x") == ""
    assert "not below" in refused(found, home / "data2", b"x")
    assert "not below" in refused(found, f"{home}/data/../data2", b"x")


def test_a_magnet_link_may_have_any_name(home: Path) -> None:
    assert "does not say which files" in limits(home).refusal(bytes(home), None)
    assert limits(home).refusal(bytes(home / "data"), None) == ""


def test_bind_mounts_are_seen_through() -> None:
    mounts = [
        Mount(1, 0, b"/", "ext4", b"8:1", b"/"),
        Mount(2, 1, b"/mnt/bound", "ext4", b"8:1", b"/home/me/.pyroscope/jobs"),
        Mount(3, 1, b"/home", "btrfs", b"0:30", b"/@home"),
    ]
    assert location(b"/mnt/bound/x", mounts) == b"8:1:/home/me/.pyroscope/jobs/x"
    assert location(b"/home/x", mounts) == b"0:30:/@home/x"
    assert location(b"/", mounts) == b"8:1:/"


def test_the_private_folders_are_those_of_the_group_and_of_rtorrent(layout: Layout) -> None:
    found = private_folders(layout, b"/session")
    assert {layout.config_dir, layout.run_dir, layout.state_dir, layout.log_dir, Path("/session")} < set(found)


def test_commands_that_store_content_are_found() -> None:
    text = b'd.custom.set=x,/a;d.custom.set="targetdir","/b";d.directory.set=/c;d.directory_base.set=$cat=/d'
    assert [(each.folder, each.is_base) for each in storage_commands(text)] == [
        (b"/b", False),
        (b"/c", False),
        (None, True),
    ]


@pytest.mark.parametrize(
    "text",
    ["cat=$d.directory.set=/x", "print=(d.directory_base.set,/x)", "f.multicall=*,d.directory.set=/x",
     "cat=$d.custom.set=targetdir,/x", "d.set_directory=/x"],
)  # fmt: skip
def test_no_command_hides_in_another_one(text: str) -> None:
    with pytest.raises(SettingsError, match="allowed"):
        parse(f"cmd.a = {text}")


def test_the_paths_of_the_content() -> None:
    single, multi = read(make_metafile("film")), read(make_metafile("show", files=[("a/b", 1), ("c", 2)]))
    assert content_paths(single, is_base=True) == content_paths(single, is_base=False) == [b"film"]
    assert content_paths(multi, is_base=False) == [b"show/a/b", b"show/c"]
    assert content_paths(multi, is_base=True) == [b"a/b", b"c"]
    assert content_paths(magnet(f"magnet:?xt=urn:btih:{'A' * 40}"), is_base=False) is None


# -- both, as a load does it


class Place:
    job = "treewatch"

    def __init__(self, root: Path) -> None:
        self.root = bytes(root)
        self.path = bytes(root / "x.torrent")


def commands(settings: WatchSettings, layout: Layout, name: str = "film") -> dict[str, bytes]:
    group = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=(settings,))
    recipe: LoadRecipe = JobRecipes(settings, group, layout).of(Place(settings.path[0]))
    return recipe.commands(read(make_metafile(name)), frozenset(), lambda _: True, b"/the/session")


@pytest.mark.parametrize(
    "text",
    [
        "target = {config}",
        "target = {config}/../{name}/jobs",
        "custom.targetdir = {config}",
        "cmd.a = d.directory.set={config}",
        "cmd.a = d.directory_base.set={config}/jobs",
        "cmd.a = d.custom.set=targetdir,{config}",
        "cmd.a = d.directory.set=$cat=/x",
        "cmd.a = d.directory.set=/the/session",
        "target = /the/session/x",
    ],
)
def test_no_watch_ini_stores_content_in_a_private_folder(root: Path, layout: Layout, text: str) -> None:
    ini(root, text.format(config=layout.config_dir, name=layout.config_dir.name))
    with pytest.raises(CommandRefused):
        commands(job(root), layout)


def test_a_name_cannot_lead_into_a_private_folder(root: Path, layout: Layout) -> None:
    ini(root, f"target = {layout.config_dir.parent}")
    assert commands(job(root), layout)
    with pytest.raises(CommandRefused, match="no content of torrents"):
        commands(job(root), layout, layout.config_dir.name)


@pytest.mark.parametrize("command", ["target = {}", "cmd.a = d.directory.set={}", "cmd.a = d.directory_base.set={}"])
@pytest.mark.parametrize("folder", [".ssh", ".config/systemd/user", "films/../.profile.d", "to-ssh", ".absent/x"])
def test_no_watch_ini_stores_content_in_hidden_folders_of_the_home(
    root: Path, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, folder: str
) -> None:
    """What is there is run at the next login; the folder with the watch.ini may be from another person."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / "films").mkdir()
    (home / "to-ssh").symlink_to(".ssh")
    monkeypatch.setenv("HOME", str(home))
    ini(root, command.format(home / folder))
    with pytest.raises(CommandRefused, match=r"hidden file or folder of your home|leaves its folder"):
        commands(job(root), layout)
    for allowed in (home / "films", home / "films" / ".hidden", tmp_path / ".elsewhere"):
        ini(root, command.format(allowed))
        assert commands(job(root), layout), allowed


@pytest.mark.parametrize("name", [".bashrc", ".ssh"])
def test_the_name_of_a_torrent_is_no_hidden_file_of_the_home(
    root: Path, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    ini(root, f"target = {tmp_path}/home")
    assert commands(job(root), layout)
    with pytest.raises(CommandRefused, match="hidden file or folder of your home"):
        commands(job(root), layout, name)
    limits = StorageLimits((), (), home=tmp_path / "home")
    assert "a magnet link does not say" in limits.refusal(os.fsencode(tmp_path / "home"), None)


def test_below_and_a_hidden_watched_folder_are_the_owners_word(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    root = home / ".torrents" / "watch"
    root.mkdir(parents=True, mode=0o755)
    monkeypatch.setenv("HOME", str(home))
    ini(root, f"target = {home}/.torrents/done")
    assert commands(job(root), layout)
    ini(root, f"target = {home}/.other/done")
    with pytest.raises(CommandRefused, match=r"job\.NAME\.below"):
        commands(job(root), layout)
    assert commands(job(root, below=(home / ".other",)), layout)


@pytest.mark.parametrize(
    ("watched", "allowed", "refused"),
    [
        (".torrents/tv/watch", ".torrents/done", ".torrents-old/done"),
        (".config/torrents/watch", ".config/torrents/done", ".config/systemd/user"),
        (".local/share/torrents/watch", ".local/share/torrents/done", ".local/share/systemd/user"),
        (".local/torrents/watch", ".local/torrents/done", ".local/bin"),
        (".config/watch", ".config/watch/done", ".config/autostart"),
        ("watch", "done", ".config/systemd/user"),
    ],
)
def test_a_watched_folder_allows_no_hidden_folder_of_other_programs(
    tmp_path: Path, watched: str, allowed: str, refused: str
) -> None:
    limits = StorageLimits((), (), home=tmp_path, root=os.fsencode(tmp_path / watched))
    assert limits.refusal(os.fsencode(tmp_path / allowed), [b"x.service"]) == ""
    assert "hidden" in limits.refusal(os.fsencode(tmp_path / refused), [b"x.service"])


def test_the_jobs_own_commands_are_not_limited(root: Path, layout: Layout, tmp_path: Path) -> None:
    own = job(root, commands=(("a", "d.directory.set=/anywhere"),), below=(tmp_path / "data",))
    assert commands(own, layout) == {"cmd.a": b"d.directory.set=/anywhere"}
    ini(root, f"target = {tmp_path}/data/films")
    assert commands(own, layout)["target"] == f'd.custom.set="targetdir","{tmp_path}/data/films"'.encode()
    ini(root, f"target = {tmp_path}/data2")
    with pytest.raises(CommandRefused, match="not below"):
        commands(own, layout)


def test_a_home_directory_is_ours(root: Path, layout: Layout) -> None:
    ini(root, "target = ~/films")
    assert commands(job(root), layout)["target"] == b'd.custom.set="targetdir","%b"' % os.fsencode(
        os.path.expanduser("~/films")
    )
    ini(root, "target = films")
    with pytest.raises(UserError, match="absolute"):
        commands(job(root), layout)


def test_a_watch_ini_is_judged_again_when_its_rights_change(root: Path, layout: Layout) -> None:
    path = ini(root)
    settings = job(root)
    group = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=(settings,))
    recipes = JobRecipes(settings, group, layout)
    assert recipes.of(Place(root)).overrides is not None
    path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IWOTH)
    with pytest.raises(UserError, match="everyone may write it"):
        recipes.of(Place(root))
    path.chmod(0o644)
    assert recipes.of(Place(root)).overrides is not None
    root.chmod(0o777)
    with pytest.raises(UserError, match="everyone may write its folder"):
        recipes.of(Place(root))


def test_a_name_with_dots_and_slashes_leaves_no_folder(root: Path, layout: Layout, tmp_path: Path) -> None:
    """Only a magnet link may have such a name."""
    ini(root, f"target = {tmp_path}/data/{{{{info_name}}}}/{{{{label}}}}")
    group = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=(job(root),))
    recipe = JobRecipes(job(root), group, layout).of(Place(root))
    for name in ("../../etc", "..", "/etc", "%2E%2E/x"):
        link = magnet(f"magnet:?xt=urn:btih:{'A' * 40}&dn={name}")
        (rendered,) = recipe.commands(link, frozenset(), lambda _: True).values()
        assert b"/../" not in rendered
        assert rendered.startswith(f'd.custom.set="targetdir","{tmp_path}/data/'.encode())
    ini(root, f"target = {tmp_path}/data/../x")
    with pytest.raises(CommandRefused, match=r"leaves its folder with \.\."):
        commands(job(root), layout)
