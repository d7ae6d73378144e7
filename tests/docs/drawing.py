"""SVG pictures that are read in light and in dark: with a ground of their own, coloured as the reader's screen is."""

from dataclasses import dataclass, field

STYLE = """\
<style>
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .quiet { fill: #59636e } .middle { text-anchor: middle } .end { text-anchor: end }
  .ground { fill: #ffffff; stroke: #d1d9e0 } .grid { stroke: #d1d9e0; fill: none }
  .box { fill: #f6f8fa; stroke: #818b98 }
  .line { fill: none; stroke-width: 2 }
  .arrow { fill: none; stroke: #59636e; stroke-width: 1.5; marker-end: url(#head) }
  .head { fill: #59636e }
  .a { stroke: #0969da } .b { stroke: #bc4c00 } .c { stroke: #1a7f37 } .d { stroke: #8250df; stroke-dasharray: 5 4 }
  text.a { fill: #0969da; stroke: none } text.b { fill: #bc4c00; stroke: none }
  text.c { fill: #1a7f37; stroke: none } text.d { fill: #8250df; stroke: none }
  .good { fill: #1a7f37 } .bad { fill: #cf222e } .asked { fill: #bf8700 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .quiet { fill: #9198a1 }
    .ground { fill: #0d1117; stroke: #3d444d } .grid { stroke: #3d444d } .box { fill: #151b23; stroke: #656c76 }
    .arrow { stroke: #9198a1 } .head { fill: #9198a1 }
    .a { stroke: #4493f8 } .b { stroke: #db6d28 } .c { stroke: #3fb950 } .d { stroke: #ab7df8 }
    text.a { fill: #4493f8 } text.b { fill: #db6d28 } text.c { fill: #3fb950 } text.d { fill: #ab7df8 }
    .good { fill: #3fb950 } .bad { fill: #f85149 } .asked { fill: #d29922 }
  }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>
"""


def svg(width, height, label, *parts):
    """A whole file. `label` is what it says to whoever cannot see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{label}">\n{STYLE}'
        f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def text(x, y, said, classes=""):
    escaped = said.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:g}" y="{y:g}"{f" class={chr(34)}{classes}{chr(34)}" if classes else ""}>{escaped}</text>'


@dataclass(slots=True)
class Panel:
    """A pair of axes: `left`, `top`, `width` and `height` in pixels, the bounds of x and y in their own units."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    parts: list[str] = field(default_factory=list)

    def at(self, x, y):
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * self.width, self.top + (1.0 - up) * self.height

    def axes(self, title, x_name, x_ticks, y_ticks):
        """Ticks are values with what is written at them."""
        self.parts.append(text(self.left - 30, self.top - 14, title, "title"))
        for value, name in y_ticks:
            x, y = self.at(self.x[0], value)
            self.parts.append(f'<path class="grid" d="M{x:.1f} {y:.1f}h{self.width:.1f}"/>')
            self.parts.append(text(x - 6, y + 4, name, "quiet end"))
        for value, name in x_ticks:
            x, y = self.at(value, self.y[0])
            self.parts.append(text(x, y + 16, name, "quiet middle"))
        self.parts.append(text(self.left + self.width / 2, self.top + self.height + 34, x_name, "quiet middle"))

    def line(self, points, kind):
        path = "L".join("{:.1f} {:.1f}".format(*self.at(x, y)) for x, y in points)
        self.parts.append(f'<path class="line {kind}" d="M{path}"/>')

    def name(self, x, y, said, kind):
        self.parts.append(text(*self.at(x, y), said, kind))
