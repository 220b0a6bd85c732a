"""Bars as SVG, without a background, in colours that are readable on white and on black."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as pyplot

TEXT, OTHERS, OURS = "#717982", "#9aa3ad", "#2f81f7"
LEVELS = {
    "avx512": "AVX-512",
    "avx2": "AVX2",
    "sse4.2": "SSE4.2",
    "neon": "NEON",
    "scalar": "scalar",
}
UNITS = {"network": "CPU ms per picture", "frame": "CPU ms per frame"}
TITLES = {"network": "network {}", "frame": "{}"}


def bars(section, cases, path):
    settings = {
        "svg.hashsalt": "mattebox",
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "text.color": TEXT,
        "axes.labelcolor": TEXT,
        "xtick.color": TEXT,
        "ytick.color": TEXT,
    }
    with pyplot.rc_context(settings):
        # Every panel has the same rows; a gap separates the vector instructions.
        lines = places(cases)
        height = 0.27 * (max(lines.values()) + 1) + 0.8
        figure, panels = pyplot.subplots(
            1, len(cases), figsize=(3.4 + 2.6 * len(cases), height), sharey=True, squeeze=False
        )
        for data, axes in zip(cases, panels[0]):
            panel(axes, section, data, lines)
        panels[0][0].set_yticks(
            list(lines.values()),
            [f"{label.strip()}, {LEVELS.get(level, level)}" for label, level in lines],
        )
        panels[0][0].set_ylim(max(lines.values()) + 0.7, -0.7)
        figure.tight_layout(w_pad=1.5)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


def places(cases):
    """(label, level) -> place of its bar; the best instructions first, and ours last in each
    group."""
    best = cases[0]["level"]
    rows = {
        (row["label"], row["level"]): row
        for data in cases
        for row in data["rows"]
        if "cpu_ms" in row
    }
    order = sorted(
        rows, key=lambda line: (line[1] != best, line[1], rows[line]["key"].startswith("ours"))
    )
    lines, place, before = {}, 0.0, None
    for line in order:
        place += 0.6 if before not in (None, line[1]) else 0
        lines[line], place, before = place, place + 1, line[1]
    return lines


def panel(axes, section, data, lines):
    shown = [row for row in data["rows"] if "cpu_ms" in row]
    longest = max((row["cpu_ms"]["median"] for row in shown), default=1)
    for row in shown:
        value, place = row["cpu_ms"]["median"], lines[row["label"], row["level"]]
        ours = row["key"].startswith("ours")
        axes.barh(place, value, height=0.72, color=OURS if ours else OTHERS)
        style = {"weight": "bold", "color": OURS} if ours else {}
        axes.text(
            value + 0.02 * longest,
            place,
            f"{value:.2f}" if value < 10 else f"{value:.1f}",
            va="center",
            **style,
        )
    axes.set_xlim(0, 1.2 * longest)
    axes.set_title(TITLES[section].format(data["case"]), fontsize=10, color=TEXT)
    axes.set_xlabel(UNITS[section])
    axes.tick_params(length=0)
    axes.set_xticks([])
    for side in axes.spines.values():
        side.set_visible(False)
