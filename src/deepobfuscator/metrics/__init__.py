"""How good a guess is, of a picture (`images`), of an attribute (`attributes`) or of a person
(`identity`), and how sure that is (`bootstrap`, `sample`). Only `images` imports torch.
"""
