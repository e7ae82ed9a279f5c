"""Restores without rTorrent: swaps that are interrupted, moved paths, snapshots, what belongs in a backup."""

import ast
import importlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest

from demo.group import REPOSITORY
from demo.metafiles import Bencodable, bencode
from pyrotorque.epochs import Cursor, take_seen_before
from pyrotorque.errors import StateError
from pyrotorque.events import ServiceStateChanged
from pyrotorque.layout import Layout
from pyrotorque.linux.files import rename_noreplace
from pyrotorque.outbox import Outbox
from pyrotorque.rtorrent.recognition import (
    ItemCounts,
    KnownSession,
    Recognition,
    SessionFacts,
    decode_record,
    encode_record,
    recognize,
)
from pyrotorque.rtorrent.session_mark import new_mark, read_mark, write_mark
from pyrotorque.snapshots import snapshots, verify_database
from pyrotorque.store import open_store
from pyrotorque_control.backup import staged_state, swap
from pyrotorque_control.backup.contents import Contents, require_state_apart
from pyrotorque_control.backup.manifest import KEPT_STATE, REPLACED_STATE, STAGING, STAYING_STATE
from pyrotorque_control.backup.moved_paths import MovedPaths, moved_attributes, moved_journal, parse_moves
from pyrotorque_control.backup.swap import (
    FolderSwap,
    RestoreJournal,
    carry_out,
    require_no_unfinished_restore,
    undo,
    unfinished,
)
from pyrotorque_control.group import CommandError
from pyrotorque_panel.access import AccessState, PanelSession, PanelToken

# --- swaps


def tree(folder: Path) -> dict[str, str]:
    """All files with their content."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


OLD = {"config/torque.ini": "old", "config/extra/a": "old", "config/state/db": "old", "session/a.torrent": "old"}
NEW = {
    f"config/{STAGING}/torque.ini": "new",
    f"config/{STAGING}/config.py": "new",
    f"config/state/{STAGING}/db": "new",
    f"session/{STAGING}/b.torrent": "new",
}
AFTER = {
    "config/torque.ini": "new", "config/config.py": "new", "config/state/db": "new", "session/b.torrent": "new",
    "config/aside/torque.ini": "old", "config/aside/extra/a": "old", "config/state/aside/db": "old",
    "session/aside/a.torrent": "old",
}  # fmt: skip


def prepared(top: Path) -> list[FolderSwap]:
    fill(top, OLD | NEW)
    return [
        FolderSwap.of(top / "session", "aside", ["a.torrent"], ["b.torrent"]),
        FolderSwap.of(top / "config/state", "aside", ["db"], ["db"]),
        FolderSwap.of(top / "config", "aside", ["torque.ini", "extra"], ["torque.ini", "config.py"]),
    ]


def test_a_swap_replaces_all_and_keeps_the_old_files(tmp_path: Path) -> None:
    carry_out(tmp_path / "config", prepared(tmp_path), tmp_path / "session")
    assert tree(tmp_path) == AFTER


class Kill(BaseException):
    """Ends the process at this place, without its handlers."""


@pytest.mark.parametrize("steps", range(8))
def test_an_error_after_any_step_leaves_the_old_files(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "rename_noreplace", limited(steps, OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        carry_out(tmp_path / "config", prepared(tmp_path), None)
    assert tree(tmp_path) == OLD


@pytest.mark.parametrize("again", range(9))
@pytest.mark.parametrize("steps", range(8))
def test_a_kill_after_any_step_is_undone_also_if_the_undoing_is_killed(
    tmp_path: Path, steps: int, again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, swaps = tmp_path / "config", prepared(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(swap, "rename_noreplace", limited(steps, Kill()))
        patch.setattr(swap, "undo", not_undone)
        with pytest.raises(Kill):
            carry_out(config, swaps, tmp_path / "session")
    with pytest.raises(CommandError, match="--undo"):
        require_no_unfinished_restore(config)
    journal = unfinished(config)
    assert journal is not None
    assert journal.session == tmp_path / "session"
    with monkeypatch.context() as patch, suppress(Kill):
        patch.setattr(swap, "rename_noreplace", limited(again, Kill()))
        undo(config, journal)
    if unfinished(config) is not None:
        undo(config, journal)
    assert tree(tmp_path) == OLD
    require_no_unfinished_restore(config)


def not_undone(config_dir: Path, journal: RestoreJournal) -> None:
    """A kill leaves no time for that."""


def limited(steps: int, error: BaseException) -> Callable[..., None]:
    """A rename that fails once after `steps` successful ones; later ones work, as those that undo it."""
    real, left = rename_noreplace, [steps]

    def rename(*names: object) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise error
        real(*names)  # type: ignore[arg-type]

    return rename


# --- moved paths

MOVED = parse_moves(("/home/old=/home/new", "/home/old/data=/mnt/data"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"/home/old", b"/home/new"),
        (b"/home/old/x", b"/home/new/x"),
        (b"/home/old/data/x", b"/mnt/data/x"),
        (b"/home/older/x", b"/home/older/x"),
        (b"/mnt/home/old/x", b"/mnt/home/old/x"),
        (b"/home/old/\xff", b"/home/new/\xff"),
    ],
)
def test_a_path_below_a_moved_folder_moves(before: bytes, after: bytes) -> None:
    assert MOVED.path(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"path = /home/old/watch", b"path = /home/new/watch"),
        (b"scgi_url = scgi:///home/old/rt.sock", b"scgi_url = scgi:///home/new/rt.sock"),
        (b"a=/home/old:/home/old/data", b"a=/home/new:/mnt/data"),
        (b'x "/home/old" y', b'x "/home/new" y'),
        (b"~/home/old /mnt/home/old /home/old-2 /home/old.bak", b"~/home/old /mnt/home/old /home/old-2 /home/old.bak"),
        (b"/home/oldest", b"/home/oldest"),
    ],
)
def test_paths_in_settings_move(before: bytes, after: bytes) -> None:
    assert MOVED.text(before) == after
    assert bool(MOVED.lines(before)) == (before != after)


def test_a_move_to_a_folder_that_moves_itself_is_done_once() -> None:
    swapped = parse_moves(("/a=/b", "/b=/a"))
    assert swapped.text(b"/a/x /b/x") == b"/b/x /a/x"
    assert (swapped.path(b"/a/x"), swapped.path(b"/b/x")) == (b"/b/x", b"/a/x")


@pytest.mark.parametrize("word", ["/a", "/a=", "=/a", "a=/b", "/=/b", "/a=/", "/a=b"])
def test_a_move_must_name_two_folders(word: str) -> None:
    with pytest.raises(CommandError):
        parse_moves((word,))


def test_only_paths_in_an_items_attributes_move() -> None:
    before: dict[str, Bencodable] = {
        "custom": {"x": "/home/old/x"},
        "custom1": "/home/old",
        "directory": "/home/old/data/x",
        "state": 1,
        "tied_to_file": "/home/old/watch/x.torrent",
    }
    after = before | {"directory": "/mnt/data/x", "tied_to_file": "/home/new/watch/x.torrent"}
    assert moved_attributes(bencode(before), MOVED) == bencode(after)
    for other in (b"", b"d", b"i1e", b"d9:directoryi1ee", b"d9:directory999:xe"):
        assert moved_attributes(other, MOVED) == other


def test_an_unfinished_move_moves() -> None:
    entry = b'{"info_hash":"A","source_hex":"%b","final_hex":"%b"}'
    before = entry % (b"/home/old/a".hex().encode(), b"/x/a".hex().encode())
    assert moved_journal(before, MOVED) == entry % (b"/home/new/a".hex().encode(), b"/x/a".hex().encode())
    removal = b'{"directory_hex":"%b","entry_hex":"","files":[["61",1,2,3]]}'
    before = removal % b"/home/old/data".hex().encode()
    assert moved_journal(before, MOVED) == removal % b"/mnt/data".hex().encode()
    for other in (b"", b"[]", b"{}", b'{"source_hex":"zz","final_hex":"","a_hex":1}', b"\xff"):
        assert moved_journal(other, MOVED) == other
    assert MovedPaths().text(b"/home/old") == b"/home/old"


# --- snapshots


def test_all_databases_are_as_of_one_instant(tmp_path: Path) -> None:
    """One thread writes a number to each database in turn: later ones never have more than earlier ones."""
    paths = [tmp_path / f"{number}.sqlite3" for number in range(4)]
    stop = threading.Event()

    def write() -> None:
        databases = [sqlite3.connect(path, isolation_level=None, timeout=10) for path in paths]
        for number in range(1_000_000):
            for db in databases:
                db.execute("UPDATE n SET n = ?", (number,))
            if stop.is_set():
                break
        for db in databases:
            db.close()

    for path in paths:
        with closing(sqlite3.connect(path)) as db:
            db.executescript("PRAGMA journal_mode = wal; CREATE TABLE n (n INTEGER); INSERT INTO n VALUES (0);")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for round_ in range(20):
            with snapshots(paths) as found:
                for path in reversed(paths):  # in the wrong order on purpose
                    found[path].copy(tmp_path / f"{round_}-{path.name}")
    finally:
        stop.set()
        writer.join()
    assert list(tmp_path.glob("*-wal")) == []
    for round_ in range(20):
        numbers = [number_in(tmp_path / f"{round_}-{path.name}") for path in paths]
        assert numbers == sorted(numbers, reverse=True)
        assert numbers[0] - numbers[-1] <= 1


def number_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT n FROM n").fetchone()[0])


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("CREATE TABLE t (a); CREATE INDEX i ON t (a);")
        db.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 20] = b"\1" * (4096 * 17)
    path.write_bytes(data)
    with pytest.raises(StateError):
        verify_database(path)


# --- what belongs in a backup


def test_what_a_running_group_needs_at_its_place_is_left_out(tmp_path: Path) -> None:
    fill(
        tmp_path,
        dict.fromkeys(
            ["torque.ini", "config.py", "sub/x", "run/pyrotorque", "log/torque.log", "state/group.lock", "state/a.head",
             "state/mine.txt", "state/photos/x", "state/watcher.sqlite3",
             "state/watcher.sqlite3-wal", "state/watcher.sqlite3.lock", "state/options.json",
             "state/configuration.json", "state/jobs/mover/A.json", "state/marks/job", "state/torque.ini.last-good",
             "pyrotorque-20261127-120000.tar.gz", "backups/pyrotorque-20261127-120000.tar.gz", "__pycache__/x.pyc",
             "before-restore-20261127-120000/torque.ini", "rt/rtorrent.rc", "rt/session/rtorrent.lock",
             "rt/session/dht", f"other/{'A' * 40}.torrent"],
            "x",
        ),
    )  # fmt: skip
    (tmp_path / "dotfiles.ini").symlink_to(tmp_path / "torque.ini")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "fifo")
    contents = Contents(Layout.below(tmp_path))
    names = {name for name, _ in (*contents.configuration(), *contents.state())}
    assert names == {
        "config/torque.ini", "config/config.py", "config/sub/x", "config/dotfiles.ini", "config/rt/rtorrent.rc",
        "state/jobs/mover/A.json", "state/marks/job", "state/torque.ini.last-good",
    }  # fmt: skip
    assert [line.partition(":")[0] for line in contents.left_out] == [str(tmp_path / "broken")]


# --- the state in its new place


def state_folder(folder: Path, *, migrations: int | None = None) -> Path:
    """Databases with an event of the watcher, which the scheduler received, as of this version or an earlier one."""
    folder.mkdir()
    for service, steps in STEPS.items():
        with closing(open_store(folder / f"{service}.sqlite3", steps[:migrations])) as store:
            outbox = Outbox(store, service, boot="one")
            if service == "watcher":
                with store.transaction():
                    outbox.add(SERVICE_CHANGED)
            outbox.close()
    return folder


@pytest.mark.parametrize("migrations", [None, 1], ids=["this version", "an earlier version"])
def test_no_browser_is_logged_in_after_a_restore(tmp_path: Path, migrations: int | None) -> None:
    state = state_folder(tmp_path / "state", migrations=migrations)
    session = PanelSession(key="a" * 64, number=3, created=2e9, used=2e9, address="::1", browser="b")
    token = PanelToken(key="c" * 64, name="phone", scope="read", created=2e9)
    before = AccessState(password="5a$6b", next_number=4, sessions=[session], ended=["d" * 64], tokens=[token])
    with closing(open_store(state / "panel.sqlite3", STEPS["panel"][:migrations])) as store:
        store.db.execute("INSERT INTO access VALUES (1, ?)", (msgspec.json.encode(before),))
    staged_state.prepare_state(state, "restored", MovedPaths(), session=None, seen_before_ns=5, state_dir=state)
    with closing(open_store(state / "panel.sqlite3", STEPS["panel"])) as store:
        (body,) = store.db.execute("SELECT body FROM access").fetchone()
    # The number of the next session is never used again, and programs keep their tokens.
    assert msgspec.json.decode(body, type=AccessState) == msgspec.structs.replace(before, sessions=[], ended=[])


STEPS = staged_state.MIGRATIONS
SERVICE_CHANGED = ServiceStateChanged(at=1.0, service="x", before="STOPPED", state="RUNNING")


@pytest.mark.parametrize("migrations", [None, 1], ids=["this version", "an earlier version"])
def test_a_subscriber_of_restored_state_records_one_gap(tmp_path: Path, migrations: int | None) -> None:
    state = state_folder(tmp_path / "state", migrations=migrations)
    cursor = None
    with closing(open_store(state / "watcher.sqlite3", STEPS["watcher"][:migrations])) as store:
        outbox = Outbox(store, "watcher", boot="one")
        cursor = Cursor(outbox.epoch, 1)
        outbox.close()
    staged_state.prepare_state(state, "restored", MovedPaths(), session=None, seen_before_ns=5, state_dir=state)
    with closing(open_store(state / "watcher.sqlite3", STEPS["watcher"])) as store:
        outbox = Outbox(store, "watcher")
        with store.transaction():
            outbox.add(SERVICE_CHANGED)
        lost = outbox.after(cursor)
        assert (lost.gap, lost.bodies) == ("restored", [])
        again = outbox.after(lost.reached)
        assert (again.gap, len(again.bodies)) == ("", 1)
        assert again.reached.epoch == outbox.epoch != cursor.epoch
        assert take_seen_before(store) == 5
        outbox.close()


def test_newer_state_is_refused(tmp_path: Path) -> None:
    state = state_folder(tmp_path / "state")
    with closing(sqlite3.connect(state / "scheduler.sqlite3")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="newer pyrotorque"):
        staged_state.prepare_state(state, "restored", MovedPaths(), session=None, seen_before_ns=0, state_dir=state)


def test_a_restored_session_is_the_known_one_and_its_original_is_not(tmp_path: Path) -> None:
    state, session = state_folder(tmp_path / "state"), tmp_path / "session"
    session.mkdir()
    with closing(open_store(state / "scheduler.sqlite3", STEPS["scheduler"])) as store:
        (group,) = store.db.execute("SELECT value FROM bus_meta WHERE key = 'database'").fetchone()
        mark = new_mark().at(group, 7)
        known = KnownSession(SessionFacts("process", mark=mark.name, generation=6, visible=True), group)
        with store.transaction() as db:
            db.execute("INSERT INTO known_rtorrent VALUES (1, ?)", (encode_record(known),))
    assert write_mark(os.fsencode(session), mark)
    (state / "marks").mkdir()
    (state / "marks" / "job").write_text(f"{group} 5 1")
    staged_state.prepare_state(state, "restored", MovedPaths(), session=session, seen_before_ns=0, state_dir=state)
    record = decode_record((state / "rtorrent.json").read_bytes())
    found = read_mark(os.fsencode(session))
    assert record is not None
    assert found is not None
    assert record.group != group
    assert (state / "marks" / "job").read_text() == f"{record.group} 5 1"
    facts = SessionFacts("other process", mark=found.name, generation=found.generation(record.group), visible=True)
    counts = ItemCounts(known=100, missing=50)
    assert recognize(record, facts, counts, 0.0) is Recognition.RESTARTED
    original = SessionFacts("process", mark=mark.name, generation=mark.generation(record.group), visible=True)
    assert recognize(record, original, counts, 0.0) is not Recognition.SAME
    assert recognize(record, original, counts, 0.0) is not Recognition.RESTARTED


def test_a_ledger_moves_with_its_folders(tmp_path: Path) -> None:
    state = state_folder(tmp_path / "state")
    with closing(open_store(state / "watcher.sqlite3", STEPS["watcher"])) as store, store.transaction() as db:
        db.executemany(
            "INSERT INTO roots (job, path, since_ns) VALUES ('w', ?, 0)", [(b"/home/old/w",), (b"/srv/\xff",)]
        )
    assert staged_state.prepare_state(state, "restored", MOVED, session=None, seen_before_ns=0, state_dir=state) == 1
    with closing(open_store(state / "watcher.sqlite3", STEPS["watcher"])) as store:
        found = sorted(path for (path,) in store.db.execute("SELECT path FROM roots"))
    assert found == [b"/home/new/w", b"/srv/\xff"]


def test_folders_of_a_ledger_that_changed_places_are_not_lost(tmp_path: Path) -> None:
    state = state_folder(tmp_path / "state")
    with closing(open_store(state / "watcher.sqlite3", STEPS["watcher"])) as store, store.transaction() as db:
        rows = [(b"/a", 1), (b"/b", 2), (b"/c", 3)]
        db.executemany("INSERT INTO roots (job, path, since_ns) VALUES ('w', ?, ?)", rows)
    moved = parse_moves(("/a=/b", "/b=/a", "/c=/d"))
    staged_state.prepare_state(state, "restored", moved, session=None, seen_before_ns=0, state_dir=state)
    with closing(open_store(state / "watcher.sqlite3", STEPS["watcher"])) as store:
        found = store.db.execute("SELECT path, since_ns FROM roots ORDER BY path").fetchall()
    assert found == [(b"/a", 2), (b"/b", 1), (b"/d", 3)]


def names_below_the_state_folder() -> Iterator[tuple[str, str]]:
    """The file and the name, for each `state_dir / NAME` in the code, and each name beside a database."""
    for part in ("services", "shared"):
        for path in (REPOSITORY / part).rglob("*.py"):
            text = path.read_text()
            if path.parent.name == "backup" or ("state_dir" not in text and "with_" not in text):
                continue
            module = ".".join(path.relative_to(REPOSITORY / part).with_suffix("").parts).removesuffix(".__init__")
            tree = ast.parse(text)
            for node in ast.walk(tree):
                if (name := name_below(node)) is not None:
                    yield path.name, str(evaluated(name, module, tree))


def name_below(node: ast.AST) -> ast.expr | None:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        left = ast.unparse(node.left).removesuffix(")").removesuffix(".parents[1]").removesuffix(".absolute(")
        return node.right if left.endswith("state_dir") else None
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("store.path.with_name", "database.with_name"):
        return node.args[0]
    return None


def evaluated(name: ast.expr, module: str, tree: ast.Module) -> object:
    """The value of a constant, also of one that a function imports; of an f-string, that for the watcher."""
    names = vars(importlib.import_module(module)) | {"service": "watcher"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and ast.unparse(name) in {each.name for each in node.names}:
            names |= vars(importlib.import_module(node.module))
    return eval(compile(ast.Expression(name), module, "eval"), names)


def test_each_file_of_the_state_folder_is_known_to_backups() -> None:
    """Names that code puts into the state folder: add a new one to KEPT_STATE, REPLACED_STATE or STAYING_STATE."""
    # A job's own folder is below `jobs`.
    inside = {
        ("orphans.py", "orphans"),
        ("journal.py", "removals"),
        ("target_disks.py", "target-disks"),
        ("unfinished_changes.py", "removals"),
    }
    found = {name for place in names_below_the_state_folder() if place not in inside for name in place[1:]}
    assert {"jobs", "fleet_inbox", "housekeeping", "marks", "rtorrent.json", "watcher.sqlite3"} <= found
    assert found - KEPT_STATE - REPLACED_STATE - STAYING_STATE.keys() == set()
    assert KEPT_STATE & STAYING_STATE.keys() == set()


def test_what_runs_beside_the_configuration_is_not_confused_with_state(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="folder of its own"):
        require_state_apart(Layout.below(tmp_path, state_dir=tmp_path))
