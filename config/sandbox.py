"""In: SANDBOX_PORT and DATA_DIR. Out: the pretend platform of the demo, until SIGTERM.

What ``manage.py sandbox`` runs, without loading Django for it: ``make run`` starts it each time.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from campaigns.platforms.sandbox import serve

#: length of its calls, 1 being natural: a demo should not take a quarter of an hour
CALL_SCALE = 0.3


def main() -> int:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    port = int(os.environ["SANDBOX_PORT"])
    state = Path(os.environ["DATA_DIR"]) / "sandbox"
    try:
        sandbox = serve("127.0.0.1", port, call_scale=CALL_SCALE, state_dir=state)
    except OSError as error:
        sys.stderr.write(f"The sandbox cannot listen on port {port}: {error.strerror}.\n")
        return 1
    with sandbox:
        sys.stdout.write(f"A pretend platform, which calls nobody, answers at {sandbox.url}\n")
        sys.stdout.flush()
        stopping.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
