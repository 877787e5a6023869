"""A camera whose pictures of images do not depend on the version of Pillow, and move by parts of a pixel."""

import numpy as np
from manim import Camera
from manim.mobject.types.image_mobject import AbstractImageMobject
from PIL import Image


class FilmCamera(Camera):
    """manim's camera; an image may be moved and scaled, but not turned."""

    def display_image_mobject(self, image_mobject: AbstractImageMobject, pixel_array: np.ndarray) -> None:
        """Draw an image: what its pixels show is taken from the image's part under each of them."""
        image = Image.fromarray(np.ascontiguousarray(image_mobject.get_pixel_array(), dtype=np.uint8))
        corners = self.points_to_subpixel_coords(image_mobject, image_mobject.points[:4])
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        x, y = max(int(np.ceil(left)), 0), max(int(np.ceil(top)), 0)
        end_x, end_y = min(int(right), self.pixel_width), min(int(bottom), self.pixel_height)
        if end_x <= x or end_y <= y:
            return
        wide, tall = image.width / (right - left), image.height / (bottom - top)
        part = ((x - left) * wide, (y - top) * tall, (end_x - left) * wide, (end_y - top) * tall)
        drawn = np.asarray(image.resize((end_x - x, end_y - y), image_mobject.resampling_algorithm, box=part), float)
        share, place = drawn[..., 3:] / 255, pixel_array[y:end_y, x:end_x]
        place[..., :3] = np.round(share * drawn[..., :3] + (1 - share) * place[..., :3])
        place[..., 3] = 255
