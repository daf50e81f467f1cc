import logging
import os
import signal
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer
from rich.markup import render
from typer.testing import CliRunner

from spatialreward.cli.command import AroundBars, CommandGroup, SingleCommand
from spatialreward.cli.main import app
from spatialreward.errors import SpatialRewardError
from tests.docs.shell import check, commands_of, export
from tests.entries import CLI, COMMANDS, app_of

_OURS = [words for module, words in COMMANDS if module == CLI]
LEAVES = [words for words in _OURS if not any(one[:-1] == words for one in _OURS if one != words)]


def run_raising(error):
    """Run a command that raises ``error`` in a group of ours."""
    raising = typer.Typer(cls=CommandGroup)

    @raising.callback()
    def group():
        pass

    @raising.command()
    def fail():
        raise error

    return CliRunner().invoke(raising, ["fail"])


def test_an_error_of_ours_is_one_line_and_status_1():
    result = run_raising(SpatialRewardError("picture a.png:\nis broken"))
    assert result.stderr == "error: picture a.png: is broken\n"
    assert result.stdout == ""
    assert result.exit_code == 1


def test_a_program_of_one_command_fails_in_one_line_too():
    single = typer.Typer(pretty_exceptions_enable=False)

    @single.command(cls=SingleCommand)
    def fail():
        raise SpatialRewardError("picture a.png:\nis broken")

    result = CliRunner().invoke(single, [])
    assert (result.stderr, result.exit_code) == ("error: picture a.png: is broken\n", 1)


def test_an_interrupt_is_one_line_and_status_130():
    result = run_raising(KeyboardInterrupt())
    assert result.stderr == "interrupted\n"
    assert result.exit_code == 130


def test_a_mistake_of_the_programmer_keeps_its_traceback():
    assert isinstance(run_raising(ZeroDivisionError()).exception, ZeroDivisionError)


def test_the_version_is_the_packages():
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == version("spatialreward")


def test_commands_are_what_people_do_in_the_order_in_which_they_do_it():
    command = typer.main.get_command(app)
    assert command.list_commands(typer.Context(command)) == [
        *("data", "train", "rl", "best-of", "refine"),
        *("judge", "evaluate", "evaluate-editor", "benchmark", "protocol"),
        *("promote", "demote", "deploy", "submit", "runs", "stack"),
    ]


def test_no_command_shows_the_help():
    assert "judge" in CliRunner().invoke(app, []).output


@pytest.mark.parametrize(("module", "words"), COMMANDS, ids=str)
def test_no_help_has_words_that_rich_takes_for_markup(module, words):
    command = typer.main.get_command(app_of(module))
    for word in words:
        command = command.commands[word]
    for text in (command.help, *(getattr(one, "help", None) for one in command.params)):
        assert render(text or "").plain == (text or "")


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_the_help_of_a_command_has_an_example_that_the_command_takes(words, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ | {"KF_PIPELINES_ENDPOINT": "http://localhost"})
    export("spatialreward stack env")
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    example = " ".join(command.help.partition("Example: ")[2].split())
    if words == ("data", "presets"):
        assert example == 'columns = "magicbrush"'
        return
    [found] = [one for one in commands_of(example) if one[0] == "spatialreward"]
    assert tuple(found[1 : 1 + len(words)]) == words or words == ("deploy", "run")
    check(found)


def test_an_option_in_place_of_a_command_is_for_the_usual_one():
    told = CliRunner().invoke(app, ["deploy", "--keep", "0"]).stderr
    assert "spatialreward deploy run" in told
    assert "No such command 'rollbak'" in CliRunner().invoke(app, ["deploy", "rollbak"]).stderr
    assert "serving-repository" in CliRunner().invoke(app, ["deploy", "--help"]).stdout
    assert "--smoke-edits" in CliRunner().invoke(app, ["deploy", "run", "--help"]).stdout


def test_ctrl_c_ends_a_process_with_status_130_and_no_traceback():
    code = (
        "import time\n"
        "from spatialreward.cli.main import app, main\n"
        "@app.command()\n"
        "def wait():\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "import sys; sys.argv = ['spatialreward', 'wait']\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate()
    assert complaint == "interrupted\n"
    assert process.returncode == 130


def test_log_lines_go_to_standard_error(capsys):
    handler = AroundBars()
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.emit(logging.makeLogRecord({"msg": "step %d", "args": (3,)}))
    assert capsys.readouterr() == ("", "step 3\n")
