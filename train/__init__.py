"""LEARN: pictures of people and their masks in, a .keras network out."""


class TrainError(Exception):
    """Training cannot go on; the message says what failed and what to try."""
