"""The environment in which the scripts talk to a rehearsal cloud, as data and for each shell."""

from __future__ import annotations

import os


def script_environment(url: str, speed: float) -> dict[str, str]:
    """Return the environment in which the scripts talk to the rehearsal cloud."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
        "AWS_SETUP_PACE": f"{1 / speed:g}" if speed else "0",
    }


def shell_commands(pairs: dict[str, str], *, path: str = "") -> str:
    """Return the lines which set variables and put a folder before PATH, for each kind of shell."""
    posix = [f"export {name}={value}" for name, value in pairs.items()]
    fish = [f"set -gx {name} {value}" for name, value in pairs.items()]
    power = [f'$env:{name} = "{value}"' for name, value in pairs.items()]
    if path:
        posix.insert(0, f'export PATH="{path}:$PATH"')
        fish.insert(0, f'set -gx PATH "{path}" $PATH')
        power.insert(0, f'$env:PATH = "{path}{os.pathsep}" + $env:PATH')
    lines = ["# sh, bash, zsh", *posix, "", "# fish", *fish, "", "# PowerShell", *power]
    return "\n".join(lines)
