"""Tables, figures and self-contained pages: pure functions of what lies in run folders.

``runs`` reads the folders and puts side by side what may be compared, ``readings`` finds the
figures of one subject in one run, ``evidence`` decides whether it leaks, ``verdict`` says in words
what that means, and ``tables``, ``figures`` and ``page`` show it for a comparison. For one audit,
``summary`` is all of it as JSON, ``audit_verdict`` its words, ``audit_page`` with ``audit_figures``
its page, and ``gates`` are its limits for a pipeline. For the paper's tables and figures,
``lines`` makes an ``exhibit`` of runs and ``published`` is what it stands beside;
``exhibit_table``, ``exhibit_figures``, ``plate``, ``latex`` and ``setting`` are its forms,
``exhibit_page`` is the whole, and ``claims``, ``claims_between`` and ``judging`` say what became of
the paper's claims. Nothing here computes a figure anew.
"""
