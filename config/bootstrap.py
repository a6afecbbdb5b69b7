"""In: a machine with only Python. Out: `.venv` with what requirements.txt (or -dev) asks for.

Run by the Makefile with the machine's own Python, so: standard library only. Does nothing when
nothing changed: a stamp in `.venv` names what was installed. What is wrong is told in one sentence.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
VENV = BASE_DIR / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)


def main() -> None:
    name = "requirements-dev.txt" if "--dev" in sys.argv[1:] else "requirements.txt"
    if sys.version_info < OLDEST:
        refuse(
            f"Callboard needs Python {OLDEST[0]}.{OLDEST[1]} or newer, this is "
            f"{sys.version_info[0]}.{sys.version_info[1]}: install a newer one, or name it with "
            "`make PYTHON=/path/to/python3.12 …`."
        )
    try:
        make_ready(name)
    except OSError as error:
        refuse(
            f"The folder {BASE_DIR} cannot be written to ({error.strerror}): make room or make it "
            "writable, and try again."
        )
    except KeyboardInterrupt:
        sys.exit(130)


def make_ready(name: str) -> None:
    wanted = fingerprint(name)
    stamp = VENV / f".installed-{name.removesuffix('.txt')}"
    if works() and stamp.is_file() and stamp.read_text() == wanted:
        return
    if not works():
        make_venv()
    say(f"Installing the packages of {name} into .venv …")
    install(name)
    if name == "requirements-dev.txt":
        # It contains the other one.
        other = VENV / ".installed-requirements"
        other.write_text(fingerprint("requirements.txt"))
    stamp.write_text(wanted)


def fingerprint(name: str) -> str:
    digest = hashlib.sha256(str(BASE_DIR).encode())
    for file in dict.fromkeys(("requirements.txt", name)):
        digest.update((BASE_DIR / file).read_bytes())
    return digest.hexdigest()


def works() -> bool:
    """Whether `.venv` is there and its Python runs: the machine's may have been replaced."""
    if not PYTHON.exists():
        return False
    code = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode == 0


def make_venv() -> None:
    if importlib.util.find_spec("venv") is None:
        refuse("Python's module venv is missing: `apt install python3-venv`, and try again.")
    has_pip = importlib.util.find_spec("ensurepip") is not None
    if not has_pip and importlib.util.find_spec("pip") is None:
        refuse(
            "Neither venv's own pip nor pip itself is there: `apt install python3-venv`, and try "
            "again."
        )
    say(f"Making .venv with {sys.executable} …")
    if VENV.exists():
        shutil.rmtree(VENV)
    command = [sys.executable, "-m", "venv", *([] if has_pip else ["--without-pip"]), str(VENV)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        refuse(explain(done.stdout + done.stderr, doing="make .venv"))


def install(name: str) -> None:
    pip: list[str | Path] = [PYTHON, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        # A venv without pip: the machine's pip installs into it.
        pip = [sys.executable, "-m", "pip", "--python", PYTHON]
    command = [
        *pip,
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "-r",
        BASE_DIR / name,
    ]
    # What is set for the machine's Python must not send the packages elsewhere.
    unwanted = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONPATH", "PYTHONHOME")
    environment = {name: text for name, text in os.environ.items() if name not in unwanted}
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode:
        refuse(explain(done.stderr, doing=f"install the packages of {name}"))


def explain(output: str, *, doing: str) -> str:
    """One sentence out of what pip or venv said."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "?")
    network = ("NewConnectionError", "NameResolution", "ConnectTimeout", "Network is unreachable")
    if any(word in output for word in (*network, "Could not find a version", "ProxyError")):
        cause = "the package registry cannot be reached, or has not what is asked for"
        return f"Could not {doing}: {cause}; check the network or PIP_INDEX_URL, and try again."
    if "No space left" in output:
        return f"Could not {doing}: the disk of {BASE_DIR} is full; make room, and try again."
    if "ensurepip" in output:
        return f"Could not {doing}: `apt install python3-venv`, and try again."
    return f"Could not {doing}: {last.rstrip('.')}."


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def refuse(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
