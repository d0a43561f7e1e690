"""What can be asked of data, with every default; the text under a field is its help."""

from dataclasses import dataclass
from pathlib import Path

from train import TrainError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Choices for a training set made out of COCO 2017."""

    out: Path = Path("data")
    """Folder for `train --data`: the set is made in its coco/, in COCO's own layout."""

    coco: Path | None = None
    """Folder with COCO 2017 as it is published: annotations/instances_train2017.json and
    instances_val2017.json, train2017/, val2017/; by default OUT/originals."""

    download: bool = False
    """First fetch into that folder what it lacks (20 GB, 41 GB of disk while it is unpacked); a
    download that broke off goes on."""

    url: str = "http://images.cocodataset.org"
    """Where to fetch COCO from."""

    size: int = 352
    """Longest side of the pictures made, in pixels; smaller ones stay as they are. The squares of
    training show 0.4 to 1.05 of it."""

    samples: int | None = None
    """How many pictures with people to learn from, picked by the seed; by default all. The
    pictures for validation stay the same."""

    negatives: float = 0.2
    """Pictures without people, as a share of those with: what is taken for people by mistake is
    learned from them."""

    speck: float = 0.001
    """People who cover a smaller share of their picture are neither person nor background: in the
    256×256 pixels that the network sees, 65 pixels have no outline to learn."""

    seed: int = 1
    """Decides which pictures are picked."""

    def __post_init__(self) -> None:
        """Reject what cannot work."""
        if self.size < 32:
            raise TrainError(f"size {self.size}: must be at least 32 pixels")
        if self.samples is not None and self.samples < 1:
            raise TrainError(f"samples {self.samples}: must be at least 1")
        if self.negatives < 0:
            raise TrainError(f"negatives {self.negatives}: must be at least 0")
        if not 0 <= self.speck < 1:
            raise TrainError(f"speck {self.speck}: a share of the picture lies between 0 and 1")
        if not self.url.startswith(("http://", "https://")):
            raise TrainError(f"url {self.url}: must begin with http:// or https://")
        if self.originals.resolve() == self.made.resolve():
            raise TrainError(f"cannot make the set over its originals: {self.made}; change out")

    @property
    def originals(self) -> Path:
        """COCO as it is published."""
        return self.coco or self.out / "originals"

    @property
    def made(self) -> Path:
        """The training set."""
        return self.out / "coco"
