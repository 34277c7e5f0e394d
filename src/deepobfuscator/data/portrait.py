"""Draws faces from named variables: signed distances for edges, smooth bumps for light."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from deepobfuscator.data.canvas import Array, Canvas, Looks, bump, egg, ridge, ripple


def portraits(
    looks: Mapping[str, Array], size: tuple[int, int], grain_seeds: Sequence[Sequence[int]]
) -> NDArray[np.uint8]:
    """Draw n faces; a face is bit-identical whichever others are drawn with it.

    Every operation works pixel by pixel and every shape is exactly absent outside its window.
    The scene is 218 x 178 as CelebA's pictures are; another aspect ratio crops it about its centre.

    Args:
        looks: the variables of the drawing: (n,) each, colours (n, 3) in 0..1.
        size: height and width in pixels.
        grain_seeds: of each picture's sensor noise.

    Returns:
        (n, height, width, 3) in 0..255.
    """
    f = Looks(**{n: np.moveaxis(v, 0, -1)[..., None, None] for n, v in looks.items()})
    n, (height, width) = len(grain_seeds), size
    pixel = min(178 / width, 218 / height) / 89
    scene_x = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) * pixel)[None, None, :]
    scene_y = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) * pixel)[None, :, None]
    right, down = (scene_x - f.dx) / f.scale, (scene_y - f.dy) / f.scale
    x, y = f.cos * right + f.sin * down, f.cos * down - f.sin * right
    round_ = 1.1 * np.sqrt(np.maximum(1 - (x / 1.1) ** 2, 0))
    c = Canvas(
        rgb=np.empty((3, n, height, width), np.float32),
        x=x, y=y, p=x * f.turn_cos - round_ * f.turn_sin, q=y - f.pitch,
        light=np.empty_like(x), soft=0.6 * pixel / f.scale + f.blur,
    )  # fmt: skip
    blend = np.clip(0.5 + f.slope_x * scene_x + f.slope_y * scene_y, 0, 1)
    glow = f.disc * bump(scene_x - f.disc_x, scene_y - f.disc_y, 0.9, 0.9)
    for plane, a, b in zip(c.rgb, f.scene_a, f.scene_b, strict=True):
        np.add(a + blend * (b - a), glow, out=plane)
    for layer in (_body, _head, _eyes, _mouth, _hair, _glasses):
        layer(c, f)
    gain = (f.contrast * (1 + f.warmth), f.contrast, f.contrast * (1 - f.warmth))
    vignette = 1 - 0.10 * (scene_x**2 + scene_y**2)
    out = np.empty((n, height, width, 3), np.uint8)
    grain = np.empty((n, height, width), np.float32)
    for seed, field in zip(grain_seeds, grain, strict=True):
        np.random.default_rng(seed).standard_normal(dtype=np.float32, out=field)
    floor = 128 + 255 * (f.exposure + f.noise * grain)
    for i, (plane, g) in enumerate(zip(c.rgb, gain, strict=True)):
        out[..., i] = np.clip((plane * vignette - 0.5) * (255 * g) + floor, 0, 255)
    return out


def _strands(c: Canvas, f: Looks) -> list[Array]:
    """Shaded hair, its strands fanning out from the parting."""
    fan = 9 * (c.x - f.part) / (abs(c.x - f.part) + abs(c.y + 1.1) + 0.5)
    sheen = ridge(c.y + 0.95 + 0.5 * c.x * c.x, 0.4)
    tone = 0.82 + 0.30 * ripple(fan) + (0.35 * sheen + 0.12 * c.x * f.light_x) - 0.08 * c.y
    return [h * tone + 0.05 * sheen for h in f.hair]


def _mop(c: Canvas, f: Looks) -> Array:
    """Signed distance to all the hair, front and back."""
    wave = 1.1 * c.y + f.phase - np.rint(1.1 * c.y + f.phase)
    x = c.x * (1 + f.curl * wave * (1 - 2 * abs(wave)))
    wide, up = 1 + f.hair_wide, 1.22 + f.hair_wide
    return egg(x, c.y + 0.1, wide, up, f.hair_low + 0.1, square=0.5 * f.long)


def _body(c: Canvas, f: Looks) -> None:
    """Hair behind the head, neck, clothes and ears."""
    w = c.window(-1.9, -2.1, 1.9, f.hair_low + 0.4)
    w.paint(f.hairy * w.cover(_mop(w, f)), [0.62 * h for h in _strands(w, f)])
    w = c.window(-9, 0.6, 9, 9)
    w.light[...] = 0.80 + 0.16 * w.x * f.light_x
    w.light[...] -= 0.30 * bump(w.x, w.y - f.chin + 0.1, 0.95, 0.55)
    flare = f.neck + 0.9 * np.maximum(w.y - 1.62, 0) ** 2
    w.paint(w.cover(np.maximum(abs(w.x) - flare, 0.7 - w.y)), w.skin(f))
    line = f.shoulder + 0.13 * w.x * w.x + 0.20 * np.maximum(0.75 - abs(w.x), 0)
    neckline = egg(w.x, w.y - 1.55, 0.50 + 0.4 * f.collar, 1.0, f.collar + 0.18)
    fold = 0.92 + 0.10 * w.x * f.light_x - 0.10 * (w.y - 2)
    fold = fold - 0.22 * ridge(neckline - 0.06, 0.05)
    w.paint(w.cover(np.maximum(line - w.y, -neckline)), [k * fold for k in f.clothes])
    w = c.window(-1.6, -0.5, 1.6, 0.9)
    ear = egg(abs(w.x) - f.width - 0.02, w.y - 0.12, 0.13, f.ear, f.ear + 0.03)
    w.light[...] = 0.80 + 0.25 * w.x * f.light_x + 0.8 * np.clip(ear, -0.08, 0)
    w.paint(w.cover(ear), w.skin(f))


def _head(c: Canvas, f: Looks) -> None:
    """The face without eyes and mouth: shape, light, cheeks, nose, beard."""
    w = c.window(-1.7, -1.6, 1.7, 2.1)
    slim = 1 - f.taper * np.clip(w.y / f.chin, 0, 1)
    face = egg(w.x / slim, w.y, f.width, 1.26, f.chin, square=f.jaw)
    nx, ny = w.x / 1.15, (w.y - 0.05) / 1.75
    facing = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0.02))
    lamp = np.maximum(f.light_x * nx + f.light_y * ny + 0.85 * facing, 0)
    light, m = w.light, abs(w.p)
    light[...] = f.ambient + 0.50 * lamp
    light += f.matte * 0.10 * bump(w.p, w.q + 0.62, 0.65, 0.33)
    light += f.matte * 0.05 * bump(w.p, w.q - 1.28, 0.20, 0.13)
    light -= 0.17 * bump(m - 0.40, w.q + 0.06, 0.36, 0.24)
    light += f.cheek * bump(m - 0.56, w.q - f.cheek_y, 0.34, 0.24)
    light -= f.hollow * bump(m - 0.70, w.q - f.cheek_y - 0.38, 0.30, 0.32)
    light -= f.wrinkle * ridge(ripple(5 * w.q), 0.2) * bump(w.p, w.q + 0.68, 0.6, 0.26)
    _nose(w, f)
    fold = ridge(m - 0.26 - 0.34 * (w.q - 0.62), 0.10)
    light -= f.fold * fold * np.maximum(1 - ((w.q - 0.82) / 0.26) ** 2, 0)
    light -= f.bag * bump(m - f.eye_x, w.q - 0.20, 0.20, 0.08)
    head = w.cover(face)
    w.paint(head, w.skin(f))
    rose = [k * s for k, s in zip((1.02, 0.62, 0.64), f.skin, strict=True)]
    w.paint(f.blush * head * bump(m - 0.62, w.q - 0.45, 0.36, 0.28), rose)
    shaven = egg(w.p, w.q - 0.18, 0.86, 9.0, 0.50)
    chops = w.cover(-shaven - 0.1) * np.clip((w.q - 0.05) / 0.4, 0, 1)
    speck = 0.7 + 2.4 * ripple(13 * w.p) * ripple(11 * w.q)
    beard = [0.75 * h * light for h in f.hair]
    w.paint(f.stubble * head * chops * np.minimum(speck + f.stubble, 1), beard)


def _nose(c: Canvas, f: Looks) -> None:
    """Its light: one flank bright and one dark, bridge, tip, wings, nostrils."""
    w = c.window(-0.42, -0.35, 0.42, 0.9)
    light = w.light
    side = np.maximum(1 - (w.p / 0.24) ** 2 - ((w.q - 0.22) / 0.52) ** 2, 0)
    light += 0.9 * f.light_x * (w.p / 0.24) * side * side
    light += f.matte * 0.10 * bump(w.p, w.q - 0.15, 0.085, 0.42)
    light += f.matte * 0.13 * bump(w.p, w.q - f.nose_y + 0.03, 0.10, 0.09)
    light -= 0.20 * bump(w.p, w.q - f.nose_y - 0.16, 1.25 * f.nose, 0.10)
    wing = ((abs(w.p) - f.nose) / 0.06) ** 2 + ((w.q - f.nose_y - 0.03) / 0.11) ** 2
    light -= 0.15 * np.maximum(1 - wing, 0)
    light -= 0.45 * bump(abs(w.p) - 0.52 * f.nose, w.q - f.nose_y - 0.095, 0.075, 0.045)


def _eyes(c: Canvas, f: Looks) -> None:
    """Lids, eyes, lashes and brows; both sides at once."""
    w = c.window(-0.9, -0.75, 0.9, 0.3)
    along = (abs(w.p) - f.eye_x) / f.eye_wide
    arc = np.maximum(1 - along * along, 0)
    y = w.q + f.eye_tilt * along
    upper, lower = -f.eye_open * arc, 0.62 * f.eye_open * arc
    beyond = (abs(along) - 1) * f.eye_wide
    lid = np.maximum(np.maximum(-0.24 * np.sqrt(arc) - y, y - 0.02), beyond)
    w.paint(f.lid * w.cover(lid) * np.clip(1 + 3 * (y + 0.1), 0.25, 1), f.shadow)
    crease = abs(y + 1.55 * f.eye_open * arc + 0.02) - 0.012
    w.paint(0.35 * w.cover(crease) * np.sqrt(arc), [0.45 * s for s in f.skin])
    eye = w.cover(np.maximum(np.maximum(upper - y, y - lower), beyond))
    shade = 0.80 * w.light + 0.08 - 0.25 * ridge(y - upper, 0.06)
    w.paint(eye, [k * shade for k in (0.95, 0.93, 0.92)])
    look = np.sign(w.p) * along * f.eye_wide - f.gaze
    ring = np.sqrt(look * look + (y + 0.012) ** 2)
    glassy = 1 + 5 * (y + 0.012)
    w.paint(eye * w.cover(ring - 0.092), [k * 0.55 for k in f.iris])
    w.paint(eye * w.cover(ring - 0.075), [k * glassy for k in f.iris])
    w.paint(eye * w.cover(ring - 0.038), (0.03, 0.03, 0.04))
    glint = bump(look - 0.03 * np.sign(f.light_x), y + 0.042, 0.035, 0.035)
    w.paint(np.minimum(eye * glint * 1.4, 1), (1.0, 1.0, 1.0))
    lash = np.maximum(abs(y - upper) - 0.012 - 0.022 * f.lash, (abs(along) - 1.05) * f.eye_wide)
    w.paint((0.45 + 0.5 * f.lash) * w.cover(lash), (0.07, 0.05, 0.05))
    under = np.maximum(abs(y - lower) - 0.006, beyond)
    w.paint((0.12 + 0.4 * f.lash) * w.cover(under), [0.35 * s for s in f.skin])
    span = (abs(w.p) - f.eye_x) / 0.29
    arch = f.brow_arch * np.maximum(1 - (span - 0.1) ** 2, 0)
    thick = f.brow_thick * np.clip(0.95 - 0.45 * span, 0.2, 1)
    brow = np.maximum(abs(w.q - f.brow_y + arch) - thick, (abs(span) - 1) * 0.29)
    w.paint(f.brow_dark * w.cover(brow), [0.62 * h * w.light for h in f.hair])


def _mouth(c: Canvas, f: Looks) -> None:
    """Lips, and teeth where it is open."""
    w = c.window(-0.62, 0.55, 0.62, 1.4)
    along = w.p / f.mouth_wide
    arc = np.maximum(1 - along * along, 0)
    middle = f.mouth_y + f.lift * (0.45 - along * along)
    gap = f.open * arc
    bow = 1 - 0.30 * ridge(along, 0.22)
    top = middle - f.lip * np.sqrt(arc) * (0.35 + 0.65 * arc) * bow
    bottom = middle + gap + 1.25 * f.lip * np.sqrt(arc)
    beyond = (abs(along) - 1) * f.mouth_wide
    w.light[...] -= 0.22 * bump(w.p, w.q - bottom - 0.05, 0.26, 0.07)
    w.paint(0.45 * bump(w.p, w.q - bottom - 0.06, 0.26, 0.065), [0.55 * s for s in f.skin])
    gloss = bump(w.p - 0.06 * f.light_x, w.q - bottom + 0.6 * f.lip, 0.17, 0.04)
    tone = np.where(w.q < middle, 0.80, 1.02) * w.light + 0.28 * f.matte * gloss
    lips = np.maximum(np.maximum(top - w.q, w.q - bottom), beyond)
    w.paint(w.cover(lips), [k * tone for k in f.lips])
    inner = np.maximum(np.maximum(middle - w.q, w.q - middle - gap), beyond + 0.02)
    there = np.clip(f.open / 0.03, 0, 1)
    w.paint(there * w.cover(inner), (0.22, 0.07, 0.07))
    teeth = np.maximum(np.maximum(middle - w.q, w.q - middle - 0.72 * gap), beyond + 0.05)
    white = (0.62 + 0.38 * np.sqrt(arc)) * np.minimum(w.light, 1.05)
    w.paint(there * f.teeth * w.cover(teeth), [k * white for k in (0.97, 0.95, 0.91)])
    seam = np.maximum(abs(w.q - middle) - 0.012, beyond)
    w.paint(0.6 * (1 - 0.7 * there) * w.cover(seam), [0.35 * k for k in f.lips])
    corner = bump(abs(w.p) - f.mouth_wide, w.q - middle, 0.07, 0.06)
    w.paint(0.4 * corner, [0.4 * s for s in f.skin])


def _hair(c: Canvas, f: Looks) -> None:
    """Hair before the head, and the hat."""
    w = c.window(-1.9, -2.1, 1.9, f.hair_low + 0.4)
    top = f.hairline + 0.1 - f.fringe * ripple(2.2 * w.x) - 0.35 * f.part * w.x
    face = egg(w.x - 0.5 * f.part, w.y - 0.1, 0.955 - 0.055 * f.long, top, 9.0)
    sideburns = w.y - 0.18 - 9 * f.long
    front = np.maximum(np.maximum(_mop(w, f), -face), sideburns)
    w.paint(f.hairy * w.cover(front), _strands(w, f))
    if f.hat.any():
        w = c.window(-2, -2.4, 2, 0.2)
        dome = egg(w.x, w.y + 0.3, 1.13 + f.hair_wide, 1.42, 1.42)
        band = w.y + 0.50 - 0.12 * w.x * w.x
        tone = 0.78 + 0.30 * ripple(5 * w.x) + 0.2 * w.x * f.light_x
        tone += 0.12 * np.clip(band * 20 + 6, 0, 1)
        w.paint(f.hat * w.cover(np.maximum(dome, band)), [k * tone for k in f.knit])


def _glasses(c: Canvas, f: Looks) -> None:
    """Rims, bridge, temples and a glare."""
    if not f.glasses.any():
        return
    w = c.window(-1.3, -0.5, 1.3, 0.6)
    m = abs(w.p)
    lens = egg(m - f.eye_x - 0.01, w.q - 0.04, f.lens_x, f.lens_y, f.lens_y, square=0.6)
    bridge = np.maximum(abs(w.q + 0.03 + 0.3 * w.p * w.p) - f.rim, m - 0.2)
    temple = np.maximum(abs(w.q + 0.05) - f.rim, np.maximum(0.7 - m, abs(w.x) - 1.02))
    glare = 0.12 * ridge(m - 0.5 * w.q - f.eye_x + 0.05, 0.06)
    w.paint(f.glasses * w.cover(lens) * (0.05 + glare), (0.9, 0.95, 1.0))
    rims = np.minimum(abs(lens) - f.rim, np.minimum(bridge, temple))
    w.paint(f.glasses * w.cover(rims), f.frame)
