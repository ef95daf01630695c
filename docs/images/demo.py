"""Make docs/images/demo.svg, the picture in the README: runs the demo and draws what it printed.

Run it with .venv/bin/python docs/images/demo.py
"""

import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent
# Without the web fonts that rich would have the reader's browser load.
OFFLINE = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main() -> None:
    command = [sys.executable, str(FOLDER.parents[1] / "examples" / "demo.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = printed.partition("\nTo look further")[0].splitlines()
    progress = [line for line in lines if " trials · " in line]
    # Of the live line only some moments; the rest as it is.
    shown = [line for line in lines if line not in progress or line in progress[:: max(1, len(progress) // 6)]]
    console = Console(record=True, width=100, file=Path("/dev/null").open("w"))
    console.print(Text("$ make demo", style="bold green"))
    for line in shown:
        heading = line.startswith(("Best configuration", "The five best"))
        console.print(Text(line, style="bold" if heading else ""))
    console.save_svg(str(FOLDER / "demo.svg"), title="make demo", code_format=OFFLINE)


if __name__ == "__main__":
    main()
