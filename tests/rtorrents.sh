#!/bin/sh
# rtorrents.sh FOLDER: the rTorrents of other Debian releases that the tests need beside the installed one, each below
# FOLDER/SUITE with all its libraries. Changes nothing else on this machine. FOLDER/SUITE/bin/rtorrent runs as it is.
#
# Needs apt-get with Debian among its sources, dpkg-deb and patchelf.
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
NEWER=forky OLDER=trixie

fail() {
    echo "rTorrent of Debian $suite cannot be installed in $folder: $*" >&2
    echo "  test with the installed one only: make test RTORRENT=$(installed)" >&2
    exit 1
}

installed() { rtorrent -h | sed -n 's/.*version \([0-9.]*[0-9]\).*/\1/p'; }

install() {
    suite=$1 target="$folder/$1"
    "$target/bin/rtorrent" -h >/dev/null 2>&1 && return
    command -v apt-get >/dev/null || fail "there is no apt-get"
    # The mirror that this machine uses for its own Debian.
    site=$(apt-get indextargets --format '$(SITE) $(LABEL)' 'Created-By: Packages' | sort -u |
        awk '$2 == "Debian" || $1 ~ /\/debian\/?$/ { print $1; exit }')
    [ -n "$site" ] || fail "no Debian mirror among the sources of apt (run apt-get update?)"
    echo "installing rTorrent of Debian $suite in $target …" >&2
    rm -rf "$target"
    mkdir -p "$target/apt/lists/partial" "$target/apt/archives/partial" "$target/root" "$target/bin"
    : >"$target/apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main" >"$target/apt/sources.list"
    private_apt update || fail "apt-get update failed for $site $suite"
    private_apt install -y --download-only rtorrent || fail "its packages could not be downloaded from $site"
    for package in "$target"/apt/archives/*.deb; do dpkg-deb -x "$package" "$target/root"; done
    libraries=$(dirname "$(find "$target/root" -name libc.so.6 | head -1)")
    loader=$(find "$target/root" -name 'ld-linux*.so*' | head -1)
    cp "$target/root/usr/bin/rtorrent" "$target/bin/rtorrent.part"
    # DT_RPATH instead of RUNPATH: it also applies to the libraries of the libraries.
    patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$target/bin/rtorrent.part"
    rm -rf "$target/apt"
    mv "$target/bin/rtorrent.part" "$target/bin/rtorrent"
    "$target/bin/rtorrent" -h >/dev/null || fail "the installed program does not run"
}

private_apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$target/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$target/apt/lists" -o Dir::State::status="$target/apt/status" \
        -o Dir::State="$target/apt" -o Dir::Cache="$target/apt" -o Dir::Cache::archives="$target/apt/archives" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 -o Acquire::Check-Valid-Until=false \
        -o Acquire::Languages=none -o APT::Install-Recommends=false "$@"
}

install "$NEWER"
case $(installed) in 0.9.*) ;; *) install "$OLDER" ;; esac
