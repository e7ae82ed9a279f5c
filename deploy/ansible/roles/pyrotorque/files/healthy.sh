#!/bin/sh
# healthy.sh PYROTORQUE CONFIG_DIR PORT SECONDS: wait until every service runs and the exporter has an answer of rTorrent.
set -eu
command=$1 config=$2 port=$3 end=$(($(date +%s) + $4))
page="import sys, urllib.request as u; sys.stdout.write(u.urlopen('http://127.0.0.1:$port/metrics', timeout=10).read().decode())"
python=$(dirname "$command")/python
while :; do
    states=$("$command" --config-dir "$config" ctl status 2>&1) || true
    metrics=$("$python" -c "$page" 2>/dev/null) || metrics=""
    waiting=$(echo "$states" | grep -v ' RUNNING ' || true)
    [ -z "$waiting" ] && echo "$metrics" | grep -q '^rtorrent_up 1' && exit 0
    [ "$(date +%s)" -lt "$end" ] || break
    sleep 1
done
[ -z "$waiting" ] || echo "not running: $waiting" >&2
echo "$metrics" | grep -q '^rtorrent_up 1' || echo "no answer of rTorrent in http://127.0.0.1:$port/metrics" >&2
exit 1
