"""Fleets of groups with real rTorrents, which end together."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from demo.fleet_site import NAMES, FleetSite
from tests.waiting import eventually

FleetMaker = Callable[..., list[FleetSite]]


@contextmanager
def fleets(folder: Path) -> Generator[FleetMaker]:
    """A function that starts groups, and returns when each of them knows that all take metafiles.

    At the end, what they know and have logged last is printed: pytest shows it for a test that failed.
    """
    with ExitStack() as stack:

        def make(
            servers: str, *lines: str, names: tuple[str, ...] = NAMES, patch: str = "",
            own: dict[str, tuple[str, ...]] | None = None, places: dict[str, str] | None = None,
        ) -> list[FleetSite]:  # fmt: skip
            """`lines` are for each torque.ini, `own` and `places` for that of one group; `patch` is a sitecustomize for
            the first group."""
            patched = folder / "patch"
            patched.mkdir()
            (patched / "sitecustomize.py").write_text(patch)
            sites: list[FleetSite] = []
            for name in names:
                more = (*lines, *(own or {}).get(name, ()))
                own_patch = patched if patch and name == names[0] else None
                place = (places or {}).get(name, "fleet")
                site = FleetSite(folder, name, servers, more, patch=own_patch, place=place)
                stack.callback(site.rtorrent.kill)
                stack.callback(_print_end, site)
                sites.append(site)
            with ThreadPoolExecutor(len(sites)) as pool:
                groups = [site.group for site in sites]
                list(pool.map(stack.enter_context, groups))
            eventually(lambda: all(site.ready() == set(names) for site in sites), 60, why="all groups are there")
            return sites

        yield make


def _print_end(site: FleetSite) -> None:
    print(f"--- {site.group.config_dir}")
    with suppress(Exception):
        print(site.items(), site.states())
    for name in ("fleet", "guardian", "supervisord"):
        print(f"{name}.log:", *site.group.log(name).splitlines()[-20:], sep="\n")


def placed(sites: list[FleetSite], hashes: set[str]) -> bool:
    """Whether each is started in exactly one rTorrent, and is in no other."""
    where = [site.items() for site in sites]
    return all([found[each] for found in where if each in found] == [True] for each in hashes)
