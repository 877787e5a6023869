"""Save what each explorable shows before it is touched, for where no scripts run: python tools/save_stills.py.

Writes vae_course/explore/stills/NAME.png, from Chromium, in few colours. To be run again when an explorable changes.
"""

import io
import tempfile
from pathlib import Path

import torch
from chromium import open_chromium
from PIL import Image

import vae_course as vc
from vae_course import explore
from vae_course.runtime.files import write_atomically

STILLS = Path(__file__).resolve().parents[1] / "vae_course" / "explore" / "stills"
COLORS, WIDTH = 16, 400


def explorables() -> list[explore.Explorable]:
    """Return all of them; the walk is one in the latent plane of a model of the digits."""
    torch.set_num_threads(1)
    digits = vc.load_digits()
    model = vc.BinaryVAE(digits.n_genes)
    vc.UnsupervisedTrainer(model, digits, n_epochs_kl_warmup=10, seed=0).train(60)
    ours = (getattr(explore, name) for name in explore.__all__)
    others = [make() for make in ours if make not in (explore.Explorable, explore.model, explore.walk)]
    return [*others, explore.walk(model, digits)]


def main() -> None:
    with open_chromium() as browser, tempfile.TemporaryDirectory() as folder:
        page = browser.new_page(viewport={"width": 760, "height": 900}, color_scheme="light")
        for one in explorables():
            page.goto(one.save(Path(folder) / f"{one.name}.html").as_uri())
            picture = Image.open(io.BytesIO(page.locator("main").screenshot())).convert("RGB")
            picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)))
            picture = picture.quantize(COLORS, Image.Quantize.MAXCOVERAGE)
            target = STILLS / f"{one.name}.png"
            write_atomically(target, lambda path, picture=picture: picture.save(path, "png", optimize=True))
            print(f"wrote {target.name}, {target.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
