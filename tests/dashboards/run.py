#!/usr/bin/env python3
"""Holds the dashboards against Grafana's own types: `tests/dashboards/run.py`.

Grafana publishes what a dashboard, its panels and their options are as the package `@grafana/schema`. Each dashboard is
written down as a literal of those types, and TypeScript's compiler says what does not fit: a key that Grafana does not
know, a value that is none of an enumeration's, a required one that is missing. Then it does the same with a dashboard that
is wrong in each of these ways, which must be refused. Packages are pinned with hashes (`packages/`).
"""

import copy
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "clients"))

import environments  # noqa: E402

COMPILE_WITHIN_S = 300

# Options and field settings of each kind of panel, where Grafana publishes them.
PANELS = {
    "stat": ("stat/panelcfg/x/StatPanelCfg_types.gen", None),
    "table": ("table/panelcfg/x/TablePanelCfg_types.gen", "FieldConfig"),
    "timeseries": ("timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen", "FieldConfig"),
}
# Their options are nowhere published.
UNPUBLISHED = {"traces"}

OPTIONS = {"noEmit": True, "strict": True, "skipLibCheck": True, "module": "nodenext", "target": "es2022", "types": []}

HEAD = """import type { Dashboard } from '@grafana/schema';
// JSON has texts where the types have names of enumerations.
type Plain<T> = T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends (infer Item)[] ? Plain<Item>[]
  : T extends object ? { [Key in keyof T]: Plain<T[Key]> }
  : T;
"""


def module(dashboards):
    lines = [HEAD]
    for kind, (path, fields) in PANELS.items():
        names = f"Options as {kind}Options" + (f", {fields} as {kind}Fields" if fields else "")
        lines.append(f"import type {{ {names} }} from '@grafana/schema/dist/esm/raw/composable/{path}';")
    for number, (name, board) in enumerate(dashboards):
        lines.append(f"// {name}\nexport const board{number}: Plain<Dashboard> = {json.dumps(board)};")
        for place, panel in enumerate(board["panels"]):
            kind = panel["type"]
            if kind in UNPUBLISHED:
                continue
            _, fields = PANELS[kind]
            lines.append(f"// {name}: {panel['title']}")
            options = json.dumps(panel.get("options", {}))
            lines.append(f"export const options{number}x{place}: Plain<Partial<{kind}Options>> = {options};")
            custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom")
            if custom is not None and fields:
                lines.append(f"export const custom{number}x{place}: Plain<Partial<{kind}Fields>> = {json.dumps(custom)};")
    return "\n".join(lines) + "\n"


def faults(dashboards, packages):
    """What the compiler says, a line each."""
    with tempfile.TemporaryDirectory(prefix="ledgerline-dashboards-") as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "node_modules").symlink_to(packages / "node_modules")
        (scratch / "boards.ts").write_text(module(dashboards))
        (scratch / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "files": ["boards.ts"]}))
        line = ["node", packages / "node_modules" / "typescript" / "bin" / "tsc", "--pretty", "false"]
        ended = subprocess.run(line, cwd=scratch, stdout=subprocess.PIPE, text=True, timeout=COMPILE_WITHIN_S)
        found = [line for line in ended.stdout.splitlines() if "error TS" in line]
        if ended.returncode != 0 and not found:
            sys.exit(f"the compiler failed: {ended.stdout}")
        return found


def broken(board):
    """The dashboard, wrong in one way after the other."""

    def with_change(change):
        other = copy.deepcopy(board)
        change(other)
        return other

    return {
        "a key that Grafana does not know": with_change(lambda other: other.update(refreshEvery="1m")),
        "a value of the wrong kind": with_change(lambda other: other.update(title=7)),
        "a value that is none of an enumeration's": with_change(
            lambda other: next(p for p in other["panels"] if p["type"] == "stat")["options"].update(colorMode="rainbow")
        ),
        "an option that its panel does not know": with_change(
            lambda other: next(p for p in other["panels"] if p["type"] == "stat")["options"].update(blink=True)
        ),
    }


def main():
    if subprocess.run([ROOT / "tools" / "require", "node", "npm"], timeout=60).returncode != 0:
        sys.exit(1)
    packages = environments.node(HERE / "packages", "dashboards")
    dashboards = [(file.name, json.loads(file.read_text())) for file in sorted((ROOT / "dashboards").glob("*.json"))]
    if len(dashboards) < 8:
        sys.exit("the dashboards are not where they were")
    found = faults(dashboards, packages)
    if found:
        sys.exit("Grafana's types do not take the dashboards:\n" + "\n".join(found))
    name, board = next((name, board) for name, board in dashboards if any(p["type"] == "stat" for p in board["panels"]))
    for what, wrong in broken(board).items():
        if not faults([(name, wrong)], packages):
            sys.exit(f"{what} is taken: nothing is checked")
    panels = sum(len(board["panels"]) for _, board in dashboards)
    print(f"{len(dashboards)} dashboards with {panels} panels are what @grafana/schema has")


if __name__ == "__main__":
    main()
