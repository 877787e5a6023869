"""Exercise 3.5: hints, and how results are judged."""

from collections.abc import Mapping
from typing import Any

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e3_5.answer import RIGHT_CAUSES
from vae_course.exercises.e3_5.calls import use
from vae_course.exercises.e3_5.cases import visible_cases
from vae_course.exercises.e3_5.mistakes import MISTAKES
from vae_course.exercises.e3_5.runs import CAUSES
from vae_course.exercises.engine import Exercise


def examine(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    if "the answer" in got:
        return dict(got)
    causes = {name.removeprefix("run "): value.text for name, value in got.items()}
    verdicts: dict[str, Any] = {"further runs": ", ".join(sorted(causes.keys() - set(RIGHT_CAUSES)))}
    for letter, cause in RIGHT_CAUSES.items():
        given = causes.get(letter, "None")
        verdicts[letter] = "right" if given == cause else f"not {given}"
    return verdicts


IF_IT_WERE = {
    "nothing is wrong": "Both curves would settle together, at a low cross-entropy and a KL of some nats.",
    "learning rate too high": "The held-out curves would be jagged, jumping from epoch to epoch.",
    "learning rate too low": "The curves would creep, hardly below where they started after all epochs.",
    "overfitting": "The training curve would go on falling, and the held-out one would stay far above it.",
    "posterior collapse": "The KL would go to 0, and the cross-entropy would get stuck early.",
    "KL forgotten": "The KL would grow to many nats, and the cross-entropy would be low without a gap between training "
    "and held-out cells.",
}


def _explain_diagnose(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if "A" not in got:
        return "return a dict: a cause from the list for each of the letters A to F."
    verdicts = {letter: got[letter].text for letter in RIGHT_CAUSES}
    wrong = {letter: text.removeprefix("not ") for letter, text in verdicts.items() if text != "right"}
    if not wrong:
        return "there are runs in the dict that are not plotted."
    if strange := got["further runs"].text.split(", ")[0]:
        return f'your keys include "{strange:.40}". The keys are the letters "A" to "F", and the values the causes.'
    letter, given = next(iter(wrong.items()))
    if given == "None":
        return f'{6 - len(wrong)} of 6 are right, and run "{letter}" is missing.'
    if given not in CAUSES:
        return (
            f'{6 - len(wrong)} of 6 are right. For run "{letter}" your cause is not in the list: copy it word by word.'
        )
    return f'{6 - len(wrong)} of 6 are right, but run "{letter}" is not a case of "{given}". {IF_IT_WERE[given]}'


EXERCISE = Exercise(
    "3.5",
    "vae_course.exercises.e3_5.answer.diagnose",
    cases=visible_cases,
    use=use,
    examine=examine,
    properties=(_explain_diagnose,),
    hints=(
        "Look at the scales first, then at the gap between training and held-out cells, then at the KL. Which run "
        "has hardly moved? In which does the KL vanish, or grow?",
        "A KL of 0 means that the decoder ignores z; a KL of many nats, that nothing holds it back. A wide gap "
        "between the two curves means too few cells; jumps mean steps too large; a creep, steps too small.",
    ),
    built="You can tell a sick training by its curves.",
    mistakes=MISTAKES,
)
