"""What the films of the lessons are made with; lessons/videos/README.md is the guide for their authors."""

from manim import *

from .charts import *
from .clouds import *
from .diagrams import *
from .figures import *
from .lecture import Lecture
from .lesson import Lesson, bare
from .look import *
from .scenes import *
