"""The paper's human perceptual study (section 4.4, figure 5): draw it (`questions`), answer it by
machine (`machine`), put it to people (`app`, `pages`, `store`) and count (`scoring`, `study`).
Needs no torch.
"""
