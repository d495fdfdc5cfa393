"""The JSON schema of scene files, generated from the models; editors complete, describe and check with it."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from tau_stage.scene.model import Scene

ID = "https://json-schema.org/draft/2020-12/schema"


class _Untitled(GenerateJsonSchema):
    """Without the titles that only repeat the keys, and the nulls nobody writes."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])


def scene_schema() -> str:
    """The schema as the text of ``schemas/scene.schema.json``."""
    schema = Scene.model_json_schema(schema_generator=_Untitled)
    return json.dumps({"$schema": ID, **_plain(schema)}, indent=2, ensure_ascii=False) + "\n"


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if not (key == "default" and value is None)}
    return [_plain(item) for item in node] if isinstance(node, list) else node
