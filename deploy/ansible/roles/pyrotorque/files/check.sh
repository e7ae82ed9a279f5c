#!/bin/sh
# check.sh PYROTORQUE CONFIG_DIR FILE: whether FILE is a valid torque.ini beside the other files of CONFIG_DIR.
set -eu
command=$1 config=$2 file=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in config.py jobs templates rtorrent.d fleet.credentials fleet-ca.pem; do
    [ ! -e "$config/$name" ] || ln -s "$config/$name" "$folder/$name"
done
cp "$file" "$folder/torque.ini"
"$command" --config-dir "$folder" check
