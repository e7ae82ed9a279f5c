#!/bin/sh
# Install the Debian packages whose commands are missing; say what to do where that is not possible.
PATH="$PATH:/usr/sbin:/sbin"
missing=""
for command in "$@"; do
    command -v "$command" >/dev/null 2>&1 && continue
    case "$command" in promtool) package=prometheus ;; nginx) package=nginx-light ;; *) package="$command" ;; esac
    case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing:$missing; install them with this system's package tool, then try again" >&2
    exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo -n"
echo "installing Debian's$missing …" >&2
# Debian's packages of servers would start a service of their own: not on a machine that only tests.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
said=$(mktemp)
trap 'rm -f "$said"' EXIT
if ! { $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $missing; } >"$said" 2>&1; then
    cat "$said" >&2
    echo "could not install:$missing; as root run: apt-get install$missing" >&2
    exit 1
fi
