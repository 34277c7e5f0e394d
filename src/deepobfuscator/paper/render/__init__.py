"""Exhibits as HTML, CSV, LaTeX, Markdown and SVG."""
