"""A server to kill: this process loads what it needs once, and forks a server whenever it is told to, over one socket.

`python -m tests.preferences.annotate.kill_target FILE PAIRS` prints its port, then the number of each server's process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from evalkit.preferences.annotate.guard import Guard
from evalkit.preferences.annotate.serve import bound, make_server
from tests.preferences.annotate.served import comparisons, make_desk


def main(path: Path, count: int) -> None:
    pairs = comparisons(count)
    heavy = [name for name in ("torch", "transformers", "vllm", "sklearn") if name in sys.modules]
    assert not heavy, f"the server loads {heavy}"
    with bound("127.0.0.1", 0) as listening:
        print(listening.getsockname()[1], flush=True)
        for _ in sys.stdin:
            server = os.fork()
            if server == 0:
                make_server(make_desk(path, pairs), Guard("127.0.0.1")).run(sockets=[listening])
                os._exit(0)
            print(server, flush=True)
            os.waitpid(server, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
