"""The programs that run some of their arguments as code or as a command: `jobs.code_arguments` looks them up."""

import re
from typing import Final, NamedTuple


class CommandOptions(NamedTuple):
    """The next word of these options is a command, or code: single letters, also within a group of letters, and whole
    words; after a word of `rest`, or for `*` always, all words are.
    """

    programs: re.Pattern[str]
    letters: str = ""
    words: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()


def _options(programs: str, letters: str = "", words: str = "", rest: str = "") -> CommandOptions:
    return CommandOptions(re.compile(programs), letters, tuple(words.split()), tuple(rest.split()))


COMMAND_OPTIONS: Final = (
    # Other hosts, terminals and multiplexers: a shell parses the words.
    _options(r"socat|pdsh|clush|plink|ed|watchexec|just|crontab|run-parts|ansible(?:-\w+)?", rest="*"),
    _options(r"sqlite3?|mysql|mariadb|psql|mongo(?:sh)?|duckdb", rest="*"),
    _options(r"kitty", rest="send-text"),
    _options(r"flatpak", "c"),
    _options(r"vim?|nvim|ex", words="+"),
    _options(r"sudo|doas|sudo-rs", rest="-s -i --shell --login -si -is -iu -su"),
    _options(r"adb", rest="shell"),
    _options(r"i3-msg|swaymsg|hyprctl", rest="*"),
    _options(r"lftp", "cef"),
    _options(r"smbclient", "c", "--command"),
    _options(r"mutt|neomutt", "e"),
    _options(r"filebot", words="exec"),
    _options(r"screen", rest="-X"),
    _options(r"vagrant|gcloud|et|konsole|toolbox|kubectl", "ce", "--command --execute"),
    _options(r"n(?:c|cat|etcat)", "ce", "--exec --sh-exec --lua-exec"),
    # An option of theirs names a program.
    _options(
        r"(?:g|bsd)?tar", "IF",
        "--use-compress-program --info-script --new-volume-script --to-command --checkpoint-action --rsh-command",
    ),
    _options(r"zip", words="-TT --unzip-command"),
    _options(r"rsync", "e", "--rsh --rsync-path"),
    _options(r"scp|sftp", "S"),
    _options(r"git", "c", "--upload-pack --receive-pack --exec --extcmd --config -x"),
    _options(r"wget", words="--use-askpass"),
    _options(r"less|more|most", words="+!"),
    _options(r"man", "P", "--pager"),
    _options(r"npx|npm|pnpm|yarn|bunx", "c", "--call"),
    _options(r"nix-shell|nix|guix", words="--run --command"),
    _options(r"systemd-run", "p", "--property"),
    _options(r"deno", words="eval"),
    _options(r"at|batch", "f"),
    _options(r"make|ninja|just", "f", "--file"),
    _options(r"entr", "s"),
    _options(r"start-stop-daemon", "xa", "--exec --startas"),
    _options(r"docker|podman|nerdctl", words="--entrypoint"),
    _options(r"curl", "K", "--config"),
    _options(r"cmake", "P"),
    _options(r"gs", "c"),
    _options(r"hg", words="--config"),
    _options(r"svn", words="--config-option"),
    _options(r"mpv", words="--script --scripts --script-opts-append --input-conf"),
    _options(r"aria2c", words="--on-download-complete --on-download-start --on-download-stop --on-download-error "
             "--on-bt-download-complete --on-download-pause"),
    _options(r"yt-dlp|youtube-dl|gallery-dl", words="--exec --exec-after --exec-before-download"),
    _options(r"rclone", words="--password-command --sftp-ssh --metadata-mapper"),
    _options(r"inotifyd", rest="*"),
    # Builtins of shells: bash evaluates the names of variables.
    _options(r"let|unset|read|mapfile|readarray|getopts", rest="*"),
    _options(r"printf|test|\[", words="-v"),
    _options(r"g?sort", words="--compress-program"),
)  # fmt: skip

CODE_VARIABLES: Final = re.compile(
    r"(?:LD_\w+|PATH|BASH_ENV|ENV|IFS|PS4|PROMPT_COMMAND|SHELL|SHELLOPTS|EDITOR|VISUAL|PAGER|BROWSER|LESSOPEN|LESSCLOSE"
    r"|MANPAGER|PERL5?(?:OPT|LIB|DB)|PYTHON(?:PATH|HOME|STARTUP|BREAKPOINT)|RUBY(?:OPT|LIB)|NODE_OPTIONS|NODE_PATH"
    r"|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|CLASSPATH|LUA_(?:INIT|PATH|CPATH)|GCONV_PATH|RSYNC_RSH|CVS_RSH|TAR_OPTIONS"
    r"|GIT_\w*(?:SSH|COMMAND|PAGER|EDITOR|ASKPASS|DIFF|PROXY)\w*|GIT_CONFIG\w*|SSH_ASKPASS|SUDO_ASKPASS)="
)
"""Variables in `env NAME=VALUE program` whose value is a command, or where code is loaded from."""

CODE_MODULES: Final = frozenset(
    ("timeit", "pdb", "cProfile", "profile", "runpy", "doctest", "trace", "code", "idlelib")
)
"""`python -m` with one of these runs its arguments."""

EXACT: Final = re.compile(
    r"(?:perl-|file-|p)?rename|sem|rush|let|unset|read|mapfile|readarray|getopts|printf|test|\[|curl|cmake|gs|hg|svn|mpv"
    r"|aria2c|yt-dlp|youtube-dl|gallery-dl|rclone|lftp|smbclient|filebot"
)
"""Names that may also be a word for another program: only where they are the program itself."""

DECLARATIONS: Final = re.compile(r"declare|typeset|local|export|readonly")
"""Builtins whose words are names of variables, or assignments to them."""

ARITHMETIC_TESTS: Final = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v"))
"""With these, `[[` evaluates its words."""

NUMBER: Final = re.compile(r"[+-]?[\d.:,]+[smhd]?|0x[0-9a-f]+")
