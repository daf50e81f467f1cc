"""``python -m manifests.compose_env``: passwords for docker-compose.yml, random, in ``.env``.

A password that is there stays: the volumes were made with it. Only what is missing is added.
"""

import argparse
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

ENV_FILE = Path(__file__).parents[1] / ".env"

SECRETS: dict[str, Callable[[], str]] = {
    "AWS_ACCESS_KEY_ID": lambda: secrets.token_hex(10),
    "AWS_SECRET_ACCESS_KEY": lambda: secrets.token_hex(20),
    "POSTGRES_USER": lambda: "mlflow",
    # In an address: no character of it may mean anything there.
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(20),
    "TRITON_REPOSITORY_KEY": lambda: secrets.token_hex(20),
}


def complete(path: Path) -> list[str]:
    """Add the variables that a file lacks; it is readable by its owner only.

    Returns:
        Names of the variables that were added.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    known = {line.partition("=")[0].strip() for line in text.splitlines() if "=" in line}
    missing = [name for name in SECRETS if name not in known]
    if text and not text.endswith("\n"):
        text += "\n"
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(
        text + "".join(f"{name}={SECRETS[name]()}\n" for name in missing), encoding="utf-8"
    )
    return missing


def main() -> None:
    """Complete a file of variables, and say what was added, but no value."""
    parser = argparse.ArgumentParser(
        prog="python -m manifests.compose_env",
        description="Add the passwords of docker-compose.yml that a file lacks. Those there stay.",
    )
    parser.add_argument(
        "--env-file", type=Path, default=ENV_FILE, help="default: .env of this checkout"
    )
    path = parser.parse_args().env_file
    added = complete(path)
    said = f"added {', '.join(added)}" if added else "nothing was missing"
    sys.stdout.write(f"{path.name}: {said}\n")


if __name__ == "__main__":
    main()
