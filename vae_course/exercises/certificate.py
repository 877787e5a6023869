"""A page to print: what was done of the course."""

from datetime import date
from html import escape

from vae_course.exercises.catalogue import CONTENTS, CORE
from vae_course.exercises.overview import progress

LONGEST_NAME = 80  # characters: the page stays one page

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vae_course: self-study record</title>
<style>
@page {{ margin: 15mm; }}
:root {{ color-scheme: light dark; }}
body {{ font-family: Georgia, "Times New Roman", serif; line-height: 1.4; max-width: 40rem; margin: 2rem auto;
  padding: 0 1rem; text-align: center; }}
main {{ border: 3px double; padding: 1.5rem 1rem; }}
h1 {{ font-size: 1.5rem; margin: 0 0 1rem; text-wrap: balance; }}
.name {{ font-size: 1.7rem; margin: 1rem 0; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; margin: 1.2rem auto; text-align: left; }}
th, td {{ border-bottom: 1px solid; padding: .35rem .3rem; }}
td + td, th + th {{ text-align: right; padding-left: .8rem; }}
td:first-child {{ hyphens: auto; }}
.note {{ font-size: .85rem; }}
@media (max-width: 30rem) {{
  main {{ padding: 1rem .3rem; }} th, td {{ padding: .35rem .1rem; }} td + td, th + th {{ padding-left: .3rem; }}
}}
@media print {{ :root {{ color-scheme: light; }} body {{ margin: 0 auto; }} }}
</style>
</head>
<body>
<main>
<h1>From a count matrix to a variational autoencoder for single-cell data</h1>
<p>Self-study record of</p>
<p class="name" dir="auto">{name}</p>
<p><b>{done}</b><br>{date}</p>
<table>
<thead><tr><th scope="col">Lesson</th><th scope="col">Passed</th><th scope="col">Solution opened</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p class="note">In an exercise the learner writes a function, and a program compares its results with the right ones.
The lessons take about {hours} hours. This is a self-study record made on the learner's own computer, with the name
that the learner gave. It is no proof of identity and was not supervised. Made by vae_course {version}.</p>
</main>
</body>
</html>
"""


def certificate(name: str) -> str:
    """Return a page of HTML, to be printed on one sheet: a name, the date, and what is done of every lesson.

    Parameters
    ----------
    name
        The learner's name, as it is to be shown.

    Returns
    -------
    page
        To be written to a file and opened in a browser. It stands alone and asks no other host for anything. What
        is not done yet is shown as it is.

    Raises
    ------
    ValueError
        If there is no name, or one of more than 80 characters.
    """
    from vae_course import __version__

    shown = " ".join(name.split()) if isinstance(name, str) else ""
    if not 0 < len(shown) <= LONGEST_NAME:
        came = f"one of {len(shown)} characters" if shown else repr(name)
        raise ValueError(
            f'A certificate needs a name of 1 to {LONGEST_NAME} characters, such as "Ada Lovelace"; this is {came}.'
        )
    known = progress()
    rows = []
    for number, lesson in enumerate(CONTENTS):
        passed = known.passed(lesson.sections)
        opened = sum(known[exercise_id]["solution"] for exercise_id in passed)
        rows.append(
            f"<tr><td>{number} · {escape(lesson.title)}</td><td>{len(passed)} of {len(lesson.sections)}</td>"
            f"<td>{opened}</td></tr>"
        )
    today = date.today()
    return PAGE.format(
        name=escape(shown),
        done=f"{len(known.passed(CORE))} of {len(CORE)} exercises passed",
        date=f"{today.day} {today:%B %Y}",
        rows="\n".join(rows),
        hours=round(sum(lesson.minutes for lesson in CONTENTS) / 60),
        version=__version__,
    )
