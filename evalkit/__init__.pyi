from evalkit.api import CompareResult as CompareResult
from evalkit.api import Estimate as Estimate
from evalkit.api import GateResult as GateResult
from evalkit.api import Metric as Metric
from evalkit.api import Results as Results
from evalkit.api import compare as compare
from evalkit.api import gate as gate
from evalkit.api import load as load
from evalkit.api import metric as metric
from evalkit.api import metrics as metrics
from evalkit.api import run as run
from evalkit.api import score as score
from evalkit.errors import CheckpointError as CheckpointError
from evalkit.errors import EngineError as EngineError
from evalkit.errors import EvalkitError as EvalkitError
from evalkit.errors import Incomparable as Incomparable
from evalkit.errors import InputError as InputError
from evalkit.errors import MetricError as MetricError
from evalkit.errors import RecordsError as RecordsError
from evalkit.errors import StoreError as StoreError
from evalkit.errors import SuiteError as SuiteError

__version__: str
