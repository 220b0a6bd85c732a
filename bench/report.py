"""From times to tables: for the terminal, for bench.json and for the documentation."""

import peers
import plot

LEVELS = {"avx512": "AVX-512", "avx2": "AVX2", "sse4.2": "SSE4.2", "neon": "NEON", "scalar": "none"}
# Goals: (case, the other, ours, level or None for the machine's best) -> how many times less CPU
# time.
GOALS = {
    ("256x256", "litert", "ours", "avx512"): 4,
    ("256x256", "litert", "ours", "avx2"): 3,
    ("256x256", "onnxruntime", "ours", "avx2"): 2.3,
    ("480x480", "python-worker", "ours-hard", None): 10,
    ("480x480", "python-worker", "ours-soft", None): 6,
    ("1280x720", "python-worker", "ours-hard", None): 12,
    ("1280x720", "python-worker", "ours-soft", None): 8,
}
TITLES = {
    "network": "Network alone, {}: one picture",
    "frame": "Whole frame, {}: JPEG bytes in, PNG file out",
}


def case(section, name, rows):
    """One table as data. The first level of others is the machine's best."""
    best = next((row.level for row in rows if not row.ours), rows[-1].level)
    data = {
        "section": section,
        "case": name,
        "level": best,
        "rows": [row_data(row) for row in rows],
    }
    median = {
        (row["key"], row["level"]): row["cpu_ms"]["median"]
        for row in data["rows"]
        if "cpu_ms" in row
    }
    data["ratios"] = []
    for (key, level), cpu in median.items():
        for (ours, our_level), our_cpu in median.items():
            if ours.startswith("ours") and not key.startswith("ours") and level == our_level:
                goals = [
                    goal
                    for (*row, at), goal in GOALS.items()
                    if row == [name, key, ours] and at in (level, None) and (at or level == best)
                ]
                data["ratios"].append(
                    {
                        "peer": key,
                        "ours": ours,
                        "level": level,
                        "ratio": cpu / our_cpu,
                        "goal": goals[0] if goals else None,
                    }
                )
    return data


def row_data(row):
    data = {
        "key": row.key,
        "label": row.label,
        "level": row.level,
        "hidden": "LD_PRELOAD" in row.environment,
    }
    if row.difference is not None:
        data["difference"] = row.difference
        data["wrong"] = row.limit is not None and row.difference > row.limit
    if row.error or not row.cpu:
        data["not_measured"] = row.error or "no round was run"
    else:
        data |= {"wall_ms": peers.numbers(row.wall), "cpu_ms": peers.numbers(row.cpu)}
    return data


def table(data):
    """Head and cells of a case. At each level the fastest comes last, so that ours stands below the
    others."""
    ours = list(dict.fromkeys(row["key"] for row in data["rows"] if row["key"].startswith("ours")))
    ratio = {(r["peer"], r["level"], r["ours"]): r["ratio"] for r in data["ratios"]}
    names = {"ours": "times ours", "ours-hard": "times hard", "ours-soft": "times soft"}
    difference = "difference" if data["section"] == "network" else "other pixels"
    head = [
        "",
        "instructions",
        "CPU ms",
        "quartiles",
        "wall ms",
        "quartiles",
        *(names[key] for key in ours),
        difference,
    ]
    lines = []
    for row in sorted(
        data["rows"], key=lambda row: (row["level"] != data["level"], row["key"].startswith("ours"))
    ):
        start = [row["label"], LEVELS.get(row["level"], row["level"]) + " †" * row["hidden"]]
        if "not_measured" in row:
            lines.append([*start, f"not measured: {row['not_measured']}"])
            continue
        for numbers in (row["cpu_ms"], row["wall_ms"]):
            start += [f"{numbers['median']:.2f}", f"{numbers['q1']:.2f}–{numbers['q3']:.2f}"]
        ratios = [ratio.get((row["key"], row["level"], key)) for key in ours]
        start += ["" if value is None else f"{value:.2f}" for value in ratios]
        lines.append([*start, differs(data["section"], row)])
    return head, lines


def differs(section, row):
    if "difference" not in row:
        return ""
    text = (
        f"{row['difference']:.1e}" if section == "network" else f"{100 * row['difference']:.4f} %"
    )
    return text + " WRONG" * row["wrong"]


def goals(everything):
    """`[what, ratio, goal]` for each that applies to this machine."""
    labels = {row["key"]: row["label"] for data in everything["cases"] for row in data["rows"]}
    for data in everything["cases"]:
        for r in data["ratios"]:
            if r["goal"]:
                names = f"{labels[r['peer']]} / {labels[r['ours']]}"
                yield f"{data['case']}, {LEVELS[r['level']]}: {names}", r["ratio"], r["goal"]


NOTES = {
    "hidden": (
        "† AVX-512 is hidden from the program (bench/hide_avx512.c), so that it takes its AVX2 "
        "code."
    ),
    "network": (
        "*difference*: the largest to LiteRT's confidence (0..1) in any pixel of the clip. Ours "
        "are allowed 1e-4, the others 1e-3."
    ),
    "frame": (
        "*other pixels*: the share that differs from the Python worker's file. The soft matte is "
        "another matte, so it is not compared."
    ),
}


def notes(data):
    yield NOTES[data["section"]]
    if any(row["hidden"] for row in data["rows"]):
        yield NOTES["hidden"]


def text(everything):
    m = everything["machine"]
    lines = [
        f"{m['cpu']} ({', '.join(m['instruction_sets'])}), core {everything['core']} alone, "
        f"{everything['rounds']} rounds, {m['date']}"
    ]
    for data in everything["cases"]:
        head, rows = table(data)
        widths = [
            max(len(row[i]) for row in [head, *(r for r in rows if len(r) == len(head))])
            for i in range(len(head))
        ]
        widths[:2] = (max(len(row[i]) for row in [head, *rows]) for i in (0, 1))
        lines += ["", TITLES[data["section"]].format(data["case"])]
        for row in [head, *rows]:
            left = [cell.ljust(width) for cell, width in zip(row[:2], widths)]
            lines.append(
                "  ".join(
                    [*left, *(cell.rjust(width) for cell, width in zip(row[2:], widths[2:]))]
                ).rstrip()
            )
        lines += [f"  {note.replace('*', '')}" for note in notes(data)]
    reached = list(goals(everything))
    if reached:
        lines += ["", "Goals (CPU time of the other / ours)"]
        width = max(len(what) for what, _, _ in reached)
        lines += [
            f"  {what:{width}}  {ratio:5.2f}  goal {goal:4.1f}  "
            f"{'reached' if ratio >= goal else 'missed'}"
            for what, ratio, goal in reached
        ]
    return "\n".join(lines)


def plots(everything, folder, prefix=""):
    folder.mkdir(parents=True, exist_ok=True)
    for section in ("network", "frame"):
        cases = [data for data in everything["cases"] if data["section"] == section]
        if any("cpu_ms" in row for data in cases for row in data["rows"]):
            plot.bars(section, cases, folder / f"{prefix}{section}.svg")


DOCS = """# Benchmarks

<!-- Written by `make bench ARGS=--docs`; change bench/report.py instead. -->

mattebox against other programs, on one core, one thread each, measured in one run and in turn.
Repeat it with

    make bench

which installs the other programs into `.cache/bench-venv` and takes about six minutes.
`bench/README.md` says how it measures and how to measure only parts.

{machine}

CPU ms is the process's CPU time per picture or frame, all its threads: the median over {rounds}
rounds, each peer once a round in a new order. *times* is the other's CPU time divided by ours at
the same vector instructions. Machines differ: ratios carry over better than times.
"""

NETWORK = """
## The network alone

The same network in every engine, one picture (f32) in, its confidence out. ONNX Runtime and
OpenVINO get the graph through our converter (`bench/onnx_model.py`): unchanged (plain), and
rewritten for speed as far as no result changes.

![CPU milliseconds per picture of each engine](../img/bench-network.svg)
"""

FRAME = """
## Whole frames

JPEG bytes in, PNG file on disk out: frames of the sample clip. The Python worker does what a
stream worker around MediaPipe does: parse the JSON message, decode base64 and JPEG, ImageSegmenter
(category and confidence masks), gray where no person is, write the PNG with OpenCV. Ours is what
`mattebox run` does with a frame.

![CPU milliseconds per frame of each worker, at each size](../img/bench-frame.svg)
"""


def docs(everything, folder):
    """docs/benchmarks/speed.md with its plots."""
    plots(everything, folder / "img", "bench-")
    m = everything["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items() if version)
    facts = [
        (
            "machine",
            f"{m['cpu']} (family and model {m['cpu_family_model']}), {m['cores']} cores, "
            f"{', '.join(m['instruction_sets'])}",
        ),
        ("system", m["system"]),
        ("mattebox", f"{m['mattebox']}, {LEVELS[m['mattebox_levels'][-1]]}"),
        ("others", versions),
        ("date", m["date"]),
    ]
    blocks = [
        DOCS.format(
            machine=markdown(["", ""], [list(fact) for fact in facts]), rounds=everything["rounds"]
        )
    ]
    for section, introduction in (("network", NETWORK), ("frame", FRAME)):
        cases = [data for data in everything["cases"] if data["section"] == section]
        if not cases:
            continue
        blocks.append(introduction)
        for data in cases:
            blocks += [f"### {data['case']}", markdown(*table(data))]
        blocks += dict.fromkeys(note for data in cases for note in notes(data))
    reached = [
        [what, "yes" if ratio >= goal else "not yet", f"{ratio:.2f}", f"{goal:g}"]
        for what, ratio, goal in goals(everything)
    ]
    if reached:
        blocks += [
            "## Goals",
            markdown(["CPU time of the other / ours", "reached", "measured", "goal"], reached),
        ]
    (folder / "benchmarks/speed.md").write_text(
        "\n\n".join(block.strip() for block in blocks) + "\n"
    )


def markdown(head, rows):
    def line(cells):
        return "| " + " | ".join(cell.strip() for cell in cells) + " |"

    padded = [row + [""] * (len(head) - len(row)) for row in rows]
    rule = "|" + "|".join("---" if i < 2 else "---:" for i in range(len(head))) + "|"
    return "\n".join([line(head), rule, *map(line, padded)])
