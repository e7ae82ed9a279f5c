#!/bin/sh
# healthy.sh PYROTORQUE CONFIG_DIR PORT SECONDS: wait until every service runs and the exporter has an answer of rTorrent.
# The exporter may listen at one address of this machine only, and its metrics may have another prefix.
set -eu
command=$1 config=$2 port=$3 end=$(($(date +%s) + $4))
host='
import json, sys
services = {each["name"]: each["data"] or {} for each in json.load(sys.stdin)["services"]}
host = services["exporter"].get("exporter", {}).get("address", "127.0.0.1")
host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
print(f"[{host}]" if ":" in host else host)
'
page="import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=10).read().decode())"
python=$(dirname "$command")/python
while :; do
    states=$("$command" --config-dir "$config" ctl status 2>&1) || true
    address=$("$command" --config-dir "$config" status --json 2>/dev/null | "$python" -c "$host" 2>/dev/null) || address=127.0.0.1
    metrics=$("$python" -c "$page" "http://$address:$port/metrics" 2>/dev/null) || metrics=""
    waiting=$(echo "$states" | grep -v ' RUNNING ' || true)
    answers=$(echo "$metrics" | grep -E '^[A-Za-z0-9_:]*up 1(\.0)?$' || true)
    [ -z "$waiting" ] && [ -n "$answers" ] && exit 0
    [ "$(date +%s)" -lt "$end" ] || break
    sleep 1
done
[ -z "$waiting" ] || echo "not running: $waiting" >&2
[ -n "$answers" ] || echo "no answer of rTorrent in http://$address:$port/metrics" >&2
exit 1
