"""A command that would run a torrent's name as code is an error; values as data are not."""

import pytest

from pyrotorque.errors import UserError
from pyrotorque.jobs.arguments import compile_command

CODE = [
    "sh -c 'mv {{path}} /done'",
    'bash -c "echo {{name}}"',
    "/bin/dash -ec 'echo {{name}}'",
    "zsh -o pipefail -c 'echo {{name}}'",
    "bash -l -c -x 'echo {{ name.upper() }}'",
    "sh -c 'echo %(name)s'",
    "busybox sh -c 'echo {{name}}'",
    "env X=1 bash -c 'echo {{name}}'",
    "env -S 'sh -c {{name}}'",
    "nice -n 10 ionice -c 3 sh -c 'echo {{name}}'",
    "timeout 5 python3 -c 'print(\"{{name}}\")'",
    "python3.11 -Ic 'import os; os.system(\"x {{path}}\")'",
    "perl -e 'print \"{{name}}\"'",
    "perl -lane '{{name}}'",
    "ruby -e 'puts \"{{name}}\"'",
    "node --eval='console.log(\"{{name}}\")'",
    "php -r 'echo \"{{name}}\";'",
    "awk 'BEGIN { print \"{{name}}\" }'",
    "sed s/x/{{name}}/ file",
    "ssh host mv {{path}} /done",
    "ssh -p 22 -i key user@host 'mv {{path}} /done'",
    "sudo -n ssh host rm {{path}}",
    "su alice -c 'mv {{path}} /done'",
    "runuser -u alice -- sh -c '{{name}}'",
    "xargs -n 1 sh -c 'mv {{name}}'",
    "find /done -name x -exec sh -c 'mv {{path}} {}' ;",
    "find /done -exec {{path}} ;",
    "flock /run/lock -c 'mv {{path}} /x'",
    "watch ls {{path}}",
    "docker exec box sh -c 'echo {{name}}'",
    "tar xf a.tar --to-command={{name}}",
    "ssh -oProxyCommand={{name}} host",
    "sh {{path}}",
    "python3 {{path}}/setup.py",
    "tmux new-session -d 'echo {{name}}'",
    "tmux send-keys -t x {{name}} Enter",
    "make -C /srv X={{name}}",
    "hyperfine 'ls {{name}}'",
    "sg media -c 'mv {{path}} /done'",
    "screen -dmS x sh -c 'echo {{name}}'",
    "pkexec bash -c 'echo {{name}}'",
    "ip netns exec vpn sh -c 'echo {{name}}'",
    "bwrap --bind / / sh -c 'echo {{name}}'",
    "{{name}} --help",
    "sudo {{path}}",
]
DATA = [
    "/opt/done.sh {{name}} {{path}}",
    "sh -c 'mv \"$1\" /done' sh {{path}}",
    "bash /opt/done.sh -c {{name}}",
    "bash -x /opt/done.sh {{path}}",
    "python3 -m tool -c {{name}}",
    "python3 /opt/tool.py -c {{name}} -e {{path}}",
    "env NAME={{name}} sh -c 'echo \"$NAME\"'",
    "nice -n 10 notify-send {{name}}",
    "rsync -a -e ssh {{path}} host:/done",
    "rsync --rsh ssh {{path}} host:/done",
    "find {{path}} -name '*.nfo' -delete",
    "find {{path}} -exec chmod go+r {} +",
    "sh -c 'echo {{type}} {{info_hash}} {{seconds}}'",
    "sh -c 'echo {{job_name}}'",
    "awk -v name={{name}} '{ print name }' /done/list",
    "notify-send ssh {{name}}",
    "timeout 60 unrar x {{path}} /done/",
    "curl -d name={{name}} http://localhost/",
    "{{custom_program}} {{path}}",
    "sed -n 1p {{path}}",
    "perl /opt/x.pl -e {{name}}",
    "cp -r {{path}} /done/{{name}}",
]
SHELL_CODE = [
    "eval {{name}}",
    'bash -c "echo {{name}}"',
    "true && sh -c {{name}}",
    "cd /x; ssh host mv {{path}} /y",
    'echo "$(sh -c {{name}})"',
    "echo x | xargs sh -c {{name}}",
    "if true; then {{path}}; fi",
    ". {{path}}",
    "(python3 -c {{name}})",
    "echo a\nperl -e {{name}}",
]
SHELL_DATA = [
    "mv {{path}} /done && echo {{name}} >> /done/log",
    "for f in a b; do cp {{path}} /done/$f; done",
    "test -d {{path}} || exit 0; unrar x {{path}}",
    "sh -c 'mv \"$1\" /x' sh {{path}}",
    "if [ -f {{path}} ]; then touch /done/x; fi",
    'x={{name}}; echo "$x" | grep -q sh',
    'echo "done: $(basename {{path}})"',
]


@pytest.mark.parametrize("text", CODE)
def test_a_value_that_a_program_runs_as_code_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="would be run as code by"):
        compile_command(text, shell=False)


@pytest.mark.parametrize("text", DATA)
def test_a_value_that_is_data_is_accepted(text: str) -> None:
    assert compile_command(text, shell=False).fields


@pytest.mark.parametrize("text", SHELL_CODE)
def test_a_shell_command_must_not_parse_a_value_again(text: str) -> None:
    with pytest.raises(UserError, match="would be run as code by"):
        compile_command(text, shell=True)


@pytest.mark.parametrize("text", SHELL_DATA)
def test_parameters_of_a_shell_command_are_accepted(text: str) -> None:
    assert compile_command(text, shell=True).fields
