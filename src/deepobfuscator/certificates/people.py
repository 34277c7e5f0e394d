"""Upper bounds on naming a person from a code of few values."""

from scipy.stats import beta

from deepobfuscator.certificates.attributes import ERROR


def named_rightly(values: float, people: int, others: float = 0.0) -> float:
    """The share of ``people``, all equally likely, that an attacker of one code names rightly.

    Whatever is known of each person, sum_c max_i p(c | i) / N <= M / N: maximal leakage (Issa,
    Wagner and Kamath 2020), at most log2 M bits. No data is needed for it.

    Args:
        values: M, codes that there are, or what noise leaves of them.
        people: N.
        others: bound on the probability of a code that is none of the M; it is added.
    """
    return min(1.0, values / people + others)


def other_codes(people: int, with_others: int, error: float = ERROR) -> float:
    """Upper bound on the probability of a code that was never counted.

    Clopper and Pearson's (1934), of the people who show one: a person counts once, as the worst of
    the pictures.

    Args:
        people: in whom the counted codes play no part.
        with_others: how many of them show a code that was not counted.
        error: delta.
    """
    if with_others >= people:
        return 1.0
    return float(beta.ppf(1 - error, with_others + 1, people - with_others))
