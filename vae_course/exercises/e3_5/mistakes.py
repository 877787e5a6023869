"""Exercise 3.5: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable

from vae_course.exercises.e3_5.answer import RIGHT_CAUSES


def _confused(**causes: str) -> Callable[[], dict[str, str]]:
    return lambda: RIGHT_CAUSES | causes


HIGH, LOW, COLLAPSE, FORGOTTEN, OVERFIT, FINE = (
    "learning rate too high", "learning rate too low", "posterior collapse", "KL forgotten", "overfitting",
    "nothing is wrong",
)  # fmt: skip

MISTAKES = {
    "learning-rates-swapped": (
        _confused(B=LOW, F=HIGH),
        "The two learning rates are swapped. Steps that are too small make a curve creep; steps that "
        "are too large make it jump.",
    ),
    "collapse-and-no-kl-swapped": (
        _confused(D=COLLAPSE, E=FORGOTTEN),
        "The two KL troubles are swapped. A collapsed posterior equals the prior, so its KL is 0; "
        "without a KL term nothing keeps it small.",
    ),
    "overfitting-is-fine": (
        _confused(A=FINE, C=OVERFIT),
        "A good run and overfitting are swapped. Overfitting shows in the gap between training and held-out cells.",
    ),
    "collapse-for-slow": (
        _confused(E=LOW, F=COLLAPSE),
        "Collapse and a low learning rate are swapped. A KL near 0 is in both: look at whether the "
        "cross-entropy has settled or is still on its way.",
    ),
    "noise-for-overfitting": (
        _confused(A=HIGH, B=OVERFIT),
        "Overfitting and a high learning rate are swapped. A lasting gap between the curves is one "
        "thing, jumps that come and go are another.",
    ),
    "no-kl-for-fine": (
        _confused(C=FORGOTTEN, D=FINE),
        "A good run and one without the KL are swapped. The lower cross-entropy is not the better run: "
        "compare the KLs.",
    ),
    "jumps-for-fine": (
        _confused(B=FINE, C=HIGH),
        "A good run and one with a high learning rate are swapped. Compare the held-out curves' jumps.",
    ),
    "all-is-fine": (
        lambda: dict.fromkeys("ABCDEF", FINE),
        "You say that nothing is wrong with any of them. One run is good; the other five are broken, each in "
        "its own way.",
    ),
}
