"""The programs that run another program, and where in their words it is: `sudo -u USER PROGRAM`."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pyrotorque.jobs.command_words import Word


class Wrapper(NamedTuple):
    """`letters` and `long`: options whose next word is their value, `pairs`: the next two words; `positions`: the words
    before the program. `after`: the program follows one of these words. With a letter of `none` no program is run, with
    one of `instead` there is one position less. `shell`: without a program it runs a shell.
    """

    programs: re.Pattern[str]
    letters: str = ""
    long: frozenset[str] = frozenset()
    positions: int = 0
    after: tuple[str, ...] = ()
    none: str = ""
    instead: str = ""
    pairs: frozenset[str] = frozenset()
    shell: bool = False


def _wrapper(
    programs: str, letters: str = "", long: str = "", positions: int = 0, *,
    after: str = "", none: str = "", instead: str = "", pairs: str = "", shell: bool = False,
) -> Wrapper:  # fmt: skip
    return Wrapper(
        re.compile(programs), letters, frozenset(long.split()), positions, tuple(after.split()), none, instead,
        frozenset(pairs.split()), shell,
    )  # fmt: skip


NO_PROGRAM: Final = -1
"""The wrapper runs no program with these options."""

WRAPPERS: Final = (
    # Of the shell itself.
    _wrapper(r"\.|source|builtin"),
    _wrapper(r"exec", "a"),
    _wrapper(r"command", none="vV"),
    # Environment, priority and limits.
    _wrapper(r"env", "uCSP", "--unset --chdir --split-string"),
    _wrapper(r"nice", "n", "--adjustment"),
    _wrapper(r"ionice", "cn", "--class --classdata", none="pPu"),
    _wrapper(r"nohup|setsid|eatmydata|catchsegv|unbuffer|tsocks|linux(?:32|64)|i[3-6]86|x86_64"),
    _wrapper(r"timeout", "ks", "--kill-after --signal", 1),
    _wrapper(r"time", "of", "--format --output"),
    _wrapper(r"stdbuf", "ioe", "--input --output --error"),
    _wrapper(r"chrt", "TPD", "--sched-runtime --sched-period --sched-deadline", 1, none="pm"),
    _wrapper(r"taskset", "", "", 1, none="p"),
    _wrapper(r"setarch", "", "", 1),
    _wrapper(r"prlimit", none="p"),
    _wrapper(r"cpulimit", "l", "--limit", none="peP"),
    _wrapper(r"softlimit", "acdfolmnprst"),
    _wrapper(r"choom", "n", "--adjust", none="p"),
    _wrapper(r"numactl", "ipmNCwP", "--interleave --preferred --membind --cpunodebind --physcpubind", none="sH"),
    _wrapper(r"cgexec", "g"),
    _wrapper(r"trickle", "udwltn"),
    _wrapper(r"faketime", "", "", 1),
    _wrapper(r"fakeroot", "lsib", "--lib --faked", shell=True),
    _wrapper(r"xargs", "aEIJdLnPRSs", "--arg-file --delimiter --max-lines --max-args --max-procs --max-chars"),
    _wrapper(r"flock", "wEc", "--wait --timeout --conflict-exit-code --command", 1, none="u"),
    # Other users.
    _wrapper(
        r"sudo(?:-rs)?", "CDghpRrtTuUa",
        "--user --group --host --prompt --chdir --chroot --role --type --other-user --close-from --command-timeout",
        none="elvKV",
    ),
    _wrapper(r"doas", "uCa", none="L"),
    _wrapper(r"pkexec", "", "--user", shell=True),
    _wrapper(r"run0", "ugD", "--user --group --unit --nice --chdir --setenv --machine --description", shell=True),
    _wrapper(r"gosu|su-exec|setuidgid|s6-setuidgid|envuidgid|s6-envuidgid|s6-applyuidgid|envdir|s6-envdir", "", "", 1),
    _wrapper(r"chpst", "uUbednolLmpfcrtC/"),
    _wrapper(r"runuser", "ugGsw", "--user --group --supp-group --shell --whitelist-environment", 1, none="c",
             instead="u", shell=True),
    _wrapper(r"su", "gGsw", "--group --supp-group --shell --whitelist-environment", 1, none="c", shell=True),
    _wrapper(
        r"setpriv", "",
        "--reuid --regid --ruid --euid --rgid --egid --groups --inh-caps --ambient-caps --bounding-set --securebits "
        "--pdeathsig --selinux-label --apparmor-profile --landlock-access --landlock-rule --seccomp-filter --ptracer",
        none="d",
    ),
    _wrapper(r"runcon", "turl", "--type --user --role --range", 1, instead="turl"),
    _wrapper(r"aa-exec", "pn", "--profile --namespace"),
    # Namespaces, containers and sandboxes.
    _wrapper(r"unshare", "RwSGl", "--root --wd --setuid --setgid --propagation --setgroups --map-user --map-group "
             "--map-users --map-groups --boottime --monotonic --load-interp", shell=True),
    _wrapper(r"nsenter", "tSGN", "--target --setuid --setgid --net-socket", shell=True),
    _wrapper(r"chroot", "", "--userspec --groups", 1, shell=True),
    _wrapper(r"proot", "rbwqkmviSR", "--rootfs --bind --cwd --qemu --kernel-release --mount --pwd", shell=True),
    _wrapper(r"firejail", shell=True),
    _wrapper(
        r"bwrap", "",
        "--args --chdir --unsetenv --lock-file --sync-fd --proc --dev --tmpfs --mqueue --dir --seccomp --uid --gid "
        "--add-seccomp-fd --exec-label --file-label --hostname --userns --userns2 --pidns --block-fd --perms "
        "--userns-block-fd --info-fd --json-status-fd --cap-add --cap-drop --remount-ro --size --argv0 --overlay-src "
        "--tmp-overlay --ro-overlay --bind-fd --ro-bind-fd",
        pairs="--bind --bind-try --dev-bind --dev-bind-try --ro-bind --ro-bind-try --symlink --setenv --file "
        "--bind-data --ro-bind-data --chmod --overlay",
    ),
    _wrapper(r"docker|podman|nerdctl", "ewu", "--env --env-file --workdir --user --detach-keys", 1, after="exec"),
    _wrapper(r"kubectl|oc|k3s", "cnf", "--container --namespace --filename --context", 1, after="exec"),
    _wrapper(r"lxc|incus", "", "--env --user --group --cwd --mode", 1, after="exec"),
    _wrapper(r"lxc-attach", "nPlasuvgfo", "--name --arch --elevated-privileges --set-var --keep-var", shell=True),
    _wrapper(r"machinectl", "Eupn", "--uid --setenv --property", 1, after="shell", shell=True),
    _wrapper(r"systemd-nspawn", "DiMuSXEp", "--directory --image --machine --user --slice --setenv --bind", shell=True),
    _wrapper(r"apptainer|singularity", "BHWS", "--bind --home --workdir --scratch --pwd --env", 1, after="exec"),
    _wrapper(r"distrobox", "na", "--name --additional-flags", 1, after="enter", instead="n", shell=True),
    _wrapper(r"toolbox", "cdr", "--container --distro --release", after="run"),
    _wrapper(r"schroot", "cnuos", "--chroot --session-name --user --directory --option --shell", shell=True),
    _wrapper(r"flatpak-spawn", "", "--directory --env --sandbox-expose --forward-fd"),
    _wrapper(r"ip", "nfl", "-netns -family", 1, after="exec"),
    _wrapper(r"busybox(?:-static)?|toybox"),
    # Services and daemons.
    _wrapper(
        r"systemd-run", "pMHuE",
        "--unit --property --uid --gid --nice --slice --description --working-directory --setenv --machine --host "
        "--on-active --on-boot --on-startup --on-unit-active --on-calendar --timer-property --path-property "
        "--background --socket-property --service-type --job-mode",
    ),
    _wrapper(r"systemd-inhibit", "", "--what --who --why --mode"),
    _wrapper(r"systemd-cat", "tp", "--identifier --priority --stderr-priority"),
    _wrapper(r"dumb-init", "r", "--rewrite"),
    _wrapper(r"tini", "pe"),
    _wrapper(r"daemonize", "peoculE"),
    _wrapper(r"daemon", "nuUPFcDMALElorO", "--name --user --pidfile --chdir --output --stdout --stderr --errlog"),
    _wrapper(r"abduco", "e", "", 1),
    _wrapper(r"dtach", "aAcnNper"),
    _wrapper(r"screen", "cehpsStT", none="Xxr"),
    _wrapper(r"nq", none="wt"),
    _wrapper(r"tsp", "LDNWS"),
    # Observers and networks.
    _wrapper(r"strace", "abeEIoOpPsSuUX", "--attach --trace --output --string-limit --env --user", none="p"),
    _wrapper(r"ltrace", "aADeFlnopsuwx", "--output --library", none="p"),
    _wrapper(r"valgrind"),
    _wrapper(r"perf", "oeFcrIC", "--output --event --freq --count --repeat", none="pt", after="stat record trace"),
    _wrapper(r"torsocks|torify", "uPa"),
    _wrapper(r"proxychains\d*", "f"),
    _wrapper(r"sshpass", "pfdP"),
    _wrapper(r"caffeinate", "tw"),
    _wrapper(r"xvfb-run", "nefpsw", "--server-num --error-file --auth-file --xauth-protocol --server-args --wait"),
    _wrapper(r"dbus-run-session|dbus-launch", "", "--config-file --dbus-daemon --autolaunch"),
    _wrapper(r"rlwrap", "bCDfFgHlmMOPqsStwz"),
    # Packages, and programs for other systems.
    _wrapper(r"uv|pipx|poetry|pdm|hatch|pixi", "p", "--with --python --project --directory --spec --extra --group "
             "--index-url", after="run"),
    _wrapper(r"conda|mamba", "np", "--name --prefix --cwd", after="run"),
    _wrapper(r"uvx|npx|bunx", "p", "--from --with --python --package", none="c"),
    _wrapper(r"bundle|npm|pnpm|yarn", after="exec"),
    _wrapper(r"wine(?:64)?|mono|box(?:64|86)|FEXInterpreter"),
    _wrapper(r"qemu-(?!system|img|nbd|io|ga)[\w-]+", "LEUsgBdDp0R", "-cpu"),
    _wrapper(r"ld\.so|ld-[\w.-]*\.so[\w.]*", "", "--library-path --preload --audit --argv0 --inhibit-rpath"),
)  # fmt: skip
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*\+?=")


def wrapper_of(word: Word) -> Wrapper | None:
    """Its entry, if the word names a wrapper."""
    if word.fields:
        return None
    return next((each for each in WRAPPERS if each.programs.fullmatch(word.program)), None)


def programs_of(words: Sequence[Word]) -> Iterator[int]:
    """The positions of the program, and of those that it and other wrappers run; the last one may be missing.

    Then its position is the number of words, or NO_PROGRAM.
    """
    at = next((at for at, word in enumerate(words) if not _ASSIGNMENT.match(word.text)), len(words))
    yield at
    while 0 <= at < len(words) and (wrapper := wrapper_of(words[at])):
        at = program_at(wrapper, words, at + 1)
        yield at


def program_at(wrapper: Wrapper, words: Sequence[Word], at: int) -> int:
    """The position of the program among the words from `at`, which follow the wrapper."""
    if wrapper.after:
        at = next((number + 1 for number in range(at, len(words)) if words[number].text in wrapper.after), -1)
        if at < 0:
            return NO_PROGRAM
    positions, is_ended = wrapper.positions, False
    while at < len(words):
        word = words[at]
        if word.text == "--":
            is_ended = True
        elif not is_ended and word.text[:1] == "-":
            letters = "" if word.text[:2] == "--" else _flags(wrapper, word)
            if any(letter in wrapper.none for letter in letters):
                return NO_PROGRAM
            positions -= any(letter in wrapper.instead for letter in letters)
            at += _values(wrapper, word, letters)
        elif _ASSIGNMENT.match(word.text):
            pass
        elif positions > 0:
            positions -= 1
        else:
            return at
        at += 1
    return len(words)


def _flags(wrapper: Wrapper, word: Word) -> str:
    """The letters of a word of options, up to the first that has a value."""
    letters = word.literal[1:]
    end = next((at for at, letter in enumerate(letters) if letter in wrapper.letters), len(letters))
    return letters[: end + 1]


def _values(wrapper: Wrapper, word: Word, letters: str) -> int:
    """How many of the next words are values of these options."""
    if word.text in wrapper.pairs:
        return 2
    is_open = bool(letters) and letters[-1] in wrapper.letters and word.text == f"-{letters}"
    return int(is_open or word.text in wrapper.long)
