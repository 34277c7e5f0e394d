"""Upper bounds on identifying a person from a code of few values."""

from scipy.stats import beta

from deepobfuscator.certificates.attributes import ERROR


def named_rightly(values: float, people: int, others: float = 0.0) -> float:
    """The fraction of ``people``, all equally likely, that an attacker with one code identifies.

    Whatever is known about each person, sum_c max_i p(c | i) / N <= M / N: maximal leakage (Issa,
    Wagner and Kamath 2020), at most log2 M bits. It needs no data.

    Args:
        values: M, the number of codes, or the effective number after noise.
        people: N.
        others: bound on the probability of a code that is none of the M; it is added.
    """
    return min(1.0, values / people + others)


def other_codes(people: int, with_others: int, error: float = ERROR) -> float:
    """Upper bound on the probability of an uncounted code.

    Clopper and Pearson (1934), for the fraction of people with one: a person counts if any of the
    pictures has one.

    Args:
        people: number of people whose codes were not among those counted.
        with_others: number of them with an uncounted code.
        error: delta.
    """
    if with_others >= people:
        return 1.0
    return float(beta.ppf(1 - error, with_others + 1, people - with_others))
