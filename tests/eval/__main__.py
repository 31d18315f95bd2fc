"""``python -m tests.eval``: measure precedents and radar, print, write ``docs/eval/precedents.json``."""

from __future__ import annotations

import json
import sys

from tests.eval import airline, measure

WANTED = {"recall": 0.03, "mrr": 0.02}
TARGET = airline.REPO / "docs" / "eval" / "precedents.json"


def main() -> int:
    """Exit 1 when a margin is missed, 2 without the data."""
    if not airline.RUNS.is_file():
        print(f"no runs at {airline.RUNS}; set DG_SHARED_DATA to the folder of the real data", file=sys.stderr)
        return 2
    report = measure.measure()
    made = report.as_json()
    good = True
    print("| query | measure | best plain BM25 | ours | margin | asked |\n|---|---|---:|---:|---:|---:|")
    for each in made["queries"]:
        for name, asked in WANTED.items():
            margin = each[name] - each[f"plain_{name}"]
            good = good and margin >= asked - 1e-9
            label = "recall@3" if name == "recall" else "MRR"
            print(
                f"| {each['query']} | {label} | {each[f'plain_{name}']:.3f} ({each[f'plain_{name}_by']}) "
                f"| {each[name]:.3f} | +{margin:.3f} | +{asked:.2f} |"
            )
    for each in made["queries"]:
        for half, found in zip(("odd", "even"), each["halves"], strict=True):
            print(
                f"{each['query']}, {half} tasks, share of kin chosen on the others ({found['kin_share']}): "
                f"recall@3 {found['recall']:.3f} (plain {found['plain_recall']:.3f}), "
                f"MRR {found['mrr']:.3f} (plain {found['plain_mrr']:.3f})"
            )
    seen = made["radar"]
    print(
        f"radar: {seen['tasks_found']} of {seen['mixed_tasks']} mixed tasks found, "
        f"{seen['groups_right']} of {seen['groups']} groups of one such task alone, precision {seen['precision']:.3f}"
    )
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(made, indent=2) + "\n")
    print(f"written to {TARGET.relative_to(airline.REPO)}")
    return 0 if good and seen["tasks_found"] >= 18 and seen["precision"] >= 0.7 else 1


if __name__ == "__main__":
    sys.exit(main())
