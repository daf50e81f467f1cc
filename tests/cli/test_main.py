import logging
import signal
import subprocess
import sys
from importlib.metadata import version

import typer
from typer.testing import CliRunner

from spatialreward.cli.command import AroundBars, CommandGroup
from spatialreward.cli.main import app
from spatialreward.errors import SpatialRewardError


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


def test_an_interrupt_is_one_line_and_status_130():
    result = run_raising(KeyboardInterrupt())
    assert result.stderr == "interrupted\n"
    assert result.exit_code == 130


def test_a_mistake_of_the_programmer_keeps_its_traceback():
    assert isinstance(run_raising(ZeroDivisionError()).exception, ZeroDivisionError)


def test_the_version_is_the_packages():
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == version("spatialreward")


def test_no_command_shows_the_help():
    assert "judge" in CliRunner().invoke(app, []).output


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
