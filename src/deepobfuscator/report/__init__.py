"""Tables, figures and self-contained pages: pure functions of what lies in run folders.

``runs`` reads the folders; ``subjects`` is what one run says of one subject, ``comparison`` puts
runs side by side; ``wording`` says what that means, and ``tables``, ``plots`` and ``audit_plots``
(drawn on ``svg``) show it. ``pages`` sets all of it, and ``view`` is what a person holds: the
report on an audit or on a comparison, and `finish`, the last step of every audit. Nothing here
computes a figure anew.
"""
