"""What users write: Istio's, Kubernetes' and Mizzen's kinds, read with line numbers and checked.

Text goes through ``yaml_documents`` (values and places), ``decoding`` (models), ``unimplemented`` and ``validation``
(rules) and comes out of ``loading`` as resources and problems; ``references`` checks resources against each other. The
lowest layer: of the rest of Mizzen it imports ``settings`` alone.
"""

from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.key import Key
from mizzen.resources.kinds import KINDS, Kind, find_kind
from mizzen.resources.loading import Loaded, load, load_paths, load_texts
from mizzen.resources.problems import Level, Position, Problem, errors
from mizzen.resources.problems_json import problem_from_json, problem_to_json
from mizzen.resources.references import check_references
from mizzen.resources.resource import Resource, Source
from mizzen.resources.service import ServiceSpec
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec

__all__ = [
    "DestinationRuleSpec",
    "GatewaySpec",
    "KINDS",
    "Key",
    "Kind",
    "Level",
    "Loaded",
    "Position",
    "Problem",
    "Resource",
    "ServiceSpec",
    "Source",
    "VirtualServiceSpec",
    "WorkloadSpec",
    "check_references",
    "errors",
    "find_kind",
    "load",
    "load_paths",
    "load_texts",
    "problem_from_json",
    "problem_to_json",
]
