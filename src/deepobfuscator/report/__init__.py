"""Tables, figures and self-contained pages: pure functions of what lies in run folders.

``runs`` reads the folders, ``subjects`` and ``comparison`` sort what they say, ``wording``,
``tables``, ``plots`` and ``audit_plots`` show it, ``pages`` sets it, and ``view`` is what a person
holds. Nothing here computes a figure anew.
"""
