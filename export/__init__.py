"""SHIP: a .keras network in, an .onnx file with its proof, scores and card out."""


class ExportError(Exception):
    """Export cannot go on; the message says what failed and what to try."""
