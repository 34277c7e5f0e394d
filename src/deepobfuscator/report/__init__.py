"""Tables, figures and self-contained pages: pure functions of what is in run folders.

``runs`` reads the folders, ``subjects``, ``comparison`` and ``matrix`` sort what they hold,
``wording``, ``titles``, ``tables``, ``plots`` and ``audit_plots`` (drawn by ``figures``) show it,
``pages`` puts it together, and ``view`` is what a person holds. Nothing here computes a figure.
"""
