"""The error tree. Every message says what was wrong, where, what is allowed and what to do.

    EvalkitError                 exit code 1: anything evalkit names itself
    ├── InputError               exit code 2: what the user gave cannot be used
    │   ├── SuiteError           a suite file, with file, line and key
    │   ├── CheckpointError      a checkpoint that is missing, broken or does not fit
    │   ├── MetricError          an unknown metric, or one whose needs cannot be met
    │   ├── RecordsError         a file of completions, a summary or a baseline that cannot be read
    │   ├── TrackerError         a tracker that cannot be reached, or did not take what it was sent
    │   └── Incomparable         two runs that cannot be compared, each reason on a line
    ├── EngineError              exit code 4: an engine failed to start, crashed or lost its server
    │   └── ServerError          a server that does not answer when it is asked what it serves
    ├── StoreError               exit code 5: the run folder cannot be written or read (a full disk, a lock)
    └── Interrupted              exit code 130: Ctrl-C; what was sampled is kept

The gate's verdicts are no errors: 0 pass, 1 regression, 3 inconclusive. Nor is a reader that goes away
(`evalkit gate ... | head -1`): 141, as of a program that the signal of a closed pipe ended, and no verdict.
"""

CLOSED_PIPE = 141
"""Exit code where whoever read the output has gone: 128 and the number of SIGPIPE, as shells have it."""


class EvalkitError(Exception):
    """Base of all errors that evalkit raises on purpose; `str(error)` is the line shown to the user."""

    exit_code = 1


class InputError(EvalkitError):
    exit_code = 2


class SuiteError(InputError):
    pass


class CheckpointError(InputError):
    pass


class MetricError(InputError):
    pass


class RecordsError(InputError):
    pass


class TrackerError(InputError):
    pass


class Incomparable(InputError):  # noqa: N818 (a state of affairs, as the words say)
    pass


class EngineError(EvalkitError):
    exit_code = 4


class EngineLost(EngineError):  # noqa: N818 (a state of affairs, as the words say)
    """It died, or failed where it should not: the same call may succeed on another try."""


class OutOfMemory(EngineError):  # noqa: N818
    """A call asked for more memory than there is: a smaller one may succeed."""


class ServerError(EngineError):
    pass


class StoreError(EvalkitError):
    exit_code = 5


class Interrupted(EvalkitError):  # noqa: N818 (an interruption is no error)
    exit_code = 130
