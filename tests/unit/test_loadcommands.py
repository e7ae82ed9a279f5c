"""Load commands are parsed like in rTorrent; an inserted value is data, or the command is refused."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.errors import CommandRefused, TemplateError, UserError
from pyrotorque.loadcommands import compile_command, compile_value, quoted, setting, tie
from pyrotorque.loadcommands.grammar import parse
from pyrotorque.loadcommands.namespace import sample


def made(text: str, **names: object) -> bytes:
    return compile_command("x", text).render({**sample(), **names})


def inserting(text: str) -> str:
    return "{{# x}}" + text


@pytest.mark.parametrize(
    "text",
    [
        "f.multicall=*.nfo,f.priority.set=2",
        "d.priority.set=3",
        "d.start=",
        'd.custom.set=a,"b c, d";d.custom1.set=e',
        "branch=d.is_private=,{d.custom1.set=a,d.custom2.set=b},d.custom1.set=c",
        "d.custom1.set=(cat,(d.name),x)",
        "d.custom1.set=((cat,{a,b}))",
        "d.custom1.set=$cat=a,\\,b",
        "execute.throw=touch,/tmp/x",
        "d.custom1.set=a\\ b",
    ],
)
def test_text_without_inserted_values_is_unchanged(text: str) -> None:
    assert made(text) == text.encode()


def test_the_manuals_example_becomes_one_quoted_argument() -> None:
    text = "{{# set target path\n    }}d.custom.set=targetdir,/var/torrent/done/{{label}}/{{relpath}}"
    assert made(text, label="a b", relpath='c",d') == b'd.custom.set=targetdir,"/var/torrent/done/a b/c\\",d"'


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("{{label}}", b'"L"'),
        ("  {{label}}  ", b'"L"'),
        ("a{{label}}b{{label}}", b'"aLbL"'),
        ('"a {{label}}, b"', b'"a L, b"'),
        ('"{{label}}{{label}}"', b'"LL"'),
        ('\\"{{label}}', b'"\\"L"'),
        ("a\\ \\,{{label}}", b'"a ,L"'),
        ('"\\"{{label}}"', b'"\\"L"'),
        ("é{{label}}", '"éL"'.encode()),
    ],
)
def test_an_argument_with_inserted_values_is_parsed_and_quoted_as_a_whole(argument: str, expected: bytes) -> None:
    assert made(inserting(f"d.custom.set=k,{argument}"), label="L") == b"d.custom.set=k," + expected


@pytest.mark.parametrize("value", ["$execute.throw=touch,x", "$", '$a"b\\c'])
def test_a_value_that_starts_with_a_dollar_is_never_run(value: str) -> None:
    text = value.replace("\\", "\\\\").replace('"', '\\"')
    assert made(inserting("d.custom1.set={{label}}"), label=value) == f'd.custom1.set=(cat,{{"{text}"}})'.encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("branch={{label}}", "as commands again"),
        ("if=1,{{label}}", "as commands again"),
        ("f.multicall={{label}},f.priority.set=2", "as commands again"),
        ("f.multicall=*.nfo,f.priority.set={{label}}", "as commands again"),
        ("d.multicall2=,{{label}}", "as commands again"),
        ("view.set_visible={{label}}", "as commands again"),
        ("schedule2=a,0,0,{{label}}", "as commands again"),
        ("method.insert=a,simple,{{label}}", "as commands again"),
        ("execute.throw=touch,{{label}}", "as commands again"),
        ("execute2={{label}}", "as commands again"),
        ("import={{label}}", "as commands again"),
        ("print={{label}}", "only into those of"),
        ("d.tracker.insert=0,{{label}}", "only into those of"),
        ("{{label}}", "name of a command"),
        ("d.{{label}}=1", "name of a command"),
        ("{{label}}={{label}}", "name of a command"),
        ("d.custom1.set=a;{{label}}", "name of a command"),
        ("d.custom1{{label}}", "name of a command"),
        ("d.custom1.set {{label}}", "equals sign"),
        ("d.custom.set={{label}},1", "key cannot be"),
        ("d.custom.set=k{{label}},1", "key cannot be"),
        ("d.custom.set={{label}}", "needs 2 arguments"),
        ("d.custom.set=k,a{{label}},b", "needs 2 arguments"),
        ("d.custom1.set=a,{{label}}", "needs 1 argument"),
        ("d.custom1.set=a,{ {{label}} }", "needs 1 argument"),
        ("d.custom1.set={ {{label}} }", "list"),
        ("d.custom1.set={a, {b,{{label}} } }", "list"),
        ("d.custom1.set=(cat,{{label}})", "function object"),
        ("d.custom1.set=( {{label}} )", "function object"),
        ('d.custom1.set=((cat,"{{label}}"))', "function object"),
        ("d.custom1.set=${{label}}", r"starts with \$"),
        ('d.custom1.set="${{label}}"', r"starts with \$"),
        ("d.custom1.set=\\${{label}}", r"starts with \$"),
        ("d.custom1.set=$cat={{label}}", r"starts with \$"),
        ("d.custom1.set=a\\{{label}}", "backslash"),
        ('d.custom1.set="a\\{{label}}"', "backslash"),
        ('d.custom1.set=""{{label}}', "double quotes"),
        ('d.custom1.set="a"b{{label}}', "double quotes"),
        ("d.custom1.set={{label}} b", "double quotes"),
        ('d.custom1.set="{{label}}', "closing double quote"),
        ("d.directory.set={{label}}", "start of a path"),
        ("d.directory.set={{'/x/'}}", "start of a path"),
        ("d.directory.set={{label}}/{{relpath}}", "start of a path"),
        ("d.directory.set={{watch_root ~ info_name}}", "start of a path"),
        ("d.directory.set=x/{{label}}", "absolute"),
        ("d.directory.set=/x/../{{label}}", r"\.\."),
        ("d.priority.set={{label}}", "priority"),
        ("d.priority.set={{4}}", "priority"),
        ("d.peers_max.set={{label}}", "whole number"),
        ("{{if label == 'never'}}execute.throw={{label}}{{endif}}", "as commands again"),
        ("{{if label}}{{else}}d.custom1.set=({{endif}}{{label}}", "name of a command|parentheses|function"),
        ("{{for x in flags}}branch={{x}};{{endfor}}", "as commands again"),
    ],
)
def test_an_inserted_value_that_rtorrent_could_run_is_refused_at_check(text: str, said: str) -> None:
    with pytest.raises(CommandRefused, match=said):
        compile_command("x", inserting(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("d.foo", "equals sign"),
        ("1=2", "name of a command"),
        ("a" * 200 + "=1", "name of a command"),
        ("d.a=b c", "double quotes"),
        ('d.a="b', "closing double quote"),
        ("d.a=b\\", "backslash"),
        ("d.a={b", "missing"),
        ("d.a=(b", "do not match|missing"),
        ("d.a=((((b))))", "three parentheses"),
        ("d.a=((b)", "do not match"),
        ("# comment", "comment"),
        ("d.a=b\n# comment", "comment"),
        ("d.a=" + "{" * 60, "nested too deeply"),
    ],
)
def test_commands_that_rtorrent_cannot_parse_are_refused_at_check(text: str, said: str) -> None:
    with pytest.raises(CommandRefused, match=said):
        compile_command("x", text)


def test_the_error_of_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(TemplateError, match="info_nam is not defined in templates; there is info_name"):
        compile_command("x", "{{info_nam}}")


def test_braces_in_text_that_is_not_a_template_are_an_error() -> None:
    with pytest.raises(TemplateError, match="only a text that starts"):
        compile_command("x", "d.custom1.set={{label}}")


def test_a_failure_at_render_names_the_command() -> None:
    command = compile_command("target", inserting("d.directory.set=/x/{{label}}"))
    with pytest.raises(CommandRefused, match=r"cmd\.target: d\.directory\.set: /x/\.\. leaves its folder"):
        command.render({**sample(), "label": ".."})
    with pytest.raises(CommandRefused, match="NUL"):
        command.render({**sample(), "label": "a\0b"})


@pytest.mark.parametrize("label", ["..%2F..%2Fetc", "%2e%2e", "a%00b"])
def test_percent_encoding_hides_no_path(label: str) -> None:
    command = compile_command("target", inserting("d.directory.set=/x/{{label|unquote}}"))
    with pytest.raises(CommandRefused, match=r"leaves its folder|NUL"):
        command.render({**sample(), "label": label})
    assert made(inserting("d.custom1.set={{label|unquote}}"), label="%22%3Bx%3D") == b'd.custom1.set="\\";x="'


def test_a_path_may_start_with_a_folder_of_the_user() -> None:
    assert made(inserting("d.directory.set={{watch_root}}/x/{{info_name}}")).startswith(b'd.directory.set="/watch/x/')
    assert made(inserting("d.directory.set={{h.pathdir(pathname)}}")) == b'd.directory.set="/watch/tv/sample/start"'


def test_several_commands_are_sent_as_one_string_without_empty_ones() -> None:
    text = inserting("\nd.custom1.set={{label}};;\n\n{{if flags}}\n  d.custom2.set=b\n{{endif}}\n;")
    assert made(text, label="a;b") == b'd.custom1.set="a;b";d.custom2.set=b'


def test_a_template_that_renders_to_nothing_gives_no_command() -> None:
    assert made("{{if size < 0}}d.custom1.set=a{{endif}}") == b""


def test_all_command_names_are_known_for_the_check_against_rtorrent() -> None:
    text = 'f.multicall=*.nfo,f.priority.set=2;d.a=$b.c=,(d.e,{(f.g)});{{# x}}t.multicall=,"t.x=$t.y="'
    text = inserting(text.replace("{{# x}}", "{{if flags}}h.i=;{{endif}}"))
    assert compile_command("x", text).names == {
        "f.multicall", "f.priority.set", "d.a", "b.c", "d.e", "f.g", "h.i", "t.multicall", "t.x", "t.y"
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "execute.throw=touch,x",
        "d.custom1.set=$execute.capture=ls",
        "d.custom1.set=(cat,$execute.capture=ls)",
        "d.custom1.set=(execute.capture,ls)",
        'f.multicall=*,"f.multicall=*,execute.throw=ls"',
        "d.custom1.set=(f.multicall,*,execute.throw=ls)",
        "branch=1,execute.throw=ls",
        "import=/tmp/x",
        "method.set_key=a,b,c",
        "schedule2=a,0,0,b=",
        "d.tied_to_file.set=/etc/passwd",
        "d.erase=",
        "load.normal=/tmp/x",
    ],
)
def test_a_restricted_command_may_run_nothing(text: str) -> None:
    compile_command("x", text)
    with pytest.raises(CommandRefused, match="in a watched tree"):
        compile_command("x", text, restricted=True)


# With these, there are more combinations than are looked at when it is compiled.
MORE = "".join(f"{{{{if size > {number}}}}}{{{{else}}}}{{{{endif}}}}" for number in range(8))


@pytest.mark.parametrize(
    "text",
    [
        '{{if size == 7}}{{else}}d.custom1.set="{{endif}}'
        "{{if size != 7}}d.custom2.set=x{{else}}execute=touch,/x{{endif}}"
        '{{if size == 7}}{{else}}"{{endif}}',
        "{{if size == 7}}f.multicall=,{{else}}d.custom1.set={{endif}}{{if size != 7}}print=x{{else}}execute=x{{endif}}",
        "{{if size == 7}}f.multicall=,{{else}}d.custom1.set={{endif}}"
        "{{if size != 7}}print=x{{else}}d.directory.set=/x{{endif}}",
        "{{if size == 7}}{{else}}d.custom1.set={{endif}}{{if size != 7}}d.custom2.set=x{{else}}d.erase={{endif}}",
    ],
)
def test_a_restricted_command_runs_nothing_in_any_combination_of_conditions(text: str) -> None:
    command = compile_command("x", "{{#}}" + text + MORE, restricted=True)
    assert command.render(sample()).startswith(b"d.custom1.set=")
    with pytest.raises(CommandRefused, match="watched tree"):
        command.render({**sample(), "size": 7})


@given(st.binary(max_size=80))
def test_any_bytes_are_parsed_back_from_one_plain_argument(value: bytes) -> None:
    text = value.decode("utf-8", "surrogateescape")
    (command,) = parse(
        [os.fsdecode(compile_command("x", inserting("d.custom.set=k,a{{label}}")).render({**sample(), "label": text}))]
    )
    assert [b"".join(map(bytes, argument.parts)) for argument in command.arguments] == [b"k", b"a" + value]  # type: ignore[arg-type]


@given(st.binary(max_size=40))
def test_quoted_bytes_never_start_with_what_rtorrent_runs(value: bytes) -> None:
    text = quoted(value)
    assert text[:1] == b'"' if not value.startswith(b"$") else text.startswith(b'(cat,{"$')
    assert not text.startswith(b'"$')


def _ascii_texts() -> st.SearchStrategy[str]:
    return st.text(alphabet='ab.=,;\\"{}()$ \n', max_size=40)


@given(_ascii_texts(), _ascii_texts())
def test_an_inserted_value_is_data_in_any_surrounding_text(before: str, after: str) -> None:
    text = inserting("d.custom1.set=" + before + "{{label}}" + after)
    try:
        rendered = compile_command("x", text).render({**sample(), "label": '$A;B,C"D\\E{F}(G)\n'})
    except UserError:
        return
    values = [argument for command in parse([rendered.decode()]) for argument in command.arguments]
    holding = [argument for argument in values if b"A;B,C" in bytes(s for s in argument.source if isinstance(s, int))]
    assert len(holding) == 1
    assert re.search(rb'[$]A;B,C\\"D\\\\E{F}\(G\)\n', rendered)


def test_values_of_files_become_commands_without_templates() -> None:
    assert setting("d.custom.set", "k;", "v\udcff") == b'd.custom.set="k;","v\xff"'
    assert tie(b"/a b") == b'd.tied_to_file.set="/a b"'
    with pytest.raises(CommandRefused):
        tie(b"relative")


def test_a_value_is_data_as_a_whole() -> None:
    command = compile_value("target", "d.custom.set", ["targetdir"], "/done/{{label}}, x;")
    assert command.render({**sample(), "label": '"'}) == b'd.custom.set="targetdir","/done/\\", x;"'
    with pytest.raises(CommandRefused, match="priority"):
        compile_value("priority", "d.priority.set", [], "9")
