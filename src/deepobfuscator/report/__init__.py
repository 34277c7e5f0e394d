"""Tables, figures and one self-contained page: pure functions of what lies in run folders.

``runs`` reads the folders and puts side by side what may be compared, ``readings`` finds the
figures of one subject in one run, ``verdict`` says in words what they mean, and ``tables``,
``figures`` and ``page`` show them. Nothing here computes a figure anew.
"""
