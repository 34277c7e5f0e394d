"""The public names, each imported when it is first used."""

from .api import Run as Run
from .api import audit as audit
from .api import compare as compare
from .api import load as load
from .api import train as train
from .attacks.base import BRIEF as BRIEF
from .attacks.base import EXHAUSTIVE as EXHAUSTIVE
from .attacks.base import QUICK as QUICK
from .attacks.base import STANDARD as STANDARD
from .attacks.base import Attack as Attack
from .attacks.base import Fitted as Fitted
from .attacks.base import InferenceAttack as InferenceAttack
from .attacks.base import ReconstructionAttack as ReconstructionAttack
from .attacks.base import TrainedAttack as TrainedAttack
from .attacks.threat import AttackerData as AttackerData
from .attacks.threat import Threat as Threat
from .auditing.config import AuditConfig as AuditConfig
from .auditing.gates import Gate as Gate
from .core.errors import InputError as InputError

# used by paper/ and survey/
from .core.files import write_atomic as write_atomic
from .core.records import Record as Record
from .core.runtime import Context as Context
from .data.dataset import Data as Data
from .data.table import AttributeTable as AttributeTable
from .data.table import Source as Source
from .data.table import Task as Task
from .defences.base import Defence as Defence
from .defences.deepobfuscator import DeepObfuscator as DeepObfuscator
from .defences.naive_sequence import NaiveSequence as NaiveSequence
from .defences.narrow_code import NarrowCode as NarrowCode
from .defences.pixel_noise import PixelNoise as PixelNoise
from .defences.undefended import Undefended as Undefended
from .experiments.launch import Cluster as Cluster
from .experiments.presets import PRESETS as PRESETS
from .experiments.runner import Runner as Runner
from .experiments.runner import RunSpec as RunSpec
from .experiments.trial import Trial as Trial
from .nn.vgg import Encoder as Encoder
from .report.runs import RunResult as RunResult
from .report.subjects import SubjectReport as SubjectReport
from .report.view import AuditReport as AuditReport
from .report.view import ComparisonReport as ComparisonReport
from .training.bundle import Bundle as Bundle
from .training.objectives import Phase as Phase
from .training.objectives import Players as Players
from .training.objectives import Round as Round
from .training.objectives import Stage as Stage
from .training.objectives import TrainConfig as TrainConfig
from .training.objectives import Update as Update
from .training.objectives import stage as stage
from .training.objectives import update as update

__version__: str
