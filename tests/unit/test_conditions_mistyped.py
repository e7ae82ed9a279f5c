"""More conditions that were typed for another language or by mistake, and words beside them that stay names.

Each either means what was typed, or is refused with a right spelling; 1.0.0 read all of them.
"""

import re

import pytest

from pyrotorque.conditions import parse
from pyrotorque.errors import ConditionError

# Text, the right spelling (empty: the hint has none).
REFUSED = [
    # operators doubled, joined and of other languages
    ("tagged===new", "tagged==new"),
    ("name!==foo", "name!=foo"),
    ("prio!>2", "prio<=2"),
    ("prio!<2", "prio>=2"),
    ("prio+=2", "prio=2"),
    ("prio!!=2", "prio=2"),
    ("prio := 2", ""),
    ("prio : 2", ""),
    ("2=prio", "prio=2"),
    ("2==prio", "prio=2"),
    ("t.prio=2", "prio=2"),
    ("item.is_open=yes", "is_open=yes"),
    ("len(files)=3", "files=3"),
    ("message=~timeout", "message~timeout"),
    ("name~/linux/", "name~linux"),
    ("name~/linux/i", "name~linux"),
    ("prio>0 xor size>1g", ""),
    ("where prio>0", ""),
    ("prio>0 order by ratio", ""),
    ("prio>0 ∧ size>1g", ""),
    ("prio>0 ∨ size>1g", ""),
    ("tagged ∈ a,b", ""),
    ("¬prio=2", "[ NOT prio=2 ]"),
    ("prio≧2", "prio>=2"),
    ("prio⩽2", "prio<=2"),
    # a separator at the end or the beginning of a word
    ("tagged=new; prio>0", "tagged=new"),
    ("tagged=new& prio>0", "tagged=new"),
    ("tagged=new|", "tagged=new"),
    ("name=*foo*;", "name=*foo*"),
    ("custom_1=tv; prio>0", "custom_1=tv"),
    ("linux; prio>0", ""),
    ("prio>0 |linux", ""),
    ("linux, bsd", "linux,bsd"),
    ("*linux*, *bsd*", "*linux*,*bsd*"),
    ("[ prio>0 ]OR[ size>1g ]", ""),
    ("path=~/data/*", "path=*/data/*"),
    ("path=!~/data/*", "path=!*/data/*"),
    ("directory!=~/data", "directory!=*/data"),
    ("realpath=/srv/*,~/data/*", "realpath=*/data/*"),
    # comments
    ("prio>0 // why", ""),
    ("prio>0 /* why */", ""),
    ("prio>0 #why", ""),
    # patterns and regular expressions
    ("kind=*.mkv", "kind=mkv"),
    ("kind=.mkv", "kind=mkv"),
    ("kind=mkv;avi", "kind=mkv,avi"),
    ("kind=mkv/avi", "kind=mkv,avi"),
    ("traits=*audio*", "traits=audio"),
    ("tagged=new*", "tagged=new"),
    ("tagged=v1.*", "tagged=v1"),
    ("tagged=*", "tagged=!"),
    ("tagged=!*", "tagged="),
    ("tagged=/new|old/", "tagged=new,old"),
    ("views=/^main$/", "views=main"),
    ("*.{mkv,avi}", "*.mkv,*.avi"),
    ("files=*.{mkv,avi}", "files=*.mkv,*.avi"),
    ("*(linux|bsd)*", "*linux*,*bsd*"),
    ("name=*(linux|bsd)*", "name=*linux*,*bsd*"),
    ("name=!*linux*|*bsd*", "name=!*linux*,*bsd*"),
    ("^linux", "name=/^linux/"),
    ("name=^linux.*", "name=/^linux.*/"),
    (".*linux.*", "name=/.*linux.*/"),
    ("message=.*unregistered.*", "message=/.*unregistered.*/"),
    ("name=linux.*$", "name=/linux.*$/"),
    ("(?i)linux", "name=/(?i)linux/"),
    ("path=^/data", "path=/^/data/"),
    ("name=/linux", "name=/linux/"),
    ("/linux", "name=/linux/"),
    ("/data/movies/*", "path=/data/movies/*"),
    ("tracker=example.org", "tracker=*example.org*"),
    # quotes, invisible and wide characters
    ("tagged=“new”", 'tagged="new"'),
    ("message=‘ghost’", 'message="ghost"'),
    ("name=`foo`", 'name="foo"'),
    ("“prio=2”", "prio=2"),
    ("\ufeffprio=2", "prio=2"),
    ("\u200bprio>0", "prio>0"),
    ("tagged=new\u200b", "tagged=new"),
    ("ｐｒｉｏ＝２", "prio=2"),
    ("is‑complete=no", "is_complete=no"),
    (r"size\>1g", "size>1g"),
    (r"is_open\=no", "is_open=no"),
    # names of fields
    ("IS_OPEN", "is_open=yes"),
    ("is_completed", "is_complete=yes"),
    ("!is_opne", "is_open=no"),
    ("is-complete", "is_complete=yes"),
    # sizes, times and durations
    ("size>1.000", "size>1000"),
    ("size>1,500", "size>1500"),
    ("size<10,500k", "size<10.500k"),
    ("fno>1,500", "fno>1500"),
    ("seeds>1,500", "seeds>1500"),
    ("down>100 kbps", "down>100k"),
    ("down>5 MB/sec", "down>5m"),
    ("down>5 Mbit/s", "down>5m"),
    ("loaded>7d ago", "loaded>7d"),
    ("seedtime>1w old", "seedtime>1w"),
    ("loaded>2026-12-31 18:30", "loaded>2026-12-31T18:30"),
    ("loaded>31 Dec 2026", ""),
    ("loaded>1 January 2026", ""),
    ("loaded>2026", "loaded>2026-01-01"),
    ("completed<20261231", "completed<2026-12-31"),
    ("loaded>1780000000000", "loaded>1780000000"),
    ("loaded=2026-12-31", "loaded>=2026-12-31 loaded<2027-01-01"),
    ("completed!=31.12.2026", "completed>=31.12.2026 completed<2027-01-01"),
    ("loaded=7d", "loaded<7d"),
    ("started>1d,12h", "started<12h"),
    ("seedtime=1w", "seedtime<1w"),
    # two names
    ("Some Movie 2019", '"Some Movie"'),
    ("prio>0 Some Movie", '"Some Movie"'),
]

# An error in 1.0.0 already.
ERRORS = [
    *("size>5GB", "prio=>2", "prio=<2", "prio><2", "prio>>2", "prio=2=3", "prio>0|", "prio=", "prio<"),
    *("Prio=2", "PRIO=2", "Is_Complete=no", "prioo=2", "iscomplete=no", "custom1=tv", "no=is_complete", "prio=high"),
    *("prio=yes", "done=50%", "ratio=1:1", "size>1_000", "size>1'000", "size>1.000.000", "prio>{{x}}", "size>${MIN}"),
    *("{{d.name}}", "prio>0 or size>1g", "not prio>0", "prio>0 AND size>1g", "prio>0 NOT tagged=new", "prio=1-3"),
    *("prio=1..3", "size=1g-2g", "is_open=on", "is_open=null", "is_open=", "is_open>0", "name>=foo", "tagged>new"),
    *("name=/(/", "name~(", "name=/[a/", "loaded>yesterday", "loaded>2026/12/31", "loaded>7days", "seedtime>1h30m"),
    *("seedtime>1.5w", "loaded<+2i", "prio>0||size>1g", "prio>0,size>1g", "uploaded>size", "prio=0x2", "prio=２"),
    *("prio>0 OR", "OR prio>0", "[ prio>0", "prio>0 ]", "[tagged=new OR prio>0]", "NOT", "[ ]", "size=big", "prio=1;2"),
]

# Words beside which nothing is a mistake.
MEANT = [
    *(
        "prio=2",
        "prio==2",
        "'prio'=2",
        'prio="2"',
        "prio=-2",
        "prio=+1",
        "prio<>2",
        "size>5G",
        "prio=.5",
        "tagged!==new",
    ),
    *("loaded>0", "completed=0", "started<2i,0", "loaded=+3d", "loaded=1780000000", "started>3600", "seedtime=604800"),
    *(
        'loaded="7d"',
        'loaded="2026-12-31"',
        "loaded=2026-12-31T18:30:00",
        "completed>31.12.2026",
        "size>1.5",
        "size>=1g,5",
    ),
    *(
        "fno<10,100",
        "prio>2,0",
        "size>100.5k",
        "kind=c++,7z",
        "tagged=what?",
        'tagged="new*"',
        'kind=".mkv"',
        "views==main",
    ),
    *(
        "tracker=http://x/announce",
        "tracker=",
        "tracker=*x*",
        "tracker=/x/",
        "name=(prio>0)",
        "name=^_^",
        "^_^",
        "...And.X",
    ),
    *(
        "files=.*",
        "metafile=~/data/",
        "path~/data/",
        "path=*~/data/",
        "name=~Prayer~",
        'name="*a|b*"',
        "name=foo|bar",
        "K-ON!",
    ),
    *("Some OR Movie", "*Some* *Movie*", '"Some" "Movie"', "Some Some", "Some.Movie *2019*", "tagged=new Some.Movie"),
    *(
        "#Alive prio>0",
        "prio>0 *#why*",
        "R&B",
        "AC/DC",
        "Ca$h",
        "$ucker.$",
        "xor",
        "where",
        "by",
        "is_it_love",
        "IS.OPEN",
    ),
    *("👩\u200d🚀.mkv", "“Heroes”", "Re：Zero", "[A&B]", "//", "/linux/", "is-not-it", "(2019).*", "Show.S01.*", "?oo"),
]


@pytest.mark.parametrize(("text", "right"), REFUSED, ids=[ascii(text) for text, _ in REFUSED])
def test_what_was_typed_by_mistake_is_refused_with_the_right_spelling(text: str, right: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse(text)
    hint = str(refused.value).split("\n")[-1]
    assert f"`{right}`" in hint if right else hint
    if right:
        parse(right)
    for name in re.findall(r"for an item of that name: `(.*)`$", hint):
        assert parse(name).fields == {"name"}


@pytest.mark.parametrize("text", [text for text, _ in REFUSED], ids=[ascii(text) for text, _ in REFUSED])
def test_1_0_0_read_it_so_a_group_starts_with_it(text: str) -> None:
    found: list[ConditionError] = []
    condition = parse(text, tolerate=found.append)
    assert found
    assert "\n" not in found[0].summary
    assert str(condition)


@pytest.mark.parametrize("text", ERRORS, ids=ascii)
def test_what_never_was_a_condition_is_an_error_without_tolerance(text: str) -> None:
    with pytest.raises(ConditionError):
        parse(text, tolerate=lambda _: None)


@pytest.mark.parametrize("text", MEANT, ids=ascii)
def test_what_can_mean_it_is_read_and_reads_back(text: str) -> None:
    condition = parse(text)
    assert parse(str(condition)) == condition
