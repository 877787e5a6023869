"""Exercise 3.5: the reference answer."""


def diagnose() -> dict[str, str]:
    """Name what is wrong with each of the runs whose curves are plotted above.

    Returns
    -------
    dict
        For each run, "A" to "F", one of the causes in the list.
    """
    return {
        "A": "overfitting",
        "B": "learning rate too high",
        "C": "nothing is wrong",
        "D": "KL forgotten",
        "E": "posterior collapse",
        "F": "learning rate too low",
    }


RIGHT_CAUSES = diagnose()
