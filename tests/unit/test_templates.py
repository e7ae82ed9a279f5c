"""Templates have the manual's syntax, no access to internals, and bounded output, memory and time."""

import re
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from pyrotorque.errors import TemplateError
from pyrotorque.templates import Inserted, compile_template
from pyrotorque.templates.limits import limited
from pyrotorque.templates.substitution import substitution

NAMES: dict[str, object] = {
    "label": "tv/mkv",
    "relpath": "tv/Some Show",
    "info_name": "Foo.Bar.S01",
    "pathname": "/w/tv/Some Show/foo.torrent",
    "flags": frozenset({"start", "b"}),
    "traits": {"kind": "tv", "title": None},
    "size": 3_000_000_000,
    "raw": b"\xff",
    "odd": "\udcff",
}


def rendered(text: str) -> str:
    return compile_template(text).render(NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{# over\n lines }}a/{{label}}/{{relpath}}", "a/tv/mkv/tv/Some Show"),
        ("plain %(label)s, %% and 100% of %d", "plain tv/mkv, % and 100% of %d"),
        ("no template: {label} { {", "no template: {label} { {"),
        ("{{if 'start' in flags}}yes{{else}}no{{endif}}", "yes"),
        ("{{if not flags}}a{{elif label == 'tv/mkv'}}b{{else}}c{{endif}}", "b"),
        ("{{if false}}a{{endif}}", ""),
        ("{{if true:}}a{{endif}}", "a"),
        ("{{for part in label.split('/')}}{{loop.index}}{{part}}{{if not loop.last}},{{endif}}{{endfor}}", "1tv,2mkv"),
        ("{{for a, b in [(1, 2), (3, 4)]}}{{a}}{{b}}{{endfor}}{{# gone}}", "1234"),
        ("{{default missing = 'x'}}{{missing}}{{default label = 'y'}}{{label}}", "xtv/mkv"),
        ("{{set show = relpath.split('/')[1]}}{{show}}", "Some Show"),
        ("{{info_name|upper}}", "FOO.BAR.S01"),
        ("{{info_name|h.subst('[.]', ' ')}}{{info_name|subst('[.]', '-')}}", "Foo Bar S01Foo-Bar-S01"),
        ("{{h.subst('o', '0')(info_name)}}", "F00.Bar.S01"),
        ("{{h.pathbase(pathname)}} {{pathbase(pathname)}}", "foo.torrent foo.torrent"),
        ("{{pathname|h.pathname}} {{pathname|pathext}}", "foo .torrent"),
        ("{{pathdir(pathname)}} {{pathname}}", "/w/tv/Some Show /w/tv/Some Show/foo.torrent"),
        ("{{sz(size)}} {{size|h.sz}} {{sz(5)}}", "2.8 GiB 2.8 GiB 5 bytes"),
        ("{{pc(0.5)}} {{duration(90061)}} {{duration(0)}} {{iso(0)}}", "50.0 1d 1h 1m 1s 0s "),
        ("{{mtime('/nowhere')}} {{delta(99999999999)}}", "0.0 0s"),
        ("{{'TV%20%2B%20HD'|unquote}}{{h.unquote('%C3%A4%ff%')}}{{''|unquote}}", "TV + HDä\udcff%"),
        ("{{json(flags)}}{{strip(' a ')}}{{len(label)}}{{'a' ~ 1}}", '["b", "start"]a6a1'),
        ("{{flags}}|{{traits.title}}|{{[1, 2]}}|{{traits.kind}}|{{raw}}", "b,start||1,2|tv|\udcff"),
        ("{{odd|upper}}", "\udcff"),
        ("{{if true}}\n  a\n  {{# alone on its line }}\n  b\n{{endif}}\n", "  a\n  b"),
        ("{{'{{'}}", "{{"),
    ],
)  # fmt: skip
def test_the_manuals_syntax_means_what_the_manual_says(text: str, expected: str) -> None:
    assert rendered(text).rstrip("\n") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{py: import os}}", "no|not run"),
        ("{{inherit 'x'}}", "inherit"),
        ("{{def f()}}", "cannot be defined"),
        ("{{unknown}}", "unknown is not defined"),
        ("{{unknown.x}}", "unknown"),
        ("{{traits.nothing}}", "nothing"),
        ("{{\n\n1 +}}", "line 1"),
        ("{{# x}}\n\n{{label label}}", "line 3"),
        ("{{if label}}a", "endif"),
        ("{{for x in label}}a", "endfor"),
        ("{{if label}}{{endfor}}", "endfor"),
        ("{{# x}}{{endif}}", "endif"),
        ("{{else}}", "without an"),
        ("{{if label}}{{else}}{{else}}{{endif}}", "without an"),
        ("{{if label}}{{elif}}{{endif}}", "needs a condition"),
        ("{{if}}a{{endif}}", "expression is missing"),
        ("{{}}", "expression is missing"),
        ("{{for label}}{{endfor}}", "NAME in VALUES"),
        ("{{set label}}", "NAME = VALUE"),
        ("{{# x}} }}", "unmatched"),
        ("{{label", "unmatched"),
        ("{{for a, b in [1]}}{{endfor}}", "looped over"),
        ("{{for a, b in [(1, 2, 3)]}}{{endfor}}", "do not fit"),
        ("{{1 // 0}}", "ZeroDivision"),
        ("{{label|nofilter}}", "nofilter"),
        ("{{info_name|subst('[', '')}}", "line 1"),
        ("{{label}}\0", "NUL"),
    ],
)
def test_errors_name_their_line(text: str, said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        rendered(text)


@pytest.mark.parametrize(
    "expression",
    [
        "label.__class__",
        "''.__class__.__mro__[1].__subclasses__()",
        "h.__dict__",
        "h.sz.__globals__",
        "h.sz.__code__",
        "label.format.__self__",
        "'{0.__class__}'.format(label)",
        "'{a}'.format_map(traits)",
        "label|attr('__class__')",
        "[].append(1)",
        "traits.update(a=1)",
        "traits.clear()",
        "self",
        "cycler",
        "lipsum",
        "config",
        "open('/etc/passwd')",
        "__import__('os')",
        "import os",
        "lambda: 1",
        "[x for x in label]",
        "'a' * 10 ** 9",
        "[0] * 10 ** 9",
        "10 ** 10 ** 10",
        "'%999999999d' % 1",
        "'%*d' % (999999999, 1)",
        "'a'.ljust(10 ** 9)",
        "'a'.center(10 ** 9)",
        "'a'|center(10 ** 9)",
        "'a'.zfill(10 ** 9)",
        "range(10 ** 9)",
        "'a'.replace('a', 'b' * 60000)",
        "'x' * 60000 ~ 'y' * 60000",
        "(" * 3000 + ")" * 3000,
        "-" * 100000 + "1",
        "[" * 300 + "]" * 300 + "[0]",
        "-" * 200 + "1",
        "not " * 195 + "label",
        "label ** " * 195 + "1",
        "1 < " * 20_000 + "1",
        "('a' * 65000)|replace('a', 'b' * 900)|length",
        "range(99999)|join('a' * 65000)|length",
        "('a' * 65000).join([''] * 65000)|length",
        "(['a' * 65000] * 65000)|string|length",
        "subst('(x+x+)+y', '')('x' * 60000)",
        "('x' * 60000)|subst('', 'y' * 60000)|length",
        "('x' * 60000)|subst('x{9999}{9999}', '')",
        "label|subst('a', '\\\\9')",
        "range(99999)|list|reject('in', range(99999)|list|sort)|list|length",
    ],
    ids=lambda text: text[:60],
)
def test_expressions_have_no_access_to_internals_and_bounded_values(expression: str) -> None:
    with pytest.raises(TemplateError):
        rendered("{{# x}}{{" + expression + "}}")


@pytest.mark.parametrize(
    "text",
    [
        "{{for a in range(9000)}}{{for b in range(9000)}}{{endfor}}{{endfor}}",
        "{{for a in range(9000)}}{{'xxxxxxxxxx' * 10}}{{endfor}}",
        "{{" + " " * 70_000 + "}}",
        "{{if label}}" * 1_000 + "{{endif}}" * 1_000,
        "{{for a in range(9999)}}{{if (range(9999)|list|sort)[0]}}{{endif}}{{endfor}}",
        "{{set a = 'x' * 60000}}" + "{{set a = a ~ a}}" * 30,
        "{{set a = ['x' * 60000]}}" + "{{set a = a + a}}" * 30,
        "{{set a = [1]}}" + "{{set a = [a, a]}}" * 30,
        "{{set a = 9999999}}" + "{{set a = a * a}}" * 30,
    ],
    ids=lambda text: text[:60],
)
def test_loops_output_and_source_are_bounded(text: str) -> None:
    with pytest.raises(TemplateError):
        rendered(text)


_MEMORY_MAX = 64 << 20


@pytest.mark.parametrize(
    "text",
    [
        "{{('y' * 60000).join('z' * 60000)}}",
        "{{('x' * 60000)|replace('x', 'y' * 900)}}",
        "{{('x' * 60000).replace('', 'y' * 900)}}",
        "{{['x' * 9000, 'y' * 9000]|join('z' * 60000)|list|join('z' * 60000)}}",
        "{{(['x' * 60000] * 60000)|string}}",
        "{{set a = 'x' * 60000}}{{[" + "a, " * 2000 + "]}}",
        "{{set a = 'x' * 60000}}{{str([" + "a, " * 2000 + "])}}",
        "{{set a = 'x' * 60000}}{{json({1: [" + "a, " * 2000 + "]})}}",
        "{{set a = 'x' * 60000}}{{[" + "a, " * 2000 + "] ~ ''}}",
        "{{set a = 'x' * 60000}}{{" + " ~ ".join(["a"] * 1500) + "}}",
        "{{set a = 'x' * 60000}}{{" + " + ".join(["a"] * 500) + "}}",
        "{{set a = 'x' * 60000}}" + "{{set a = [a, a, a, a, a, a, a, a]}}" * 12 + "{{a}}",
        "{{set a = 'x' * 60000}}{{('%(a)s' * 2000) % {'a': a}}}",
        "{{set a = 9}}{{for i in range(60)}}{{set a = a * a}}{{endfor}}{{a}}",
        "{{(1).to_bytes(10 ** 9, 'big')}}",
        "{{('x' * 60000)|subst('x', 'y' * 900)}}",
        "{{('x' * 60000)|subst('.*', '\\\\g<0>' * 100)}}",
    ],
)
def test_the_memory_of_a_template_is_bounded(text: str) -> None:
    """A watch.ini of 40 bytes took gigabytes: what a step makes was looked at when it was there."""
    rendered("{{1 + 1}}{{'a'|subst('a+', '')}}")  # what is imported then is not counted
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError):
            rendered("{{# x}}" + text)
        assert tracemalloc.get_traced_memory()[1] < _MEMORY_MAX
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        "{{('a' * 40 ~ 'b')|subst('(a|aa)+$', '')}}",
        "{{subst('(.*)*,(.*)*;', '')('a,' * 2000)}}",
        "{{for i in range(9999)}}{{range(100000)|list|sum}}{{endfor}}",
        "{{set a = range(100000)|list}}{{" + "|".join(["a", *["sort"] * 900]) + "}}",
        "{{for i in range(9999)}}{{if ('ab' * 30000)|replace('a', 'bcd') == ''}}{{endif}}{{endfor}}",
        "{{'a'|subst('((a{99}){99}){99}', '')}}",
    ],
)
def test_the_time_of_a_template_is_bounded(text: str) -> None:
    """A regular expression in a watch.ini stopped the watcher until it was killed, again and again."""
    begin = time.thread_time()
    with pytest.raises(TemplateError, match=r"simplify|too large|recursion"):
        rendered("{{# x}}" + text)
    assert time.thread_time() - begin < 5


def test_the_time_of_several_templates_is_bounded() -> None:
    template = compile_template("{{# x}}{{for i in range(200)}}{{range(9000)|sum}}{{endfor}}")
    with limited(0.5), pytest.raises(TemplateError, match=r"more than 0\.5 s"):
        [template.render({}) for _ in range(100)]
    template.render({})
    with limited(0.0), pytest.raises(TemplateError, match="0 s"):
        compile_template("{{1 + 1 + 1}}")


def test_usual_texts_are_far_from_the_limits() -> None:
    names = {"comment": "word.other_word " * 4000, "names": ["a", "b"] * 1000}
    counts = "{{names|unique|join('-')}}|{{names|select('eq', 'a')|list|length}}"
    text = "{{comment|subst('[._ ]+', ' ')|truncate(30)}}|" + counts
    assert compile_template(text).render(names) == "word other word word other...|a-b|1000"


@pytest.mark.parametrize("part", ["{{", "{{'", "{{a|", "{{a.", "}} {{", "{{# x", "%(", "%(a"])
def test_the_time_for_a_text_grows_with_its_length_only(part: str) -> None:
    """Another person's watch.ini must not keep the watcher busy; processor time, whatever else the machine does."""
    text = part * (60_000 // len(part))
    before = time.process_time()
    with suppress(TemplateError):
        compile_template(text)
    assert time.process_time() - before < 2.0


def test_deep_expressions_of_a_reasonable_size_mean_the_same() -> None:
    tests = " or ".join(f"label == '{number}'" for number in range(80))
    table = ", ".join(f"'{number}': 'label {number}'" for number in range(300))
    assert rendered("{{# x}}{{" + tests + "}}") == "False"
    assert rendered("{{# x}}{{ { " + table + " } ['7'] }}") == "label 7"
    assert rendered("{{# x}}{{['a', 1]|join(d='-')}} {{[{'b': 2}]|join(', ', attribute='b')}}") == "a-1 2"
    assert rendered(
        "{{# x}}{{'aXbXc'|replace('X', '-', 1)}} {{', '.join(['a', 'b'])}} {{['a']|select('in', 'abc')|list}}"
    )


def test_inserted_values_are_separate_from_written_text() -> None:
    pieces = compile_template("{{# x}}a={{label}},{{if flags}}{{1 + 1}}{{endif}}").pieces(NAMES)
    assert pieces == ["a=", Inserted("tv/mkv", frozenset({"label"}), 1), ",", Inserted("2", frozenset(), 1)]


def test_a_value_is_never_parsed_as_a_template() -> None:
    assert compile_template("{{x}}%(x)s").render({"x": "{{1 + 1}}%(x)s"}) == "{{1 + 1}}%(x)s%(x)s"


def test_the_names_that_are_read_are_known_without_rendering() -> None:
    text = "{{set a = label}}{{if size > 1}}{{a}}{{else}}{{h.sz(other)}}{{endif}}"
    loop = "{{for b in c}}{{b}}{{loop.index}}{{d}}{{endfor}}"
    assert compile_template(text + loop).fields == {"label", "size", "other", "c", "d"}


@pytest.mark.parametrize(
    "source",
    [
        "{{for each in a}}" * 12 + "{{each}}" * 5_000 + "{{endfor}}" * 12,
        "{{if a}}{{else}}{{endif}}" * 9 + "x" * 60_000,
        "{{if a}}" + "{{elif a}}x" * 900 + "{{endif}}" + "{{a}}" * 9_000,
        "{{if a}}" * 90 + "{{a}}" * 12_000 + "{{endif}}" * 90,
    ],
)
def test_all_shapes_together_are_as_large_as_a_few_long_texts(source: str) -> None:
    shapes = compile_template(source if source.startswith("{{") else f"{{{{#}}}}{source}").shapes()
    assert sum(len(piece) if isinstance(piece, str) else 1 for shape in shapes for piece in shape) <= 500_000


@pytest.mark.parametrize("replacement", ["xy", r"\g<0>y"])
def test_subst_makes_no_longer_text_than_a_template(replacement: str) -> None:
    assert substitution("a", replacement)("a" * 32_768).count("y") == 32_768
    with pytest.raises(TemplateError, match="65536 characters"):
        substitution("a", replacement)("a" * 32_769)
    with pytest.raises(TemplateError, match="65536 characters"):
        substitution("", "y" * 1_000)("a" * 60_000)


def test_a_regular_expression_is_compiled_once_for_all_metafiles() -> None:
    assert substitution("[._]+", " ") is substitution("[._]+", " ")


def test_each_case_of_a_condition_is_among_the_shapes() -> None:
    template = compile_template("{{if a}}1{{elif b}}2{{endif}}{{for c in d}}3{{endfor}}")
    assert {"".join(map(str, shape)) for shape in template.shapes()} == {
        first + second for first in ("1", "2", "") for second in ("3", "33", "")
    }


def test_many_conditions_do_not_multiply_without_bound() -> None:
    shapes = list(compile_template("{{if a}}1{{else}}2{{endif}}" * 40).shapes())
    assert len(shapes) <= 256
    assert {"1", "2"} == {piece for shape in shapes for piece in shape}


def test_a_template_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("{{label}}!\n")
    assert compile_template("file:target", templates=tmp_path).render(NAMES) == "tv/mkv!"
    assert compile_template(f"file:{tmp_path}/target").render(NAMES) == "tv/mkv!"
    for text, folder in (("file:target", None), ("file:missing", tmp_path)):
        with pytest.raises(TemplateError, match="file:"):
            compile_template(text, templates=folder)


def test_a_name_of_a_loop_is_undefined_after_it() -> None:
    with pytest.raises(TemplateError, match="part is not defined"):
        rendered("{{for part in label.split('/')}}{{part}}{{endfor}}{{part}}")


@pytest.mark.parametrize(
    "pattern", ["x*", "[.]", "(a)|b", "(?P<n>a+)", "a?", "$", r"\b", r"[\[a]+", "(.)(.)?", "a{e}", "(?i)A+"]
)
def test_subst_means_what_re_sub_means(pattern: str) -> None:
    for replacement in ("-", r"\g<0>", ""):
        for text in ("", "a", "aab b", "xaxb", "A.b\nc", "é [a]a{e}"):
            expected = re.sub(pattern, replacement, text)
            assert (
                compile_template("{{subst(p, r)(t)}}").render({"p": pattern, "r": replacement, "t": text}) == expected
            )
