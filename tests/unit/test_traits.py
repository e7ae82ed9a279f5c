"""Traits of torrents by release names and extensions of files."""

import pytest

from pyrotorque.traits import dominant_kind, kind_histogram, kinds_from, label, name_traits, traits_of

TV = [
    ("Some.Show.S02E05.720p.HDTV.x264-GRP.mkv", "Some Show", "02", "05", "season and episode"),
    ("Some Show - 1x02 - Title.avi", "Some Show", "1", "02", "season and episode"),
    ("Some.Show.S02.1080p.WEB-DL.DD5.1.H.264-GRP", "Some Show", "02", None, "full season"),
    ("Some.Show.Season.3.DVDRip.XviD-GRP", "Some Show", "3", None, "full season"),
    ("Daily.Show.2019.03.04.720p.WEB.x264-GRP", "Daily Show", None, None, "daily"),
    ("Mini.Series.Part.2.DVDRip.XviD-GRP", "Mini Series", None, None, "mini-series"),
    ("mini.series.pilot.hdtv.xvid-grp", "mini series", None, None, "mini-series"),
    ("show.305.hdtv-lol", "show", "3", "05", "numeric"),
    ("Great.War.III.HDTV.XviD-GRP", "Great War", None, None, "roman part"),
]
MOVIES = [
    ("Some.Movie.2010.1080p.BluRay.DTS.x264-GRP", "Some Movie", "2010"),
    ("Some Movie (1999) DVDRip XviD AC3.avi", "Some Movie", "1999"),
    ("2001.A.Space.Odyssey.1968.720p.BluRay.x264-GRP.mkv", "2001 A Space Odyssey", "1968"),
]
NEITHER = [
    "debian-12.1.0-amd64-netinst.iso",
    "Artist - Album (2010) [FLAC]",
    "VTS_01_1.VOB",
    "",
    "....",
    "1080p.2010.x264",
]


@pytest.mark.parametrize(("name", "show", "season", "episode", "pattern"), TV)
def test_a_show_has_season_and_episode(
    name: str, show: str, season: str | None, episode: str | None, pattern: str
) -> None:
    traits = name_traits(name)
    assert (traits.kind, traits.show, traits.season, traits.episode, traits.pattern) == (
        "tv",
        show,
        season,
        episode,
        pattern,
    )


@pytest.mark.parametrize(("name", "title", "year"), MOVIES)
def test_a_movie_has_a_year(name: str, title: str, year: str) -> None:
    traits = name_traits(name)
    assert (traits.kind, traits.title, traits.year) == ("movie", title, year)


@pytest.mark.parametrize("name", NEITHER)
def test_other_names_are_neither(name: str) -> None:
    assert name_traits(name).kind is None


def test_technical_words_are_in_fields_of_their_own_and_in_release_tags() -> None:
    traits = name_traits("Some.Movie.2010.PROPER.1080p.BluRay.DD5.1.x264-GRP.mkv")
    assert (traits.release, traits.aspect, traits.source) == ("PROPER", "1080p", "BluRay")
    assert (traits.sound, traits.channels, traits.codec) == ("DD", "5.1", "x264")
    assert (traits.group, traits.extension) == ("GRP", "mkv")
    assert traits.release_tags == ("PROPER", "1080p", "BluRay", "DD", "5.1", "x264")


def test_a_broadcast_is_never_a_movie() -> None:
    assert name_traits("Some.Title.2010.HDTV.XviD-GRP").kind is None


def test_a_long_hostile_name_takes_no_time() -> None:
    assert name_traits("a." * 100_000 + "S01E01").kind is None
    assert name_traits("a-" * 149).kind is None


@pytest.mark.parametrize(
    ("name", "kind", "theme", "traits"),
    [
        ("x", "flac", "", ["audio", "flac"]),
        ("x", "mkv", "", ["video", "mkv"]),
        ("Show.S01E02.720p", "mkv", "", ["tv", "mkv"]),
        ("Movie.2010.720p.x264", "mkv", "", ["movie", "mkv"]),
        ("x", "jpg", "", ["img"]),
        ("x", "pdf", "", ["docs"]),
        ("x", "rar", "", ["misc", "rar"]),
        ("Show.S01E02.720p", "rar", "", ["tv", "rar"]),
        ("x", "xyz", "", []),
        ("x", "", "", []),
        ("x", "iso", "linux", ["linux", "iso"]),
        ("x", "", "linux", ["linux", "other"]),
    ],
)
def test_the_most_general_trait_is_the_first(name: str, kind: str, theme: str, traits: list[str]) -> None:
    assert traits_of(name, kind, theme) == traits


def test_a_label_is_a_path_of_folders() -> None:
    assert label(["tv", "mkv"]) == "tv/mkv"
    assert label([]) == "misc/other"


def test_kinds_are_shares_of_the_size() -> None:
    files = [("a.r00", 400), ("a.r01", 300), ("b.JPEG", 200), ("c.mpeg", 100), ("README", 0), (".hidden", 0)]
    assert kind_histogram(files) == {"rar": 70, "jpg": 20, "mpg": 10}
    assert kinds_from(files, 20) == ["rar", "jpg"]
    assert dominant_kind(files) == "rar"


def test_files_without_size_or_extension_have_kinds_too() -> None:
    assert kind_histogram([]) == {}
    assert kind_histogram([("a.txt", 0)]) == {"txt": 0}
    assert dominant_kind([("a.mkv", 50), ("b.avi", 50)]) == ""
