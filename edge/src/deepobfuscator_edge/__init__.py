"""The device's side of an exported obfuscator: encode pictures, ask the service, read answers.

Only numpy, onnxruntime, Pillow, zstandard and an HTTP client; no torch.
"""

from deepobfuscator_edge.client import AsyncClient, Client
from deepobfuscator_edge.edge import Edge
from deepobfuscator_edge.errors import EdgeError, MessageError, ServiceError
from deepobfuscator_edge.manifest import Attribute, Manifest, Wire

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Attribute",
    "Client",
    "Edge",
    "EdgeError",
    "Manifest",
    "MessageError",
    "ServiceError",
    "Wire",
]
