"""Tables in Markdown from the reports of runs."""

import json

BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def markdown(report):
    """The rows and the bars of one report."""
    lines = [f"### {report['name']}: {report['question']}", ""]
    lines += ["| tool | seconds | CPU seconds | MB above the import | first call, s | outcome |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in report["rows"]:
        numbers = [row[k] for k in ("seconds", "cpu_seconds", "peak_mb", "compile_seconds")]
        cells = ["" if x is None else f"{x:.3g}" for x in numbers]
        note = f" ({row['note']})" if row["note"] else ""
        lines.append(f"| {row['tool']} | {' | '.join(cells)} | {row['outcome']}{note} |")
    lines += _noted(report["rows"])
    lines += ["", "| bar | against | ratio | reach | holds |", "|---|---|---|---|---|"]
    for bar in report["bars"]:
        ratio = "" if bar["ratio"] is None else f"{bar['ratio']:.3g}"
        holds = {True: "yes", False: "**no**", None: "not measured"}[bar["holds"]]
        lines.append(f"| {bar['tool']} | {bar['against']} | {ratio} | {bar['reach']} | {holds} |")
    return "\n".join(lines) + "\n"


def _noted(rows):
    """What the calls found out beside the columns, a line for each."""
    known = {"tool", "seconds", "cpu_seconds", "peak_mb", "compile_seconds", "outcome", "note"}
    names = list(dict.fromkeys(k for row in rows for k in row if k not in known))
    if not names:
        return []
    tools = [row["tool"] for row in rows]
    cells = {
        (row["tool"], name): "" if row.get(name) is None else f"{row[name]:.3g}"
        for row in rows
        for name in names
    }
    if len(tools) > len(names):  # the shorter side goes across
        lines = ["", f"| found | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
        return lines + [f"| {t} | {' | '.join(cells[t, n] for n in names)} |" for t in tools]
    lines = ["", f"| found | {' | '.join(tools)} |", "|---" * (1 + len(tools)) + "|"]
    return lines + [f"| {n} | {' | '.join(cells[t, n] for t in tools)} |" for n in names]


def summary(reports):
    """What matters of all reports in one table: times beside the peers and the limits."""
    lines = ["| rnnjax | beside | |", "|---|---|---|"]
    for report in reports:
        tools = {row["tool"]: row["outcome"] for row in report["rows"]}
        compared = [
            bar for bar in report["bars"] if bar["against"] in tools and bar["ratio"] is not None
        ]
        if compared:
            lines.append(f"| **{report['question']}** | | |")
        for bar in compared:
            ratio = f"{bar['ratio']:.3g}" if bar["ratio"] < 100 else f"{bar['ratio']:.0f}"
            faster = bar["reach"].startswith(">=")
            found = f"{ratio} times as fast" if faster else f"{ratio} times its time"
            if any(tools[t].startswith("differs") for t in (bar["tool"], bar["against"])):
                found = "outcomes differ"
            what = bar["tool"].removeprefix("rnnjax").strip(" ,") or "simulate"
            lines.append(f"| {what} | {bar['against']} | {found} |")
    return "\n".join(lines) + "\n"


def described(machine):
    """A machine in a line."""
    wide = "AVX-512" if machine["avx512"] else "no AVX-512"
    return (
        f"{machine['processor']}, {machine['cores']} cores, {wide}, {machine['memory_gib']} GiB, "
        f"Python {machine['python']}"
    )


def write(results, readme, front=None, order=()):
    """Put the tables of all reports between the marks of the README, a summary into the front one.

    Reports whose names are in `order` come first, and in that order.
    """
    place = {name: k for k, name in enumerate(order)}
    paths = sorted(results.glob("*.json"), key=lambda p: (place.get(p.stem, len(place)), p.stem))
    reports = [json.loads(path.read_text()) for path in paths]
    if not reports:
        raise FileNotFoundError(f"no reports in {results}: run `make bench` first")
    head = described(reports[0]["machine"]) + ".\n"
    for report in reports:
        if described(report["machine"]) + ".\n" != head:
            report["question"] += f" (on another processor, {report['machine']['processor']})"
    versions = {}
    for report in reports:
        versions |= report["versions"]
    versions = ", ".join(f"{k} {v}" for k, v in sorted(versions.items())) + ".\n"
    if not readme.exists():
        readme.write_text(f"# Benchmarks on a GPU\n\n{BEGIN}\n{END}\n")
    _put(readme, f"{head}{versions}\n" + "\n".join(markdown(report) for report in reports))
    if front is not None:
        _put(front, f"{head}\n{summary(reports)}")


def _put(file, text):
    before, rest = file.read_text().split(BEGIN)
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
