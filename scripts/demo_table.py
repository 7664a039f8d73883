#!/usr/bin/env python3
"""Prints the answers of scripts/demo.sh as one table: JSON lines of `nearfar ask --json` in, each
with the question added as "question"."""

import json
import shutil
import sys
import unicodedata


def width(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in text)


def fit(text, columns):
    text = " ".join(text.split())
    if width(text) <= columns:
        return text + " " * (columns - width(text))
    kept = ""
    for character in text:
        if width(kept + character) > columns - 1:
            break
        kept += character
    return kept + "…" + " " * (columns - 1 - width(kept))


def number(value, form):
    return "-" if value is None else form.format(value)


def row_of(record):
    if "error" in record:
        return ["-", record["error"]["code"].lower(), "-", "-", number(record["cost_usd"], "{:.6f}"),
                record["error"]["message"]]
    reason = record["reason"]
    if record.get("detail") and reason.split(",")[0] in ("rule", "tainted"):
        reason = record["detail"]  # "rule 'keep-secrets-home'"
    if record["flagged"]:
        reason += f" [flagged: {record['flag_reason']}]"
    return [record["route"], reason, number(record.get("confidence"), "{:.2f}"),
            number(record["seconds"], "{:.1f}"), number(record["cost_usd"], "{:.6f}"),
            record["answer"]]


def main():
    sys.stdout.reconfigure(encoding="utf-8")  # answers come in any script, whatever the locale says
    records = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8") if line.strip()]
    if not records:
        sys.exit(f"demo_table.py: {sys.argv[1]}: there is no answer to show")
    titles = ["question", "route", "reason", "conf.", "s", "USD", "answer"]
    rows = [[record["question"]] + row_of(record) for record in records]
    total = max(100, min(160, shutil.get_terminal_size((110, 24)).columns))
    widths = [0] + [max([width(titles[c])] + [width(row[c]) for row in rows]) for c in range(1, 6)] + [0]
    widths[2] = min(widths[2], 34)
    rest = total - sum(widths) - 2 * (len(titles) - 1)
    widths[0], widths[6] = rest // 2, rest - rest // 2
    for cells in [titles, ["-" * w for w in widths]] + rows:
        right = [cell.strip().rjust(w) if c in (3, 4, 5) and cell is not titles[c] else fit(cell, w)
                 for c, (cell, w) in enumerate(zip(cells, widths))]
        print("  ".join(right).rstrip())


if __name__ == "__main__":
    main()
