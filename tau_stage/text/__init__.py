"""Text made safe to show: one way for the whole house. Pure."""

from tau_stage.text.showing import one_line, printable, printable_json

__all__ = ["one_line", "printable", "printable_json"]
