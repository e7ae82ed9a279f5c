"""A value in a shell text is text of one word, wherever it stands: the real shells show it, or it is refused."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyrotorque.errors import UserError
from pyrotorque.jobs.arguments import ShellText

VALUE = "x *  'y' \"z\" $(touch pwned) `touch pwned` ; \\ } ) # \nEOF\n&"
SHELLS = [["/bin/sh"], ["bash"], ["bash", "--posix"]]
# `@` is the value; `show` prints each of its words as <word>, so that a split value is not printed as a whole.
PLACED = [
    "show @",
    'show "@"',
    "show 'a'@\"b\"@\\ @",
    'show "a$(show @)"',
    'show "a`show @`"',
    'show "$(show "$(show "@")")"',
    'show "`show \\"@\\"`"',
    'show "`show "\\`show @\\`"`"',
    'show "$(show `show @ | cat >&2` @)"',
    'kept=$(show @); show "$kept"',
    "kept=@; show \"$kept\" 'it'",
    "show ${nope:-@} ${nope-@}",
    'show "${nope:-@}" "${nope:-"@"}" "${nope:-a}"',
    "show \"${nope:-'@'}\"",
    "show ${nope:-'a b'@} ${HOME:+@}",
    'show "${nope:-$(show @)}" "${nope:-`show @`}"',
    ': "${kept:=@}"; show "$kept"',
    'kept=@; show "${kept#@}" "${kept%@}" ${kept##@}; show @',
    'show "$(case a in a) show @;; esac)"',
    'show "$(case a in (b|a) show @;; esac)" @',
    "case @ in a) show b;; *) show @;; esac",
    "case a in @) show no;; a) show @;; esac",
    "show a # it's\nshow @",
    "show a # @ it's\nshow @",
    'show "$(show a # it\'s )\nshow @)"',
    "show a#'b' \"#\" \\# @",
    'show "$(show "(" @)" "$(show \')\' @)" "$(show \\) @)"',
    'cat <<EOF\n[@] it\'s "$(show @)" `show @` ${nope:-@}\nEOF\nshow @',
    'cat <<-E"O"F\n\tit\'s\n\tEOF\nshow @',
    "cat <<'EOF'\nit's $( \" `\nEOF\nshow @",
    "cat <<EOF | cat; show @\n[@]\nEOF",
    "cat <<A - <<B @ 2>&-\nit's\nA\n@\nB\nshow @",
    'show "$(cat <<EOF\n[@] it\'s\nEOF\n)"',
    "f() { show @; }; f q w",
    "set -- q w; show @",
    "show @; shift; show @",
    "if show a; then show @; fi; { show @; }; (show @); ! show @",
    'for each in @ b; do show "$each"; done',
    "show a && show @ || show b",
    'show a\\\n@ "b\\\n@" \'\\\'@ "\\\\@"',
    'show $$@ "$#@" $nope@ ~@ @@ >&2; show @',
    "show \"it's @\" '\"'@",
]
REFUSED = [
    "show '@'",
    "show \"$(show '@')\"",
    "show \\@",
    "show $@",
    "show `show \\@`",
    "show $((@))",
    "show $[@]",
    'show "$[ $(show @) ]"',
    "cat <<'EOF'\n@\nEOF",
    "cat <<\\EOF\n@\nEOF",
    "cat <<EOF\n\\@\nEOF",
    "cat <<EOF\n${HOME#@}\nEOF",
    "cat <<@\nx\n@",
    "show ${kept:=@}",
    "show ${HOME/@/x}",
    "show ${HOME:@}",
    "show $'it\\'s' @",
    'show "`show \'a @`"',
    'cat <<EOF "$(show a\nshow b)" @\nEOF',
    "cat <<E\n$(cat <<E\n@\nE\n)\nE",
    "show " + '"$(show ' * 50 + "@" + ')"' * 50,
]


def shown(text: str, shell: list[str], folder: Path) -> str:
    """What a shell prints for `text` with the value for each `@`; it must not do anything else."""
    (folder / "victim").touch()
    _, _, script, *arguments = ShellText(text.replace("@", "{{name}}")).argv({"name": VALUE})
    script = 'show() { printf "<%s>" "$@"; }; ' + script
    ended = subprocess.run([*shell, "-c", script, *arguments], capture_output=True, text=True, cwd=folder, check=False)
    assert os.listdir(folder) == ["victim"]
    assert "victim" not in ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("text", PLACED)
def test_a_value_is_text_of_one_word_in_each_shell(text: str, tmp_path: Path) -> None:
    outputs = [shown(text, shell, tmp_path) for shell in SHELLS]
    assert VALUE in outputs[0]
    assert outputs == outputs[:1] * len(SHELLS)


@pytest.mark.parametrize("text", REFUSED)
def test_where_a_value_would_not_stay_as_it_is_it_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="a value cannot be inserted"):
        ShellText(text.replace("@", "{{name}}"))


def in_backticks(word: str) -> str:
    """The word as it is written between backticks in double quotes."""
    return word.replace("\\", "\\\\").replace("`", "\\`")


# Words that are the value, whatever is nested.
WORDS = st.recursive(
    st.sampled_from(["@", '"@"', '""@', "''@\"\""]),
    lambda words: st.one_of(
        words.map('"$(printf %s {})"'.format),
        words.map('"$(printf %s {} # it\'s " )\n)"'.format),
        words.map(lambda word: f'"`printf %s {in_backticks(word)}`"'),
        words.map('"$(case a in (b) ;; a) printf %s {};; esac)"'.format),
        words.map("\"$(printf %s {}; cat <<'A' >/dev/null\nit's \" ) $(\nA\n)\"".format),
        words.map('"${{nope:-$(printf %s {})}}"'.format),
        words.map("${{nope:-{}}}".format),
        words.map('"$(for each in {}; do printf %s "$each"; done)"\'\''.format),
        words.map('"$( (f() {{ printf %s {}; }}; f q) )"'.format),
        words.map(lambda word: f'"$(cat <<E{len(word)}\n$(printf %s {word})\nE{len(word)}\n)"'),
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(word=WORDS)
def test_a_value_stays_as_it_is_however_deep_it_is_nested(word: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    assume("}}" not in word)  # the end of an expression of a template
    for shell in SHELLS[:2]:
        assert shown(f"show a {word} b", shell, tmp_path_factory.mktemp("shell")) == f"<a><{VALUE}><b>"
