"""The calibration of a backtest as an SVG picture."""

from __future__ import annotations

from warehouse.clv.backtest import RULES, Backtest

COLOURS = {"model": "#1f6fb2", "same again": "#c2571a", "own rate": "#6b8e23"}


def as_svg(result: Backtest) -> str:
    """Draw the means of the deciles: actual purchases as bars, each rule as a line."""
    width, height, left, top, right, bottom = 720, 400, 56, 48, 16, 56
    highest = max(max(t.came, *t.by_rule.values()) for t in result.tenths) * 1.05 or 1.0
    step = (width - left - right) / len(result.tenths)

    def across(position: int) -> float:
        return left + (position + 0.5) * step

    def up(value: float) -> float:
        return height - bottom - value / highest * (height - top - bottom)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12" role="img">',
        "<title>Purchases in 90 days by decile of the users: actual and predicted</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for fifth in range(6):
        value = highest * fifth / 5
        lines.append(
            f'<line x1="{left}" x2="{width - right}" y1="{up(value):.1f}" y2="{up(value):.1f}"'
            ' stroke="#dddddd"/>'
            f'<text x="{left - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        )
    for position, tenth in enumerate(result.tenths):
        lines.append(
            f'<rect x="{across(position) - step * 0.3:.1f}" y="{up(tenth.came):.1f}"'
            f' width="{step * 0.6:.1f}" height="{up(0) - up(tenth.came):.1f}" fill="#c9ced6"/>'
            f'<text x="{across(position):.1f}" y="{height - bottom + 18}"'
            f' text-anchor="middle">{position + 1}</text>'
        )
    for rule in RULES:
        points = [(across(n), up(tenth.by_rule[rule])) for n, tenth in enumerate(result.tenths)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        lines.append(
            f'<polyline points="{path}" fill="none" stroke="{COLOURS[rule]}" stroke-width="2"/>'
        )
        lines += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[rule]}"/>' for x, y in points
        ]
    legend = [
        ("actual", "#c9ced6"),
        *((result.fit.model if rule == "model" else rule, COLOURS[rule]) for rule in RULES),
    ]
    for number, (name, colour) in enumerate(legend):
        x = left + number * 120
        lines.append(
            f'<rect x="{x}" y="16" width="12" height="12" fill="{colour}"/>'
            f'<text x="{x + 18}" y="26">{name}</text>'
        )
    lines.append(
        f'<text x="{(left + width - right) / 2:.0f}" y="{height - 12}" text-anchor="middle">'
        "decile of the users, by predicted purchases</text>"
    )
    lines.append(
        f'<text transform="translate(14 {(top + height - bottom) / 2:.0f}) rotate(-90)"'
        ' text-anchor="middle">mean purchases in 90 days</text>'
    )
    return "\n".join([*lines, "</svg>"]) + "\n"
