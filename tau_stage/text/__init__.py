"""Text compared, and made safe to show: one way for the whole house. Pure."""

from tau_stage.text.aligning import MOST_COMPARED, aligned, alikeness
from tau_stage.text.showing import one_line, printable, printable_json, well_formed

__all__ = ["MOST_COMPARED", "aligned", "alikeness", "one_line", "printable", "printable_json", "well_formed"]
