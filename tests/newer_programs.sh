#!/bin/sh
# newer_programs.sh rtorrent|prometheus|nats-server|user-mode-linux|python: a program of another Debian release beside the installed one, with all its
# libraries, in .PROGRAM/SUITE of this checkout. Changes nothing else on this machine. Prints nothing if it is there.
#
# Needs apt-get with Debian among its sources, dpkg-deb and patchelf.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
program=$1
NEWER=forky OLDER=trixie

fail() {
    echo "$program of Debian $suite cannot be installed in $target: $*" >&2
    [ "$program" != rtorrent ] || echo "  test with the installed one only: make test RTORRENT=$(installed_rtorrent)" >&2
    exit 1
}

installed_rtorrent() { command rtorrent -h | sed -n 's/.*version \([0-9.]*[0-9]\).*/\1/p'; }

# unpack SUITE PACKAGE...: the packages and all that they depend on, in $target/root
unpack() {
    suite=$1
    shift
    command -v apt-get >/dev/null || fail "there is no apt-get"
    # The mirror that this machine uses for its own Debian.
    site=$(apt-get indextargets --format '$(SITE) $(LABEL)' 'Created-By: Packages' | sort -u |
        awk '$2 == "Debian" || $1 ~ /\/debian\/?$/ { print $1; exit }')
    # Without downloaded lists: what the sources say.
    [ -n "$site" ] || site=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^#' |
        grep -oE '[a-z+]+:/[^ ]*/debian/?( |$)' | tr -d ' ' | head -1)
    [ -n "$site" ] || fail "no Debian mirror among the sources of apt (run apt-get update?)"
    echo "installing $program of Debian $suite in $target …" >&2
    rm -rf "$target"
    mkdir -p "$target/apt/lists/partial" "$target/apt/archives/partial" "$target/root" "$target/bin"
    : >"$target/apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main" >"$target/apt/sources.list"
    private_apt update || fail "apt-get update failed for $site $suite"
    private_apt install -y --download-only "$@" || fail "its packages could not be downloaded from $site"
    for package in "$target"/apt/archives/*.deb; do dpkg-deb -x "$package" "$target/root"; done
    rm -rf "$target/apt"
}

private_apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$target/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$target/apt/lists" -o Dir::State::status="$target/apt/status" \
        -o Dir::State="$target/apt" -o Dir::Cache="$target/apt" -o Dir::Cache::archives="$target/apt/archives" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 -o Acquire::Check-Valid-Until=false \
        -o Acquire::Languages=none -o APT::Install-Recommends=false "$@"
}

# relocate FILE: let it use the libraries in $target/root instead of this machine's
relocate() {
    libraries=$(dirname "$(find "$target/root" -name libc.so.6 | head -1)")
    loader=$(find "$target/root" -name 'ld-linux*.so*' | head -1)
    # DT_RPATH instead of RUNPATH: it also applies to the libraries of the libraries.
    patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$1"
}

# runs COMMAND...: whether the program in $target is complete; a checkout that was moved needs it again
runs() { "$@" >/dev/null 2>&1; }

rtorrent() {
    target="$top/.rtorrent/$1"
    runs "$target/bin/rtorrent" -h && return
    unpack "$1" rtorrent
    cp "$target/root/usr/bin/rtorrent" "$target/bin/part"
    relocate "$target/bin/part"
    mv "$target/bin/part" "$target/bin/rtorrent"
    runs "$target/bin/rtorrent" -h || fail "the installed program does not run"
}

case $program in
rtorrent)
    case $(command rtorrent -h) in *" 0.9."*) ;; *) rtorrent "$OLDER" ;; esac
    rtorrent "$NEWER"
    ;;
prometheus)
    target="$top/.prometheus/$NEWER"
    runs "$target/bin/prometheus" --version && exit
    unpack "$NEWER" prometheus
    cp "$target/root/usr/bin/promtool" "$target/root/usr/bin/prometheus" "$target/bin"
    rm -rf "$target/root"
    runs "$target/bin/prometheus" --version || fail "the installed program does not run"
    ;;
nats-server)
    target="$top/.nats-server/$NEWER"
    runs "$target/bin/nats-server" --version && exit
    unpack "$NEWER" nats-server
    cp "$target/root/usr/sbin/nats-server" "$target/bin/part"
    relocate "$target/bin/part"
    mv "$target/bin/part" "$target/bin/nats-server"
    runs "$target/bin/nats-server" --version || fail "the installed program does not run"
    ;;
user-mode-linux)
    # That of Debian 12 and 13 cannot run programs on processors with AVX-512.
    target="$top/.user-mode-linux/$NEWER"
    runs "$target/bin/linux.uml" --version && exit
    unpack "$NEWER" user-mode-linux
    cp "$target/root/usr/bin/linux.uml" "$target/bin/part"
    relocate "$target/bin/part"
    mv "$target/bin/part" "$target/bin/linux.uml"
    runs "$target/bin/linux.uml" --version || fail "the installed program does not run"
    ;;
python)
    target="$top/.python/$NEWER"
    # Called by this path only: an environment made through a link would not find the standard library.
    python="$target/root/usr/bin/python3.14"
    runs "$python" -c "import ssl, sqlite3, ctypes" && exit
    unpack "$NEWER" python3.14 python3.14-venv libstdc++6
    relocate "$python"
    runs "$python" -c "import ssl, sqlite3, ctypes" || fail "the installed program does not run"
    ;;
*)
    echo "usage: newer_programs.sh rtorrent|prometheus|nats-server|user-mode-linux|python" >&2
    exit 64
    ;;
esac
