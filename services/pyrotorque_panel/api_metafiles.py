"""Calls of the API about metafiles: the ledger, and new ones in the watched folders."""

from base64 import b64decode

from pyrotorque.actions import watched_folders
from pyrotorque_panel.api_parameters import decoded
from pyrotorque_panel.api_routing import GROUP, ApiRouting
from pyrotorque_panel.api_types import (
    UPLOAD_MAX,
    FolderList,
    MagnetAddition,
    MetafileAddition,
    MetafilePage,
    Number,
    Paths,
    Word,
)
from pyrotorque_panel.exchange import PanelRequest, PanelRoute, QueryParameter, Upload


def metafile_routes(make: ApiRouting) -> list[PanelRoute]:
    """Listed, added, loaded again, forgotten."""
    path = f"{GROUP}/metafiles"
    view, actions = make.view, make.actions

    def listed(request: PanelRequest) -> MetafilePage:
        after = int(request.query.get("after", "0"))
        found = view(request).metafiles(request.query.get("state", ""), after)
        return MetafilePage(metafiles=found["metafiles"], next=found["next"])

    def add(request: PanelRequest) -> str:
        wanted: MetafileAddition = decoded(request, MetafileAddition)
        return actions(request).add(request.who, [Upload("", b64decode(wanted.metafile))], "", wanted.folder)

    def add_magnet(request: PanelRequest) -> str:
        wanted: MagnetAddition = decoded(request, MagnetAddition)
        return actions(request).add(request.who, [], wanted.magnet, wanted.folder)

    def retry(request: PanelRequest) -> str:
        return actions(request).retry(request.who, decoded(request, Paths).paths)

    def forget(request: PanelRequest) -> str:
        return actions(request).forget(request.who, decoded(request, Paths).paths)

    return [
        make.get(
            path,
            listed,
            "Metafiles, newest first, 200 a page",
            MetafilePage,
            query=[
                QueryParameter("state", "only in this state, such as `failed`", Word),
                QueryParameter("after", "`next` of the page before", Number),
            ],
        ),
        make.post(
            path,
            add,
            "Add a metafile, as base64, to a watched folder, by default the first root",
            MetafileAddition,
            body_max=UPLOAD_MAX,
        ),
        make.post(f"{GROUP}/magnets", add_magnet, "Add a magnet link to a watched folder", MagnetAddition),
        make.get(
            f"{GROUP}/folders",
            lambda r: FolderList(folders=watched_folders(view(r).layout)),
            "The watched folders, where metafiles can be added",
            FolderList,
        ),
        make.post(f"{path}/retry", retry, "Load metafiles again", Paths),
        make.post(f"{path}/forget", forget, "No longer list metafiles as failed", Paths),
    ]
