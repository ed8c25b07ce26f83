"""What is wrong among resources, in the codes of ``istioctl analyze``: pure functions over one indexed view of them.

    texts ──reading──▶ items ──world──▶ World ──analyzers──▶ messages ──findings──▶ what is shown

Documents of any kind are read, those of Kubernetes and of Istio that Mizzen has no model of as plain values
(``values``). Each analyzer is a function from a World to messages, in a module by subject; ``analyzers`` lists them under
Istio's names. Above ``resources``, whose loader says what is wrong with a resource by itself (``schema``); below the
command line, which prints.
"""

from mizzen.analysis.analyzers import ANALYZERS, Analyzer
from mizzen.analysis.findings import Selection, Suppression, found
from mizzen.analysis.items import Item
from mizzen.analysis.messages import ABOUT_MIZZEN, MESSAGE_TYPES, Message, MessageType
from mizzen.analysis.reading import Read, read, read_mesh_config
from mizzen.analysis.world import World

__all__ = [
    "ABOUT_MIZZEN",
    "ANALYZERS",
    "Analyzer",
    "Item",
    "MESSAGE_TYPES",
    "Message",
    "MessageType",
    "Read",
    "Selection",
    "Suppression",
    "World",
    "found",
    "read",
    "read_mesh_config",
]
