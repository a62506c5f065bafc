"""A published method that is one file and one line more is in the node too.

Its page and the command line: tests/core/test_record.py.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.host.place import COMFYUI, PYTHON, environment
from tests.toy_method import with_toy

ASK = """
import json, sys
from pathlib import Path
sys.path.insert(0, "tests/host")
import standins
kept = standins.start(Path(sys.argv[1]))
standins.load_pack()
from region_drag_editing.nodes.optimize import DragOptimize
schema = DragOptimize.define_schema()
recipe = {i.id: i for i in schema.inputs}["recipe"]
print(json.dumps([recipe.options, recipe.tooltip, schema.search_aliases]))
"""


def test_a_new_method_is_an_option_of_the_node(tmp_path: Path) -> None:
    root = with_toy(tmp_path)
    done = subprocess.run(
        [str(PYTHON), "-c", ASK, str(COMFYUI)], cwd=root, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    options, tooltip, aliases = json.loads(done.stdout.splitlines()[-1])
    assert options[-3:] == ["toy", "copy_paste", "custom"] and "toy" in aliases
    assert "dragnext and toy (SD, regions)" in tooltip
