"""The device's side of an exported obfuscator: encode pictures, ask the service, read answers.

Only numpy, onnxruntime, Pillow, zstandard and an HTTP client; no torch.
"""

__version__ = "0.1.0"
