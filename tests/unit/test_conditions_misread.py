"""Conditions that the grammar reads, but that cannot mean what was typed, are refused; names are not."""

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrotorque.conditions import Condition, parse
from pyrotorque.errors import ConditionError
from pyrotorque.fields import FIELDS
from tests.made_conditions import TERMS
from tests.waiting import bound

# Text, the place of the caret, the right spelling.
MISREAD = [
    # an operator split from its field or value
    ("prio = 2", 5, "prio=2"),
    ("prio >0", 5, "prio>0"),
    ("prio != 2", 5, "prio!=2"),
    ("is_complete = no", 12, "is_complete=no"),
    ("is_open=yes is_complete = no", 24, "is_complete=no"),
    ("tagged =new", 7, "tagged=new"),
    ("unheard_of =new", 11, "unheard_of=new"),
    ("name ~foo", 5, "name~foo"),
    ("prio>1 >0", 7, "FIELD>0"),
    ("<3", 0, "FIELD<3"),
    ("!=foo", 0, "FIELD!=foo"),
    ("size => 5g", 5, "size>=5g"),
    ("tagged= new", 0, "tagged=new"),
    ("[ NOT tagged= new ]", 6, "tagged=new"),
    ("custom_1= movies OR prio>1", 0, "custom_1=movies"),
    ("name~ foo", 0, "name~foo"),
    ("name~", 0, "name~TEXT"),
    ("prio 2", 0, "prio=2"),
    ("is_complete no", 0, "is_complete=no"),
    ("prio\n= 2", 5, "prio=2"),
    # a line continued as in other languages
    ("prio>0 \\\nmessage=", 7, None),
    ("name=foo\\\nprio>0", 0, None),
    ("prio>0\nmessage= \\\nis_ignored=no", 16, None),
    ('name="foo\\\nbar"', 0, None),
    # lists with spaces
    ("kind=mkv, avi", 0, "kind=mkv,avi"),
    ("files=*mkv, *avi", 0, "files=*mkv,*avi"),
    ("kind=mkv ,avi", 9, "kind=mkv,avi"),
    # operators of other languages
    ("prio>0 & size>1", 7, None),
    ("prio>0 && size>1", 7, None),
    ("prio>0 || size>1", 7, None),
    ("prio>0 | size>1", 7, None),
    ("! [ prio>0 ]", 0, None),
    ("( prio>0 )", 0, None),
    ("prio>0 ; size>1", 7, None),
    ("tagged=new&prio>0", 0, "tagged=new prio>0"),
    ("tagged=new|prio>0", 0, "tagged=new OR prio>0"),
    ("tagged=new,prio>0", 0, "tagged=new prio>0"),
    ("name=*a*;size>1g", 0, "name=*a* size>1g"),
    ("&prio>0", 0, "prio>0"),
    ("size:5g", 0, "size=5g"),
    ("prio≥2", 0, "prio>=2"),
    ("prio≠2", 0, "prio!=2"),
    ("prio ≤ 2", 5, "prio<=2"),
    # brackets that are no groups, and negations
    ("[tagged=new]", 0, "[ tagged=new ]"),
    ("(prio>0)", 0, "[ prio>0 ]"),
    ("((prio>0))", 0, "[ prio>0 ]"),
    ("{prio>0}", 0, "[ prio>0 ]"),
    ("(Prio>0)", 0, "[ prio>0 ]"),
    ("NOT(foo OR bar)", 0, None),
    ("(foo OR bar)", 0, None),
    ("[*.mkv]", 0, "[ *.mkv ]"),
    ("![*.mkv]", 0, "[ NOT *.mkv ]"),
    ("!prio=1", 0, "[ NOT prio=1 ]"),
    ("![tagged=new]", 0, "[ NOT tagged=new ]"),
    ("NOT(prio>0)", 0, "[ NOT prio>0 ]"),
    ("NOT[prio>0", 0, "[ NOT prio>0 ]"),
    ("-prio>1", 0, "prio>1"),
    ('"!prio=1"', 0, None),
    ('"prio = 2"', 0, None),
    ("'message=x prio>0'", 0, None),
    # names of fields with another spelling, or without a value
    ("is-complete=no", 0, "is_complete=no"),
    ("d.complete=1", 0, "d_complete=1"),
    ("custom.x=1", 0, "custom_x=1"),
    ("custom_a.b=1", 0, None),
    ("is_complete", 0, "is_complete=yes"),
    ("!is_open", 0, "is_open=no"),
    ("[is_open]", 0, "is_open=yes"),
    ("[ NOT is_open ]", 6, "is_open=yes"),
    # numbers with a comma
    ("ratio<1,5", 0, "ratio<1.5"),
    ("ratio>=0,5", 0, "ratio>=0.5"),
    ("done>99,5", 0, "done>99.5"),
    ("size>1,5g", 0, "size>1.5g"),
    ("seedtime>1,5w", 0, None),
    ("size>1,000,000", 0, "size>1000000"),
    ("down>10,048k", 0, "down>10.048k"),
    ("custom_score>1,5", 0, "custom_score>1.5"),
    # lists, alternatives and expressions of other languages
    ("tagged=(a,b)", 0, "tagged=a,b"),
    ("tagged=[a,b]", 0, "tagged=a,b"),
    ("name={*.iso,*.img}", 0, "name=*.iso,*.img"),
    ("name=linux*|*bsd", 0, "name=linux*,*bsd"),
    ("*linux*|*bsd*", 0, "*linux*,*bsd*"),
    ("traits=audio|video", 0, "traits=audio,video"),
    ("traits=audio+hd", 0, "traits=audio traits=hd"),
    ("kind_25=jpg|png", 0, "kind_25=jpg,png"),
    ("name=/linux/i", 0, "name=/linux/"),
    ("name=~/linux/", 0, "name=/linux/"),
    ("name!~linux", 0, "[ NOT name~linux ]"),
    ("prio!2", 0, "prio!=2"),
    ("0<prio", 0, "prio>0"),
    ("5g<=size", 0, "size>=5g"),
    ("1<prio<3", 0, "prio>1 prio<3"),
    ("$size>1g", 0, "size>1g"),
    ("${size}>1g", 0, "size>1g"),
    ("t.size>1g", 0, "size>1g"),
    ("max(size)>1g", 0, "size>1g"),
    ("size*2>5", 0, "size>5"),
    ("prio>0 XOR size>1g", 7, None),
    ("SELECT * WHERE is_complete=yes", 9, None),
    ("is_complete=yes ORDER BY ratio", 16, None),
    ("is_complete=yes LIMIT 5", 16, None),
    # units, marks and brackets alone
    ("size>5 gb", 7, "size>5g"),
    ("size>1.5 MiB", 9, "size>1.5m"),
    ("seedtime>7 days", 11, "seedtime>7d"),
    ("loaded<30 min", 10, "loaded<30i"),
    ("done>50 %", 8, "done>50"),
    ("is_complete=yes # why", 16, None),
    ("is_complete=yes + ratio>2", 16, None),
    ("Artist - Album", 7, None),
    ("[]", 0, None),
    ("[ prio>1 ][ size>1g ]", 9, None),
    # yes and no
    ("-is_complete", 0, "is_complete=no"),
    ("+is_complete", 0, "is_complete=yes"),
    ("~is_complete", 0, "is_complete=no"),
    ("not(is_complete)", 0, "is_complete=no"),
    ("not:is_open", 0, "is_open=no"),
    ("is_complete.yes", 0, "is_complete=yes"),
    ("custom_KEY", 0, "custom_KEY=!"),
    # a value in quotes, which says nothing about what is before it
    ('!tagged="keep"', 0, '[ NOT tagged="keep" ]'),
    (r"!name=two\ words", 0, r"[ NOT name=two\ words ]"),
    ("ratio>2 !tracker='*example*'", 8, "[ NOT tracker='*example*' ]"),
    ('-prio="2"', 0, 'prio="2"'),
    ('(alias="A B")', 0, '[ alias="A B" ]'),
    ('[alias="A B"]', 0, '[ alias="A B" ]'),
    ('NOT(alias="A B")', 0, '[ NOT alias="A B" ]'),
    ('alias ="A B"', 6, 'alias="A B"'),
    ('[ NOT alias ="A B" ]', 12, 'alias="A B"'),
    ('alias:"A B"', 0, 'alias="A B"'),
    ("custom.x='a b'", 0, "custom_x='a b'"),
    ('name!~"a b"', 0, '[ NOT name~"a b" ]'),
    ('\u200balias="A B"', 0, 'alias="A B"'),
    ('alias= "A B"', 0, 'alias="A B"'),
    ('[ NOT alias= "A B" ]', 6, 'alias="A B"'),
    ('alias "A B"', 0, 'alias="A B"'),
    ('is_complete "yes"', 0, 'is_complete="yes"'),
    ('alias=x, "A B"', 0, 'alias=x,"A B"'),
    ('alias="A B", c', 0, 'alias="A B",c'),
    ('kind=mkv ,"avi"', 9, 'kind=mkv,"avi"'),
    # a tag with a space
    ('tagged="keep me"', 0, "tagged=keep tagged=me"),
    (r"tagged=a,!keep\ me", 0, "tagged=!keep tagged=!me"),
    # quotes of a text processor
    ("name=“foo bar”", 0, None),
    ("name=„foo bar“", 0, None),
]

# Parts of real names of releases, and patterns for them; spaces become dots.
NAMES = [
    *("[SubsPlease] Sousou no Frieren - 01 (1080p) [F02B9CEE].mkv", "[Group]*", "*.mkv", "Some.Name-GRP", "[Group]"),
    *("Some.Movie.2019.1080p.BluRay.x264-GRP", "Some.Show.S01E02.720p.WEB.H264-GRP", "ubuntu-24.04-desktop-amd64.iso"),
    *("debian-12.5.0-amd64-netinst.iso", "(C99) [Circle (Artist)] Title (Series) [Digital]", "(2019) Artist - Album"),
    *("Artist - Album (2011) {CAT-123} [FLAC]", "{Label 001} Artist - Title", "!foo (2004)"),
    *("+44 - When Your Heart Stops Beating", "+-=÷×", "÷ (Deluxe)", "=LOVE - 1st Single", "*=LOVE*", "≠ME - Album"),
    *("What.If=Yes", "*E=MC*", "I <3 You So", "I.<3.You", "C++ Primer.pdf"),
    *("D.C. ~Da Capo~ S01", "Touhou ~Perfect Cherry Blossom~", "~Prayer~", "K-ON!", "K-ON!!", "Steins;Gate 0"),
    *("Re:Zero kara Hajimeru", "Re:CREATORS", "NieR:Automata", "Fate/stay night", "Love, Death & Robots", "Tom&Jerry"),
    *("AC/DC", "Guns N' Roses", 'The "Best" Of', "S.W.A.T.2017", "9-1-1.S01", "24.S01", "1917.2019", "300", "π.1998"),
    *("Kind.of.Blue", "Active.Measures", "Message.in.a.Bottle", "Size.Matters", "Ratio", "message", "Files.zip"),
    *("The.Label=Blue", "Path.of.Exile", "path.of.exile.iso", "Up.2009", "Up", "Done", "Tagged.2022", "D-Tox=x"),
    *("name", "up", "kind", "stopped", "Loaded", "loaded", "size-zero", "d.gray-man.01", "custom_1.zip", "not.a=field"),
    *("OR.not", "NOT.a.Love.Story", "NOTtingham", "ORphan", "or.else", "AND-Gate", "100%.Wolf", "#Alive", "@midnight"),
    *(":(", "Smile.:)", "(500).Days", ".hack//SIGN", "...And.Justice", "-=Demo=-", "--==--Scene--==--", "日本語.mkv"),
    *("Ålesund.ÆØÅ", "“Heroes”", "“Heroes”.(1977)", "O’Brother", "«Bonjour»", "a,b", "x,y,z", "foo|bar", "a;b"),
    *(
        "1<2",
        "2.Fast",
        "<ratio>",
        "is.it",
        "d_gray_man",
        "R&B",
        "no.is_fun",
        "LIMIT",
        "WHERE.Is.It",
    ),
    *("[a-c]*", "[!ab]*", "[ab]", "S01E0[1-3]*", "*[1080p]*", "?abc", "[Foo]_Bar_[ABCD]", "[A&B].C", "(A=B)", "[x=y]"),
    *("!*.iso", "!foo", "!/foo/", "/foo/", "/a=b/", "//", "*", "foo", "0", "x" * 200, "[" + "y" * 100 + "]"),
]


@pytest.mark.parametrize(("text", "at", "right"), MISREAD, ids=[text for text, *_ in MISREAD])
def test_what_cannot_mean_what_was_typed_is_refused_with_the_right_spelling(
    text: str, at: int, right: str | None
) -> None:
    with pytest.raises(ConditionError) as refused:
        parse(text)
    *_, caret, hint = str(refused.value).split("\n")
    shown = text[text.rfind("\n", 0, at) + 1 : at]
    assert caret == "  " + " " * len(shown) + "^"
    assert hint
    if right is not None:
        assert f"write `{right}`" in hint
        if not right.startswith("FIELD") and "unheard" not in right:
            parse(right)
    for name in re.findall(r"for an item of that name: `(.*)`$", hint):
        assert parse(name).fields == {"name"}


@pytest.mark.parametrize("text", [text for text, *_ in MISREAD], ids=[text for text, *_ in MISREAD])
def test_it_is_accepted_where_1_0_0_accepted_it_with_its_error(text: str) -> None:
    found: list[ConditionError] = []
    condition = parse(text, tolerate=found.append)
    assert found
    assert found[0].condition == text
    assert "\n" not in found[0].summary
    assert str(condition)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_releases_are_patterns_for_names(name: str) -> None:
    word = re.sub(r"[\s'\"]+", ".", name)
    condition = parse(word)
    assert condition.fields == {"name"}
    assert parse(str(condition)) == condition
    assert parse(f'"{name}"'.replace('"The "Best" Of"', "'The \"Best\" Of'")).fields == {"name"}


@pytest.mark.parametrize(
    "text",
    [
        *("message= prio>0", "message= *.mkv", "tagged= OR new", "message= [ foo ]", "prio>2,0", "started<2i,0"),
        *("size>=1g,5", "ratio=1,5", "custom_x>1,0", "tracker=*?a=1&size=2", 'alias="a&prio>0"', r"alias=a\&prio>0"),
        *("name=prio=2", "name=(prio>0)", 'name="prio = 2"', r"\(prio>0)", 'tagged="" new', "name~a|size=3"),
        *("name=/a|size=3/", "message=x,/b|name=c/", '"name=alpha one"', "custom_chk-state=4", "custom_a-b-c>5"),
        *("tagged=R&B", "tagged=a|b", "kind=c++", "path=/data/x/i", "metafile=~/data/", "name=(a)", "tagged=[a]"),
        *("size>5 gbx", "prio>2 days-of-summer", "WHERE *LIMIT*", "*linux -bsd", "name=~Prayer~", "custom_KEY=!"),
        *(r"message=x\, two", 'message= "*a b*"', 'name="!tagged=1"', r"\!tagged=x\ y"),
        *(r'name=\!tagged="a b"', '"Abc" ABC'),
        *('tagged="" "two words"', 'tagged="new "', 'message="a, b" c'),
        *("prio OR size", "active [ private ]", "message=,*ghost*", "kind=mkv, prio>0"),
    ],
)
def test_what_can_mean_it_is_read(text: str) -> None:
    condition = parse(text)
    assert parse(str(condition)) == condition


@pytest.mark.parametrize("operator", ["=", "!=", "<", ">", "<=", ">="])
@pytest.mark.parametrize("name", FIELDS)
def test_no_field_can_be_compared_with_spaces_brackets_or_a_bang(name: str, operator: str) -> None:
    for text in (
        *(f"{name} {operator} 2", f"{name} {operator}2", f"[{name}{operator}2]", f"({name}{operator}2)"),
        *(f"!{name}{operator}2", f"-{name}{operator}2", f"{name.replace('_', '-')} {operator} x", f"{name} 2"),
    ):
        with pytest.raises(ConditionError):
            parse(text)


_PIECES = st.sampled_from(
    (
        *(
            "prio",
            "is_open",
            "tagged",
            "name",
            "size",
            "custom_x-y",
            "foo",
            "*bar*",
            "=",
            ">",
            "!=",
            "~",
            "&",
            "|",
            "!",
        ),
        *("(", ")", "[", "]", "{", ",", ";", ":", "2", "1,5", "5g", "no", ">0", "=2", "prio>0", "NOT", "OR", "“a", '"'),
        *("kind=mkv,", "message=", "\\", "/a/", "-", "\u2265", "d.x", "is-open"),
    )
)


@given(pieces=st.lists(st.tuples(_PIECES, st.sampled_from(("", "", " "))), max_size=8))
@example(pieces=[("tagged", ""), ("=", ""), ('"', ""), ("foo", ""), ("|", ""), ("prio>0", ""), ('"', "")])
@example(pieces=[("kind=mkv,", ""), ("/a/", ""), ("message=", ""), ("\\", ""), ("=", "")])
@example(pieces=[("(", ""), ("1,5", ""), ("foo", ""), (")", "")])
@example(pieces=[("message=", ""), ("(", ""), ("\\", ""), ("kind=mkv,", ""), (")", "")])
@settings(max_examples=600, deadline=None)
def test_what_is_accepted_reads_back_and_each_hint_is_short(pieces: list[tuple[str, str]]) -> None:
    text = "".join(piece + space for piece, space in pieces)
    condition = _read(text)
    if isinstance(condition, ConditionError):
        assert max(map(len, str(condition).split("\n"))) < 700
        return
    assert parse(str(condition)) == condition
    assert str(parse(str(condition))) == str(condition)


@given(name=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30))
@example(name="prio = 2")
@example(name="a|size=3")
@example(name="(prio>0)")
@settings(max_examples=300, deadline=None)
def test_every_name_can_be_written(name: str) -> None:
    escaped = "".join(char if char.isalnum() else f"\\{char}" for char in name)
    condition = parse(f"name={escaped}")
    assert parse(str(condition)) == condition
    assert parse(str(condition)).matches({"name": name}, 0) == condition.matches({"name": name}, 0) is True


@given(terms=st.lists(TERMS, min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_terms_with_a_field_are_refused_only_for_what_is_between_them(terms: list[str]) -> None:
    for term in terms:
        parse(term)
    parse(" ".join(f"[ {term} ]" for term in terms))


LARGE = {
    "commas": "message=" + "," * 60_000,
    "bangs": "!" * 60_000 + "prio=2",
    "brackets": "(" * 60_000 + "prio>0",
    "a bracket of stars": "[" + "*" * 60_000,
    "closed brackets": "[" + "[*]" * 20_000 + "]",
    "dots": "a." * 30_000 + "=",
    "operators": "=" * 60_000,
    "split": "prio = " * 9_000,
    "fields": "prio " * 12_000,
    "groups of digits": "size>1" + ",000" * 15_000 + "x",
    "digits": "ratio<" + "1,5," * 15_000,
    "second comparisons": "alias=" + "a&b=" * 15_000,
    "quoted": '"' + "a prio" * 10_000 + '"',
    "quoted spaces": '"prio' + " " * 60_000 + '"',
    "ands": "AND" * 20_000 + "(",
    "letters": "a" * 60_000 + " =2",
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE.keys())
def test_hostile_lengths_are_bounded_in_time_and_in_the_error(text: str) -> None:
    begin = time.process_time()
    assert len(str(_read(text))) < 2_000 or not isinstance(_read(text), ConditionError)
    assert time.process_time() - begin < bound(4)


def _read(text: str) -> Condition | ConditionError:
    try:
        return parse(text)
    except ConditionError as error:
        return error
